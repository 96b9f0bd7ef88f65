// Package bootclock is the clock a worker judges silence by: it counts from
// the machine's boot, also while the machine sleeps, and nobody can set it.
package bootclock

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock gives the time since boot. Two readings of one boot can be compared,
// also across restarts of the worker; Boot tells boots apart.
type Clock interface {
	Now() time.Duration
	Boot() string
}

// System is the kernel's CLOCK_BOOTTIME.
type System struct{ boot string }

// New reads the boot's id below the given /proc.
func New(proc string) (System, error) {
	raw, err := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return System{}, fmt.Errorf("read the boot id: %w", err)
	}
	return System{boot: strings.TrimSpace(string(raw))}, nil
}

// Now implements Clock.
func (System) Now() time.Duration {
	var ts unix.Timespec
	// The call fails only for a clock the kernel does not know, and every
	// Linux since 2.6.39 knows this one.
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(fmt.Sprintf("CLOCK_BOOTTIME: %v", err))
	}
	return time.Duration(ts.Nano())
}

// Boot implements Clock.
func (s System) Boot() string { return s.boot }
