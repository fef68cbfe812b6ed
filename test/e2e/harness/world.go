// Package harness gives the end-to-end tests their surroundings: a world of its
// own (mount, network and process namespaces in which the server under test
// runs), machines inside it that share nothing but read-only programs, the server
// itself, and readers of what server and clients say they did.
//
// A test package calls Main from TestMain. Namespaces need Linux, and root or user
// namespaces; where they cannot be had the tests fail, they do not skip. A world
// reaches no network but its own, so programs are installed before it is entered
// (go run ./cmd/tools).
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ServerAddr is the address at which machines reach what listens in the world.
const ServerAddr = "10.77.0.1"

// Host is a name that resolves in the world to the server.
const Host = "minio.magicloud.lan"

// inWorld marks a process that Main started inside the namespaces.
const inWorld = "LARDER_E2E_WORLD"

// Main runs the tests of m in a world of their own and exits.
func Main(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// Enter makes this process one that runs in a world of its own: it starts the
// program again, with the same arguments, and does not return from the first.
func Enter() {
	if os.Getenv(inWorld) == "" {
		fmt.Fprintln(os.Stderr, enter())
		os.Exit(1)
	}
	if err := furnish(); err != nil {
		fmt.Fprintln(os.Stderr, "the tests' namespaces: "+err.Error())
		os.Exit(1)
	}
}

// enter replaces this process by one that runs the same tests in new namespaces.
// It returns only if that is impossible.
func enter() error {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return fmt.Errorf("the tests need unshare, nsenter (util-linux) and ip (iproute2): %w", err)
	}
	argv := []string{unshare, "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"}
	if os.Geteuid() != 0 {
		argv = append(argv, "--user", "--map-root-user")
	}
	if out, err := exec.Command(argv[0], append(argv[1:], "--", "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("the tests need namespaces, and unshare refuses: %w: %s\nRun them as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)", err, out)
	}
	argv = append(append(argv, "--"), os.Args...)
	return fmt.Errorf("exec unshare: %w", syscall.Exec(unshare, argv, append(os.Environ(), inWorld+"=1")))
}

// worldHosts are the names that resolve in the world itself.
const worldHosts = `127.0.0.1 localhost
::1 localhost
127.0.0.1 ` + Host + `
127.0.0.1 ` + kubeHost + `
`

func furnish() error {
	dir, err := os.MkdirTemp("", "larder-world-")
	if err != nil {
		return err
	}
	hosts, resolv := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	if err := errors.Join(
		os.WriteFile(hosts, []byte(worldHosts), 0o644),
		os.WriteFile(resolv, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644),
	); err != nil {
		return err
	}
	for _, step := range []string{
		"mount --bind " + hosts + " /etc/hosts",
		"mount --bind " + resolv + " /etc/resolv.conf",
		"ip link set lo up",
		"ip addr add " + ServerAddr + "/32 dev lo",
	} {
		if err := command(step); err != nil {
			return err
		}
	}
	return nil
}

// command runs a line of plain words.
func command(line string) error {
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
