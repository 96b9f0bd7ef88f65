package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/cosmos/cosmos-sdk/testutil/simsx"

	"github.com/isuncoin/isuncoin/x/lease/keeper"
	"github.com/isuncoin/isuncoin/x/lease/types"
)

// MsgRequestSnapshotFactory asks for a snapshot of a lease that runs.
func MsgRequestSnapshotFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgRequestSnapshot] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRequestSnapshot) {
		all, err := leases(ctx, k, testData)
		lease, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		now, err := k.NowMs(ctx)
		if err != nil || lease.LivePlacements == 0 ||
			lease.SnapshotRequestMs != 0 && now < lease.SnapshotRequestMs+types.SnapshotRequestPauseMs {
			reporter.Skip("nothing to snapshot, or too soon")
			return nil, nil
		}
		return signed(testData, reporter, lease.ID.Tenant),
			&types.MsgRequestSnapshot{Tenant: lease.ID.Tenant, Number: lease.ID.Number}
	}
}

// MsgRecordSnapshotFactory records a snapshot of a placement that runs, of one of a few contents.
func MsgRecordSnapshotFactory(k *keeper.Keeper, nodes Nodes) simsx.SimMsgFactoryFn[*types.MsgRecordSnapshot] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRecordSnapshot) {
		all, agents, err := placements(ctx, k, nodes, testData)
		p, ok := choose(testData, reporter, all, err)
		if !ok {
			return nil, nil
		}
		now, err := k.NowMs(ctx)
		if err != nil || p.StartedMs == 0 || newerStarted(all, p) {
			reporter.Skip("not started, or followed by a newer one")
			return nil, nil
		}
		r := testData.Rand()
		return signed(testData, reporter, agents[p.Node]), &types.MsgRecordSnapshot{
			Agent: agents[p.Node], Placement: p.ID, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte{byte(r.Intn(20))})),
			SizeBytes: r.Uint64InRange(1, 1<<30), TakenMs: now,
		}
	}
}

// newerStarted says whether a newer placement of the same replica has started: only a draining one has such.
func newerStarted(all []types.Placement, p types.Placement) bool {
	for _, other := range all {
		if other.ID.Lease() == p.ID.Lease() && other.ID.Replica == p.ID.Replica &&
			other.ID.Generation > p.ID.Generation {
			return true
		}
	}
	return false
}

// anySnapshot draws a snapshot of a lease whose tenant is an account of the simulation.
func anySnapshot(
	ctx context.Context, k *keeper.Keeper, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter,
) (types.Snapshot, bool) {
	var snapshots []types.Snapshot
	err := k.Snapshots.Walk(ctx, nil, func(_ types.SnapshotKey, s types.Snapshot) (bool, error) {
		if testData.HasAccount(s.Lease.Tenant) {
			snapshots = append(snapshots, s)
		}
		return false, nil
	})
	return choose(testData, reporter, snapshots, err)
}

// MsgRemoveSnapshotFactory removes a snapshot.
func MsgRemoveSnapshotFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgRemoveSnapshot] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRemoveSnapshot) {
		s, ok := anySnapshot(ctx, k, testData, reporter)
		if !ok {
			return nil, nil
		}
		return signed(testData, reporter, s.Lease.Tenant), &types.MsgRemoveSnapshot{
			Tenant: s.Lease.Tenant, Number: s.Lease.Number, Replica: s.Replica, Sequence: s.Sequence,
		}
	}
}

// MsgRestoreSnapshotFactory restores a snapshot of a lease that is open.
func MsgRestoreSnapshotFactory(k *keeper.Keeper) simsx.SimMsgFactoryFn[*types.MsgRestoreSnapshot] {
	return func(ctx context.Context, testData *simsx.ChainDataSource, reporter simsx.SimulationReporter) ([]simsx.SimAccount, *types.MsgRestoreSnapshot) {
		s, ok := anySnapshot(ctx, k, testData, reporter)
		if !ok {
			return nil, nil
		}
		lease, err := k.GetLease(ctx, s.Lease)
		if err != nil || !lease.Open() || s.Replica >= lease.Replicas {
			reporter.Skip("lease has ended or has no such replica")
			return nil, nil
		}
		return signed(testData, reporter, s.Lease.Tenant), &types.MsgRestoreSnapshot{
			Tenant: s.Lease.Tenant, Number: s.Lease.Number, Replica: s.Replica, Sequence: s.Sequence,
		}
	}
}
