package keeper_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/audit"
	"github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// busyFixture has something of everything: two closed epochs, settled and unsettled shares, a running epoch, a payout that
// waits, usage and a quarantined item.
func busyFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	a, b, c := f.addNode("a"), f.addNode("b"), f.addNode("c")
	f.FundModule(types.ModuleName, 1_000)
	for _, node := range []sunstypes.Node{a, b, c} {
		f.checkIn(node)
	}
	f.closeEpoch()
	f.FundModule(types.ModuleName, 77)
	f.checkIn(a)
	f.checkIn(b)
	f.closeEpoch()
	f.checkIn(a)
	_, _, err := f.attest(attestMsg(a, 9, usage(2, 20), usage(1, 10)))
	require.NoError(t, err)
	f.endBlock()
	f.withdraw(a)
	_, err = f.keeper.Quarantine.Add(f.Ctx, duequeue.QuarantinedItem{Queue: "payouts", Item: "x/1", Key: []byte{1}, Error: "no", Height: 2})
	require.NoError(t, err)
	return f
}

// An export imported into a new chain is exported again byte for byte, lazy rewards and queues included, and goes on as the
// old chain does.
func TestGenesisRoundTrip(t *testing.T) {
	f := busyFixture(t)
	exported := audit.NewAppModule(f.keeper, nil, nil).ExportGenesis(f.Ctx, f.Codec)

	restarted := newBareFixture(t)
	*restarted.suns = *f.suns
	restarted.FundModule(types.ModuleName, f.ModuleBalance(types.ModuleName))
	module := audit.NewAppModule(restarted.keeper, nil, nil)
	require.NoError(t, module.ValidateGenesis(restarted.Codec, nil, exported))
	module.InitGenesis(restarted.Ctx, restarted.Codec, exported)
	require.Equal(t, string(exported), string(module.ExportGenesis(restarted.Ctx, restarted.Codec)))

	for _, chain := range []*fixture{f, restarted} {
		chain.EndBlock()
		require.EqualValues(t, 333+39, chain.operatorBalance(f.suns.nodes[sunstypes.NewNodeID(testkit.Addr("a"), 1)]))
	}
	require.Equal(t, f.pool(), restarted.pool())
}

// An export in the middle of a block counts what its transactions left, and changes nothing.
func TestExportCountsPendingShares(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	f.FundModule(types.ModuleName, 100)
	f.checkIn(node)
	genesis, err := f.keeper.ExportGenesis(f.Ctx)
	require.NoError(t, err)
	require.EqualValues(t, 1, genesis.Pool.SharingNodes)
	require.EqualValues(t, 5, genesis.Pool.SharingEpoch)
	require.NoError(t, genesis.Validate())
	require.Zero(t, f.pool().SharingNodes)
	f.endBlock()
	require.EqualValues(t, 1, f.pool().SharingNodes)
}

func TestInitGenesisRefused(t *testing.T) {
	id := sunstypes.NewNodeID(testkit.Addr("operator"), 1)
	sharing := func(epoch, nodes uint64, joined uint64) *types.GenesisState {
		genesis := types.DefaultGenesis()
		genesis.Pool.SharingEpoch, genesis.Pool.SharingNodes = epoch, nodes
		genesis.Nodes = []types.GenesisNode{{Node: id, Reward: &types.NodeAuditReward{Epoch: joined, Accrued: math.ZeroInt()}}}
		return genesis
	}
	owing := types.DefaultGenesis()
	owing.Pool.Owed = math.NewInt(1)
	owing.Nodes = []types.GenesisNode{{Node: id, Reward: &types.NodeAuditReward{Accrued: math.NewInt(1)}}}
	slow := types.DefaultGenesis()
	slow.Params.AttestInterval = sunstypes.DefaultParams().SilenceLimit

	cases := []struct {
		name    string
		genesis *types.GenesisState
		err     error
	}{
		{"nothing", &types.GenesisState{}, types.ErrInvalidGenesis},
		{"owes more than the account holds", owing, types.ErrBrokenInvariant},
		{"slower than the silence limit", slow, types.ErrInvalidParams},
		{"a share of the running epoch that is not counted", sharing(5, 0, 5), types.ErrBrokenInvariant},
		{"a share of an epoch to come", sharing(0, 0, 6), types.ErrBrokenInvariant},
		{"more counted than joined", sharing(5, 2, 5), types.ErrBrokenInvariant},
		{"counted as joined", sharing(5, 1, 5), nil},
		{"a share of an epoch long past", sharing(0, 0, 1), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newBareFixture(t)
			cache, write := f.Ctx.CacheContext()
			err := f.keeper.InitGenesis(cache, *c.genesis)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				require.NoError(t, f.keeper.InitGenesis(f.Ctx, *types.DefaultGenesis()))
				return
			}
			require.NoError(t, err)
			write()
		})
	}
}

func TestHostileGenesis(t *testing.T) {
	f := newFixture(t)
	module := audit.NewAppModule(f.keeper, nil, nil)
	valid := string(module.DefaultGenesis(f.Codec))
	require.NoError(t, module.ValidateGenesis(f.Codec, nil, []byte(valid)))
	for name, raw := range map[string]string{
		"empty":             ``,
		"not JSON":          `{`,
		"nothing set":       `{}`,
		"unknown field":     strings.Replace(valid, `"pool"`, `"more":1,"pool"`, 1),
		"owed unset":        strings.Replace(valid, `"owed":"0",`, ``, 1),
		"owed negative":     strings.Replace(valid, `"owed":"0"`, `"owed":"-1"`, 1),
		"owed is no number": strings.Replace(valid, `"owed":"0"`, `"owed":"x"`, 1),
		"owed beyond bits":  strings.Replace(valid, `"owed":"0"`, `"owed":"`+strings.Repeat("9", 100)+`"`, 1),
		"bond unset":        strings.Replace(valid, `"audit_bond":"10000000",`, ``, 1),
		"empty node":        strings.Replace(valid, `"nodes":[]`, `"nodes":[{}]`, 1),
		"empty pool":        strings.Replace(valid, `"epoch_pools":[]`, `"epoch_pools":[{}]`, 1),
		"empty usage":       strings.Replace(valid, `"usage":[]`, `"usage":[{}]`, 1),
		"empty quarantine":  strings.Replace(valid, `"quarantine":[]`, `"quarantine":[{}]`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, valid, raw, "the case must change something")
			require.ErrorIs(t, module.ValidateGenesis(f.Codec, nil, []byte(raw)), types.ErrInvalidGenesis)
		})
	}
}

// Each damage is one a bug could do; the invariants must see it.
func TestInvariantsSeeDamage(t *testing.T) {
	cases := []struct {
		name   string
		damage func(ctx context.Context, f *fixture) error
	}{
		{"owed too much", func(ctx context.Context, f *fixture) error {
			pool := f.pool()
			pool.Owed = pool.Owed.AddRaw(1)
			return f.keeper.Pool.Set(ctx, pool)
		}},
		{"claimed and not accrued", func(ctx context.Context, f *fixture) error {
			pool, err := f.keeper.EpochPools.Get(ctx, 6)
			require.NoError(t, err)
			pool.Claimed = pool.Claimed.AddRaw(1)
			return f.keeper.EpochPools.Set(ctx, 6, pool)
		}},
		{"accrued from nothing", func(ctx context.Context, f *fixture) error {
			return f.keeper.Rewards.Set(ctx, mustKey(t, f.addNode("x")), types.NodeAuditReward{Accrued: math.NewInt(1)})
		}},
		{"a share promised twice", func(ctx context.Context, f *fixture) error {
			return f.keeper.Rewards.Set(ctx, mustKey(t, f.addNode("x")), types.NodeAuditReward{Epoch: 6, Accrued: math.ZeroInt()})
		}},
		{"joined and not counted", func(ctx context.Context, f *fixture) error {
			return f.keeper.Rewards.Set(ctx, mustKey(t, f.addNode("x")), types.NodeAuditReward{Epoch: 7, Accrued: math.ZeroInt()})
		}},
		{"account debited", func(ctx context.Context, f *fixture) error {
			return f.Bank.SendCoins(ctx, f.Accounts.GetModuleAddress(types.ModuleName), testkit.Addr("thief"), testkit.Coins(200))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := busyFixture(t)
			require.NoError(t, f.keeper.AllInvariants(f.Ctx))
			cache, _ := f.Ctx.CacheContext()
			require.NoError(t, c.damage(cache, f))
			require.ErrorIs(t, f.keeper.AllInvariants(cache), types.ErrBrokenInvariant)
		})
	}
}
