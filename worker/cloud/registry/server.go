package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections bounds files and memory that clients take together.
	maxConnections = 128
	// headerTimeout is what a client has to send a request's head.
	headerTimeout = 10 * time.Second
	// idleTimeout closes connections between requests.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes is plenty for the headers of registry clients.
	maxHeaderBytes = 64 << 10
	// shutdownTimeout is what transfers under way have to end.
	shutdownTimeout = 5 * time.Second
)

// Server is a registry that listens.
type Server struct {
	registry *Registry
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Listen serves a registry at an address of this machine, such as
// "127.0.0.1:0". Other addresses are refused: what is served has no password.
func Listen(address string, cfg Config) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if host, ok := listener.Addr().(*net.TCPAddr); !ok || !host.IP.IsLoopback() {
		err := fmt.Errorf("registry: %s is not on loopback; give an address such as 127.0.0.1:0", address)
		return nil, errors.Join(err, listener.Close())
	}
	r, err := New(cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{registry: r, listener: listener, done: make(chan error, 1), http: &http.Server{
		Handler: r, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return r.base },
	}}
	go func() { s.done <- s.http.Serve(netutil.LimitListener(listener, maxConnections)) }()
	return s, nil
}

// Address is host and port, as references to images begin.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close stops serving: transfers have a few seconds to end, uploads are
// dropped.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, s.registry.Close())
}
