package app

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// Sources are where a Config comes from, in descending order of precedence:
// flags, LARDER_* variables, MINIO_* variables, the configuration file, the
// defaults. A file that MINIO_CONFIG_ENV_FILE names overrides the environment,
// as it does in MinIO.
type Sources struct {
	Flags   map[string]string // by setting name; only those that were given
	Environ []string          // "K=V", as os.Environ returns it
	File    string            // configuration file, TOML; "" for LARDER_CONFIG or none
	MinIO   bool              // started with MinIO's spelling
}

// Load makes a Config. Warnings name what was set and has no effect; they are
// for the log. Every error says which source is wrong.
func Load(src Sources) (cfg Config, warnings []string, err error) {
	env, file, err := src.read()
	if err != nil {
		return Config{}, nil, err
	}
	cfg.MinIO, cfg.Sources = src.MinIO, src
	known := map[string]bool{"LARDER_CONFIG": true}
	for _, s := range Settings() {
		for _, name := range s.variables() {
			known[name] = true
			known[name+"_FILE"] = known[name+"_FILE"] || s.File
		}
		value, from, err := s.find(src.Flags, env, file)
		if err != nil {
			return Config{}, nil, err
		}
		if err := s.set(&cfg, value); err != nil {
			return Config{}, nil, fmt.Errorf("%s: %w", from, err)
		}
		if s.Name == "root-password" {
			cfg.MinIO = cfg.MinIO || strings.HasPrefix(from, "MINIO_")
			if _, inFile := file[s.Name]; inFile && readByOthers(src.path(env)) {
				warnings = append(warnings, src.path(env)+" holds the root user's secret and others may read it: chmod 600 it, or name a file in LARDER_ROOT_PASSWORD_FILE")
			}
		}
		delete(file, s.Name)
	}
	if len(file) > 0 {
		return Config{}, nil, fmt.Errorf("configuration file %s: unknown key %q: keys are named as the flags of 'larder serve --help'", src.path(env), slices.Sorted(maps.Keys(file))[0])
	}
	if home := env["HOME"]; cfg.MinIO && cfg.TLS == TLSDetect && cfg.TLSCert == "" && cfg.CertsDir == "" && home != "" {
		cfg.CertsDir = filepath.Join(home, ".minio", "certs")
	}
	issuers, ignored, err := oidc.ParseEnvironment(env)
	if err != nil {
		return Config{}, nil, err
	}
	cfg.Issuers = issuers
	warnings = slices.Concat(warnings, unknown(env, known), ignored)
	if cfg.RootPassword == "minioadmin" {
		warnings = append(warnings, "the root user's secret is the one that everybody knows from MinIO: choose another")
	}
	if cfg.MoreDirs {
		warnings = append(warnings, "of the directories only "+cfg.Dir+" is used: there is no erasure coding here")
	}
	return cfg, warnings, cfg.check()
}

// read returns the variables, and what the configuration file says.
func (src *Sources) read() (env, file map[string]string, err error) {
	if env, err = environment(src.Environ); err != nil {
		return nil, nil, err
	}
	file, err = readFile(src.path(env))
	return env, file, err
}

// path is that of the configuration file.
func (src *Sources) path(env map[string]string) string {
	if src.File != "" {
		return src.File
	}
	return env["LARDER_CONFIG"]
}

// root reads the root key again.
func (src *Sources) root() (key RootKey, err error) {
	env, file, err := src.read()
	if err != nil {
		return RootKey{}, err
	}
	var cfg Config
	for _, s := range Settings() {
		if s.Name != "root-user" && s.Name != "root-password" {
			continue
		}
		value, from, err := s.find(src.Flags, env, file)
		if err != nil {
			return RootKey{}, err
		}
		if err := s.set(&cfg, value); err != nil {
			return RootKey{}, fmt.Errorf("%s: %w", from, err)
		}
	}
	return RootKey{User: cfg.RootUser, Secret: cfg.RootPassword}, nil
}

// variables are the names of a setting's variables, those that win first.
func (s *Setting) variables() []string { return append([]string{s.Env()}, s.MinIO...) }

// find returns a setting's value and the name of what it came from.
func (s *Setting) find(flags, env, file map[string]string) (value, from string, err error) {
	if v, ok := flags[s.Name]; ok {
		return v, "--" + s.Name, nil
	}
	for _, name := range s.variables() {
		v := env[name]
		if path := env[name+"_FILE"]; s.File && path != "" {
			if v != "" {
				return "", "", fmt.Errorf("%s and %s_FILE exclude one another: unset one", name, name)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return "", "", fmt.Errorf("%s_FILE: %w", name, err)
			}
			return strings.TrimRight(string(content), "\r\n"), name + "_FILE", nil
		}
		if v != "" {
			return v, name, nil
		}
	}
	if v, ok := file[s.Name]; ok {
		return v, "configuration file: " + s.Name, nil
	}
	return s.Default, "default of " + s.Name, nil
}

// environment returns the variables, with those of MINIO_CONFIG_ENV_FILE on top.
func environment(environ []string) (map[string]string, error) {
	env := make(map[string]string)
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	if path := env["MINIO_CONFIG_ENV_FILE"]; path != "" {
		more, err := readEnvFile(path)
		if err != nil {
			return nil, fmt.Errorf("MINIO_CONFIG_ENV_FILE: %w", err)
		}
		maps.Copy(env, more)
	}
	return env, nil
}

// readEnvFile reads lines of the form [export ]NAME=VALUE, where VALUE may be
// quoted; blank lines and those that start with # are skipped.
func readEnvFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	env := make(map[string]string)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "export ")), "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("%s:%d: not of the form export NAME=\"VALUE\"", path, n)
		}
		if value, err = unquote(strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", path, n, name, err)
		}
		env[name] = value
	}
	return env, lines.Err()
}

func unquote(v string) (string, error) {
	if v == "" || v[0] != '"' && v[0] != '\'' {
		return v, nil
	}
	if len(v) < 2 || v[len(v)-1] != v[0] {
		return "", errors.New("the quote is not closed")
	}
	return v[1 : len(v)-1], nil
}

// readByOthers reports whether a file's mode lets others than its owner read it.
func readByOthers(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o044 != 0
}

// readFile reads a TOML file of strings, numbers, booleans and lists of strings.
func readFile(path string) (map[string]string, error) {
	if path == "" {
		return map[string]string{}, nil
	}
	var doc map[string]any
	if _, err := toml.DecodeFile(path, &doc); err != nil {
		if errors.As(err, new(toml.ParseError)) {
			err = fmt.Errorf("%w: the file is TOML, with lines like address = \":9000\"", err)
		}
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	values := make(map[string]string, len(doc))
	for key, value := range doc {
		switch v := value.(type) {
		case string:
			values[key] = v
		case int64:
			values[key] = strconv.FormatInt(v, 10)
		case bool:
			values[key] = strconv.FormatBool(v)
		case []any:
			words := make([]string, len(v))
			for i := range v {
				words[i] = fmt.Sprint(v[i])
			}
			values[key] = strings.Join(words, ",")
		case map[string]any:
			return nil, fmt.Errorf("configuration file %s: [%s] is not known: there are no tables, every setting stands at the top", path, key)
		default:
			return nil, fmt.Errorf("configuration file %s: %s: a value is a string, number, boolean or list", path, key)
		}
	}
	return values, nil
}

// unknown reports variables that look meant for this server and are not read.
func unknown(env map[string]string, known map[string]bool) (warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if known[name] {
			continue
		}
		switch why, ignored := ignoredMinIO[name]; {
		case strings.HasPrefix(name, "MINIO_IDENTITY_OPENID_"), strings.HasPrefix(name, "LARDER_IDENTITY_OPENID_"): // oidc.ParseEnvironment read it
		case ignored && why == "" || name == "MINIO_CONFIG_ENV_FILE":
		case ignored:
			warnings = append(warnings, name+" has no effect: "+why)
		case strings.HasPrefix(name, "MINIO_"), strings.HasPrefix(name, "LARDER_") && !clientVariables[name]:
			warnings = append(warnings, name+" is not known and has no effect")
		}
	}
	return warnings
}

// clientVariables are read by commands other than the server.
var clientVariables = map[string]bool{
	"LARDER_ENDPOINT": true, "LARDER_CACHE": true,
}
