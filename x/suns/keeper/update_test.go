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

// remeasured is a report of a node with cards, of which GPU-1 was measured anew.
func remeasured(params types.Params, change func(*types.Accelerator)) types.BenchmarkReport {
	r := withCards(report(4), "GPU-0", "GPU-1")
	r.Version, r.Digest = 2, testkit.Digest("measured anew")
	card := &r.Accelerators[1]
	change(card)
	general, _ := types.CapacityMilliSuns(params.Bundle, r.Capacity)
	r.MilliSuns = general
	for _, a := range r.Accelerators {
		r.MilliSuns += types.AcceleratorMilliSuns(params.AcceleratorBundle, a)
	}
	return r
}

// A card of exactly 30 SUNS by its bandwidth: a placement that holds it was sold those.
func TestBusyDeviceIsMeasuredAnew(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*types.Accelerator)
		milli  uint64
		want   error
	}{
		"nothing changed":         {func(*types.Accelerator) {}, 30_000, nil},
		"more that does not show": {func(a *types.Accelerator) { a.MemoryBandwidthMbs++ }, 30_000, nil},
		"more SUNS":               {func(a *types.Accelerator) { a.MemoryMiB, a.MemoryBandwidthMbs = 32_768, 1_344_000 }, 40_000, nil},
		"less of what does not bind, to the bound": {func(a *types.Accelerator) { a.Fp32Gflops = 6_000 }, 30_000, nil},
		"less of it, past the bound":               {func(a *types.Accelerator) { a.Fp32Gflops = 5_999 }, 29_995, types.ErrBelowReserved},
		"less bandwidth":                           {func(a *types.Accelerator) { a.MemoryBandwidthMbs-- }, 29_999, types.ErrBelowReserved},
		"less memory":                              {func(a *types.Accelerator) { a.MemoryMiB-- }, 29_998, types.ErrBelowReserved},
		"another model":                            {func(a *types.Accelerator) { a.Model += " D" }, 30_000, types.ErrBelowReserved},
		"another vendor":                           {func(a *types.Accelerator) { a.Vendor = "other" }, 30_000, types.ErrBelowReserved},
		"another kind":                             {func(a *types.Accelerator) { a.Kind = types.KindASIC }, 30_000, types.ErrBelowReserved},
		"another id":                               {func(a *types.Accelerator) { a.DeviceID = "GPU-2" }, 30_000, types.ErrBelowReserved},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
			require.NoError(t, f.keeper.Reserve(f.Ctx, id, 2_000, []string{"GPU-1"}))
			before, load := f.node(id), f.info(id).Load
			r := remeasured(types.DefaultParams(), c.change)
			err := f.update(id, func(m *types.MsgUpdateNode) { m.Report = &r })
			require.ErrorIs(t, err, c.want)
			require.Equal(t, load, f.info(id).Load, "what is reserved is not touched")
			if c.want != nil {
				require.Equal(t, before, f.node(id))
				return
			}
			want := before
			want.ReportVersion, want.ReportDigest = 2, testkit.Digest("measured anew")
			want.Accelerators = []types.NodeAccelerator{
				{Accelerator: rtx4090("GPU-0"), MilliSuns: 30_000}, {Accelerator: r.Accelerators[1], MilliSuns: c.milli},
			}
			want.MilliSuns = 34_000 + c.milli
			require.Equal(t, want, f.node(id))
		})
	}
}

func TestFreeDeviceMayBecomeLess(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, []string{"GPU-0"}))
	less := remeasured(types.DefaultParams(), func(a *types.Accelerator) { a.MemoryBandwidthMbs, a.Model = 504_000, "another" })
	require.NoError(t, f.update(id, func(m *types.MsgUpdateNode) { m.Report = &less }))
	require.EqualValues(t, 4_000+30_000+15_000, f.node(id).MilliSuns)
}

// What a busy device once gained it keeps until its placement ends.
func TestBusyDeviceKeepsWhatItGained(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, []string{"GPU-1"}))
	set := func(change func(*types.Accelerator)) error {
		r := remeasured(types.DefaultParams(), change)
		return f.update(id, func(m *types.MsgUpdateNode) { m.Report = &r })
	}
	require.NoError(t, set(func(a *types.Accelerator) { a.MemoryMiB, a.MemoryBandwidthMbs = 32_768, 1_344_000 }))
	require.ErrorIs(t, set(func(*types.Accelerator) {}), types.ErrBelowReserved)
	require.NoError(t, f.keeper.Release(f.Ctx, id, 1_000, []string{"GPU-1"}))
	require.NoError(t, set(func(*types.Accelerator) {}))
}

// When governance makes a SUNS larger, a busy device that is as it was has fewer of them, and must pass all the same.
func TestBusyDeviceIsHeldToItsFiguresWhenTheBundleChanged(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1, withReport(withCards(report(4), "GPU-0", "GPU-1")))
	require.NoError(t, f.keeper.Reserve(f.Ctx, id, 1_000, []string{"GPU-1"}))
	params, err := f.keeper.GetParams(f.Ctx)
	require.NoError(t, err)
	params.AcceleratorBundle.MemoryBandwidthMbs *= 2
	_, err = deliver(f, f.msgs.UpdateParams, &types.MsgUpdateParams{Authority: f.Authority.String(), Params: params})
	require.NoError(t, err)
	set := func(change func(*types.Accelerator)) error {
		r := remeasured(params, change)
		return f.update(id, func(m *types.MsgUpdateNode) { m.Report = &r })
	}
	require.ErrorIs(t, set(func(a *types.Accelerator) { a.MemoryBandwidthMbs -= 100 }), types.ErrBelowReserved)
	require.NoError(t, set(func(*types.Accelerator) {}))
	require.EqualValues(t, 4_000+15_000+15_000, f.node(id).MilliSuns)
}

// The chain keeps version and digest, and computes the rest itself: a claim that counts a device otherwise is refused.
func TestReportIsComputedAnew(t *testing.T) {
	f := newFixture(t)
	id := f.register("alice", 1)
	for claim, want := range map[uint64]error{
		4_000: types.ErrReportContradicts, 34_000 - 1: types.ErrReportContradicts, 34_000 + 1: types.ErrClaimTooHigh, 34_000: nil,
	} {
		r := withCards(report(4), "GPU-0")
		r.Version, r.Digest, r.MilliSuns = 7, testkit.Digest("other"), claim
		require.ErrorIs(t, f.update(id, func(m *types.MsgUpdateNode) { m.Report = &r }), want, claim)
	}
	node := f.node(id)
	require.EqualValues(t, 7, node.ReportVersion)
	require.Equal(t, testkit.Digest("other"), node.ReportDigest)
	require.EqualValues(t, 4_000, node.GeneralMilliSuns)
	require.EqualValues(t, 34_000, node.MilliSuns)
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
