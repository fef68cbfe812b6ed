package harness

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/tools"
)

// Bao is an OpenBao server in development mode, unsealed, in memory.
type Bao struct {
	*Program
	URL   string
	Token string // of its root
	tb    testing.TB
}

// NewBao starts one on loopback.
func NewBao(tb testing.TB) *Bao {
	tb.Helper()
	const token = "e2e-root-token"
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(tb))
	b := &Bao{URL: "http://" + addr, Token: token, tb: tb}
	b.Program = NewProgram(tb, tools.Bao, map[string]string{"BAO_ADDR": b.URL, "BAO_TOKEN": token})
	cmd := b.Command("server", "-dev", "-dev-no-store-token", "-dev-root-token-id="+token, "-dev-listen-address="+addr)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("the end of OpenBao's log:\n%s", ending(log.Bytes()))
		}
	})
	Await(tb, "OpenBao", 30*time.Second, func() bool {
		req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, b.URL+"/v1/sys/health", nil)
		must(tb, err)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return b
}

// Issuer is what tokens that it signs say in "iss".
func (b *Bao) Issuer() string { return b.URL + "/v1/identity/oidc" }

// NewIssuer makes OpenBao sign identity tokens for audience, whose claims hold the
// subject's team.
func (b *Bao) NewIssuer(audience string) {
	b.tb.Helper()
	b.Run("write", "identity/oidc/config", "issuer="+b.URL)
	b.Run("write", "identity/oidc/key/ci", "allowed_client_ids=*", "algorithm=RS256", "rotation_period=24h", "verification_ttl=24h")
	b.Run("write", "identity/oidc/role/ci", "key=ci", "client_id="+audience, "ttl=2h", `template={"team": {{identity.entity.metadata.team}}, "build": {{identity.entity.name}}}`)
	policy := b.File("ci.hcl", []byte(`path "identity/oidc/token/ci" { capabilities = ["read"] }`))
	b.Run("policy", "write", "ci", policy)
	b.Run("auth", "enable", "userpass")
}

// Identity is a fresh token of the subject name in team.
func (b *Bao) Identity(name, team string) string {
	b.tb.Helper()
	b.Run("write", "auth/userpass/users/"+name, "password=e2e-password", "token_policies=ci")
	accessor := strings.TrimSpace(b.Run("read", "-field=accessor", "sys/auth/userpass"))
	id := strings.TrimSpace(b.Run("write", "-field=id", "identity/entity/name/"+name, "metadata=team="+team))
	if id == "" {
		id = strings.TrimSpace(b.Run("read", "-field=id", "identity/entity/name/"+name))
	}
	b.Run("write", "identity/entity-alias", "name="+name, "canonical_id="+id, "mount_accessor="+accessor)
	login := strings.TrimSpace(b.Run("write", "-field=token", "auth/userpass/login/"+name, "password=e2e-password"))
	as := *b.Program
	as.Env = map[string]string{"BAO_ADDR": b.URL, "BAO_TOKEN": login}
	return strings.TrimSpace(as.Run("read", "-field=token", "identity/oidc/token/ci"))
}

// Rotate makes OpenBao sign with a new key from now on.
func (b *Bao) Rotate() { b.tb.Helper(); b.Run("write", "-f", "identity/oidc/key/ci/rotate") }
