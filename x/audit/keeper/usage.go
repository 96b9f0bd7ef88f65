package keeper

import (
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// usageRecord is what a node's placements have used, while it is changed.
type usageRecord struct {
	node    sunstypes.NodeKey
	usage   types.NodeUsage
	changed bool
}

func (k Keeper) openUsage(ctx context.Context, id sunstypes.NodeID) (record usageRecord, err error) {
	if record.node, err = id.Key(); err != nil {
		return record, err
	}
	usage, err := k.NodeUsages.Get(ctx, record.node)
	record.usage, err = orElse(usage, err, types.NodeUsage{})
	return record, err
}

func (k Keeper) saveUsage(ctx context.Context, record usageRecord) error {
	if !record.changed {
		return nil
	}
	if len(record.usage.Usages) == 0 {
		return k.NodeUsages.Remove(ctx, record.node)
	}
	return k.NodeUsages.Set(ctx, record.node, record.usage)
}

// note holds an entry to what was attested before, and keeps it in the node's record, or by itself where there is no room.
func (k Keeper) note(ctx context.Context, record *usageRecord, key leasetypes.PlacementKey, entry types.UsageEntry) error {
	at, found := record.usage.Find(key)
	if found {
		if err := entry.ValidateAfter(record.usage.Usages[at].Entry()); err != nil {
			return err
		}
		record.usage.Usages[at], record.changed = types.NewUsage(key, entry), true
		return nil
	}
	before, err := k.Usages.Get(ctx, key)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default:
		if err := entry.ValidateAfter(before); err != nil {
			return err
		}
	}
	if len(record.usage.Usages) >= leasetypes.MaxNodeServices {
		return k.Usages.Set(ctx, key, entry)
	}
	record.usage.Usages, record.changed = slices.Insert(record.usage.Usages, at, types.NewUsage(key, entry)), true
	return nil
}

// settleUsage moves the usage of a placement that is settled out of its node's record.
func (k Keeper) settleUsage(ctx context.Context, key leasetypes.PlacementKey, node sunstypes.NodeID) error {
	record, err := k.openUsage(ctx, node)
	if err != nil {
		return err
	}
	at, found := record.usage.Find(key)
	if !found {
		return nil
	}
	if err := k.Usages.Set(ctx, key, record.usage.Usages[at].Entry()); err != nil {
		return err
	}
	record.usage.Usages, record.changed = slices.Delete(record.usage.Usages, at, at+1), true
	return k.saveUsage(ctx, record)
}

// Usage is what was last attested of a placement, or ErrUsageNotFound.
func (k Keeper) Usage(ctx context.Context, id leasetypes.PlacementID) (types.UsageEntry, error) {
	key, p, err := k.leases.GetPlacement(ctx, id)
	switch {
	case errors.Is(err, leasetypes.ErrPlacementSettled), errors.Is(err, leasetypes.ErrPlacementNotFound):
	case err != nil:
		return types.UsageEntry{}, err
	default:
		record, err := k.openUsage(ctx, p.Node)
		if err != nil {
			return types.UsageEntry{}, err
		}
		if at, found := record.usage.Find(key); found {
			return record.usage.Usages[at].Entry(), nil
		}
	}
	entry, err := k.Usages.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		return entry, types.ErrUsageNotFound.Wrap(id.String())
	}
	return entry, err
}

// importUsage puts usage where it was: into its node's record until its placement is settled, by itself after that.
func (k Keeper) importUsage(ctx context.Context, entry types.UsageEntry) error {
	key, p, err := k.leases.GetPlacement(ctx, entry.ID)
	switch {
	case errors.Is(err, leasetypes.ErrPlacementSettled), errors.Is(err, leasetypes.ErrPlacementNotFound):
		return k.Usages.Set(ctx, key, entry)
	case err != nil:
		return err
	}
	record, err := k.openUsage(ctx, p.Node)
	if err != nil {
		return err
	}
	if err := k.note(ctx, &record, key, entry); err != nil {
		return err
	}
	return k.saveUsage(ctx, record)
}

// exportUsage gathers the usage of all placements in the order of their keys; a node's record is newer than what stands
// by itself.
func (k Keeper) exportUsage(ctx context.Context) ([]types.UsageEntry, error) {
	var all []types.Usage
	err := k.NodeUsages.Walk(ctx, nil, func(_ sunstypes.NodeKey, usage types.NodeUsage) (bool, error) {
		all = append(all, usage.Usages...)
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	byPlacement := func(a, b types.Usage) int { return a.Placement.Compare(b.Placement) }
	err = k.Usages.Walk(ctx, nil, func(key leasetypes.PlacementKey, entry types.UsageEntry) (bool, error) {
		all = append(all, types.NewUsage(key, entry))
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, byPlacement)
	all = slices.CompactFunc(all, func(a, b types.Usage) bool { return byPlacement(a, b) == 0 })
	var entries []types.UsageEntry
	for _, usage := range all {
		entries = append(entries, usage.Entry())
	}
	return entries, nil
}
