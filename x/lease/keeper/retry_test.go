package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// retry puts an item of the quarantine back.
func (f *fixture) retry(number uint64) error {
	f.T.Helper()
	_, err := f.msgs.RetryQuarantined(f.Ctx, &types.MsgRetryQuarantined{Authority: f.Authority.String(), Number: number})
	return err
}

// mended says that state is as it should be again, so nothing may be set aside from here on.
func (f *fixture) mended() {
	f.T.Helper()
	require.Empty(f.T, f.quarantine())
	f.broken = false
}

// Two placements serve alike for a minute and a half; one's hour could not be billed. Retried, it comes to the same uisc.
func TestRetriedHourIsBilledExactly(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	bad, good := f.lease(), f.lease()
	f.NextBlock(time.Second)
	f.start(f.placement(bad))
	f.start(f.placement(good))
	f.serveBoth(bad, good, 55*time.Second)
	lost := f.placement(bad)
	mend := f.lose(lost.ID)
	for len(f.quarantine()) == 0 {
		f.next(time.Second)
	}
	mend()
	require.NoError(t, f.retry(1))
	f.mended()
	f.NextBlock(5 * time.Second)
	f.serveBoth(bad, good, 10*time.Second)
	f.close(bad)
	f.close(good)
	for range 30 {
		f.NextBlock(5 * time.Second)
	}
	badLease, goodLease := f.get(bad).Lease, f.get(good).Lease
	require.Equal(t, types.LEASE_STATUS_CLOSED, badLease.Lease.Status)
	require.True(t, goodLease.Money.Totals.PaidOperators.IsPositive())
	require.Equal(t, goodLease.Money, badLease.Money)
	require.Zero(t, f.ModuleBalance(types.ModuleName))
}

// serveBoth attests for two placements of one node.
func (f *fixture) serveBoth(a, b types.LeaseID, d time.Duration) {
	f.T.Helper()
	for end := f.now() + types.Ms(d); f.now() < end; {
		f.NextBlock(5 * time.Second)
		for _, id := range []types.LeaseID{a, b} {
			_, err := f.attest(f.placement(id), 5*time.Second)
			require.NoError(f.T, err)
		}
	}
}

// A placement that could not leave its retired node with the others leaves when it is retried.
func TestRetriedEvictionMovesThePlacement(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 50})
	id := f.run(func(m *types.MsgCreateLease) { m.Replicas, m.Deposit = 40, testkit.Coin(100_000_000) })
	f.addNode(nodeSpec{operator: "spare", suns: 50})
	f.NextBlock(time.Second)
	lost := f.live(id)[3]
	mend := f.lose(lost.ID)
	f.retire(node)
	retired := f.now()
	for range 3 {
		f.next(time.Second)
	}
	mend()
	require.NoError(t, f.retry(1))
	f.mended()
	f.NextBlock(time.Second)
	f.NextBlock(time.Second)
	for _, p := range f.live(id) {
		require.Equal(t, sunstypes.NewNodeID(testkit.Addr("spare"), 1), p.Node)
	}
	require.Len(t, f.live(id), 40)
	ended := f.known(lost.ID).Placement
	require.Equal(t, types.END_REASON_NODE_RETIRED, ended.EndReason)
	require.Equal(t, retired, ended.EndedMs, "it ended when its node left, not when it was retried")
}

// A node that was drained and resumed while one of its placements stood aside keeps it.
func TestRetriedEvictionKeepsThePlacementOfAResumedNode(t *testing.T) {
	f := newFixture(t)
	node := f.addNode(nodeSpec{operator: "op", suns: 50})
	id := f.run()
	f.NextBlock(time.Second)
	p := f.placement(id)
	money, err := f.k.Money.Get(f.Ctx, f.leaseKey(id))
	require.NoError(t, err)
	require.NoError(t, f.k.Money.Remove(f.Ctx, f.leaseKey(id)))
	f.broken = true
	f.drain(node)
	require.Len(t, f.next(time.Second), 1)
	f.resume(node)
	require.Len(t, f.next(time.Second), 1)
	require.NoError(t, f.k.Money.Set(f.Ctx, f.leaseKey(id), money))
	require.NoError(t, f.retry(1))
	require.NoError(t, f.retry(2))
	f.mended()
	f.NextBlock(time.Second)
	require.Equal(t, p.ID, f.placement(id).ID)
	require.Zero(t, f.placement(id).DrainDeadlineMs)
}

// A placement that has ended and settled before it is retried needs nothing.
func TestRetriedEvictionOfWhatIsGoneDoesNothing(t *testing.T) {
	f := newFixture(t)
	f.broken = true
	key, err := collections.EncodeKeyWithPrefix(nil, types.PlacementKeyCodec,
		f.placementKey(types.PlacementID{Tenant: f.tenant.String(), Number: 1, Generation: 1}))
	require.NoError(t, err)
	for _, tc := range []struct {
		key  []byte
		want error
	}{{key, nil}, {key[:4], duequeue.ErrInvalidKey}, {nil, duequeue.ErrInvalidKey}} {
		item, err := f.k.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: "evicted_placements", Key: tc.key})
		require.NoError(t, err)
		require.ErrorIs(t, f.retry(item.Number), tc.want)
	}
}

// Every queue of the module takes its items back.
func TestEveryQueueTakesItsItemsBack(t *testing.T) {
	f := newFixture(t)
	f.addNode(nodeSpec{operator: "op"})
	id := f.run()
	f.NextBlock(time.Second)
	p := f.placement(id)
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	lease, placement := f.leaseKey(id), f.placementKey(p.ID)
	node, err := p.Node.Key()
	require.NoError(t, err)
	request := collections.Join3(lease.K1(), lease.K2(), uint32(0))
	encode := func(key []byte, err error) []byte { require.NoError(t, err); return key }
	leaseBytes := encode(collections.EncodeKeyWithPrefix(nil, types.LeaseKeyCodec, lease))
	placementBytes := encode(collections.EncodeKeyWithPrefix(nil, types.PlacementKeyCodec, placement))
	nodeBytes := encode(collections.EncodeKeyWithPrefix(nil, sunstypes.NodeKeyCodec, node))
	requestBytes := encode(collections.EncodeKeyWithPrefix(nil, types.RequestKeyCodec, request))
	far := f.now() + 1_000_000
	for queue, key := range map[string][]byte{
		"lease_updates": leaseBytes, "due_leases": leaseBytes, "prune_leases": leaseBytes,
		"endings": placementBytes, "due_placements": placementBytes, "prune_placements": placementBytes,
		"evictions_due": nodeBytes, "node_backoffs": nodeBytes, "reindexes": nodeBytes,
		"retries": requestBytes, "new_requests": append(make([]byte, 8), requestBytes...),
	} {
		item, err := f.k.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: queue, Key: key, DueMs: far})
		require.NoError(t, err)
		require.NoError(t, f.retry(item.Number), queue)
	}
	after, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	returned := map[string]bool{}
	for _, entry := range after.Queues {
		if entry.DueMs == far {
			returned[entry.Queue] = true
		}
	}
	require.Len(t, returned, 11)
	require.Len(t, after.Queues, len(genesis.Queues)+11)
	require.NoError(t, f.k.InitGenesis(f.Ctx, *after), "what was put back is exported and imported")
}

func TestWhatCannotBeRetried(t *testing.T) {
	f := newFixture(t)
	f.broken = true
	_, err := f.msgs.RetryQuarantined(f.Ctx, &types.MsgRetryQuarantined{Authority: f.tenant.String(), Number: 1})
	require.ErrorIs(t, err, types.ErrUnauthorized)
	require.ErrorIs(t, f.retry(1), duequeue.ErrItemNotFound)
	item, err := f.k.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: "elsewhere"})
	require.NoError(t, err)
	require.ErrorIs(t, f.retry(item.Number), duequeue.ErrNotRetryable)
}
