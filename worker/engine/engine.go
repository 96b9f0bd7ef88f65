// Package engine takes images and containers out of a container engine, to be
// packed as UAIs.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// Sentinels that callers decide by.
var (
	// ErrUnavailable: no engine answers.
	ErrUnavailable = errors.New("no container engine answers")
	// ErrNotFound: the engine has no such image or container.
	ErrNotFound = errors.New("not in the container engine")
)

// Engine is a Docker engine, API 1.41 (20.10) or newer.
type Engine struct{ api *client.Client }

// Open connects to the engine of DOCKER_HOST or the default socket.
// ErrUnavailable if none answers.
func Open(ctx context.Context) (*Engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := api.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrUnavailable, err), api.Close())
	}
	return &Engine{api: api}, nil
}

// Close releases the connection.
func (e *Engine) Close() error { return e.api.Close() }

func notFound(what string, err error) error {
	if cerrdefs.IsNotFound(err) {
		return fmt.Errorf("%w: %s", ErrNotFound, what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// nameless is a temporary file that is gone when it is closed, or when the
// program ends in whatever way.
func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "isun-engine-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// message is a line of the engine's progress stream.
type message struct {
	Stream string `json:"stream"`
	Error  string `json:"error"`
	Aux    struct {
		ID string `json:"ID"`
	} `json:"aux"`
}

// readMessages copies what a build says, and gives the id of what it built.
// Errors come in the stream too, after the answer has begun with success.
func readMessages(stream io.Reader, out io.Writer) (id string, err error) {
	decoder := json.NewDecoder(stream)
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return id, nil
		case err != nil:
			return "", fmt.Errorf("read the engine's answer: %w", err)
		case m.Error != "":
			return "", errors.New(strings.TrimSpace(m.Error))
		}
		if m.Aux.ID != "" {
			id = m.Aux.ID
		}
		if _, err := io.WriteString(out, m.Stream); err != nil {
			return "", err
		}
	}
}
