package keeper_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Whatever happens in whatever order, not one uisc is created or lost: what came in is what operators got and what the
// account holds, and the account covers what it owes. The invariants are checked at the end of every block.
func TestMoneyAddsUp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		params := types.DefaultParams()
		params.ClaimEpochs = rapid.Uint64Range(2, 4).Draw(r, "claim epochs")
		params.MaxPayoutsPerBlock = rapid.Uint32Range(1, 3).Draw(r, "payouts")
		_, err := f.msg.UpdateParams(f.Ctx, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
		require.NoError(t, err)

		var nodes []sunstypes.Node
		for _, name := range []string{"a", "b", "c", "d"} {
			nodes = append(nodes, f.addNode(name))
		}
		joined := map[sunstypes.NodeID]uint64{}
		var income, paid int64
		anyNode := func() sunstypes.Node { return rapid.SampledFrom(nodes).Draw(r, "node") }
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			switch rapid.IntRange(0, 9).Draw(r, "step") {
			case 0, 1:
				amount := rapid.Int64Range(1, 1_000).Draw(r, "income")
				f.FundModule(types.ModuleName, amount)
				income += amount
			case 2, 3, 4:
				if node := anyNode(); joined[node.ID] != f.suns.epoch {
					joined[node.ID] = f.suns.epoch
					f.checkIn(node)
				}
			case 5:
				f.withdraw(anyNode())
			case 6, 7:
				f.closeEpoch()
			case 8:
				f.endBlock()
			case 9:
				f.EndBlock()
				require.NoError(t, f.hooks.AfterNodeRemoved(f.Ctx, anyNode().ID))
				f.Commit(1)
			}
			require.NoError(t, f.keeper.AllInvariants(f.Ctx))
		}
		f.endBlock()
		for _, node := range nodes {
			paid += f.Balance(sdk.MustAccAddressFromBech32(node.ID.Operator))
		}
		require.Equal(t, income, paid+f.ModuleBalance(types.ModuleName))
		require.Equal(t, paid, f.pool().Distributed.Int64())
	})
}
