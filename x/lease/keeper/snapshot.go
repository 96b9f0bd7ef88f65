package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// prunedReplicas is of how many replicas the snapshots are removed at once when a lease is forgotten.
const prunedReplicas = 16

// requestSnapshot notes that the tenant wants the volumes of all replicas saved now. The nodes see it in what they run.
func (k *Keeper) requestSnapshot(ctx context.Context, id types.LeaseID) error {
	key, lease, err := k.openLease(ctx, id)
	if err != nil {
		return err
	}
	if lease.LivePlacements == 0 {
		return types.ErrNothingToSnapshot.Wrapf("lease %s", id)
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return err
	}
	if last := lease.SnapshotRequestMs; last != 0 && now < last+types.SnapshotRequestPauseMs {
		return types.ErrSnapshotTooSoon.Wrapf("lease %s: the next may be requested in %d ms", id, last+types.SnapshotRequestPauseMs-now)
	}
	lease.SnapshotRequestMs = max(now, 1) // 0 is never
	if err := k.Leases.Set(ctx, key, lease); err != nil {
		return err
	}
	return emit(ctx, &types.EventSnapshotRequested{Tenant: id.Tenant, Number: id.Number})
}

// recordSnapshot keeps what an agent saved of a placement, and lets go of the replica's oldest beyond what the tenant keeps.
// It gives the snapshot's number. A placement that a newer one has followed is refused: its volumes are of the past.
func (k *Keeper) recordSnapshot(ctx context.Context, key types.PlacementKey, p types.Placement, s types.Snapshot) (uint64, error) {
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return 0, err
	}
	if p.StartedMs == 0 {
		return 0, types.ErrPlacementNotStarted.Wrapf("placement %s", p.ID)
	}
	if s.TakenMs < p.StartedMs || s.TakenMs > now {
		return 0, types.ErrInvalidSnapshot.Wrapf("taken_ms %d is before the start, %d, or in the future, after %d", s.TakenMs, p.StartedMs, now)
	}
	lease, err := k.Leases.Get(ctx, collections.Join(key.K1(), key.K2()))
	if err != nil {
		return 0, err
	}
	if err := k.checkNewest(ctx, key, p); err != nil {
		return 0, err
	}
	replica := collections.Join3(key.K1(), key.K2(), key.K3())
	state, err := k.replicaSnapshots(ctx, replica)
	if err != nil {
		return 0, err
	}
	state.LastSequence++
	s.Lease, s.Replica, s.Generation, s.Node, s.Sequence = lease.ID, p.ID.Replica, p.ID.Generation, p.Node, state.LastSequence
	if err := s.Validate(); err != nil {
		return 0, err
	}
	if err := k.addSnapshot(ctx, s); err != nil {
		return 0, err
	}
	if state.Chooses(s.Generation) {
		state.RestoreSequence, state.RestoreGeneration = 0, 0 // the choice is in this one
	}
	if err := k.ReplicaSnapshots.Set(ctx, replica, state); err != nil {
		return 0, err
	}
	return s.Sequence, k.dropOldest(ctx, replica, state, lease.KeptSnapshots())
}

// checkNewest refuses a placement when a newer one of its replica has started, or has saved anything.
func (k *Keeper) checkNewest(ctx context.Context, key types.PlacementKey, p types.Placement) error {
	lease := collections.Join(key.K1(), key.K2())
	placements, err := k.placementsOf(ctx, lease, p.ID.Replica)
	if err != nil {
		return err
	}
	for _, other := range placements {
		if other.ID.Generation > p.ID.Generation && other.StartedMs != 0 {
			return types.ErrSuperseded.Wrapf("placement %s has followed %s", other.ID, p.ID)
		}
	}
	newest, found, err := k.newestSnapshot(ctx, collections.Join3(key.K1(), key.K2(), key.K3()), ^uint64(0))
	if err == nil && found && newest.Generation > p.ID.Generation {
		err = types.ErrSuperseded.Wrapf("generation %d has saved a snapshot", newest.Generation)
	}
	return err
}

func (k *Keeper) addSnapshot(ctx context.Context, s types.Snapshot) error {
	key, err := s.Key()
	if err != nil {
		return err
	}
	if err := k.Snapshots.Set(ctx, key, s); err != nil {
		return err
	}
	if err := k.images.Reference(ctx, s.Digest, s.SizeBytes); err != nil {
		return err
	}
	return emit(ctx, &types.EventSnapshotRecorded{
		Tenant: s.Lease.Tenant, Number: s.Lease.Number, Replica: s.Replica, Sequence: s.Sequence, Generation: s.Generation,
		Operator: s.Node.Operator, Node: s.Node.Number, Digest: s.Digest, SizeBytes: s.SizeBytes,
	})
}

// dropOldest keeps the newest snapshots of a replica, and the one that the tenant chose to restore.
func (k *Keeper) dropOldest(ctx context.Context, replica types.RequestKey, state types.ReplicaSnapshots, keep int) error {
	snapshots, err := k.snapshotsOf(ctx, replica)
	if err != nil {
		return err
	}
	for _, s := range snapshots[:max(0, len(snapshots)-keep)] {
		if s.Sequence == state.RestoreSequence {
			continue
		}
		if err := k.dropSnapshot(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) dropSnapshot(ctx context.Context, s types.Snapshot) error {
	key, err := s.Key()
	if err != nil {
		return err
	}
	if err := k.Snapshots.Remove(ctx, key); err != nil {
		return err
	}
	if err := k.images.Unreference(ctx, s.Digest); err != nil {
		return err
	}
	return emit(ctx, &types.EventSnapshotRemoved{
		Tenant: s.Lease.Tenant, Number: s.Lease.Number, Replica: s.Replica, Sequence: s.Sequence, Digest: s.Digest,
	})
}

// removeSnapshot ends that a snapshot is kept. If the tenant chose it before, the replica begins with its newest again.
func (k *Keeper) removeSnapshot(ctx context.Context, lease types.LeaseID, replica uint32, sequence uint64) error {
	key, s, err := k.snapshot(ctx, lease, replica, sequence)
	if err != nil {
		return err
	}
	own := collections.Join3(key.K1(), key.K2(), key.K3())
	state, err := k.replicaSnapshots(ctx, own)
	if err != nil {
		return err
	}
	if state.RestoreSequence == sequence {
		state.RestoreSequence, state.RestoreGeneration = 0, 0
		if err := k.ReplicaSnapshots.Set(ctx, own, state); err != nil {
			return err
		}
	}
	return k.dropSnapshot(ctx, s)
}

// restoreSnapshot has the next placement of a replica begin with a snapshot, and ends the one there is.
func (k *Keeper) restoreSnapshot(ctx context.Context, id types.LeaseID, replica uint32, sequence uint64) error {
	_, lease, err := k.openLease(ctx, id)
	if err != nil {
		return err
	}
	if replica >= lease.Replicas {
		return types.ErrInvalidReplicas.Wrapf("lease %s has no replica %d", id, replica)
	}
	key, s, err := k.snapshot(ctx, id, replica, sequence)
	if err != nil {
		return err
	}
	own := collections.Join3(key.K1(), key.K2(), key.K3())
	state, err := k.replicaSnapshots(ctx, own)
	if err != nil {
		return err
	}
	state.RestoreSequence, state.RestoreGeneration = s.Sequence, lease.NextGeneration
	if err := k.ReplicaSnapshots.Set(ctx, own, state); err != nil {
		return err
	}
	placement, p, err := k.replicaPlacement(ctx, id, replica)
	switch {
	case errors.Is(err, types.ErrNothingToMigrate): // it waits for a node, or ends already
	case err != nil:
		return err
	default:
		if err := k.requestEnd(ctx, placement, p, types.END_REASON_RESTORED, ""); err != nil {
			return err
		}
	}
	return emit(ctx, &types.EventSnapshotRestoring{
		Tenant: id.Tenant, Number: id.Number, Replica: replica, Sequence: sequence,
	})
}

// snapshot finds a snapshot, or ErrSnapshotNotFound.
func (k *Keeper) snapshot(
	ctx context.Context, id types.LeaseID, replica uint32, sequence uint64,
) (types.SnapshotKey, types.Snapshot, error) {
	lease, err := id.Key()
	if err != nil {
		return types.SnapshotKey{}, types.Snapshot{}, err
	}
	key := collections.Join4(lease.K1(), lease.K2(), replica, sequence)
	s, err := k.Snapshots.Get(ctx, key)
	if errors.Is(err, collections.ErrNotFound) {
		err = types.ErrSnapshotNotFound.Wrapf("snapshot %d of replica %d of lease %s", sequence, replica, id)
	}
	return key, s, err
}

func (k *Keeper) replicaSnapshots(ctx context.Context, replica types.RequestKey) (types.ReplicaSnapshots, error) {
	state, err := k.ReplicaSnapshots.Get(ctx, replica)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ReplicaSnapshots{}, nil
	}
	return state, err
}

// snapshotsOf lists a replica's snapshots, oldest first: at most as many as may be kept, and one that was chosen.
func (k *Keeper) snapshotsOf(ctx context.Context, replica types.RequestKey) ([]types.Snapshot, error) {
	it, err := k.Snapshots.Iterate(ctx, collections.NewSuperPrefixedQuadRange3[sdk.AccAddress, uint64, uint32, uint64](
		replica.K1(), replica.K2(), replica.K3()))
	if err != nil {
		return nil, err
	}
	return it.Values()
}

// newestSnapshot gives the newest snapshot that a placement below a generation took.
func (k *Keeper) newestSnapshot(ctx context.Context, replica types.RequestKey, below uint64) (types.Snapshot, bool, error) {
	snapshots, err := k.snapshotsOf(ctx, replica)
	if err != nil {
		return types.Snapshot{}, false, err
	}
	for i := len(snapshots) - 1; i >= 0; i-- {
		if snapshots[i].Generation < below {
			return snapshots[i], true, nil
		}
	}
	return types.Snapshot{}, false, nil
}

// restoreOf gives what the volumes of a placement begin with, or nil.
func (k *Keeper) restoreOf(ctx context.Context, p types.PlacementKey) (*types.Snapshot, error) {
	replica := collections.Join3(p.K1(), p.K2(), p.K3())
	state, err := k.replicaSnapshots(ctx, replica)
	if err != nil || state.LastSequence == 0 {
		return nil, err
	}
	if state.Chooses(p.K4()) {
		_, chosen, err := k.snapshot(ctx, types.NewLeaseID(p.K1(), p.K2()), p.K3(), state.RestoreSequence)
		return &chosen, err
	}
	newest, found, err := k.newestSnapshot(ctx, replica, p.K4())
	if err != nil || !found {
		return nil, err
	}
	return &newest, nil
}

// pruneSnapshots removes the snapshots of a lease that is forgotten, of some replicas at a time. It says how many it removed,
// and whether none are left.
func (k *Keeper) pruneSnapshots(ctx context.Context, lease types.LeaseKey) (removed uint32, done bool, err error) {
	it, err := k.ReplicaSnapshots.Iterate(ctx,
		collections.NewSuperPrefixedTripleRange[sdk.AccAddress, uint64, uint32](lease.K1(), lease.K2()))
	if err != nil {
		return 0, false, err
	}
	var replicas []types.RequestKey
	for ; it.Valid() && len(replicas) < prunedReplicas; it.Next() {
		key, err := it.Key()
		if err != nil {
			return 0, false, errors.Join(err, it.Close())
		}
		replicas = append(replicas, key)
	}
	done = !it.Valid()
	if err := it.Close(); err != nil {
		return 0, false, err
	}
	for _, replica := range replicas {
		snapshots, err := k.snapshotsOf(ctx, replica)
		if err != nil {
			return removed, false, err
		}
		for _, s := range snapshots {
			if err := k.dropSnapshot(ctx, s); err != nil {
				return removed, false, err
			}
		}
		if err := k.ReplicaSnapshots.Remove(ctx, replica); err != nil {
			return removed, false, err
		}
		removed += uint32(len(snapshots)) + 1
	}
	return removed, done, nil
}

// snapshotsInvariant: snapshots are of leases that are there, numbered as their replicas say, and what they name is
// referenced as often as x/uai counts.
func (k *Keeper) snapshotsInvariant(ctx context.Context) error {
	references := make(map[string]uint64)
	err := k.Snapshots.Walk(ctx, nil, func(key types.SnapshotKey, s types.Snapshot) (bool, error) {
		references[s.Digest]++
		own, err := s.Key()
		if err != nil || types.PlacementIDFromKey(own) != types.PlacementIDFromKey(key) {
			return true, types.ErrInvariantBroken.Wrapf("a snapshot of lease %s stands under another's key", s.Lease)
		}
		state, err := k.replicaSnapshots(ctx, collections.Join3(key.K1(), key.K2(), key.K3()))
		if err == nil && key.K4() > state.LastSequence {
			err = types.ErrInvariantBroken.Wrapf("snapshot %d of lease %s is above the last, %d", key.K4(), s.Lease, state.LastSequence)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	err = k.ReplicaSnapshots.Walk(ctx, nil, func(key types.RequestKey, state types.ReplicaSnapshots) (bool, error) {
		lease := collections.Join(key.K1(), key.K2())
		found, err := k.Leases.Has(ctx, lease)
		if err == nil && !found {
			err = types.ErrInvariantBroken.Wrapf("snapshots of lease %s, which is not there", types.LeaseIDFromKey(lease))
		}
		if err == nil && state.RestoreSequence != 0 {
			_, _, err = k.snapshot(ctx, types.LeaseIDFromKey(lease), key.K3(), state.RestoreSequence)
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	if err := k.images.CheckReferences(ctx, references); err != nil {
		return types.ErrInvariantBroken.Wrap(err.Error())
	}
	return nil
}

func (k *Keeper) importSnapshots(ctx context.Context, genesis types.GenesisState) error {
	for _, s := range genesis.Snapshots {
		key, err := s.Key()
		if err != nil {
			return err
		}
		if err := k.Snapshots.Set(ctx, key, s); err != nil { // x/uai has counted it
			return err
		}
	}
	for _, s := range genesis.ReplicaSnapshots {
		key, err := s.Lease.Key()
		if err != nil {
			return err
		}
		if err := k.ReplicaSnapshots.Set(ctx, requestKey(key, s.Replica), s.State); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) exportSnapshots(ctx context.Context, genesis *types.GenesisState) error {
	err := k.Snapshots.Walk(ctx, nil, func(_ types.SnapshotKey, s types.Snapshot) (bool, error) {
		genesis.Snapshots = append(genesis.Snapshots, s)
		return false, nil
	})
	if err != nil {
		return err
	}
	return k.ReplicaSnapshots.Walk(ctx, nil, func(key types.RequestKey, state types.ReplicaSnapshots) (bool, error) {
		genesis.ReplicaSnapshots = append(genesis.ReplicaSnapshots, types.GenesisReplicaSnapshots{
			Lease: types.NewLeaseID(key.K1(), key.K2()), Replica: key.K3(), State: state,
		})
		return false, nil
	})
}
