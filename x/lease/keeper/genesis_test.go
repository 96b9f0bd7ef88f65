package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// state is what a chain exports, as JSON: what is compared byte for byte.
type state struct {
	bank, suns, uai, lease []byte
}

// export is the state at the end of the last block.
func (f *fixture) export() state {
	f.T.Helper()
	suns, err := f.suns.ExportGenesis(f.Ctx)
	require.NoError(f.T, err)
	images, err := f.images.ExportGenesis(f.Ctx)
	require.NoError(f.T, err)
	leases, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(f.T, err)
	require.NoError(f.T, leases.Validate())
	return state{
		bank:  f.Codec.MustMarshalJSON(f.Bank.ExportGenesis(f.Ctx)),
		suns:  f.Codec.MustMarshalJSON(suns),
		uai:   f.Codec.MustMarshalJSON(images),
		lease: f.Codec.MustMarshalJSON(leases),
	}
}

// importState is a fresh chain that begins with another's state.
func importState(t *testing.T, s state) *fixture {
	t.Helper()
	f := newEmptyFixture(t)
	var bank banktypes.GenesisState
	f.Codec.MustUnmarshalJSON(s.bank, &bank)
	f.Bank.InitGenesis(f.Ctx, &bank)
	var suns sunstypes.GenesisState
	f.Codec.MustUnmarshalJSON(s.suns, &suns)
	require.NoError(t, f.suns.InitGenesis(f.Ctx, &suns))
	var images uaitypes.GenesisState
	f.Codec.MustUnmarshalJSON(s.uai, &images)
	require.NoError(t, f.images.InitGenesis(f.Ctx, images))
	var leases types.GenesisState
	f.Codec.MustUnmarshalJSON(s.lease, &leases)
	require.NoError(t, f.k.InitGenesis(f.Ctx, leases))
	f.image = images.Images[0].Ref()
	return f
}

// busyLeases are leases in every state there is.
type busyLeases struct {
	running, draining, waiting, unfunded, suspended, closing, closed, assigned types.LeaseID
}

func (b busyLeases) all() []types.LeaseID {
	return []types.LeaseID{b.running, b.draining, b.waiting, b.unfunded, b.suspended, b.closing, b.closed, b.assigned}
}

// busyFixture is a chain in the middle of everything, at the beginning of a block.
func busyFixture(t *testing.T) (*fixture, busyLeases) {
	t.Helper()
	f := newFixture(t)
	on := func(node sunstypes.NodeID) func(*types.MsgCreateLease) {
		return func(m *types.MsgCreateLease) { m.Rules.Node = &node }
	}
	main := f.addNode(nodeSpec{operator: "main", suns: 20})
	leaving := f.addNode(nodeSpec{operator: "leaving"})
	var b busyLeases
	b.unfunded = f.run(on(main), func(m *types.MsgCreateLease) { m.MaxPrice, m.Deposit = ask, testkit.Coin(100) })
	b.closed = f.lease()
	f.close(b.closed)
	f.serve(b.unfunded, 40*time.Second)
	b.running = f.run(on(main), func(m *types.MsgCreateLease) { m.Replicas = 2 })
	b.draining = f.run(on(leaving))
	b.closing = f.run(on(main))
	b.suspended = f.lease(func(m *types.MsgCreateLease) { m.Rules.Countries = []string{"JP"} })
	for _, name := range []string{"a", "b", "c"} {
		f.addNode(nodeSpec{operator: name, country: "JP"})
	}
	for range 3 {
		f.NextBlock(time.Second)
		f.reject(f.placement(b.suspended))
	}
	for range 5 {
		f.NextBlock(5 * time.Second)
		f.serveAll(5*time.Second, b)
	}
	paused := f.addNode(nodeSpec{operator: "paused", country: "KR"})
	refused := f.lease(func(m *types.MsgCreateLease) { m.Rules.Node = &paused })
	f.NextBlock(time.Millisecond)
	f.reject(f.placement(refused))
	f.close(refused)
	f.drain(leaving)
	f.checkIn(leaving)
	b.waiting = f.lease(func(m *types.MsgCreateLease) { m.Rules.Countries = []string{"DE", "FR"} })
	f.NextBlock(3 * time.Second)
	f.close(b.closing)
	b.assigned = f.lease(on(main))
	f.setParams(func(p *types.Params) { p.Budgets.LeaseUpdates, p.Budgets.Matches, p.Budgets.Reindexes = 1, 1, 1 })
	f.update(b.running, replicas(3))
	f.addNode(nodeSpec{operator: "late"})
	f.addNode(nodeSpec{operator: "later"})
	f.NextBlock(2 * time.Second)
	return f, b
}

// serveAll attests all placements of leases that run.
func (f *fixture) serveAll(d time.Duration, b busyLeases) {
	f.T.Helper()
	for _, id := range b.all() {
		if id.Number == 0 {
			continue
		}
		for _, p := range f.live(id) {
			if p.StartedMs != 0 {
				_, err := f.attest(p, d)
				require.NoError(f.T, err)
			}
		}
	}
}

func TestExportOfABusyChainIsImportedByteForByte(t *testing.T) {
	f, b := busyFixture(t)
	statuses := map[types.LeaseStatus]bool{}
	for _, id := range b.all() {
		statuses[f.get(id).Lease.Lease.Status] = true
	}
	for status := range types.LeaseStatus_name {
		require.Equal(t, status != 0, statuses[types.LeaseStatus(status)], types.LeaseStatus(status))
	}
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	queued := map[string]int{}
	for _, entry := range genesis.Queues {
		queued[entry.Queue]++
	}
	for _, queue := range []string{
		f.k.LeaseUpdateQueue.Name(), f.k.RetryQueue.Name(), f.k.PlacementDueQueue.Name(), f.k.LeaseDueQueue.Name(),
		f.k.NodeBackoffQueue.Name(), f.k.PlacementPruneQueue.Name(), f.k.LeasePruneQueue.Name(), f.k.ReindexQueue.Name(),
	} {
		require.NotZero(t, queued[queue], queue)
	}

	exported := f.export()
	other := importState(t, exported)
	require.Equal(t, exported, other.export())
	require.NoError(t, other.k.AllInvariants(other.Ctx))
	require.NoError(t, other.suns.AllInvariants(other.Ctx))
}

// Both chains go on, and come to the same money: import changes nothing of what is owed.
func TestBillingGoesOnAfterAnImport(t *testing.T) {
	f, b := busyFixture(t)
	other := importState(t, f.export())
	for id, served := range f.served {
		other.served[id] = served
	}
	other.BeginBlock()
	for range 30 {
		for _, chain := range []*fixture{f, other} {
			chain.NextBlock(5 * time.Second)
			for _, id := range b.all() {
				for _, p := range chain.live(id) {
					if p.Status == types.PLACEMENT_STATUS_ASSIGNED {
						chain.start(p)
					}
				}
			}
			chain.serveAll(5*time.Second, b)
		}
	}
	for _, id := range b.all() {
		require.Equal(t, f.get(id).Lease.Money, other.get(id).Lease.Money, id)
		require.Equal(t, f.get(id).Lease.Lease.Status, other.get(id).Lease.Lease.Status, id)
	}
	require.Positive(t, f.earned("main", 1))
	require.Equal(t, f.earned("main", 1), other.earned("main", 1))
	require.Equal(t, f.pool(), other.pool())

	for _, chain := range []*fixture{f, other} {
		for _, id := range b.all() {
			if chain.get(id).Lease.Lease.Open() {
				chain.close(id)
			}
		}
		chain.Advance(2*time.Minute, 5*time.Second)
		require.Zero(t, chain.ModuleBalance(types.ModuleName))
	}
	require.Equal(t, f.Balance(f.tenant), other.Balance(f.tenant))
}

func TestQuarantineIsExported(t *testing.T) {
	f := newFixture(t)
	f.broken = true
	_, err := f.k.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: "retries", Item: "x", Error: "gone", Height: 3, DueMs: 4})
	require.NoError(t, err)
	exported := f.export()
	other := importState(t, exported)
	require.Equal(t, exported.lease, other.export().lease)
	require.Len(t, other.quarantine(), 1)
}

func TestDefaultGenesis(t *testing.T) {
	f := newEmptyFixture(t)
	sunsGenesis := sunstypes.DefaultGenesis()
	require.NoError(t, f.suns.InitGenesis(f.Ctx, sunsGenesis))
	require.NoError(t, f.k.InitGenesis(f.Ctx, *types.DefaultGenesis()))
	genesis, err := f.k.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	require.Equal(t, types.DefaultGenesis(), genesis)
}

// What hangs together by itself may still not fit the coins and nodes of the chain it is imported into.
func TestInitGenesisRefusesWhatBankAndNodesDoNotHold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*fixture, *types.GenesisState)
		err    error
	}{
		{"as exported", func(*fixture, *types.GenesisState) {}, nil},
		{"more balance than coins", func(_ *fixture, g *types.GenesisState) {
			g.Leases[0].Money.Balance = g.Leases[0].Money.Balance.AddRaw(1)
		}, types.ErrInvariantBroken},
		{"a count of placements that is wrong", func(_ *fixture, g *types.GenesisState) { g.Leases[0].Lease.LivePlacements++ }, types.ErrInvariantBroken},
		{"a placement more than the node holds", func(_ *fixture, g *types.GenesisState) {
			g.Placements[0].Placement.GeneralMilliSuns--
		}, types.ErrInvariantBroken},
		{"an unknown queue", func(_ *fixture, g *types.GenesisState) { g.Queues[0].Queue = "nothing" }, types.ErrInvalidGenesis},
		{"a node in a queue of placements", func(_ *fixture, g *types.GenesisState) {
			g.Queues = append(g.Queues, types.QueueEntry{Queue: "endings", Node: &g.Placements[0].Placement.Node})
		}, types.ErrInvalidGenesis},
		{"a lease in a queue of nodes", func(_ *fixture, g *types.GenesisState) {
			g.Queues = append(g.Queues, types.QueueEntry{Queue: "reindexes", Placement: &g.Placements[0].Placement.ID})
		}, types.ErrInvalidGenesis},
		{"what does not hang together", func(_ *fixture, g *types.GenesisState) { g.Params = types.Params{} }, types.ErrInvalidParams},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.addNode(nodeSpec{operator: "op"})
			f.run()
			f.NextBlock(time.Second)
			s := f.export()
			var genesis types.GenesisState
			f.Codec.MustUnmarshalJSON(s.lease, &genesis)
			tc.change(f, &genesis)

			other := newEmptyFixture(t)
			var bank banktypes.GenesisState
			f.Codec.MustUnmarshalJSON(s.bank, &bank)
			other.Bank.InitGenesis(other.Ctx, &bank)
			var suns sunstypes.GenesisState
			f.Codec.MustUnmarshalJSON(s.suns, &suns)
			require.NoError(t, other.suns.InitGenesis(other.Ctx, &suns))
			require.ErrorIs(t, other.k.InitGenesis(other.Ctx, genesis), tc.err)
		})
	}
}
