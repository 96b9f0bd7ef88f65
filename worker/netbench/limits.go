package netbench

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Limits are what a server lets others take of its line.
type Limits struct {
	// Sessions is how many may measure at once. Two disturb each other's
	// figures, and each is told so.
	Sessions int `json:"sessions"`
	// Streams is how many connections a session may have open at once.
	Streams int `json:"streams"`
	// Duration is the longest a direction may take, warm-up included.
	Duration time.Duration `json:"duration_ns"`
	// Bytes is what one session may move, both directions together.
	Bytes uint64 `json:"bytes"`
	// PerMinute is how many sessions one address may open in a minute; an IPv6
	// address stands for its /64 network.
	PerMinute int `json:"per_minute"`
}

// DefaultLimits suit a line of up to 10 Gbit/s.
func DefaultLimits() Limits {
	return Limits{Sessions: 4, Streams: MaxStreams, Duration: 12 * time.Second, Bytes: 8 << 30, PerMinute: 6}
}

// Validate says which limit cannot be.
func (l Limits) Validate() error {
	for _, check := range []struct {
		name          string
		value, lo, to uint64
	}{
		{"sessions", uint64(l.Sessions), 1, 1000},
		{"streams", uint64(l.Streams), 1, MaxStreams},
		{
			"milliseconds a direction", uint64(l.Duration.Milliseconds()),
			uint64((MinDuration + warmUp).Milliseconds()), uint64((MaxDuration + warmUp).Milliseconds()),
		},
		{"bytes a session", l.Bytes, 1 << 20, 1 << 40},
		{"sessions a minute", uint64(l.PerMinute), 1, 1000},
	} {
		if check.value < check.lo || check.value > check.to {
			return fmt.Errorf("%d %s: want %d to %d", check.value, check.name, check.lo, check.to)
		}
	}
	return nil
}

const (
	// maxVisitors bounds what is remembered of addresses.
	maxVisitors = 4096
	// maxGreeting is how many connections may be at their greeting at once,
	// and maxGreetingEach how many of one address: all streams of a session.
	maxGreeting     = 128
	maxGreetingEach = 2 * MaxStreams
	// rateOver is the time that PerMinute counts over.
	rateOver = time.Minute
	// busyRetry is what a client is told when all sessions are taken.
	busyRetry = 5 * time.Second
)

// visitor is what is remembered of an address.
type visitor struct {
	greeting int
	active   int
	// opened is when it opened sessions, not longer ago than rateOver.
	opened []time.Time
}

// gate decides who may come in.
type gate struct {
	limits Limits
	now    func() time.Time

	mu       sync.Mutex
	visitors map[netip.Prefix]*visitor
	greeting int
	active   int
}

// origin is what counts as one address.
func origin(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // fails only for an address that is none
	return p
}

// visitor finds or makes the entry of an address; nil when there is no room
// for another. The caller holds the lock.
func (g *gate) visitor(from netip.Prefix) *visitor {
	if v, ok := g.visitors[from]; ok {
		return v
	}
	if len(g.visitors) >= maxVisitors {
		for key, v := range g.visitors {
			if v.forget(g.now()); v.greeting+v.active+len(v.opened) == 0 {
				delete(g.visitors, key)
			}
		}
		if len(g.visitors) >= maxVisitors {
			return nil
		}
	}
	v := &visitor{}
	g.visitors[from] = v
	return v
}

func (v *visitor) forget(now time.Time) {
	for len(v.opened) > 0 && now.Sub(v.opened[0]) >= rateOver {
		v.opened = v.opened[1:]
	}
}

// greet lets a connection begin its greeting, or not.
func (g *gate) greet(from netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.greeting >= maxGreeting {
		return false
	}
	v := g.visitor(from)
	if v == nil || v.greeting >= maxGreetingEach {
		return false
	}
	v.greeting++
	g.greeting++
	return true
}

// greeted ends what greet began.
func (g *gate) greeted(from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.visitors[from].greeting--
	g.greeting--
}

// open lets an address open a session; a refusal says why not.
func (g *gate) open(from netip.Prefix) *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, now := g.visitor(from), g.now()
	if v == nil || g.active >= g.limits.Sessions {
		return &refusal{retry: busyRetry, text: fmt.Sprintf("%d others are measuring", g.active)}
	}
	v.forget(now)
	switch {
	case v.active > 0:
		return &refusal{retry: busyRetry, text: "this address is measuring already"}
	case len(v.opened) >= g.limits.PerMinute:
		wait := max(rateOver-now.Sub(v.opened[0]), time.Second)
		return &refusal{retry: wait, text: fmt.Sprintf("this address has measured %d times within a minute", len(v.opened))}
	}
	v.opened = append(v.opened, now)
	v.active++
	g.active++
	return nil
}

// close ends what open began.
func (g *gate) close(from netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.visitors[from].active--
	g.active--
}
