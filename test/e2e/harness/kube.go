package harness

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/tools"
)

// Kube is a Kubernetes API server with its etcd. As in a cluster, its keys are at
// another address than the name that pods know. No controller and no node runs:
// objects are kept, and nothing acts on them.
type Kube struct {
	URL    string     // as pods know it
	Issuer string     // what its ServiceAccount tokens say in "iss", and their default audience
	CA     *Authority // of its certificate

	admin string // bearer token of one who may do everything
	tb    testing.TB
}

// kubeHost is a name that resolves in the world to the API server.
const kubeHost = "kubernetes.default.svc"

// NewKube starts one and waits until it is ready.
func NewKube(tb testing.TB) *Kube {
	tb.Helper()
	port := strconv.Itoa(freePort(tb))
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	k := &Kube{
		URL: "https://" + kubeHost + ":" + port, Issuer: "https://" + kubeHost + ".cluster.local",
		CA: NewAuthority(tb), admin: hex.EncodeToString(random[:]), tb: tb,
	}
	dir := tb.TempDir()
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", freePort(tb)), fmt.Sprintf("http://127.0.0.1:%d", freePort(tb))
	k.start(tools.Etcd, "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	cert, key := k.CA.Issue(tb, ServerAddr, kubeHost)
	accounts, err := rsa.GenerateKey(rand.Reader, 2048)
	must(tb, err)
	signing, tokens := filepath.Join(dir, "accounts.key"), filepath.Join(dir, "tokens.csv")
	must(tb, os.WriteFile(signing, pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(accounts)), 0o600))
	must(tb, os.WriteFile(tokens, []byte(k.admin+",admin,admin,system:masters\n"), 0o600))
	k.start(tools.APIServer, "--etcd-servers", client, "--bind-address", "0.0.0.0", "--advertise-address", ServerAddr,
		"--endpoint-reconciler-type", "none", "--secure-port", port, "--tls-cert-file", cert, "--tls-private-key-file", key,
		"--service-account-issuer", k.Issuer, "--service-account-signing-key-file", signing, "--service-account-key-file", signing,
		"--service-account-jwks-uri", "https://"+ServerAddr+":"+port+"/openid/v1/jwks", "--service-cluster-ip-range", "10.78.0.0/24",
		"--authorization-mode", "RBAC", "--token-auth-file", tokens)
	Await(tb, "the API server", 2*time.Minute, func() bool {
		status, _ := k.Ask(http.MethodGet, "/readyz", nil)
		return status == http.StatusOK
	})
	return k
}

// start starts a program of the control plane, which ends with the test.
func (k *Kube) start(tool string, args ...string) {
	k.tb.Helper()
	p := NewProgram(k.tb, tool, nil)
	cmd := p.Command(args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(k.tb, cmd.Start())
	k.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // nothing it holds outlives the test
		_ = cmd.Wait()
		if k.tb.Failed() {
			k.tb.Logf("the end of %s's log:\n%s", tool, ending(log.Bytes()))
		}
	})
}

// Ask sends a request as an administrator, with body as JSON unless it is nil.
func (k *Kube) Ask(method, path string, body any) (status int, answer []byte) {
	k.tb.Helper()
	return k.AskAs(k.admin, method, path, body)
}

// AskAs sends a request with a bearer token, anonymously if it is "". Status 0
// means that there was no answer.
func (k *Kube) AskAs(token, method, path string, body any) (status int, answer []byte) {
	k.tb.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		must(k.tb, err)
	}
	req, err := http.NewRequestWithContext(k.tb.Context(), method, k.URL+path, bytes.NewReader(text))
	must(k.tb, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(k.CA.PEM)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer func() { _ = res.Body.Close() }()
	answer, err = io.ReadAll(res.Body)
	must(k.tb, err)
	return res.StatusCode, answer
}

// Do is Ask for what must succeed.
func (k *Kube) Do(method, path string, body any) []byte {
	k.tb.Helper()
	status, answer := k.Ask(method, path, body)
	if status/100 != 2 {
		k.tb.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// ServiceAccount makes a ServiceAccount, and its namespace unless that is there.
func (k *Kube) ServiceAccount(namespace, name string) {
	k.tb.Helper()
	status, answer := k.Ask(http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": namespace}})
	if status != http.StatusCreated && status != http.StatusConflict {
		k.tb.Fatalf("make namespace %s: %d %s", namespace, status, answer)
	}
	k.Do(http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", map[string]any{"metadata": map[string]any{"name": name}})
}

// Token is a fresh token of a ServiceAccount, by the API that kubelets use, for
// audiences; for none, it is one for the API server itself.
func (k *Kube) Token(namespace, name string, audiences ...string) string {
	k.tb.Helper()
	answer := k.Do(http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token",
		map[string]any{"spec": map[string]any{"audiences": audiences, "expirationSeconds": 3600}})
	var got struct {
		Status struct{ Token string }
	}
	must(k.tb, json.Unmarshal(answer, &got))
	return got.Status.Token
}
