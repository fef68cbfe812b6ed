package bench

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Target is a bucket of a server, and the key to use it.
type Target struct {
	Server *url.URL
	TLS    *tls.Config
	Bucket string
	Region string
	Key    sigv4.Key // the zero value sends unsigned requests
}

// Render signs a request, as sccache does, and writes it down. It is good for
// 15 minutes.
func (t *Target) Render(kind, method, key, query string, body []byte, status int) (Call, error) {
	link := *t.Server
	link.Path = "/" + t.Bucket
	if key != "" {
		link.Path += "/" + key
	}
	link.RawQuery = query
	req := &http.Request{Method: method, URL: &link, Host: link.Host, Header: http.Header{"User-Agent": {"larder-bench"}}}
	if method == http.MethodPut {
		req.ContentLength = int64(len(body))
		req.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if t.Key.ID != "" {
		sigv4.Sign(req, t.Key, t.Region, "s3", sigv4.UnsignedPayload, time.Now())
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, link.RequestURI(), link.Host)
	if err := req.Header.Write(&head); err != nil {
		return Call{}, err
	}
	head.WriteString("\r\n")
	return Call{Kind: kind, Head: head.Bytes(), Body: body, Status: status}, nil
}

// Sizes is a log-normal distribution of object sizes.
type Sizes struct {
	Name   string
	Median float64 // bytes
	Mean   float64 // bytes
	Max    int     // bytes
}

// The sizes of sccache's entries, measured and published: C and C++ projects,
// and Rust in development builds.
var (
	CSizes    = Sizes{"c", 20e3, 80e3, 4 << 20}
	RustSizes = Sizes{"rust", 175e3, 1e6, 32 << 20}
)

// Draw returns a size in bytes.
func (s Sizes) Draw(random *rand.Rand) int {
	sigma := math.Sqrt(2 * math.Log(s.Mean/s.Median))
	return max(200, min(s.Max, int(s.Median*math.Exp(sigma*random.NormFloat64()))))
}

// Fixed is every object of one size.
func Fixed(bytes int) Sizes {
	return Sizes{strconv.Itoa(bytes), float64(bytes), float64(bytes), bytes}
}

// Keys names objects as sccache does: "<prefix>/a/b/c/<64 hex digits>".
func Keys(prefix string, n int, random *rand.Rand) []string {
	keys := make([]string, n)
	for i := range keys {
		hash := fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		keys[i] = prefix + "/" + hash[:1] + "/" + hash[1:2] + "/" + hash[2:3] + "/" + hash
	}
	return keys
}

// slab is incompressible bytes from which bodies are cut.
func slab(size int) []byte {
	data := make([]byte, size)
	stream := rand.NewChaCha8([32]byte{46})
	_, _ = stream.Read(data) // never fails
	return data
}
