package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// Each invariant is broken on purpose, and must be seen to be.
func TestInvariantsSeeWhatIsBroken(t *testing.T) {
	type chain struct {
		*fixture
		id   types.LeaseID
		p    types.Placement
		node sunstypes.NodeKey
	}
	for _, tc := range []struct {
		name   string
		breaks func(*chain) error
		says   string
	}{
		{"nothing", func(*chain) error { return nil }, ""},
		{"coins that nobody is owed", func(c *chain) error {
			c.FundModule(types.ModuleName, 1)
			return nil
		}, "escrow holds"},
		{"a balance without coins", func(c *chain) error {
			money, err := c.k.Money.Get(c.Ctx, c.leaseKey(c.id))
			require.NoError(c.T, err)
			money.Balance = money.Balance.AddRaw(1)
			return c.k.Money.Set(c.Ctx, c.leaseKey(c.id), money)
		}, "escrow holds"},
		{"debt", func(c *chain) error {
			money, err := c.k.Money.Get(c.Ctx, c.leaseKey(c.id))
			require.NoError(c.T, err)
			money.Balance = math.NewInt(-1)
			return c.k.Money.Set(c.Ctx, c.leaseKey(c.id), money)
		}, "balance of -1"},
		{"a reservation without coins", func(c *chain) error {
			billing, err := c.k.Billings.Get(c.Ctx, c.placementKey(c.p.ID))
			require.NoError(c.T, err)
			billing.Spans[0].ReservedRoyalty = math.OneInt()
			return c.k.Billings.Set(c.Ctx, c.placementKey(c.p.ID), billing)
		}, "escrow holds"},
		{"capacity that no placement takes", func(c *chain) error {
			return c.suns.Reserve(c.Ctx, c.p.Node, 1, nil)
		}, "reserved"},
		{"a placement that takes nothing", func(c *chain) error {
			return c.suns.Release(c.Ctx, c.p.Node, 1_000, nil)
		}, "reserved"},
		{"a device that is held by nobody", func(c *chain) error {
			load, err := c.suns.GetNodeLoad(c.Ctx, c.p.Node)
			require.NoError(c.T, err)
			load.BusyDevices = []string{"g"}
			return c.suns.Loads.Set(c.Ctx, c.node, load)
		}, "reserved"},
		{"a placement on a node that is not there", func(c *chain) error {
			p := c.p
			p.Node = sunstypes.NewNodeID(testkit.Addr("nobody"), 1)
			require.NoError(c.T, c.suns.Release(c.Ctx, c.p.Node, 1_000, nil))
			return c.k.Placements.Set(c.Ctx, c.placementKey(p.ID), p)
		}, "do not exist"},
		{"a count of live placements", func(c *chain) error {
			return c.changeLease(c.id, func(l *types.Lease) { l.LivePlacements++ })
		}, "counts"},
		{"a count of open placements", func(c *chain) error {
			return c.changeLease(c.id, func(l *types.Lease) { l.OpenPlacements-- })
		}, "counts"},
		{"a replica that is forgotten", func(c *chain) error {
			return c.k.Requests.Remove(c.Ctx, collections.Join3(c.tenant, c.id.Number, uint32(1)))
		}, "forgotten"},
		{"history that still reserves", func(c *chain) error {
			billing, err := c.k.Billings.Get(c.Ctx, c.placementKey(c.p.ID))
			require.NoError(c.T, err)
			old := c.p
			old.ID.Generation, old.Status = 99, types.PLACEMENT_STATUS_SETTLED
			billing.Spans[0].Reserved = math.ZeroInt()
			require.NoError(c.T, c.k.Billings.Set(c.Ctx, c.placementKey(old.ID), billing))
			return c.k.History.Set(c.Ctx, c.placementKey(old.ID), old)
		}, "still reserves"},
		{"history without its money", func(c *chain) error {
			old := c.p
			old.ID.Generation, old.Status = 99, types.PLACEMENT_STATUS_SETTLED
			return c.k.History.Set(c.Ctx, c.placementKey(old.ID), old)
		}, "not found"},
		{"a node that is not indexed", func(c *chain) error { return c.k.IndexedNodes.Remove(c.Ctx, c.node) }, "not indexed"},
		{"a node indexed as it is not", func(c *chain) error {
			indexed, err := c.k.IndexedNodes.Get(c.Ctx, c.node)
			require.NoError(c.T, err)
			indexed.Price++
			return c.k.IndexedNodes.Set(c.Ctx, c.node, indexed)
		}, "is indexed as"},
		{"an index entry too many", func(c *chain) error {
			return c.k.OperatorEntries.Set(c.Ctx, collections.Join3("/amd64//12", testkit.Addr("op"),
				collections.Join3(uint64(1), uint32(1), uint64(1))))
		}, "belongs to no node"},
		{"an index entry too few", func(c *chain) error { return c.k.OperatorEntries.Clear(c.Ctx, nil) }, ""},
		{"a candidate too many", func(c *chain) error {
			return c.k.MatchEntries.Set(c.Ctx, collections.Join("/amd64//12", collections.Join3(uint64(1), uint32(1), c.node)))
		}, "should not be one"},
		{"a candidate too few", func(c *chain) error { return c.k.MatchEntries.Clear(c.Ctx, nil) }, "the match index lacks 0 entries"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			node := f.addNode(nodeSpec{operator: "op", suns: 4})
			id := f.run(func(m *types.MsgCreateLease) {
				m.Replicas, m.Rules.SpreadOperators = 2, true // one runs, one waits
			})
			f.NextBlock(time.Second)
			key, err := node.Key()
			require.NoError(t, err)
			c := &chain{fixture: f, id: id, p: f.placement(id), node: key}
			// The replica that runs is whichever came first by the block's hash; the test speaks of the other as 1.
			if c.p.ID.Replica == 1 && tc.name == "a replica that is forgotten" {
				require.NoError(t, f.k.Requests.Remove(f.Ctx, collections.Join3(f.tenant, id.Number, uint32(0))))
			}
			require.NoError(t, tc.breaks(c))
			err = f.k.AllInvariants(f.Ctx)
			if tc.name == "nothing" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.says)
			if tc.name != "history without its money" {
				require.ErrorIs(t, err, types.ErrInvariantBroken)
			}
		})
	}
}

func (f *fixture) changeLease(id types.LeaseID, change func(*types.Lease)) error {
	lease, err := f.k.GetLease(f.Ctx, id)
	if err != nil {
		return err
	}
	change(&lease)
	return f.k.Leases.Set(f.Ctx, f.leaseKey(id), lease)
}
