package reconciler

import (
	"context"
	"errors"
	"fmt"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// Devices are this machine's accelerators, as they are now. accel.ErrNoDevice
// names one that is not there; any other error says nothing about them.
type Devices interface {
	Attach(ctx context.Context, ids []string) ([]accel.Attach, error)
}

// missesUntilGone is how often in a row a device of a running placement must
// not be found: a driver that is reloaded is away for a moment.
const missesUntilGone = 2

// devices says how the container gets what the placement holds.
func (r *Reconciler) devices(ctx context.Context, p leasetypes.Placement) ([]runtime.Device, error) {
	ids := p.DeviceIDs()
	if len(ids) == 0 {
		return nil, nil
	}
	if r.cfg.Devices == nil {
		return nil, fmt.Errorf("%w: it holds device %s, and this worker offers none", accel.ErrNoDevice, ids[0])
	}
	attach, err := r.cfg.Devices.Attach(ctx, ids)
	if err != nil {
		return nil, err
	}
	devices := make([]runtime.Device, len(ids))
	for i, a := range attach {
		devices[i] = runtime.Device{ID: ids[i], NVIDIA: a.NVIDIA, Nodes: a.Nodes, Env: a.Env}
	}
	return devices, nil
}

// CheckDevices gives back the placements that hold a device which has gone:
// their tenants pay for what is not there, and elsewhere it is. The node goes
// on offering the device until its owner measures it again; until then every
// placement that it is matched to is given back.
func (r *Reconciler) CheckDevices(ctx context.Context, view chain.View) error {
	var errs []error
	for id, want := range DesiredOf(view, r.cfg.ChainID, r.cfg.Node.String(), r.shape(view.Params.Suns.Bundle)) {
		if len(want.Placement.Placement.Devices) == 0 {
			continue
		}
		_, err := r.devices(ctx, want.Placement.Placement)
		gone := errors.Is(err, accel.ErrNoDevice)
		if err != nil && !gone {
			errs = append(errs, err)
		}
		if !r.missed(id, gone) {
			continue
		}
		r.cfg.Log.Error("A DEVICE HAS GONE from under a placement; mend it, or measure the machine again with "+
			"`isun-worker bench --submit`, so that the node offers it no more", "lease", id.Lease, "error", err)
		errs = append(errs, r.failed(id, err.Error(), true))
		r.poke()
	}
	return errors.Join(errs...)
}

// missed counts how often in a row a device was not found, and is true when
// the placement is to be given back.
func (r *Reconciler) missed(id runtime.ID, gone bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.memory[id]
	if !ok || m.Intent == journal.IntentReject {
		return false // it has not begun here, or is being given back already
	}
	if !gone {
		m.misses = 0
		return false
	}
	m.misses++
	return m.misses >= missesUntilGone
}
