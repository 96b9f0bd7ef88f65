package accel

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown: a source that failed may be the one that knows the device.
var ErrUnknown = errors.New("it cannot be told whether the device is there")

// Watch says how containers get this machine's devices. It looks each time it
// is asked: a card that was there at the start may have gone since, and after
// a restart the kernel's numbers may be other cards'.
type Watch struct {
	Sources []Source
}

// Attach looks for devices and says how a container gets each. Errors:
// ErrNoDevice names the first that is not there or cannot be used; ErrUnknown.
func (w Watch) Attach(ctx context.Context, ids []string) ([]Attach, error) {
	found, err := Find(ctx, w.Sources)
	if err != nil {
		return nil, err
	}
	out := make([]Attach, 0, len(ids))
	for _, id := range ids {
		d, ok := found.Device(id)
		switch {
		case ok && (d.Offered || d.Unusable == unmeasured):
			out = append(out, d.Attach)
		case len(found.Failed) > 0:
			return nil, fmt.Errorf("device %s: %w: no answer of %s", id, ErrUnknown, strings.Join(found.Failed, ", "))
		case ok:
			return nil, fmt.Errorf("%w: %s: %s", ErrNoDevice, id, d.Unusable)
		default:
			return nil, fmt.Errorf("%w: %s is not in this machine any more", ErrNoDevice, id)
		}
	}
	return out, nil
}
