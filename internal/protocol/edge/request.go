package edge

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
)

// Request is a request after normalisation: what a Protocol routes by.
type Request struct {
	ID       string    // 16 hex digits, sent as x-amz-request-id
	Received time.Time // when the headers were complete
	Method   string
	Host     string // of the Host header: lower case, without port and without brackets
	Port     string // of the Host header, "" if it has none
	Path     string // decoded exactly once, never cleaned; starts with "/"
	Query    Query
	Header   http.Header // read only; reading x-forwarded-* from it is a mistake

	TLS      bool       // the client speaks TLS to us or to a trusted proxy
	SourceIP netip.Addr // of the client, behind trusted proxies if there are any
	Length   int64      // Content-Length, -1 if unknown
}

// normalise fills in req. The error is fault.Invalid. The result is usable, for
// answering the error, even then.
func (p *Pipeline) normalise(req *Request, r *http.Request) error {
	*req = Request{
		ID:       newID(),
		Received: p.config.Now(),
		Method:   r.Method,
		Path:     r.URL.Path, // net/http decoded it once; nothing here decodes again
		Header:   r.Header,
		TLS:      r.TLS != nil,
		Length:   r.ContentLength,
	}
	req.Host, req.Port = splitHost(r.Host)
	req.SourceIP = sourceAddr(r.RemoteAddr)
	p.forwarded(req)
	if !strings.HasPrefix(req.Path, "/") {
		return fault.Wrap(fault.Invalid, fault.None, "", ErrPath)
	}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, fault.None, "", err)
	}
	req.Query = query
	return nil
}

// forwarded replaces source address and scheme by what a trusted proxy says: of
// X-Forwarded-For the last address that is not itself a trusted proxy, since
// everything before it is the client's own word.
func (p *Pipeline) forwarded(req *Request) {
	if !p.trusted(req.SourceIP) {
		return
	}
	// A proxy that is asked over TLS may ask us without.
	if proto := last(req.Header["X-Forwarded-Proto"]); proto != "" {
		req.TLS = strings.EqualFold(proto, "https")
	}
	hops := strings.Split(strings.Join(req.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" {
			return
		}
		req.SourceIP = forwardedAddr(hop)
		if !p.trusted(req.SourceIP) {
			return
		}
	}
}

// forwardedAddr reads an address, with a port or without. What is none is nobody's
// address: whom a proxy cannot name is not taken for the proxy.
func forwardedAddr(hop string) netip.Addr {
	if addr, err := netip.ParseAddr(hop); err == nil {
		return addr.Unmap()
	}
	return sourceAddr(hop)
}

func (p *Pipeline) trusted(addr netip.Addr) bool {
	for _, prefix := range p.config.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// last returns the last element of a header that is a comma-separated list.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	v := values[len(values)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

func sourceAddr(remote string) netip.Addr {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

func splitHost(hostport string) (host, port string) {
	host = hostport
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && strings.IndexByte(hostport[i:], ']') < 0 {
		if h, p, err := net.SplitHostPort(hostport); err == nil {
			host, port = h, p
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(host), port
}

const hexDigits = "0123456789ABCDEF"

// newID returns a request id. It need not be unguessable.
func newID() string {
	var id [16]byte
	v := rand.Uint64()
	for i := range id {
		id[i] = hexDigits[v>>(60-4*i)&15]
	}
	return string(id[:])
}
