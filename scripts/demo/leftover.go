package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// leftover is what a demo notes of itself as soon as its chain runs, so that one that was kept, or killed, can be ended.
type leftover struct {
	ChainID string `json:"chain_id"`
	PIDs    []int  `json:"pids"`
}

func leftoverFile(dir string) string { return filepath.Join(dir, "running.json") }

// note writes down what runs now.
func (d *demo) note() error {
	content, err := json.Marshal(leftover{ChainID: d.stack.Chain.ChainID, PIDs: d.stack.PIDs()})
	if err != nil {
		return err
	}
	return os.WriteFile(leftoverFile(d.dir), content, 0o644)
}

// endLeftover ends what an earlier demo left in a folder: processes, containers and disks. A folder without a note has none.
func endLeftover(ctx context.Context, dir string) error {
	content, err := os.ReadFile(leftoverFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var left leftover
	if err := json.Unmarshal(content, &left); err != nil {
		return fmt.Errorf("%s: %w", leftoverFile(dir), err)
	}
	for _, pid := range left.PIDs {
		if err := end(ctx, pid, dir); err != nil {
			return err
		}
	}
	docker, err := stack.NewDocker(ctx)
	if err != nil {
		return err
	}
	return errors.Join(docker.Remove(ctx, left.ChainID), (&stack.Stack{Dir: dir}).Unmount(), os.Remove(leftoverFile(dir)))
}

// end ends a process of the demo in dir. The number may belong to somebody else by now, so its command line must name dir.
func end(ctx context.Context, pid int, dir string) error {
	ours := func() bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && strings.Contains(string(line), dir)
	}
	if !ours() {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	const limit = 30 * time.Second
	return stack.Eventually(ctx, limit, func() (bool, error) { return !ours(), nil })
}
