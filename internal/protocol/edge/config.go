package edge

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Config tunes a Pipeline.
type Config struct {
	// TrustedProxies may say in X-Forwarded-For and X-Forwarded-Proto whom they
	// speak for. Empty: nobody is believed.
	TrustedProxies []netip.Prefix

	// Observe is told of every request after it ended, on its goroutine. nil
	// for nobody.
	Observe func(Event)

	// Stall is how long a client may take to send or accept 64 KiB of body
	// before the connection is aborted. 0 means one minute.
	Stall time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Logger gets internal errors and panics; nil discards them.
	Logger *slog.Logger
}

func (c *Config) check() error {
	if c.Stall < 0 {
		return errors.New("the stall timeout is negative")
	}
	if c.Stall == 0 {
		c.Stall = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// The limits of connections.
const (
	HeaderTimeout  = 20 * time.Second  // for a request's headers to arrive
	IdleTimeout    = 120 * time.Second // longer than the 90 s of sccache's connection pool
	MaxHeaderBytes = 64 << 10          // request line and headers
)

// NewServer returns an HTTP server for h with this package's limits on headers
// and idle connections. The caller sets what else it needs and runs it.
func NewServer(h http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: HeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // "OPTIONS *" goes through h, too
	}
}
