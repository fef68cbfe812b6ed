package sccache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Settings are what one sccache would be told about S3, and from where. The
// daemon reads them once, when it starts.
type Settings struct {
	Source string // "environment", or the path of the configuration file; "" if nothing says S3
	File   string // the configuration file that is looked for, whether it is there or not

	Bucket        string
	Endpoint      string // as it was written; "" means Amazon's own
	EndpointFrom  string // the variable or file that says so
	Region        string // "" is an error of its own: the daemon does not start
	KeyPrefix     string // without a slash at its end
	UseSSL        *bool  // overrides the endpoint's scheme
	VirtualHost   bool
	NoCredentials bool
	ReadOnly      bool // told to write nothing

	SkipCheck bool     // told not to ask for .sccache_check at its start
	Chain     []string // levels of a multi-level cache, lower case; nil for a single cache
}

// What ReadSettings reports when something is not set that must be.
var (
	ErrNoRegion = errors.New("no region: neither SCCACHE_REGION nor AWS_REGION is set")
	ErrNoDisk   = errors.New("the chain has a level disk, and SCCACHE_DIR is not set")
	ErrNoBucket = errors.New("the chain has a level s3, and SCCACHE_BUCKET is not set")
)

// UsesS3 reports whether sccache keeps its cache in S3, alone or as one level.
func (s Settings) UsesS3() bool {
	return s.Bucket != "" && (s.Chain == nil || slices.Contains(s.Chain, "s3"))
}

// ReadSettings reads what sccache of version v, started with env on system goos
// ("linux", "darwin", "windows"), would use. An error is one that keeps sccache
// from starting; the settings read until then are returned with it.
func ReadSettings(env Environ, v Version, goos string) (Settings, error) {
	s := Settings{File: configFile(env, goos)}
	fromEnv, err := s.readEnviron(env, v)
	if err != nil {
		return s, err
	}
	file, err := readConfigFile(s.File, v)
	if err != nil {
		return s, err
	}
	if !fromEnv {
		file.apply(&s)
	}
	if s.Chain == nil && v.AtLeast(15) {
		s.Chain = file.chain()
	}
	if err := s.checkChain(env, file); err != nil {
		return s, err
	}
	if s.Bucket == "" {
		return s, nil
	}
	return s, s.fromAWS(env, v)
}

// checkChain refuses a level that is not configured, as far as it can be seen
// here. The disk, too, has to be: that it has a default is not enough.
func (s Settings) checkChain(env Environ, file fileConfig) error {
	disk, _ := env.first("SCCACHE_CACHE_SIZE", "SCCACHE_DIRECT", "SCCACHE_LOCAL_RW_MODE")
	_, dir := env["SCCACHE_DIR"]
	if slices.Contains(s.Chain, "disk") && disk == "" && !dir && file.Cache.Disk == nil {
		return ErrNoDisk
	}
	if slices.Contains(s.Chain, "s3") && s.Bucket == "" {
		return ErrNoBucket
	}
	return nil
}

// readEnviron reports whether env configures S3: only SCCACHE_BUCKET does, and
// without it every other S3 variable is ignored.
func (s *Settings) readEnviron(env Environ, v Version) (bool, error) {
	if v.AtLeast(15) && env["SCCACHE_MULTILEVEL_CHAIN"] != "" {
		s.Chain = levels(strings.Split(env["SCCACHE_MULTILEVEL_CHAIN"], ","))
	}
	if v.Modern() {
		skip, _, err := env.boolean("SCCACHE_SKIP_CACHE_CHECK")
		if err != nil {
			return false, err
		}
		s.SkipCheck = skip
	}
	if env["SCCACHE_BUCKET"] == "" {
		return false, nil
	}
	s.Source = "environment"
	s.Bucket = env["SCCACHE_BUCKET"]
	s.Region = env["SCCACHE_REGION"]
	s.Endpoint = env["SCCACHE_ENDPOINT"]
	s.EndpointFrom = "SCCACHE_ENDPOINT"
	s.KeyPrefix = strings.TrimRight(env["SCCACHE_S3_KEY_PREFIX"], "/")
	s.ReadOnly = v.AtLeast(16) && strings.EqualFold(env["SCCACHE_S3_RW_MODE"], "READ_ONLY")
	ssl, told, errSSL := env.boolean("SCCACHE_S3_USE_SSL")
	if told {
		s.UseSSL = &ssl
	}
	var errAnonymous, errHost error
	s.NoCredentials, _, errAnonymous = env.boolean("SCCACHE_S3_NO_CREDENTIALS")
	if v.AtLeast(11) {
		s.VirtualHost, _, errHost = env.boolean("SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE")
	}
	_, _, errSSE := env.boolean("SCCACHE_S3_SERVER_SIDE_ENCRYPTION")
	if err := errors.Join(errSSL, errAnonymous, errHost, errSSE); err != nil {
		return true, err
	}
	_, key := env["AWS_ACCESS_KEY_ID"]
	_, secret := env["AWS_SECRET_ACCESS_KEY"]
	if s.NoCredentials && (key || secret) {
		return true, errors.New("SCCACHE_S3_NO_CREDENTIALS is set together with AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY")
	}
	return true, nil
}

// fromAWS fills in the region and the endpoint from AWS's own settings.
func (s *Settings) fromAWS(env Environ, v Version) error {
	if s.Region == "" {
		names := []string{"AWS_REGION"}
		if v.Modern() {
			names = append(names, "AWS_DEFAULT_REGION")
		}
		s.Region, _ = env.first(names...)
	}
	profile := section{}
	if !v.Modern() && !s.NoCredentials {
		profile = awsConfig(env)
	}
	if s.Region == "" {
		s.Region = profile["region"]
	}
	if s.Endpoint == "" && !s.NoCredentials {
		names := []string{"AWS_ENDPOINT_URL"}
		if v.Modern() {
			names = append(names, "AWS_ENDPOINT", "AWS_S3_ENDPOINT")
		}
		s.Endpoint, s.EndpointFrom = env.first(names...)
		if s.Endpoint == "" && profile["endpoint_url"] != "" {
			s.Endpoint, s.EndpointFrom = profile["endpoint_url"], "endpoint_url of ~/.aws/config"
		}
	}
	if s.Region == "" {
		return ErrNoRegion
	}
	return nil
}

// configFile returns the path that sccache reads its configuration from.
func configFile(env Environ, goos string) string {
	if path, set := env["SCCACHE_CONF"]; set {
		return path
	}
	switch goos {
	case "windows":
		return filepath.Join(env["APPDATA"], "Mozilla", "sccache", "config", "config")
	case "darwin":
		newer := filepath.Join(env["HOME"], "Library", "Application Support", "Mozilla.sccache", "config")
		older := filepath.Join(env["HOME"], "Library", "Preferences", "Mozilla.sccache", "config")
		if _, err := os.Stat(newer); err != nil {
			if _, err := os.Stat(older); err == nil {
				return older
			}
		}
		return newer
	}
	base := env["XDG_CONFIG_HOME"]
	if !filepath.IsAbs(base) {
		base = filepath.Join(env["HOME"], ".config")
	}
	return filepath.Join(base, "sccache", "config")
}

func levels(names []string) []string {
	chain := make([]string, 0, len(names))
	for _, name := range names {
		chain = append(chain, strings.ToLower(strings.TrimSpace(name)))
	}
	return chain
}

// section is one section of an AWS profile file.
type section map[string]string

// awsConfig returns the profile's section of ~/.aws/config, empty if there is none.
func awsConfig(env Environ) section {
	name, _ := env.first("AWS_PROFILE")
	if name != "" && name != "default" {
		name = "profile " + name
	}
	s, _ := readSection(env, "AWS_CONFIG_FILE", "~/.aws/config", name)
	return s
}

// awsCredentials returns the profile's section of ~/.aws/credentials.
func awsCredentials(env Environ) (section, string) {
	name, _ := env.first("AWS_PROFILE")
	return readSection(env, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name)
}

// readSection reads section name ("" means default) of an INI file. A file that
// is not there, or cannot be read, has no section.
func readSection(env Environ, variable, path, name string) (section, string) {
	if env[variable] != "" {
		path = env[variable]
	}
	path, ok := env.home(path)
	if !ok {
		return section{}, path
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return section{}, path
	}
	if name == "" {
		name = "default"
	}
	found, inside := section{}, false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			inside = strings.TrimSpace(strings.Trim(line, "[]")) == name
		case inside:
			if key, value, ok := strings.Cut(line, "="); ok {
				found[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return found, path
}

// errConfig wraps what is wrong with the configuration file.
func errConfig(path string, err error) error {
	return fmt.Errorf("configuration file %s: %w", path, err)
}
