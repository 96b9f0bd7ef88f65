package stack

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// engineTime is for an engine that starts, or that stops its containers before it ends.
const engineTime = time.Minute

// Engine is a Docker engine apart from the machine's, for tests that end it. It needs a network namespace of its own: two in
// one would take each other's bridges and firewall rules.
type Engine struct {
	// Host is its address, as in DOCKER_HOST.
	Host string
	// Log is the file it writes to.
	Log string

	dir     string
	process *Process
}

// NewEngine returns an engine that keeps everything in a folder. Its path must be short: sockets are in there.
func NewEngine(dir string) *Engine {
	return &Engine{Host: "unix://" + filepath.Join(dir, "engine.sock"), Log: filepath.Join(dir, "dockerd.log"), dir: dir}
}

// Start starts the engine with more flags of dockerd, and waits until it answers.
func (e *Engine) Start(ctx context.Context, more ...string) error {
	pidFile := filepath.Join(e.dir, "dockerd.pid")
	// One that was killed leaves it, and its number may be another process's by now.
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	args := append([]string{
		"--host", e.Host, "--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"), "--pidfile", pidFile,
	}, more...)
	var err error
	if e.process, err = start("dockerd", e.Log, "dockerd", args, nil); err != nil {
		return err
	}
	return Eventually(ctx, engineTime, func() (bool, error) {
		if !e.process.Running() {
			return false, errors.New("dockerd has ended: " + Tail(e.Log))
		}
		docker, err := NewDocker(ctx)
		return err == nil, errors.Join(err, docker.Close())
	})
}

// Stop ends the engine as a service manager does: it stops its containers, unless it was started with --live-restore.
func (e *Engine) Stop() error { return e.process.Stop() }

// Kill ends the engine with SIGKILL.
func (e *Engine) Kill() error { return e.process.Kill() }
