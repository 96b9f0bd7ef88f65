package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Engine is a container engine that listens on this machine.
type Engine struct {
	Name   string `json:"name"`
	Socket string `json:"socket"`
	// Version is empty where the engine cannot be asked.
	Version string `json:"version,omitempty"`
	// Parts are the versions of what it is made of, such as runc.
	Parts map[string]string `json:"parts,omitempty"`
}

// engineSockets are where engines listen. The first two speak Docker's
// language and can be asked for their version.
var engineSockets = []struct {
	name, path string
	docker     bool
}{
	{"docker", "run/docker.sock", true},
	{"podman", "run/podman/podman.sock", true},
	{"containerd", "run/containerd/containerd.sock", false},
	{"crio", "run/crio/crio.sock", false},
}

// engineTimeout bounds the question; an engine that hangs is found all the
// same.
const engineTimeout = 2 * time.Second

// probeEngines finds engines by their sockets.
func (h Host) probeEngines(ctx context.Context, out *System, note notef) {
	out.Engines = []Engine{}
	for _, s := range engineSockets {
		path := filepath.Join(h.root(), s.path)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Type() != fs.ModeSocket {
			continue
		}
		e := Engine{Name: s.name, Socket: "/" + s.path}
		if s.docker {
			if err := e.ask(ctx, path); errors.Is(err, fs.ErrPermission) {
				note("system.engines", Absent, "%s: this user may not ask %s for its version", s.name, e.Socket)
			} else if err != nil {
				note("system.engines", Failed, "%s: %v", s.name, err)
			}
		}
		out.Engines = append(out.Engines, e)
	}
	if len(out.Engines) == 0 {
		note("system.engines", Absent, "no container engine listens; apt-get install docker.io")
	}
}

// ask gets the versions by Docker's API.
func (e *Engine) ask(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/version", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s when asked for its version", answer.Status)
	}
	var said struct {
		Version    string
		Components []struct{ Name, Version string }
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&said); err != nil {
		return fmt.Errorf("its version: %w", err)
	}
	e.Version = said.Version
	for _, part := range said.Components {
		if part.Name != "Engine" && part.Name != "" {
			if e.Parts == nil {
				e.Parts = map[string]string{}
			}
			e.Parts[part.Name] = part.Version
		}
	}
	return nil
}
