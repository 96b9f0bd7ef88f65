package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/container"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// boundsFile says which start of a container has got the limits that are no
// matter of the engine's.
const boundsFile = "bounds"

// setBounds sets the limits that the engine does not: bandwidth, and memory for
// sockets. They vanish with the process, so this runs after every start, and
// leaves word for which one it did.
func (r *Runtime) setBounds(ctx context.Context, spec runtime.Spec) error {
	found, err := r.find(ctx, spec.ID)
	if err != nil {
		return err
	}
	pid := found.State.Pid
	if pid == 0 {
		return nil // ended already
	}
	if err := errors.Join(r.shape(ctx, spec, pid), r.boundSockets(spec.Limits, pid)); err != nil {
		// The engine hears of an end a little later than the kernel.
		if !r.lives(pid) {
			return nil // ended while it was being limited
		}
		return err
	}
	dir := r.placementDir(spec.ID.Key())
	if err := errors.Join(os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, boundsFile), []byte(startOf(spec.ID, found)), 0o600)); err != nil {
		return fmt.Errorf("note that limits are set: %w", err)
	}
	return nil
}

// lives says whether a process has not ended; one that nobody has waited for
// yet has.
func (r *Runtime) lives(pid int) bool {
	_, err := os.Readlink(filepath.Join(r.cfg.Proc, strconv.Itoa(pid), "ns/net"))
	return err == nil
}

// isBounded says whether the container's present start has got its bounds.
func (r *Runtime) isBounded(id runtime.ID, c container.InspectResponse) bool {
	raw, err := os.ReadFile(filepath.Join(r.placementDir(id.Key()), boundsFile))
	return err == nil && string(raw) == startOf(id, c)
}

// startOf names what the bounds belong to: a start of the container, and its
// end in the network, which may be taken away and given back meanwhile.
func startOf(id runtime.ID, c container.InspectResponse) string {
	end := ""
	if c.NetworkSettings != nil {
		if e := c.NetworkSettings.Networks[objectName(id)]; e != nil {
			end = e.EndpointID
		}
	}
	return c.ID + " " + c.State.StartedAt + " " + end
}

const (
	// socketPart: buffers of TCP connections may take the 32nd part of the
	// memory on top of it, 64 MiB for a SUNS, which is 25 seconds of its
	// bandwidth.
	socketPart      = 32
	minSocketMemory = 4 * mib

	socketLimitFile = "memory.kmem.tcp.limit_in_bytes"
)

// boundSockets limits the buffers of TCP connections. Version 2 of control
// groups counts them as memory. Version 1 counts them apart, and only if they
// have a limit; without one a placement could fill those of the whole machine.
// The engine takes such a limit and does not set it.
func (r *Runtime) boundSockets(limits runtime.Limits, pid int) error {
	if r.engine.CgroupVersion != "1" || os.Geteuid() != 0 {
		return nil
	}
	dir, err := r.memoryGroup(pid)
	if err != nil || dir == "" {
		return err
	}
	limit := max(limits.MemoryMiB*mib/socketPart, minSocketMemory)
	file, err := os.OpenFile(filepath.Join(dir, socketLimitFile), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the kernel cannot; Info tells
	}
	if err != nil {
		return fmt.Errorf("limit sockets: %w", err)
	}
	_, err = file.WriteString(strconv.FormatInt(limit, 10))
	if err = errors.Join(err, file.Close()); err != nil && !errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("limit sockets: %w", err)
	}
	return nil
}

// memoryGroup is the version 1 folder of a process's memory group; empty if
// there is none.
func (r *Runtime) memoryGroup(pid int) (string, error) {
	raw, err := os.ReadFile(filepath.Join(r.cfg.Proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return "", fmt.Errorf("read control groups: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		// Never the root group: that is the whole machine's.
		if len(fields) == 3 && fields[1] == "memory" && len(fields[2]) > 1 {
			return filepath.Join(r.cfg.Sys, "fs/cgroup/memory", filepath.Clean("/"+fields[2])), nil
		}
	}
	return "", nil
}
