package keeper_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func (f *fixture) update(id types.NodeID, change func(*types.MsgUpdateNode)) error {
	f.T.Helper()
	msg := &types.MsgUpdateNode{Operator: id.Operator, Number: id.Number}
	change(msg)
	_, err := deliver(f, f.msgs.UpdateNode, msg)
	return err
}

func TestUpdateNodeChangesOnlyWhatIsSet(t *testing.T) {
	bigger := withCards(report(8), "GPU-0")
	for name, c := range map[string]struct {
		change func(*types.MsgUpdateNode)
		want   func(*types.Node)
	}{
		"nothing":  {func(*types.MsgUpdateNode) {}, func(*types.Node) {}},
		"moniker":  {func(m *types.MsgUpdateNode) { m.Moniker = "cellar" }, func(n *types.Node) { n.Moniker = "cellar" }},
		"ask":      {func(m *types.MsgUpdateNode) { m.AskPrice = 1_000 }, func(n *types.Node) { n.AskPrice = 1_000 }},
		"country":  {func(m *types.MsgUpdateNode) { m.Country = "JP" }, func(n *types.Node) { n.Country = "JP" }},
		"zone":     {func(m *types.MsgUpdateNode) { m.Zone = "work" }, func(n *types.Node) { n.Zone = "work" }},
		"gateways": {func(m *types.MsgUpdateNode) { m.Gateways = []string{"a:1"} }, func(n *types.Node) { n.Gateways = []string{"a:1"} }},
		"clear":    {func(m *types.MsgUpdateNode) { m.ClearGateways = true }, func(n *types.Node) { n.Gateways = nil }},
		"report": {func(m *types.MsgUpdateNode) { m.Report = &bigger }, func(n *types.Node) {
			n.Capacity, n.GeneralMilliSuns, n.MilliSuns = bigger.Capacity, 8_000, 38_000
			n.Accelerators = []types.NodeAccelerator{{Accelerator: rtx4090("GPU-0"), MilliSuns: 30_000}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			want := f.node(id)
			c.want(&want)
			f.hooks.take()
			require.NoError(t, f.update(id, c.change))
			require.Equal(t, want, f.node(id))
			require.Equal(t, []string{"changed 1"}, f.hooks.take())
		})
	}
}

func TestUpdateNodeRefuses(t *testing.T) {
	tooHigh, tooSmall := report(4), report(4)
	tooHigh.MilliSuns++
	tooSmall.Capacity.CpuPoints, tooSmall.MilliSuns = 99, 99
	stake := sdk.NewInt64Coin("stake", 1)
	mine := testkit.Coin(1)
	none := sdk.Coin{Denom: types.BaseDenom}
	for name, c := range map[string]struct {
		change func(*types.MsgUpdateNode)
		want   error
	}{
		"unknown node":        {func(m *types.MsgUpdateNode) { m.Number = 2 }, types.ErrNodeNotFound},
		"another's node":      {func(m *types.MsgUpdateNode) { m.Operator = testkit.Addr("bob").String() }, types.ErrNodeNotFound},
		"number 0":            {func(m *types.MsgUpdateNode) { m.Number = 0 }, types.ErrInvalidNodeID},
		"ask":                 {func(m *types.MsgUpdateNode) { m.AskPrice = 999 }, types.ErrInvalidAsk},
		"country":             {func(m *types.MsgUpdateNode) { m.Country = "XX" }, types.ErrInvalidNode},
		"zone":                {func(m *types.MsgUpdateNode) { m.Zone = "A" }, types.ErrInvalidNode},
		"moniker":             {func(m *types.MsgUpdateNode) { m.Moniker = "\n" }, types.ErrInvalidNode},
		"gateway":             {func(m *types.MsgUpdateNode) { m.Gateways = []string{":1"} }, types.ErrInvalidNode},
		"claim too high":      {func(m *types.MsgUpdateNode) { m.Report = &tooHigh }, types.ErrClaimTooHigh},
		"too small":           {func(m *types.MsgUpdateNode) { m.Report = &tooSmall }, types.ErrNodeTooSmall},
		"bond of other coin":  {func(m *types.MsgUpdateNode) { m.AddBond = &stake }, types.ErrInvalidBond},
		"bond without amount": {func(m *types.MsgUpdateNode) { m.AddBond = &none }, types.ErrInvalidBond},
		"bond not owned":      {func(m *types.MsgUpdateNode) { m.AddBond = &mine }, sdkerrors.ErrInsufficientFunds},
		"key alone":           {func(m *types.MsgUpdateNode) { m.AgentPubKey = testkit.Key("new").PubKey().Bytes() }, types.ErrAgentSignature},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1)
			before := f.node(id)
			require.ErrorIs(t, f.update(id, c.change), c.want)
			require.Equal(t, before, f.node(id))
		})
	}
}

func TestUpdateNodeKeepsWhatIsReserved(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 2_000, []string{"GPU-1"}))

	set := func(r types.BenchmarkReport) error {
		return f.update(id, func(m *types.MsgUpdateNode) { m.Report = &r })
	}
	less := withCards(report(1), "GPU-0", "GPU-1")
	require.ErrorIs(t, set(less), types.ErrBelowReserved)
	require.ErrorIs(t, set(withCards(report(4), "GPU-0")), types.ErrBelowReserved, "the busy device is gone")
	altered := withCards(report(4), "GPU-1")
	altered.Accelerators[0].Model = "another"
	require.ErrorIs(t, set(altered), types.ErrBelowReserved)
	arm := withCards(report(4), "GPU-1")
	arm.Architecture = types.ArchARM64
	require.ErrorIs(t, set(arm), types.ErrBelowReserved)

	require.NoError(t, set(withCards(report(2), "GPU-1")), "what is left is just what is reserved")
	require.Zero(t, f.info(id).FreeGeneralMilliSuns)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 2_000, []string{"GPU-1"}))
	require.NoError(t, set(report(1)))
}

func TestUpdateNodeRotatesTheAgent(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	other := f.register("bob", 1)
	rotate := func(id types.NodeID, name string) error {
		key := testkit.Key(name)
		signature, err := key.Sign(types.AgentSignBytes(testkit.ChainID, id.Operator, id.Number))
		require.NoError(t, err)
		return f.update(id, func(m *types.MsgUpdateNode) { m.AgentPubKey, m.AgentSignature = key.PubKey().Bytes(), signature })
	}
	require.ErrorIs(t, rotate(id, agentName("bob", 1)), types.ErrAgentTaken)
	require.ErrorIs(t, rotate(id, "alice"), types.ErrAgentSignature)
	require.NoError(t, rotate(id, agentName("alice", 1)), "the same agent once more")
	require.NoError(t, rotate(id, "new agent"))

	_, err := deliver(f, f.msgs.CheckIn, &types.MsgCheckIn{Agent: testkit.Addr(agentName("alice", 1)).String()})
	require.ErrorIs(t, err, types.ErrAgentUnknown)
	f.checkIn(id)
	require.NoError(t, rotate(other, agentName("alice", 1)), "the old agent is free")
}

func TestUpdateNodeAddsToTheBond(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	f.Fund(testkit.Addr("alice"), 500)
	more := testkit.Coin(500)
	require.NoError(t, f.update(id, func(m *types.MsgUpdateNode) { m.AddBond = &more }))
	require.Equal(t, math.NewInt(4_000_500), f.node(id).Bond)
	require.Zero(t, f.Balance(testkit.Addr("alice")))
	f.NextBlock(time.Second)
	require.EqualValues(t, 4_000_500, f.ModuleBalance(types.ModuleName))
}
