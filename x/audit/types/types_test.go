package types_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func TestParamsValidate(t *testing.T) {
	cases := []struct {
		name   string
		change func(*types.Params)
		ok     bool
	}{
		{"default", func(*types.Params) {}, true},
		{"unset", func(p *types.Params) { *p = types.Params{} }, false},
		{"interval least", func(p *types.Params) { p.AttestInterval = types.MinAttestInterval }, true},
		{"interval below", func(p *types.Params) { p.AttestInterval = types.MinAttestInterval - 1 }, false},
		{"interval negative", func(p *types.Params) { p.AttestInterval = -time.Minute }, false},
		{"interval most", func(p *types.Params) { p.AttestInterval = time.Hour }, true},
		{"interval above", func(p *types.Params) { p.AttestInterval = time.Hour + 1 }, false},
		{"bond unset", func(p *types.Params) { p.AuditBond = math.Int{} }, false},
		{"bond 0", func(p *types.Params) { p.AuditBond = math.ZeroInt() }, false},
		{"bond least", func(p *types.Params) { p.AuditBond = math.OneInt() }, true},
		{"bond most", func(p *types.Params) { p.AuditBond = types.MaxAuditBond }, true},
		{"bond above", func(p *types.Params) { p.AuditBond = types.MaxAuditBond.AddRaw(1) }, false},
		{"SUNS below", func(p *types.Params) { p.MinNodeMilliSuns = 0 }, false},
		{"SUNS least", func(p *types.Params) { p.MinNodeMilliSuns = 1 }, true},
		{"SUNS most", func(p *types.Params) { p.MinNodeMilliSuns = types.MaxMinNodeMilliSuns }, true},
		{"SUNS above", func(p *types.Params) { p.MinNodeMilliSuns = types.MaxMinNodeMilliSuns + 1 }, false},
		{"claim below", func(p *types.Params) { p.ClaimEpochs = types.MinClaimEpochs - 1 }, false},
		{"claim least", func(p *types.Params) { p.ClaimEpochs = types.MinClaimEpochs }, true},
		{"claim most", func(p *types.Params) { p.ClaimEpochs = types.MaxClaimEpochs }, true},
		{"claim above", func(p *types.Params) { p.ClaimEpochs = types.MaxClaimEpochs + 1 }, false},
		{"payouts below", func(p *types.Params) { p.MaxPayoutsPerBlock = 0 }, false},
		{"payouts least", func(p *types.Params) { p.MaxPayoutsPerBlock = 1 }, true},
		{"payouts most", func(p *types.Params) { p.MaxPayoutsPerBlock = types.MaxPayoutsPerBlock }, true},
		{"payouts above", func(p *types.Params) { p.MaxPayoutsPerBlock = types.MaxPayoutsPerBlock + 1 }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			params := types.DefaultParams()
			c.change(&params)
			if c.ok {
				require.NoError(t, params.Validate())
				return
			}
			require.ErrorIs(t, params.Validate(), types.ErrInvalidParams)
		})
	}
}

// The defaults of the two modules fit together.
func TestDefaultsFitSuns(t *testing.T) {
	require.NoError(t, types.DefaultParams().ValidateWith(sunstypes.DefaultParams()))
	require.Less(t, types.MinAttestInterval, sunstypes.MinSilenceLimit, "every silence limit leaves room for an interval")
}

func TestSharePerNode(t *testing.T) {
	cases := []struct {
		balance, owed int64
		nodes         uint64
		want          int64
	}{
		{1_000, 0, 3, 333},
		{1_000, 100, 3, 300},
		{1_000, 1_000, 3, 0},
		{1_000, 1_001, 3, 0}, // an account that holds less than it owes gives nothing
		{1_000, 0, 0, 0},
		{2, 0, 3, 0},
		{3, 0, 3, 1},
		{0, 0, 1, 0},
	}
	for _, c := range cases {
		got := types.SharePerNode(math.NewInt(c.balance), math.NewInt(c.owed), c.nodes)
		require.EqualValues(t, c.want, got.Int64(), "%+v", c)
	}
}

// usedGenesis is a valid genesis with something of everything: epoch 3 gave 2 nodes 10 each, of which one was settled.
func usedGenesis() types.GenesisState {
	a, b := sunstypes.NewNodeID(testkit.Addr("a"), 1), sunstypes.NewNodeID(testkit.Addr("a"), 2)
	genesis := *types.DefaultGenesis()
	genesis.Pool = types.PoolState{Owed: math.NewInt(17), SharingNodes: 1, SharingEpoch: 4, Distributed: math.NewInt(3)}
	genesis.EpochPools = []types.EpochPool{{Epoch: 3, Nodes: 2, PerNode: math.NewInt(10), Claimed: math.NewInt(10)}}
	genesis.Nodes = []types.GenesisNode{
		{
			Node: a, Attestation: &types.NodeAttestation{Sequence: 1, AttestedMs: 5},
			Reward: &types.NodeAuditReward{Epoch: 4, Accrued: math.NewInt(7)},
		},
		{Node: b, Reward: &types.NodeAuditReward{Epoch: 3, Accrued: math.ZeroInt()}},
	}
	genesis.Usage = []types.UsageEntry{{
		ID: leasetypes.PlacementID{Tenant: testkit.Addr("tenant").String(), Number: 1, Generation: 1}, ServedMs: 5,
	}}
	genesis.Payouts = []sunstypes.QueuedPayout{{Node: a, DueMs: 3}, {Node: b, DueMs: 3}, {Node: a, DueMs: 4}}
	genesis.Quarantine = []duequeue.QuarantinedItem{{Number: 2}}
	genesis.Quarantined = 3
	return genesis
}

func TestGenesisValidate(t *testing.T) {
	huge := math.NewInt(2)
	for range 126 {
		huge = huge.MulRaw(2)
	}
	cases := []struct {
		name   string
		change func(*types.GenesisState)
		ok     bool
	}{
		{"default", func(g *types.GenesisState) { *g = *types.DefaultGenesis() }, true},
		{"used", func(*types.GenesisState) {}, true},
		{"nothing", func(g *types.GenesisState) { *g = types.GenesisState{} }, false},
		{"params", func(g *types.GenesisState) { g.Params.ClaimEpochs = 0 }, false},
		{"owed unset", func(g *types.GenesisState) { g.Pool.Owed = math.Int{} }, false},
		{"owed too little", func(g *types.GenesisState) { g.Pool.Owed = math.NewInt(16) }, false},
		{"owed too much", func(g *types.GenesisState) { g.Pool.Owed = math.NewInt(18) }, false},
		{"distributed unset", func(g *types.GenesisState) { g.Pool.Distributed = math.Int{} }, false},
		{"distributed negative", func(g *types.GenesisState) { g.Pool.Distributed = math.NewInt(-1) }, false},
		{"distributed most", func(g *types.GenesisState) { g.Pool.Distributed = huge }, true},
		{"distributed above", func(g *types.GenesisState) { g.Pool.Distributed = huge.AddRaw(1) }, false},
		{"nodes share in no epoch", func(g *types.GenesisState) { g.Pool.SharingEpoch = 0 }, false},

		{"epoch 0", func(g *types.GenesisState) { g.EpochPools[0].Epoch = 0 }, false},
		{"epoch twice", func(g *types.GenesisState) { g.EpochPools = append(g.EpochPools, g.EpochPools[0]) }, false},
		{"epoch of no nodes", func(g *types.GenesisState) { g.EpochPools[0].Nodes = 0 }, false},
		{"share unset", func(g *types.GenesisState) { g.EpochPools[0].PerNode = math.Int{} }, false},
		{"share 0", func(g *types.GenesisState) { g.EpochPools[0].PerNode = math.ZeroInt() }, false},
		{"share negative", func(g *types.GenesisState) { g.EpochPools[0].PerNode = math.NewInt(-10) }, false},
		{"share beyond bits", func(g *types.GenesisState) { g.EpochPools[0].PerNode, g.EpochPools[0].Nodes = huge, ^uint64(0) }, false},
		{"claimed unset", func(g *types.GenesisState) { g.EpochPools[0].Claimed = math.Int{} }, false},
		{"claimed more than there was", func(g *types.GenesisState) { g.EpochPools[0].Claimed = math.NewInt(21) }, false},
		{"a share promised twice", func(g *types.GenesisState) { g.Nodes[0].Reward.Epoch = 3 }, false},

		{"node of no name", func(g *types.GenesisState) { g.Nodes[0].Node = sunstypes.NodeID{} }, false},
		{"node in upper case", func(g *types.GenesisState) { g.Nodes[0].Node.Operator = strings.ToUpper(g.Nodes[0].Node.Operator) }, false},
		{"node twice", func(g *types.GenesisState) { g.Nodes[1].Node = g.Nodes[0].Node }, false},
		{"nodes out of order", func(g *types.GenesisState) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] }, false},
		{"node without records", func(g *types.GenesisState) {
			g.Nodes = append(g.Nodes, types.GenesisNode{Node: sunstypes.NewNodeID(testkit.Addr("a"), 3)})
		}, false},
		{"sequence 0", func(g *types.GenesisState) { g.Nodes[0].Attestation.Sequence = 0 }, false},
		{"sequence most", func(g *types.GenesisState) { g.Nodes[0].Attestation.Sequence = types.MaxSequence }, true},
		{"sequence above", func(g *types.GenesisState) { g.Nodes[0].Attestation.Sequence = types.MaxSequence + 1 }, false},
		{"accrued unset", func(g *types.GenesisState) { g.Nodes[0].Reward.Accrued = math.Int{} }, false},
		{"accrued negative", func(g *types.GenesisState) { g.Nodes[0].Reward.Accrued = math.NewInt(-7) }, false},

		{"usage of nothing", func(g *types.GenesisState) { g.Usage[0].ID.Generation = 0 }, false},
		{"usage in upper case", func(g *types.GenesisState) { g.Usage[0].ID.Tenant = strings.ToUpper(g.Usage[0].ID.Tenant) }, false},
		{"usage twice", func(g *types.GenesisState) { g.Usage = append(g.Usage, g.Usage[0]) }, false},
		{"usage in order", func(g *types.GenesisState) { g.Usage = append(g.Usage, g.Usage[0]); g.Usage[1].ID.Replica = 1 }, true},
		{"usage out of order", func(g *types.GenesisState) { g.Usage = append(g.Usage, g.Usage[0]); g.Usage[0].ID.Replica = 1 }, false},
		{"usage out of bounds", func(g *types.GenesisState) { g.Usage[0].BytesIn = types.MaxBytes + 1 }, false},

		{"payout of no node", func(g *types.GenesisState) { g.Payouts[0].Node = sunstypes.NodeID{} }, false},
		{"payout in upper case", func(g *types.GenesisState) {
			g.Payouts[0].Node.Operator = strings.ToUpper(g.Payouts[0].Node.Operator)
		}, false},
		{"payout of a node that is gone", func(g *types.GenesisState) { g.Payouts[2].Node.Number = 9 }, true},
		{"payout twice", func(g *types.GenesisState) { g.Payouts[1] = g.Payouts[0] }, false},
		{"payouts out of order", func(g *types.GenesisState) { g.Payouts[0].DueMs = 5 }, false},
		{"payout latest", func(g *types.GenesisState) { g.Payouts[2].DueMs = sunstypes.MaxClockMs }, true},
		{"payout beyond time", func(g *types.GenesisState) { g.Payouts[2].DueMs = sunstypes.MaxClockMs + 1 }, false},

		{"quarantine item 0", func(g *types.GenesisState) { g.Quarantine[0].Number = 0 }, false},
		{"quarantine item twice", func(g *types.GenesisState) { g.Quarantine = append(g.Quarantine, g.Quarantine[0]) }, false},
		{"quarantine item that was never numbered", func(g *types.GenesisState) { g.Quarantined = 1 }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			genesis := usedGenesis()
			c.change(&genesis)
			if c.ok {
				require.NoError(t, genesis.Validate())
				return
			}
			require.ErrorIs(t, genesis.Validate(), types.ErrInvalidGenesis)
		})
	}
}
