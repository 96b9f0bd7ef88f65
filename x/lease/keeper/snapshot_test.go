package keeper_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// contentOf is the digest of some content.
func contentOf(name string) string { return "sha256:" + hex(testkit.Digest(name)) }

// recordOf is a valid message of the agent of a placement's node.
func (f *fixture) recordOf(p types.Placement, content string) *types.MsgRecordSnapshot {
	f.T.Helper()
	return &types.MsgRecordSnapshot{
		Agent: f.agentOf(p.Node), Placement: p.ID, Digest: contentOf(content), SizeBytes: 7, TakenMs: f.now(),
	}
}

// record records a snapshot of a placement, and gives its number.
func (f *fixture) record(p types.Placement, content string) uint64 {
	f.T.Helper()
	response, _, err := call(f, f.msgs.RecordSnapshot, f.recordOf(p, content))
	require.NoError(f.T, err)
	return response.Sequence
}

func (f *fixture) restore(id types.LeaseID, replica uint32, sequence uint64) error {
	return deliver(f, f.msgs.RestoreSnapshot, &types.MsgRestoreSnapshot{
		Tenant: id.Tenant, Number: id.Number, Replica: replica, Sequence: sequence,
	})
}

func (f *fixture) snapshots(id types.LeaseID) (contents []string) {
	f.T.Helper()
	res, err := f.query.Snapshots(f.Ctx, &types.QuerySnapshotsRequest{Tenant: id.Tenant, Number: id.Number})
	require.NoError(f.T, err)
	for _, s := range res.Snapshots {
		contents = append(contents, s.Digest)
	}
	return contents
}

func (f *fixture) references(content string) uint64 {
	f.T.Helper()
	digest, err := uaitypes.ParseDigest(contentOf(content))
	require.NoError(f.T, err)
	has, err := f.images.Contents.Has(f.Ctx, digest)
	require.NoError(f.T, err)
	if !has {
		return 0
	}
	references, err := f.images.Contents.Get(f.Ctx, digest)
	require.NoError(f.T, err)
	return references.References
}

// given is what the worker of a placement's node is told of it.
func (f *fixture) given(p types.Placement) types.NodePlacement {
	f.T.Helper()
	res, err := f.query.NodePlacements(f.Ctx, &types.QueryNodePlacementsRequest{Operator: p.Node.Operator, Node: p.Node.Number})
	require.NoError(f.T, err)
	for _, given := range res.Placements {
		if given.Placement.ID == p.ID {
			return given
		}
	}
	require.Fail(f.T, "the node is not told of the placement", p.ID)
	return types.NodePlacement{}
}

func keep(n uint32) func(*types.MsgCreateLease) {
	return func(m *types.MsgCreateLease) { m.SnapshotKeep = n }
}

func TestNewestSnapshotsAreKeptAndReferenced(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run(keep(2), func(m *types.MsgCreateLease) { m.SnapshotEverySeconds = 60 })
	p := f.placement(id)
	require.EqualValues(t, 60, f.given(p).SnapshotEverySeconds)

	_, events, err := call(f, f.msgs.RecordSnapshot, f.recordOf(p, "a"))
	require.NoError(t, err)
	require.Equal(t, []types.EventSnapshotRecorded{{
		Tenant: id.Tenant, Number: 1, Sequence: 1, Generation: p.ID.Generation, Operator: p.Node.Operator, Node: 1,
		Digest: contentOf("a"), SizeBytes: 7,
	}}, testkit.EventsOf[types.EventSnapshotRecorded](t, events))
	require.EqualValues(t, 2, f.record(p, "b"))
	require.Nil(t, f.given(p).Restore, "its own snapshots are not what it began with")
	_, events, err = call(f, f.msgs.RecordSnapshot, f.recordOf(p, "b"))
	require.NoError(t, err)
	require.Equal(t, []types.EventSnapshotRemoved{{Tenant: id.Tenant, Number: 1, Sequence: 1, Digest: contentOf("a")}},
		testkit.EventsOf[types.EventSnapshotRemoved](t, events))
	require.Equal(t, []string{contentOf("b"), contentOf("b")}, f.snapshots(id))
	require.Zero(t, f.references("a"))
	require.EqualValues(t, 2, f.references("b"))

	f.update(id, func(m *types.MsgUpdateLease) { m.SnapshotKeep, m.ClearSnapshotSchedule = 1, true })
	require.Zero(t, f.given(p).SnapshotEverySeconds)
	require.EqualValues(t, 4, f.record(p, "c"))
	require.Equal(t, []string{contentOf("c")}, f.snapshots(id))
}

func TestThreeSnapshotsAreKeptUnlessTheTenantSays(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	for i := range 5 {
		f.record(f.placement(id), fmt.Sprint(i))
	}
	require.Equal(t, []string{contentOf("2"), contentOf("3"), contentOf("4")}, f.snapshots(id))
}

// A replica that loses its node begins elsewhere with what was saved last.
func TestNextPlacementBeginsWithTheNewestSnapshot(t *testing.T) {
	f, _ := failoverFixture(t)
	id := f.run()
	first := f.placement(id)
	f.record(first, "a")
	f.NextBlock(time.Second)
	f.record(first, "b")
	f.migrate(id, 0)
	f.NextBlock(time.Second)
	f.requireMoved(id, "spare")
	second := f.placement(id)
	require.Equal(t, contentOf("b"), f.given(second).Restore.Digest)

	// What was saved while it stopped is newer still, until the next has begun.
	f.record(first, "c")
	require.Equal(t, contentOf("c"), f.given(second).Restore.Digest)
	f.start(second)
	require.ErrorIs(t, deliver(f, f.msgs.RecordSnapshot, f.recordOf(first, "d")), types.ErrSuperseded)
	require.EqualValues(t, 4, f.record(second, "e"))
}

func TestTenantRestoresAnOlderSnapshot(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run(keep(2))
	first := f.placement(id)
	f.record(first, "a")
	f.record(first, "b")
	f.NextBlock(10 * time.Second)
	require.NoError(t, f.restore(id, 0, 1))
	events := f.NextBlock(time.Second)
	ended := testkit.EventsOf[types.EventPlacementEnded](t, events)
	require.Len(t, ended, 1)
	require.Equal(t, types.END_REASON_RESTORED, ended[0].Reason)
	second := f.placement(id)
	require.Equal(t, node, second.Node, "the node may be used again")
	require.Equal(t, contentOf("a"), f.given(second).Restore.Digest)

	// What the ended placement saves meanwhile does not push the chosen one out.
	f.record(first, "c")
	f.record(first, "d")
	require.Equal(t, []string{contentOf("a"), contentOf("c"), contentOf("d")}, f.snapshots(id))
	require.Equal(t, contentOf("a"), f.given(second).Restore.Digest)

	// A placement that fails before it has saved anything leaves the choice to the next.
	f.start(second)
	f.migrateElsewhere(id)
	third := f.placement(id)
	require.Equal(t, contentOf("a"), f.given(third).Restore.Digest)
	f.start(third)
	f.record(third, "e")
	require.Equal(t, []string{contentOf("d"), contentOf("e")}, f.snapshots(id), "the choice is in the newest now")
}

// migrateElsewhere moves the only replica of a lease to a node that is added.
func (f *fixture) migrateElsewhere(id types.LeaseID) {
	f.T.Helper()
	f.addNode(nodeSpec{operator: "elsewhere"})
	f.NextBlock(time.Second)
	f.migrate(id, 0)
	f.NextBlock(time.Second)
}

func TestRestoreOfAReplicaThatWaits(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.record(f.placement(id), "a")
	f.record(f.placement(id), "b")
	f.retire(node)
	f.NextBlock(time.Second)
	require.Empty(t, f.live(id))
	require.NoError(t, f.restore(id, 0, 1))
	f.addNode(nodeSpec{operator: "other"})
	f.NextBlock(10 * time.Second)
	f.NextBlock(10 * time.Second)
	require.Equal(t, contentOf("a"), f.given(f.placement(id)).Restore.Digest)

	// Without the chosen one it begins with the newest.
	require.NoError(t, deliver(f, f.msgs.RemoveSnapshot, &types.MsgRemoveSnapshot{Tenant: id.Tenant, Number: 1, Sequence: 1}))
	require.Equal(t, contentOf("b"), f.given(f.placement(id)).Restore.Digest)
}

func TestRequestSnapshot(t *testing.T) {
	f := newFixture(t)
	id := f.lease()
	request := func() error {
		return deliver(f, f.msgs.RequestSnapshot, &types.MsgRequestSnapshot{Tenant: id.Tenant, Number: id.Number})
	}
	require.ErrorIs(t, request(), types.ErrNothingToSnapshot)
	f.addNode(nodeSpec{operator: "op"})
	f.NextBlock(time.Second)
	f.NextBlock(10 * time.Second)
	p := f.placement(id)
	f.start(p)
	require.NoError(t, request())
	require.Equal(t, f.now(), f.given(p).SnapshotRequestMs)
	require.ErrorIs(t, request(), types.ErrSnapshotTooSoon)
	f.NextBlock(10*time.Second - time.Millisecond)
	require.ErrorIs(t, request(), types.ErrSnapshotTooSoon)
	f.NextBlock(time.Millisecond)
	require.NoError(t, request())
	f.close(id)
	require.ErrorIs(t, request(), types.ErrLeaseEnded)
	require.ErrorIs(t, deliver(f, f.msgs.RequestSnapshot, &types.MsgRequestSnapshot{Tenant: id.Tenant, Number: 9}), types.ErrLeaseNotFound)
}

func TestSnapshotsRefused(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	other := f.addNode(nodeSpec{operator: "other", ask: 2 * ask})
	id := f.run()
	p := f.placement(id)
	f.NextBlock(time.Second)
	f.record(p, "kept")
	for name, c := range map[string]struct {
		change func(*types.MsgRecordSnapshot)
		err    error
	}{
		"nothing":           {func(m *types.MsgRecordSnapshot) { *m = types.MsgRecordSnapshot{} }, types.ErrInvalidID},
		"no agent":          {func(m *types.MsgRecordSnapshot) { m.Agent = id.Tenant }, sunstypes.ErrAgentUnknown},
		"another node":      {func(m *types.MsgRecordSnapshot) { m.Agent = f.agentOf(other) }, types.ErrNotThisNode},
		"unknown placement": {func(m *types.MsgRecordSnapshot) { m.Placement.Generation = 9 }, types.ErrPlacementNotFound},
		"no digest":         {func(m *types.MsgRecordSnapshot) { m.Digest = "" }, types.ErrInvalidSnapshot},
		"no size":           {func(m *types.MsgRecordSnapshot) { m.SizeBytes = 0 }, types.ErrInvalidSnapshot},
		"too big":           {func(m *types.MsgRecordSnapshot) { m.SizeBytes = ^uint64(0) }, types.ErrInvalidSnapshot},
		"of the future":     {func(m *types.MsgRecordSnapshot) { m.TakenMs = f.now() + 1 }, types.ErrInvalidSnapshot},
		"before the start":  {func(m *types.MsgRecordSnapshot) { m.TakenMs = p.MatchedMs - 1 }, types.ErrInvalidSnapshot},
	} {
		t.Run(name, func(t *testing.T) {
			msg := f.recordOf(p, "x")
			c.change(msg)
			require.ErrorIs(t, deliver(f, f.msgs.RecordSnapshot, msg), c.err)
		})
	}
	for name, c := range map[string]struct {
		tenant            string
		number            uint64
		replica           uint32
		sequence          uint64
		removed, restored error
	}{
		"no address":       {"x", 1, 0, 1, types.ErrInvalidID, types.ErrInvalidID},
		"no lease":         {id.Tenant, 9, 0, 1, types.ErrSnapshotNotFound, types.ErrLeaseNotFound},
		"another's":        {testkit.Addr("thief").String(), 1, 0, 1, types.ErrSnapshotNotFound, types.ErrLeaseNotFound},
		"no snapshot":      {id.Tenant, 1, 0, 2, types.ErrSnapshotNotFound, types.ErrSnapshotNotFound},
		"snapshot 0":       {id.Tenant, 1, 0, 0, types.ErrSnapshotNotFound, types.ErrSnapshotNotFound},
		"no replica":       {id.Tenant, 1, 1, 1, types.ErrSnapshotNotFound, types.ErrInvalidReplicas},
		"a huge number":    {id.Tenant, 1, ^uint32(0), 1, types.ErrSnapshotNotFound, types.ErrInvalidReplicas},
		"a huge sequence":  {id.Tenant, 1, 0, ^uint64(0), types.ErrSnapshotNotFound, types.ErrSnapshotNotFound},
		"another replicas": {id.Tenant, 1, 2, 1, types.ErrSnapshotNotFound, types.ErrInvalidReplicas},
	} {
		require.ErrorIs(t, deliver(f, f.msgs.RemoveSnapshot, &types.MsgRemoveSnapshot{
			Tenant: c.tenant, Number: c.number, Replica: c.replica, Sequence: c.sequence,
		}), c.removed, name)
		require.ErrorIs(t, deliver(f, f.msgs.RestoreSnapshot, &types.MsgRestoreSnapshot{
			Tenant: c.tenant, Number: c.number, Replica: c.replica, Sequence: c.sequence,
		}), c.restored, name)
	}
	for _, change := range []func(*types.MsgCreateLease){
		func(m *types.MsgCreateLease) { m.SnapshotEverySeconds = types.MinSnapshotSeconds - 1 },
		func(m *types.MsgCreateLease) { m.SnapshotEverySeconds = types.MaxSnapshotSeconds + 1 },
		keep(types.MaxSnapshotKeep + 1),
	} {
		require.ErrorIs(t, deliver(f, f.msgs.CreateLease, f.order(change)), types.ErrInvalidSnapshot)
	}
	require.ErrorIs(t, deliver(f, f.msgs.UpdateLease,
		&types.MsgUpdateLease{Tenant: id.Tenant, Number: 1, SnapshotEverySeconds: 1}), types.ErrInvalidSnapshot)
	require.NoError(t, deliver(f, f.msgs.CreateLease, f.order(keep(types.MaxSnapshotKeep),
		func(m *types.MsgCreateLease) { m.SnapshotEverySeconds = types.MaxSnapshotSeconds })))
}

func TestUnstartedPlacementHasNothingToSave(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.lease()
	f.NextBlock(time.Second)
	require.ErrorIs(t, deliver(f, f.msgs.RecordSnapshot, f.recordOf(f.placement(id), "x")), types.ErrPlacementNotStarted)
}

// Snapshots outlive the lease by the retention, and go within the budget: sixteen replicas of a lease in a block.
func TestSnapshotsGoWithTheLease(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 40})
	id := f.run(keep(2), func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 20, testkit.Coin(10_000_000) })
	for _, p := range f.live(id) {
		for i := range 3 {
			f.record(p, fmt.Sprint(p.ID.Replica, i))
		}
	}
	f.close(id)
	f.Advance(2*time.Minute, 5*time.Second)
	require.Equal(t, types.LEASE_STATUS_CLOSED, f.get(id).Lease.Lease.Status)
	require.Len(t, f.snapshots(id), 40)
	require.NoError(t, deliver(f, f.msgs.RemoveSnapshot, &types.MsgRemoveSnapshot{Tenant: id.Tenant, Number: 1, Sequence: 2}))
	require.ErrorIs(t, f.restore(id, 0, 3), types.ErrLeaseEnded)

	lease := f.get(id).Lease.Lease
	for f.now() < lease.PruneMs {
		f.NextBlock(10 * time.Second)
	}
	for len(f.snapshots(id)) == 39 {
		f.NextBlock(time.Second)
	}
	require.Len(t, f.snapshots(id), 8, "sixteen replicas went")
	require.NoError(t, func() error { _, err := f.k.GetLease(f.Ctx, id); return err }())
	events := f.NextBlock(time.Second)
	require.Empty(t, f.snapshots(id))
	require.Zero(t, f.references("19 2"))
	require.Len(t, testkit.EventsOf[types.EventLeasePruned](t, events), 1)
	_, err := f.k.GetLease(f.Ctx, id)
	require.ErrorIs(t, err, types.ErrLeaseNotFound)
}

func TestQuerySnapshots(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op", suns: 10})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas = 2 })
	for _, p := range f.live(id) {
		f.record(p, "a")
		f.record(p, "b")
	}
	require.Len(t, f.snapshots(id), 4)
	res, err := f.query.Snapshots(f.Ctx, &types.QuerySnapshotsRequest{
		Tenant: id.Tenant, Number: 1, OfReplica: true, Replica: 1, Pagination: &query.PageRequest{Limit: 1},
	})
	require.NoError(t, err)
	require.Len(t, res.Snapshots, 1)
	require.EqualValues(t, 1, res.Snapshots[0].Replica)
	require.NotEmpty(t, res.Pagination.NextKey)
	for _, req := range []*types.QuerySnapshotsRequest{
		nil, {Tenant: "x", Number: 1}, {Tenant: id.Tenant, Number: 1, Pagination: &query.PageRequest{CountTotal: true}},
	} {
		_, err := f.query.Snapshots(f.Ctx, req)
		require.Error(t, err)
	}
}

func TestSnapshotsAreExportedByteForByte(t *testing.T) {
	f, b := busyFixture(t)
	for _, p := range f.live(b.running) {
		if p.StartedMs != 0 {
			f.record(p, "a")
			f.record(p, "b")
		}
	}
	require.NoError(t, f.restore(b.running, 0, 1))
	f.NextBlock(time.Second)
	exported := f.export()
	other := importState(t, exported)
	require.Equal(t, exported, other.export())
	require.NotEmpty(t, other.snapshots(b.running))

	// What snapshots name must be counted.
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	genesis.Snapshots = genesis.Snapshots[1:]
	require.Error(t, genesis.Validate(), "the chosen one is missing")
	for name, change := range map[string]func(*types.GenesisState){
		"unknown lease":     func(g *types.GenesisState) { g.Snapshots[0].Lease.Number = 99 },
		"above the last":    func(g *types.GenesisState) { g.Snapshots[0].Sequence = 99 },
		"number 0":          func(g *types.GenesisState) { g.Snapshots[0].Sequence = 0 },
		"twice":             func(g *types.GenesisState) { g.Snapshots[1] = g.Snapshots[0] },
		"no digest":         func(g *types.GenesisState) { g.Snapshots[0].Digest = "" },
		"no size":           func(g *types.GenesisState) { g.Snapshots[0].SizeBytes = 0 },
		"no node":           func(g *types.GenesisState) { g.Snapshots[0].Node.Number = 0 },
		"beyond time":       func(g *types.GenesisState) { g.Snapshots[0].TakenMs = ^uint64(0) },
		"of the future":     func(g *types.GenesisState) { g.Snapshots[0].Generation = 99 },
		"replica twice":     func(g *types.GenesisState) { g.ReplicaSnapshots = append(g.ReplicaSnapshots, g.ReplicaSnapshots[0]) },
		"replica of nobody": func(g *types.GenesisState) { g.ReplicaSnapshots[0].Lease.Number = 99 },
		"half a choice":     func(g *types.GenesisState) { g.ReplicaSnapshots[0].State.RestoreGeneration = 0 },
		"a bad schedule":    func(g *types.GenesisState) { g.Leases[0].Lease.SnapshotEverySeconds = 1 },
	} {
		genesis, err := f.k.ExportGenesis(f.Ctx)
		require.NoError(t, err)
		change(genesis)
		require.Error(t, genesis.Validate(), name)
	}
}

func TestInvariantsSeeSnapshotsThatAreNotCounted(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.record(f.placement(id), "a")
	for name, damage := range map[string]func(context.Context) error{
		"not referenced": func(ctx context.Context) error { return f.images.Unreference(ctx, contentOf("a")) },
		"referenced by nobody": func(ctx context.Context) error {
			return f.images.Reference(ctx, contentOf("b"), 1)
		},
		"referenced twice": func(ctx context.Context) error { return f.images.Reference(ctx, contentOf("a"), 1) },
	} {
		cache, _ := f.Ctx.CacheContext()
		require.NoError(t, damage(cache), name)
		require.ErrorIs(t, f.k.AllInvariants(cache), types.ErrInvariantBroken, name)
	}
}

func TestRestrictedImageIsOrderedByWhomItsOwnerLets(t *testing.T) {
	f := newFixture(t)
	publisher := testkit.Addr("publisher").String()
	open, closed := f.publish("open", 0, sunstypes.Demand{GeneralMilliSuns: 1_000}), f.publish("closed", 0, sunstypes.Demand{GeneralMilliSuns: 1_000})
	set := func(grant ...string) {
		require.NoError(t, f.images.SetAccess(f.Ctx, &uaitypes.MsgSetAccess{
			Owner: publisher, Image: closed, Restricted: true, Grant: grant,
		}))
	}
	set()
	of := func(image string) func(*types.MsgCreateLease) {
		return func(m *types.MsgCreateLease) { m.Image = image }
	}
	require.ErrorIs(t, deliver(f, f.msgs.CreateLease, f.order(of(closed))), uaitypes.ErrNotAllowed)
	id := f.lease(of(open))
	update := &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number, Image: closed}
	require.ErrorIs(t, deliver(f, f.msgs.UpdateLease, update), uaitypes.ErrNotAllowed)
	set(id.Tenant)
	require.NoError(t, deliver(f, f.msgs.UpdateLease, update))
	require.NoError(t, deliver(f, f.msgs.CreateLease, f.order(of(closed))))

	// What was ordered goes on without access, and may be changed in everything but the image.
	require.NoError(t, f.images.SetAccess(f.Ctx, &uaitypes.MsgSetAccess{
		Owner: publisher, Image: closed, Restricted: true, Revoke: []string{id.Tenant},
	}))
	require.NoError(t, deliver(f, f.msgs.UpdateLease, &types.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number, Replicas: 2}))
	require.ErrorIs(t, deliver(f, f.msgs.CreateLease, f.order(of(closed))), uaitypes.ErrNotAllowed)
}
