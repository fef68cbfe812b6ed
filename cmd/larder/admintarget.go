package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/sccache"
)

// target finds out which server to administer, and with whose key.
func (o *adminOptions) target(cmd *cobra.Command) (adminclient.Target, error) {
	target, err := o.find(cmd)
	if err != nil {
		return target, err
	}
	files := []string{}
	for _, file := range []string{o.caFile, os.Getenv("AWS_CA_BUNDLE")} {
		if file != "" {
			files = append(files, file)
		}
	}
	if len(files) > 0 {
		target.Authorities, err = adminclient.Authorities(files...)
	}
	return target, err
}

func (o *adminOptions) find(cmd *cobra.Command) (adminclient.Target, error) {
	endpoint := o.endpoint
	if endpoint == "" {
		endpoint = os.Getenv("LARDER_ENDPOINT")
	}
	switch {
	case o.alias != "" && (o.dir != "" || o.endpoint != ""):
		return adminclient.Target{}, usageError{errors.New("--alias names the server already: leave out --dir and --endpoint")}
	case o.alias != "":
		dir, err := aliasDir()
		if err != nil {
			return adminclient.Target{}, err
		}
		return adminclient.Alias(o.alias, dir, os.Getenv)
	case o.dir != "":
		return rootOf(o.dir, endpoint)
	case endpoint != "":
		return o.fromEnvironment(cmd, endpoint)
	}
	dir := "data"
	if name := os.Getenv("LARDER_DIR"); name != "" {
		dir = name
	}
	target, err := rootOf(dir, "")
	if errors.Is(err, fs.ErrNotExist) {
		return target, usageError{errors.New("which server? Name it with --alias, --dir or --endpoint (see 'larder admin --help')")}
	}
	return target, err
}

// aliasDir is the folder that mc keeps its aliases in.
func aliasDir() (string, error) {
	if dir := os.Getenv("MC_CONFIG_DIR"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("the folder of mc's aliases: %w", err)
	}
	return filepath.Join(home, ".mc"), nil
}

// rootOf is the root of the server on a data directory, at the address that its
// clients were told.
func rootOf(dir, endpoint string) (target adminclient.Target, err error) {
	root, err := rootKey(dir)
	if err != nil {
		return target, err
	}
	target.Key = sigv4.Key{ID: iam.AccessKeyID(root.User), Secret: root.Secret}
	profile, err := sccache.LoadProfile(filepath.Join(dir, "sccache.json"))
	switch {
	case endpoint == "" && errors.Is(err, fs.ErrNotExist):
		return target, usageError{fmt.Errorf("%s does not say where its server is: name it with --endpoint", dir)}
	case endpoint == "" && err != nil:
		return target, err
	case endpoint == "":
		endpoint = profile.Endpoint
	}
	if err == nil && profile.CAFile != "" {
		if target.Authorities, err = adminclient.Authorities(profile.CAFile); err != nil {
			return target, err
		}
	}
	target.Endpoint, err = adminclient.ParseEndpoint(endpoint)
	return target, err
}

// rootKey is the root that a server on a data directory has: the one that the
// variables configure, as inside a container, or else the one that it keeps.
func rootKey(dir string) (app.RootKey, error) {
	cfg, _, err := app.Load(app.Sources{Flags: map[string]string{"dir": dir}, Environ: os.Environ()})
	if err == nil && cfg.RootUser != "" {
		return app.RootKey{User: cfg.RootUser, Secret: cfg.RootPassword}, nil
	}
	root, err := app.LoadRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return root, fmt.Errorf("%w; if root is configured there, use --endpoint with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", err)
	}
	return root, err
}

func (o *adminOptions) fromEnvironment(cmd *cobra.Command, endpoint string) (target adminclient.Target, err error) {
	if target.Endpoint, err = adminclient.ParseEndpoint(endpoint); err != nil {
		return target, usageError{err}
	}
	target.Region = os.Getenv("AWS_REGION")
	name := o.accessKey
	if name == "" {
		name = os.Getenv("AWS_ACCESS_KEY_ID")
	}
	if name == "" {
		return target, usageError{errors.New("whose key? Set AWS_ACCESS_KEY_ID, or name it with --access-key")}
	}
	secret, err := secretOf(cmd, name)
	target.Key = sigv4.Key{ID: iam.AccessKeyID(name), Secret: secret, Token: os.Getenv("AWS_SESSION_TOKEN")}
	return target, err
}

// secretOf finds the secret of an access key: in a variable, in a file that a
// variable names, or by asking on a terminal.
func secretOf(cmd *cobra.Command, name string) (iam.Secret, error) {
	if secret := os.Getenv("AWS_SECRET_ACCESS_KEY"); secret != "" {
		return iam.Secret(secret), nil
	}
	if file := os.Getenv("AWS_SECRET_ACCESS_KEY_FILE"); file != "" {
		return readSecret(cmd, file, "")
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return readSecret(cmd, "-", "Secret of "+name)
	}
	return "", usageError{errors.New("no secret: set AWS_SECRET_ACCESS_KEY or AWS_SECRET_ACCESS_KEY_FILE")}
}

// readSecret reads a secret from a file, or for "-" from standard input: a
// terminal is asked with prompt and does not show it.
func readSecret(cmd *cobra.Command, file, prompt string) (iam.Secret, error) {
	if file != "-" {
		content, err := os.ReadFile(file) //nolint:gosec // G703: the file that the user names
		if err != nil {
			return "", fmt.Errorf("secret: %w", err)
		}
		return oneLine(content, file)
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		content := make([]byte, 4096)
		n := 0
		for n < len(content) {
			m, err := cmd.InOrStdin().Read(content[n:])
			n += m
			if err != nil {
				break // the end; what came until then is judged below
			}
		}
		return oneLine(content[:n], "standard input")
	}
	if _, err := fmt.Fprint(cmd.ErrOrStderr(), prompt+": "); err != nil {
		return "", err
	}
	content, err := term.ReadPassword(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr())
	return iam.Secret(content), err
}

func oneLine(content []byte, where string) (iam.Secret, error) {
	line := strings.TrimRight(string(content), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("secret: %s holds not exactly one line", where)
	}
	return iam.Secret(line), nil
}
