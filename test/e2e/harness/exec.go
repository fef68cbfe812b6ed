package harness

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/larder-cache/larder/test/e2e/tools"
)

// Program is a pinned program that runs in the world, with a home of its own.
type Program struct {
	Path string
	Dir  string            // its home and working folder
	Env  map[string]string // all of its variables but PATH and HOME
	Args []string          // before those of each command

	tb testing.TB
}

// NewProgram is the tool called name, with env.
func NewProgram(tb testing.TB, name string, env map[string]string) *Program {
	tb.Helper()
	path, err := tools.Path(name)
	must(tb, err)
	return &Program{Path: path, Dir: tb.TempDir(), Env: env, tb: tb}
}

// NewLarder is the program under test as a client, with env.
func NewLarder(tb testing.TB, env map[string]string) *Program {
	tb.Helper()
	return &Program{Path: Binary(tb), Dir: tb.TempDir(), Env: env, tb: tb}
}

// Command is the program with args.
func (p *Program) Command(args ...string) *exec.Cmd {
	all := map[string]string{"PATH": os.Getenv("PATH"), "HOME": p.Dir, "LANG": "C.UTF-8"}
	maps.Copy(all, p.Env)
	cmd := exec.CommandContext(p.tb.Context(), p.Path, slices.Concat(p.Args, args)...)
	cmd.Dir = p.Dir
	for _, k := range slices.Sorted(maps.Keys(all)) {
		cmd.Env = append(cmd.Env, k+"="+all[k])
	}
	return cmd
}

// Run runs the program and returns its standard output; a failure ends the test.
func (p *Program) Run(args ...string) string {
	p.tb.Helper()
	return output(p.tb, p.Command(args...))
}

// Refused runs the program, which must fail, and returns all that it wrote.
func (p *Program) Refused(args ...string) string {
	p.tb.Helper()
	out, err := p.Command(args...).CombinedOutput()
	if err == nil {
		p.tb.Fatalf("%s %q should have failed: %s", filepath.Base(p.Path), args, out)
	}
	return string(out)
}

// File writes a file into the program's folder and returns its path.
func (p *Program) File(name string, content []byte) string {
	p.tb.Helper()
	path := filepath.Join(p.Dir, name)
	must(p.tb, os.MkdirAll(filepath.Dir(path), 0o755))
	must(p.tb, os.WriteFile(path, content, 0o600))
	return path
}

// NewRootServer starts a server whose root user is RootUser.
func NewRootServer(tb testing.TB, o Options) *Server {
	tb.Helper()
	o.Env = append(o.Env, "MINIO_ROOT_USER="+RootUser, "MINIO_ROOT_PASSWORD="+RootPassword)
	return NewServer(tb, o)
}

// AWSEnv are the variables by which AWS's programs reach the server with a key.
func (s *Server) AWSEnv(key, secret string) map[string]string {
	env := map[string]string{
		"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
		"AWS_ENDPOINT_URL": s.URL(), "AWS_EC2_METADATA_DISABLED": "true",
	}
	if s.CA != nil {
		env["AWS_CA_BUNDLE"] = s.CA.File
	}
	return env
}
