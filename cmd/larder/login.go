package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/login"
	"github.com/larder-cache/larder/internal/sccache"
)

// loginOptions are the flags of larder login.
type loginOptions struct {
	endpoint, bucket, caFile, audience string
	tokenEnv, tokenFile                string
	shell                              string
	duration                           time.Duration
	github, export, revoke, optional   bool
}

func loginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:     "login [flags] -- COMMAND [ARG…]",
		Short:   "Run a build with keys that a CI job's identity token is exchanged for",
		GroupID: "client",
		Long: `Login exchanges the identity token of a CI job, once, for keys that end by themselves, runs
COMMAND with them and with what sccache needs to know, and revokes them when it ends. No
password is stored anywhere.

Without a flag that says where the token is, it is looked for: GitHub's service, the variable
LARDER_ID_TOKEN, the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or
AWS_WEB_IDENTITY_TOKEN_FILE names.

sccache 0.19 and later do the exchange by themselves, if AWS_CONTAINER_CREDENTIALS_FULL_URI is
the server's URL with /larder/v1/credentials and the token is in a file.`,
		Example: `  larder login --endpoint https://cache.example --github -- cargo build
  larder login --oidc-token-env CACHE_TOKEN --duration 3h -- make -j8
  larder login --github --export --shell github      # for the steps that follow
  eval "$(larder login --oidc-token-file token --export)"`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows COMMAND is its own
	flags.StringVar(&o.endpoint, "endpoint", "", "`URL` of the server (default: $LARDER_ENDPOINT, then $SCCACHE_ENDPOINT)")
	flags.StringVar(&o.bucket, "bucket", "", "`name` of the bucket (default: $SCCACHE_BUCKET, then sccache)")
	flags.BoolVar(&o.github, "github", false, "take the token from GitHub Actions")
	flags.StringVar(&o.tokenEnv, "oidc-token-env", "", "take the token from this `variable`")
	flags.StringVar(&o.tokenFile, "oidc-token-file", "", "take the token from this `file`")
	flags.StringVar(&o.audience, "audience", login.Audience, "`audience` to ask GitHub's token for")
	flags.DurationVar(&o.duration, "duration", 0, "how `long` the keys last: at least as long as the job (default: what the server gives, 1h)")
	flags.StringVar(&o.caFile, "ca-file", "", "PEM `file` of the authority to trust instead of the system's")
	flags.BoolVar(&o.export, "export", false, "print the variables instead of running a command; they end by themselves")
	flags.StringVar(&o.shell, "shell", "sh", "form of --export: sh, fish, powershell, docker, or github (into $GITHUB_ENV)")
	flags.BoolVar(&o.optional, "optional", false, "run COMMAND without the cache if the login fails")
	flags.BoolVar(&o.revoke, "revoke", false, "end the session in AWS_ACCESS_KEY_ID and its companions")
	cmd.MarkFlagsMutuallyExclusive("github", "oidc-token-env", "oidc-token-file", "revoke")
	cmd.MarkFlagsMutuallyExclusive("export", "revoke", "optional")
	complete(cmd, "shell", func() []string { return []string{"sh", "fish", "powershell", "docker", "github"} })
	return cmd
}

func (o *loginOptions) run(cmd *cobra.Command, args []string) error {
	if (len(args) > 0) == (o.export || o.revoke) {
		return usageError{errors.New("say what to run after --, or --export")}
	}
	client, err := login.NewClient(o.server(), o.caFile)
	if err != nil {
		return usageError{err}
	}
	if o.revoke {
		return client.Revoke(cmd.Context(), sessionFromEnv())
	}
	session, err := o.logIn(cmd.Context(), client)
	if err != nil {
		if !o.optional {
			return err
		}
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "larder: %v; going on without the cache\n", err)
		return o.command(cmd, args, os.Environ()).Run(cmd.Context())
	}
	profile := o.profile(session)
	if o.export {
		return o.print(cmd.OutOrStdout(), profile)
	}
	set, keep := o.variables(profile)
	err = o.command(cmd, args, login.Environment(os.Environ(), set, keep)).Run(cmd.Context())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), 15*time.Second) // also when a signal ended the command
	defer cancel()
	if failed := client.Revoke(ctx, session); failed != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "larder: %v; it ends by itself at %s\n", failed, session.Expires.Format(time.RFC3339))
	}
	return err
}

// server is the URL of the server, as far as it is known.
func (o *loginOptions) server() string {
	for _, endpoint := range []string{o.endpoint, os.Getenv("LARDER_ENDPOINT"), os.Getenv("SCCACHE_ENDPOINT")} {
		switch {
		case endpoint == "":
		case strings.Contains(endpoint, "://"):
			return endpoint
		case os.Getenv("SCCACHE_S3_USE_SSL") == "false":
			return "http://" + endpoint
		default:
			return "https://" + endpoint
		}
	}
	return ""
}

func (o *loginOptions) logIn(ctx context.Context, client *login.Client) (login.Session, error) {
	web, err := login.NewHTTP("")
	if err != nil {
		return login.Session{}, err
	}
	var token login.Token
	switch {
	case o.github:
		token = login.FromGitHub(web, o.audience, os.Getenv)
	case o.tokenEnv != "":
		token = login.FromEnv(o.tokenEnv, os.Getenv)
	case o.tokenFile != "":
		token = login.FromFile(o.tokenFile)
	default:
		if token, err = login.Find(web, o.audience, os.Getenv); err != nil {
			return login.Session{}, err
		}
	}
	raw, err := token(ctx)
	if err != nil {
		return login.Session{}, err
	}
	return client.Exchange(ctx, raw, o.duration)
}

func (o *loginOptions) profile(s login.Session) sccache.Profile {
	bucket := o.bucket
	if bucket == "" {
		bucket = os.Getenv("SCCACHE_BUCKET")
	}
	if bucket == "" {
		bucket = "sccache"
	}
	endpoint := o.server()
	if u, err := url.Parse(endpoint); err == nil {
		u.Path = ""
		endpoint = u.String()
	}
	return sccache.Profile{
		Endpoint: endpoint, Bucket: bucket, CAFile: o.caFile,
		AccessKey: string(s.AccessKey), Secret: s.Secret, SessionToken: s.Token,
	}
}

// variables divides what a build needs to know into what is set in any case and
// what the job may have said better.
func (o *loginOptions) variables(p sccache.Profile) (set, keep map[string]string) {
	set, keep = make(map[string]string), make(map[string]string)
	for _, v := range p.Variables() {
		switch {
		case v.Name == "RUSTC_WRAPPER": // how the build uses sccache is its own affair
		case strings.HasPrefix(v.Name, "AWS_"), v.Name == "SCCACHE_BUCKET" && o.bucket != "",
			o.endpoint != "" && (v.Name == "SCCACHE_ENDPOINT" || v.Name == "SCCACHE_S3_USE_SSL"):
			set[v.Name] = v.Value
		default:
			keep[v.Name] = v.Value
		}
	}
	return set, keep
}

func (o *loginOptions) command(cmd *cobra.Command, args, env []string) *login.Command {
	return &login.Command{
		Args: args, Env: env, Stdin: cmd.InOrStdin(), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
		Terminal: term.IsTerminal(int(os.Stdin.Fd())),
	}
}

// print writes the variables for a shell, or for the steps that follow in a job of
// GitHub Actions, whose log is told to hide the secrets.
func (o *loginOptions) print(w io.Writer, p sccache.Profile) error {
	if o.shell != "github" {
		if err := p.Render(w, sccache.ForSccache, sccache.Shell(o.shell)); err != nil {
			return usageError{err}
		}
		return nil
	}
	name := os.Getenv("GITHUB_ENV")
	if name == "" {
		return usageError{errors.New("--shell github runs in a job of GitHub Actions: GITHUB_ENV is not set")}
	}
	if err := p.Check(); err != nil { // no value holds a line break
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600) //nolint:gosec // the file that the runner names
	if err != nil {
		return err
	}
	for _, v := range p.Variables() {
		if v.Secret {
			_, err = fmt.Fprintf(w, "::add-mask::%s\n", v.Value)
		}
		if err == nil {
			_, err = fmt.Fprintf(f, "%s=%s\n", v.Name, v.Value)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, f.Close())
}

func sessionFromEnv() login.Session {
	return login.Session{
		AccessKey: iam.AccessKeyID(os.Getenv("AWS_ACCESS_KEY_ID")),
		Secret:    iam.Secret(os.Getenv("AWS_SECRET_ACCESS_KEY")),
		Token:     iam.Secret(os.Getenv("AWS_SESSION_TOKEN")),
	}
}
