package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// SetVolumes has placements made from now on keep their volumes in folders
// below dir. Without it a fake is a runtime whose volumes are memory.
func (e *Engine) SetVolumes(dir string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volumes = dir
}

func (e *Engine) volumeDir(id runtime.ID, name string) string {
	return filepath.Join(e.volumes, id.Key(), name)
}

// makeVolumes runs with the lock held. What is filled already stays.
func (e *Engine) makeVolumes(spec runtime.Spec) error {
	if e.volumes == "" {
		return nil
	}
	for _, v := range spec.Volumes {
		if err := os.MkdirAll(e.volumeDir(spec.ID, v.Name), 0o777); err != nil {
			return fmt.Errorf("volume: %w", err)
		}
	}
	return nil
}

// dropVolumes runs with the lock held.
func (e *Engine) dropVolumes(id runtime.ID) {
	if e.volumes != "" {
		_ = os.RemoveAll(filepath.Join(e.volumes, id.Key())) // a test's own folder
	}
}

// writeFile makes what package program's Write makes. It runs with the lock
// held.
func (e *Engine) writeFile(c *container) {
	args := c.spec.Args
	if e.volumes == "" || len(args) < 3 || args[0] != program.Write || c.process.code != 0 {
		return
	}
	for _, v := range c.spec.Volumes {
		if rest, ok := strings.CutPrefix(args[1], v.Path+"/"); ok {
			path := filepath.Join(e.volumeDir(c.spec.ID, v.Name), rest)
			_ = os.WriteFile(path, make([]byte, number(args, 2)<<20), 0o600) // a test looks for it
		}
	}
}

// volumesOf gives the folders of a placement's volumes.
func (e *Engine) volumesOf(id runtime.ID) (map[string]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	case e.volumes == "":
		return nil, fmt.Errorf("%w: %s", runtime.ErrNoVolumes, id)
	}
	return e.folders(c.spec), nil
}

func (e *Engine) folders(spec runtime.Spec) map[string]string {
	folders := map[string]string{}
	for _, v := range spec.Volumes {
		folders[v.Name] = e.volumeDir(spec.ID, v.Name)
	}
	return folders
}

// ensureFilled fills outside of the lock: fill may ask the engine things.
func (e *Engine) ensureFilled(ctx context.Context, spec runtime.Spec, fill runtime.Fill) (runtime.State, error) {
	e.filling.Lock()
	defer e.filling.Unlock()
	if _, err := e.inspect(spec.ID); fill == nil || !errors.Is(err, runtime.ErrNotFound) {
		return e.ensure(spec)
	}
	if !e.hasImage(spec.Image) {
		return runtime.State{}, fmt.Errorf("%w: %s", runtime.ErrImageMissing, spec.Image)
	}
	e.mu.Lock()
	none := e.volumes == ""
	e.dropVolumes(spec.ID)
	err := e.makeVolumes(spec)
	folders := e.folders(spec)
	e.mu.Unlock()
	switch {
	case none:
		return runtime.State{}, fmt.Errorf("%w: %s", runtime.ErrNoVolumes, spec.ID)
	case err != nil:
		return runtime.State{}, err
	}
	if err := fill(ctx, folders); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.dropVolumes(spec.ID)
		return runtime.State{}, fmt.Errorf("fill the volumes of %s: %w", spec.ID, err)
	}
	return e.ensure(spec)
}
