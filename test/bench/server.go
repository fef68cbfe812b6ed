package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/bench"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// server is a server process under test.
type server struct {
	name   string
	cmd    *exec.Cmd
	url    *url.URL
	target *bench.Target
	exited chan struct{}
}

// startDeadline is how long a server may take to answer its first request.
const startDeadline = 60 * time.Second

// start runs a server program with its log in dir and waits until live, a path,
// answers.
func start(ctx context.Context, name, dir string, port int, env []string, live string, argv ...string) (*server, error) {
	logFile, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }()
	s := &server{name: name, cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = logFile, logFile
	s.url = &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.exited) }()
	for begin := time.Now(); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String()+live, http.NoBody)
		if err != nil {
			return nil, err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				return s, nil
			}
		}
		select {
		case <-s.exited:
			text, _ := os.ReadFile(logFile.Name())
			return nil, fmt.Errorf("%s ended at once:\n%s", name, text)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(begin) > startDeadline {
			s.stop(syscall.SIGKILL)
			return nil, fmt.Errorf("%s does not answer", name)
		}
	}
}

// stop ends the process and waits for it.
func (s *server) stop(signal os.Signal) {
	_ = s.cmd.Process.Signal(signal)
	<-s.exited
}

// cpu is the processor time that the process used, by the kernel's accounting.
func (s *server) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// anonymous is the process's anonymous memory in bytes.
func (s *server) anonymous() (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(rollup)) {
		if rest, ok := strings.CutPrefix(line, "Anonymous:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("smaps_rollup has no Anonymous line")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

const (
	rootUser   = "benchroot"
	rootSecret = "benchroot-secret"
)

// startLarder runs our server on dir, the access log on, as by default.
func startLarder(ctx context.Context, program, dir string, flags ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	argv := append([]string{
		program, "serve", filepath.Join(dir, "data"), "--address", fmt.Sprintf("127.0.0.1:%d", port), "--console-address", "127.0.0.1:0",
	}, flags...)
	s, err := start(ctx, "larder", dir, port, nil, "/minio/health/live", argv...)
	if err != nil {
		return nil, err
	}
	var root struct{ AccessKey, SecretKey string }
	content, err := os.ReadFile(filepath.Join(dir, "data", "root.json"))
	if err == nil {
		err = json.Unmarshal(content, &root)
	}
	if err != nil {
		s.stop(syscall.SIGKILL)
		return nil, err
	}
	s.target = &bench.Target{Server: s.url, Bucket: "sccache", Region: "us-east-1", Key: sigv4.Key{ID: iam.AccessKeyID(root.AccessKey), Secret: iam.Secret(root.SecretKey)}}
	return s, nil
}

// startBaseline runs the bare server. It gets the very same requests, signatures
// included, and looks at none of them.
func startBaseline(ctx context.Context, program, dir string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, "baseline", dir, port, nil, "/miss/", program, "-dir", dir, "-address", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	// Signed as the requests to Larder are, so that both parse the same.
	s.target = &bench.Target{Server: s.url, Bucket: "sccache", Region: "us-east-1", Key: sigv4.Key{ID: rootUser, Secret: rootSecret}}
	return s, nil
}

// startMinIO runs a MinIO that is installed, as a peer to compare with.
func startMinIO(ctx context.Context, program, dir string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, "minio", dir, port, []string{"MINIO_ROOT_USER=" + rootUser, "MINIO_ROOT_PASSWORD=" + rootSecret, "MINIO_BROWSER=off"}, "/minio/health/cluster",
		program, "server", filepath.Join(dir, "minio-data"), "--address", fmt.Sprintf("127.0.0.1:%d", port), "--quiet")
	if err != nil {
		return nil, err
	}
	s.target = &bench.Target{Server: s.url, Bucket: "sccache", Region: "us-east-1", Key: sigv4.Key{ID: rootUser, Secret: rootSecret}}
	create, err := s.target.Render("create", http.MethodPut, "", "", nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	result, err := bench.Run(ctx, bench.Load{Server: s.url, Workers: 1, Calls: []bench.Call{create}})
	if err == nil {
		err = result.Err()
	}
	return s, err
}
