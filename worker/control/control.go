// Package control is how an owner speaks to a running worker: a socket in the
// worker's home that answers with its status and takes pause and resume, and
// the switch itself, which outlives the process.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// Switch is the owner's: while it is set, the machine serves nobody. It is a
// file, so it holds across restarts and works with no worker running.
type Switch struct{ path string }

// NewSwitch returns the switch kept at a path.
func NewSwitch(path string) Switch { return Switch{path: path} }

// Paused says whether the switch is set. A file that cannot be looked at
// counts as set: the owner comes first.
func (s Switch) Paused() bool {
	_, err := os.Lstat(s.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Set pauses or resumes; changed is false if it was so already.
func (s Switch) Set(paused bool) (changed bool, err error) {
	if paused == s.Paused() {
		return false, nil
	}
	if !paused {
		if err := os.Remove(s.path); err != nil {
			return false, fmt.Errorf("resume: %w", err)
		}
		return true, nil
	}
	since := time.Now().UTC().Format(time.RFC3339) + "\n"
	if err := os.WriteFile(s.path, []byte(since), 0o600); err != nil {
		return false, fmt.Errorf("pause: %w", err)
	}
	return true, nil
}

// Agent is the running worker.
type Agent interface {
	Status() Status
	// SwitchChanged makes it look at the switch at once.
	SwitchChanged()
}

// ErrNotRunning: no worker answers in this home.
var ErrNotRunning = errors.New("no worker is running in this home")

const timeout = 10 * time.Second

// Serve answers on the socket until ctx ends.
func Serve(ctx context.Context, path string, agent Agent) error {
	// A socket left by a killed worker refuses connections; the caller holds
	// the home's lock, so nobody else listens on it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("control socket: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("control socket: %w", err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(agent.Status()) // a reader that has gone needs no answer
	})
	mux.HandleFunc("POST /v1/switch", func(w http.ResponseWriter, _ *http.Request) {
		agent.SwitchChanged()
		w.WriteHeader(http.StatusNoContent)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: timeout, WriteTimeout: timeout}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // its error is Serve's
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// Client speaks to the worker of a home.
type Client struct{ http *http.Client }

// NewClient returns a client of the socket at a path.
func NewClient(path string) Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return Client{http: &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks the worker; ErrNotRunning if there is none.
func (c Client) Status(ctx context.Context) (Status, error) {
	response, err := c.do(ctx, http.MethodGet, "/v1/status")
	if err != nil {
		return Status{}, err
	}
	defer response.Body.Close()
	var s Status
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return Status{}, fmt.Errorf("ask the worker: %w", err)
	}
	return s, nil
}

// SwitchChanged tells the worker; ErrNotRunning if there is none.
func (c Client) SwitchChanged(ctx context.Context) error {
	response, err := c.do(ctx, http.MethodPost, "/v1/switch")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (c Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://worker"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case err != nil:
		return nil, fmt.Errorf("ask the worker: %w", err)
	case response.StatusCode >= http.StatusBadRequest:
		return nil, errors.Join(fmt.Errorf("ask the worker: %s", response.Status), response.Body.Close())
	}
	return response, nil
}
