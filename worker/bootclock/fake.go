package bootclock

import (
	"sync"
	"time"
)

// Fake is a Clock that tests move by hand.
type Fake struct {
	mu   sync.Mutex
	now  time.Duration
	boot string
}

// NewFake starts an hour after a boot named "boot-1".
func NewFake() *Fake { return &Fake{now: time.Hour, boot: "boot-1"} }

// Now implements Clock.
func (f *Fake) Now() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Boot implements Clock.
func (f *Fake) Boot() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.boot
}

// Advance lets time pass.
func (f *Fake) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now += d
}

// Reboot begins again under another boot id.
func (f *Fake) Reboot(boot string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now, f.boot = time.Second, boot
}
