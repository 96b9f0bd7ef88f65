package runtime

import (
	"errors"
	"fmt"
)

// Held says how far a host keeps placements to a limit.
type Held string

// The ways to hold a limit.
const (
	Fully  Held = "fully"
	Partly Held = "partly"
	NotAt  Held = "not at all"
)

// Bound is one limit of a placement on this host.
type Bound struct {
	// Limit is its name, such as "memory".
	Limit string `json:"limit"`
	Held  Held   `json:"held"`
	// Detail says by what it is held, or what is missing.
	Detail string `json:"detail"`
	// Mend says how to enable the rest; empty when it is fully held.
	Mend string `json:"mend,omitempty"`
	// Vital: a host that cannot hold this must run no placements. One tenant
	// could take the machine from its owner and from all others.
	Vital bool `json:"vital"`
}

// ErrUnbounded: this host cannot hold placements to a vital limit.
var ErrUnbounded = errors.New("this machine cannot hold placements to their limits")

// Bounded is nil if every vital limit is held.
func (i Info) Bounded() error {
	var errs []error
	for _, b := range i.Bounds {
		if b.Vital && b.Held == NotAt {
			errs = append(errs, fmt.Errorf("%w: %s: %s; %s", ErrUnbounded, b.Limit, b.Detail, b.Mend))
		}
	}
	return errors.Join(errs...)
}
