package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// Host reads figures under the folders where the kernel shows itself.
type Host struct {
	proc, sys string
}

// NewHost returns the source for "/proc" and "/sys", or for fixture trees.
func NewHost(proc, sys string) *Host { return &Host{proc: proc, sys: sys} }

// Figures implements Source. Version 1 of control groups has a folder for each
// controller, version 2 one for all; a hybrid host has both, and each
// controller is in one of them.
func (h *Host) Figures(ctx context.Context, pid int, containerID string) (Figures, error) {
	if err := ctx.Err(); err != nil {
		return Figures{}, err
	}
	if pid <= 0 || containerID == "" {
		return Figures{}, fmt.Errorf("%w: no process", runtime.ErrNotRunning)
	}
	groups, err := h.groups(pid, containerID)
	if err != nil {
		return Figures{}, err
	}
	var f Figures
	for _, read := range []func(*Figures) error{
		func(f *Figures) error { return h.cpu(groups, f) },
		func(f *Figures) error { return h.memory(groups, f) },
		func(f *Figures) error { return h.network(pid, f) },
	} {
		if err := read(&f); err != nil {
			return Figures{}, gone(err)
		}
	}
	return f, nil
}

// gone turns a file that vanished while it was read into what it means. A
// process that ends leaves ESRCH, a group that is removed ENODEV.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("%w: %w", runtime.ErrNotRunning, err)
	}
	return err
}

// groups are the folders of a container's control groups; empty where the
// host has none of that kind.
type groups struct {
	cpuacct, memory string // version 1
	unified         string // version 2
}

// groups reads which groups a process is in. Each must be named for the
// container: the process may have ended, and its number be another's now.
func (h *Host) groups(pid int, containerID string) (groups, error) {
	raw, err := os.ReadFile(filepath.Join(h.proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return groups{}, gone(fmt.Errorf("read control groups: %w", err))
	}
	var g groups
	ours := false
	for line := range strings.Lines(string(raw)) {
		_, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		controllers, dir, ok2 := strings.Cut(rest, ":")
		if !ok || !ok2 || !strings.Contains(dir, containerID) {
			continue
		}
		ours = true
		switch {
		case controllers == "":
			g.unified = h.unified(dir)
		case hasController(controllers, "cpuacct"):
			g.cpuacct = h.v1(controllers, "cpuacct", dir)
		case hasController(controllers, "memory"):
			g.memory = h.v1(controllers, "memory", dir)
		}
	}
	if !ours {
		return groups{}, fmt.Errorf("%w: process %d is not in a group of container %.12s", runtime.ErrNotRunning, pid, containerID)
	}
	return g, nil
}

func hasController(list, want string) bool {
	return strings.Contains(","+list+",", ","+want+",")
}

// v1 finds a controller's folder. Controllers that are mounted together are in
// one named for all, mostly with a link named for each.
func (h *Host) v1(list, controller, dir string) string {
	root := filepath.Join(h.sys, "fs", "cgroup")
	for _, name := range []string{controller, list} {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			return filepath.Join(root, name, path.Clean("/"+dir))
		}
	}
	return ""
}

// unified finds the version 2 tree: alone it is the root, on a hybrid host it
// stands beside the others.
func (h *Host) unified(dir string) string {
	root := filepath.Join(h.sys, "fs", "cgroup")
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		root = filepath.Join(root, "unified")
	}
	return filepath.Join(root, path.Clean("/"+dir))
}

func (h *Host) cpu(g groups, f *Figures) error {
	if g.cpuacct != "" {
		nanoseconds, err := readNumber(filepath.Join(g.cpuacct, "cpuacct.usage"))
		f.CPU = time.Duration(nanoseconds)
		return err
	}
	if g.unified == "" {
		return errors.New("no control group counts processor time")
	}
	microseconds, err := readField(filepath.Join(g.unified, "cpu.stat"), "usage_usec")
	f.CPU = time.Duration(microseconds) * time.Microsecond
	return err
}

// memory is usage less the file pages nobody has touched lately, which the
// kernel drops when it needs room.
func (h *Host) memory(g groups, f *Figures) error {
	dir, usageFile, inactive := g.memory, "memory.usage_in_bytes", "total_inactive_file"
	if dir == "" {
		dir, usageFile, inactive = g.unified, "memory.current", "inactive_file"
	}
	if dir == "" {
		return errors.New("no control group counts memory")
	}
	usage, err := readNumber(filepath.Join(dir, usageFile))
	if err != nil {
		return err
	}
	cold, err := readField(filepath.Join(dir, "memory.stat"), inactive)
	if err != nil {
		return err
	}
	// The two files are read one after the other and need not agree.
	f.MemoryBytes = usage - min(usage, cold)
	return nil
}

// network sums the interfaces of the container's namespace but its loopback.
func (h *Host) network(pid int, f *Figures) error {
	name := filepath.Join(h.proc, strconv.Itoa(pid), "net", "dev")
	raw, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read network figures: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		ifc, figures, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(ifc) == "lo" {
			continue // a heading, or traffic that leaves nothing
		}
		fields := strings.Fields(figures)
		if len(fields) < 9 {
			return fmt.Errorf("%s: line %q", name, line)
		}
		in, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out, err := strconv.ParseUint(fields[8], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.BytesIn += in
		f.BytesOut += out
	}
	return nil
}

func readNumber(name string) (uint64, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read figures: %w", err)
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(raw)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// readField reads one line "name number" of a file of such.
func readField(name, field string) (uint64, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read figures: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || key != field {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("%s has no line %s", name, field)
}
