package harness

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/larder-cache/larder/test/e2e/tools"
)

// Machine is a computer of its own as far as a build can tell: its own network,
// address, hosts file, home and /tmp. Its paths are those of every other machine,
// since sccache hashes them. Programs and sources are shared, read-only.
type Machine struct {
	Name string
	IP   string // as the server sees it

	pid   int
	dir   string
	hosts string // file
	env   map[string]string
}

// Folders inside every machine.
const (
	Home       = "/mnt/home"
	sourceRust = "/mnt/rust"
	sourceC    = "/mnt/c"
	bin        = "/mnt/bin"
)

// Larder is the program under test inside every machine, wherever Binary is.
const Larder = bin + "/larder"

var machines atomic.Int32 // numbers networks; a world has room for 250

// NewMachine starts a machine. names resolve, on it alone, to the server's address.
func NewMachine(tb testing.TB, name string, names ...string) *Machine {
	tb.Helper()
	n := machines.Add(1)
	m := &Machine{Name: name, IP: fmt.Sprintf("10.77.%d.2", n), dir: tb.TempDir()}
	m.hosts = filepath.Join(m.dir, "hosts")
	m.SetNames(tb, names...)
	for _, sub := range []string{"mnt/home", "mnt/rust", "mnt/c", "mnt/bin"} {
		must(tb, os.MkdirAll(filepath.Join(m.dir, sub), 0o755))
	}
	m.boot(tb)
	m.connect(tb, int(n))
	m.env = m.environment(tb)
	return m
}

// SetNames replaces the names that resolve to the server's address.
func (m *Machine) SetNames(tb testing.TB, names ...string) {
	tb.Helper()
	text := []byte("127.0.0.1 localhost\n")
	for _, name := range names {
		text = fmt.Appendf(text, "%s %s\n", ServerAddr, name)
	}
	must(tb, os.WriteFile(m.hosts, text, 0o644))
}

// boot starts the process that holds the machine's namespaces open.
func (m *Machine) boot(tb testing.TB) {
	tb.Helper()
	cache, err := tools.Cache()
	must(tb, err)
	rust, err := tools.Path(tools.ProjectRust)
	must(tb, err)
	c, err := tools.Path(tools.ProjectC)
	must(tb, err)
	script := `set -e
mount --bind "$1/mnt" /mnt
mount --bind "$1/hosts" /etc/hosts
mount --bind "$2" "$2"
mount -o remount,bind,ro "$2"
mount --bind "$3" ` + sourceRust + `
mount --bind "$4" ` + sourceC + `
mount --bind "$5" ` + bin + `
mount -t tmpfs tmpfs /tmp
ip link set lo up
echo ready
exec sleep infinity`
	cmd := exec.Command("unshare", "--mount", "--net", "--propagation", "private", "--",
		"sh", "-c", script, "sh", m.dir, cache, filepath.Dir(rust), filepath.Dir(c), filepath.Dir(Binary(tb)))
	out, err := cmd.StdoutPipe()
	must(tb, err)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	must(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		tb.Fatalf("machine %s does not start: %q %v: %s", m.Name, line, err, &problem)
	}
	m.pid = cmd.Process.Pid
}

// connect lays a cable between the machine and the world.
func (m *Machine) connect(tb testing.TB, n int) {
	tb.Helper()
	inside := fmt.Sprintf("nsenter -t %d -n ip ", m.pid)
	for _, step := range []string{
		fmt.Sprintf("ip link add m%d type veth peer name eth0 netns %d", n, m.pid),
		fmt.Sprintf("ip addr add 10.77.%d.1/24 dev m%d", n, n),
		fmt.Sprintf("ip link set m%d up", n),
		inside + "addr add " + m.IP + "/24 dev eth0",
		inside + "link set eth0 up",
		inside + fmt.Sprintf("route add default via 10.77.%d.1", n),
	} {
		must(tb, command(step))
	}
	tb.Cleanup(func() { _ = command(fmt.Sprintf("ip link del m%d", n)) })
}

func (m *Machine) environment(tb testing.TB) map[string]string {
	tb.Helper()
	sysroot, err := exec.Command("rustc", "--print", "sysroot").Output()
	must(tb, err)
	return map[string]string{
		"HOME":       Home,
		"CARGO_HOME": Home + "/.cargo",
		"PATH":       strings.TrimSpace(string(sysroot)) + "/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"LANG":       "C.UTF-8",
	}
}

// File writes a file into the machine and returns its path there.
func (m *Machine) File(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	path := filepath.Join(m.dir, "mnt/home", name)
	must(tb, os.MkdirAll(filepath.Dir(path), 0o755))
	must(tb, os.WriteFile(path, content, 0o600))
	return filepath.Join(Home, name)
}

// Remove deletes a file or folder below the machine's home.
func (m *Machine) Remove(tb testing.TB, name string) {
	tb.Helper()
	must(tb, os.RemoveAll(filepath.Join(m.dir, "mnt/home", name)))
}

// Command is argv on the machine, in folder dir, with nothing in its environment
// but the machine's own variables and env.
func (m *Machine) Command(tb testing.TB, dir string, env map[string]string, argv ...string) *exec.Cmd {
	tb.Helper()
	all := maps.Clone(m.env)
	maps.Copy(all, env)
	args := []string{"-t", fmt.Sprint(m.pid), "-m", "-n", "--", "env", "-i", "-C", dir}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		args = append(args, k+"="+all[k])
	}
	return exec.CommandContext(tb.Context(), "nsenter", append(args, argv...)...)
}

// Run runs argv in the machine's home and returns its standard output. A command
// that fails ends the test.
func (m *Machine) Run(tb testing.TB, env map[string]string, argv ...string) string {
	tb.Helper()
	return output(tb, m.Command(tb, Home, env, argv...))
}

// output is what cmd writes to its standard output.
func output(tb testing.TB, cmd *exec.Cmd) string {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("%q: %v\n%s%s", cmd.Args, err, ending(stdout.Bytes()), ending(stderr.Bytes()))
	}
	return stdout.String()
}

// ending is the last of what a program wrote: plans and build logs are long.
func ending(text []byte) []byte { return text[max(0, len(text)-3000):] }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
