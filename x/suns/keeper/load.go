package keeper

import (
	"context"
	"slices"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// GetNodeLoad is what is reserved of a node; nothing when there is no record.
func (k *Keeper) GetNodeLoad(ctx context.Context, id types.NodeID) (types.NodeLoad, error) {
	key, err := id.Key()
	if err != nil {
		return types.NodeLoad{}, err
	}
	return k.load(ctx, key)
}

func (k *Keeper) load(ctx context.Context, key types.NodeKey) (types.NodeLoad, error) {
	return orZero(k.Loads.Get(ctx, key))
}

// Reserve takes a placement's part of an active node: general resources and whole devices. Called in the end blocker only.
// A node that becomes busy is looked at within the silence limit. More than is free is ErrInsufficientRoom or
// ErrDeviceBusy, and changes nothing.
func (k *Keeper) Reserve(ctx context.Context, id types.NodeID, generalMilliSuns uint64, deviceIDs []string) error {
	key, node, err := k.node(ctx, id)
	if err != nil {
		return err
	}
	if node.Status != types.NODE_STATUS_ACTIVE {
		return types.ErrNodeStatus.Wrapf("node %s is not active", id)
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if free := node.FreeGeneralMilliSuns(load); generalMilliSuns > free {
		return types.ErrInsufficientRoom.Wrapf("node %s has %d milli-SUNS free, not %d", id, free, generalMilliSuns)
	}
	load.ReservedGeneralMilliSuns += generalMilliSuns
	if load.BusyDevices, err = takeDevices(node, load, deviceIDs); err != nil {
		return err
	}
	load.Placements++
	if load.Placements == 1 {
		if load.BusySinceMs, err = k.becomeBusy(ctx, key); err != nil {
			return err
		}
	}
	return k.Loads.Set(ctx, key, load)
}

func takeDevices(node types.Node, load types.NodeLoad, deviceIDs []string) ([]string, error) {
	busy := slices.Clone(load.BusyDevices)
	for _, device := range deviceIDs {
		if _, known := node.Device(device); !known {
			return nil, types.ErrDeviceUnknown.Wrapf("node %s, device %q", node.ID, device)
		}
		at, taken := slices.BinarySearch(busy, device)
		if taken {
			return nil, types.ErrDeviceBusy.Wrapf("node %s, device %q", node.ID, device)
		}
		busy = slices.Insert(busy, at, device)
	}
	return busy, nil
}

// becomeBusy brings a node's deadline forward to the silence limit from now, and gives now.
func (k *Keeper) becomeBusy(ctx context.Context, key types.NodeKey) (uint64, error) {
	now, err := k.NowMs(ctx)
	if err != nil {
		return 0, err
	}
	params, err := k.GetParams(ctx)
	if err != nil {
		return 0, err
	}
	deadline, err := orZero(k.Deadlines.Get(ctx, key))
	if err != nil {
		return 0, err
	}
	if due := now + types.Ms(params.SilenceLimit); due < deadline {
		return now, k.setDeadline(ctx, key, due)
	}
	return now, nil
}

// Release gives back what Reserve took for one placement. Called in the end blocker only, for nodes of any status. More than
// is reserved is ErrNotReserved, and changes nothing.
func (k *Keeper) Release(ctx context.Context, id types.NodeID, generalMilliSuns uint64, deviceIDs []string) error {
	key, err := id.Key()
	if err != nil {
		return err
	}
	load, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if load.Placements == 0 || generalMilliSuns > load.ReservedGeneralMilliSuns {
		return types.ErrNotReserved.Wrapf("node %s has %d placements with %d milli-SUNS, not %d",
			id, load.Placements, load.ReservedGeneralMilliSuns, generalMilliSuns)
	}
	load.ReservedGeneralMilliSuns -= generalMilliSuns
	load.Placements--
	load.BusyDevices = slices.Clone(load.BusyDevices)
	for _, device := range deviceIDs {
		at, busy := slices.BinarySearch(load.BusyDevices, device)
		if !busy {
			return types.ErrNotReserved.Wrapf("node %s, device %q", id, device)
		}
		load.BusyDevices = slices.Delete(load.BusyDevices, at, at+1)
	}
	if load.Placements == 0 && (load.ReservedGeneralMilliSuns > 0 || len(load.BusyDevices) > 0) {
		return types.ErrNotReserved.Wrapf("node %s: its last placement would leave %d milli-SUNS and %d devices reserved",
			id, load.ReservedGeneralMilliSuns, len(load.BusyDevices))
	}
	return k.Loads.Set(ctx, key, load)
}
