package operator_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/operator"
	"github.com/isuncoin/isuncoin/worker/operator/operatortest"
	"github.com/isuncoin/isuncoin/worker/probe"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// fixture is an owner with a machine of 2.5 SUNS, and a chain.
type fixture struct {
	*testing.T
	market *operatortest.Market
	conn   *chainclient.Conn
	owner  *operator.Operator
	agent  identity.Key
	report bench.Report
	reg    operator.Registration
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, market: operatortest.New(t), agent: identity.NewKey()}
	f.dial(t)
	f.owner = f.newOwner()
	f.report = bench.Report{
		Version: bench.Version, Host: probe.Facts{Architecture: "amd64"}, Offer: config.Default().Offer,
		CPU:      bench.CPUResult{Threads: 4, Points: 4000},
		Capacity: sunstypes.Capacity{CpuPoints: 4000, MemoryMiB: 5120, StorageMiB: 81920, BandwidthMbps: 100},
	}
	f.reg = operator.Registration{Moniker: "attic", Country: "DE", Zone: "home", AskPrice: 20_000, FeeLimit: math.NewInt(10_000_000)}
	return f
}

func (f *fixture) dial(t *testing.T) {
	conn, err := chainclient.Dial(t.Context(), chainclient.Config{
		Endpoints: []string{f.market.Node.URL()}, PollInterval: time.Millisecond, GasPrices: "0.001uisc",
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	f.conn = conn
}

func (f *fixture) newOwner() *operator.Operator {
	key := identity.NewKey()
	signer, err := chainclient.NewKeySigner(key.Private().Key)
	require.NoError(f, err)
	f.market.Chain.AddAccount(key.Address(), 0)
	return operator.New(f.conn, signer)
}

func (f *fixture) join() (operator.Joined, error) {
	return f.owner.Join(f.Context(), operatortest.Params(), f.agent, f.report, f.reg)
}

func TestJoinRegistersAndGrantsInOneTransaction(t *testing.T) {
	f := setup(t)
	joined, err := f.join()
	require.NoError(t, err)
	require.False(t, joined.Already)
	require.Equal(t, 1, f.market.Chain.TxCount())
	msgs := f.market.Chain.Tx(joined.TxHash).Msgs()
	require.Len(t, msgs, 2)

	n := joined.Node
	require.Equal(t, sunstypes.NodeID{Operator: f.owner.Address(), Number: 1}, n.ID)
	require.Equal(t, f.agent.Address().String(), n.Agent)
	require.EqualValues(t, 2500, n.MilliSuns)
	require.EqualValues(t, 20_000, n.AskPrice)
	require.Equal(t, operator.Bond(operatortest.Params(), 2500), n.Bond)

	grant, ok := f.market.Grant(f.owner.Address(), n.Agent)
	require.True(t, ok)
	var allowance feegrant.FeeAllowanceI
	require.NoError(t, f.conn.Encoding().Registry.UnpackAny(grant.Allowance, &allowance))
	limited, ok := allowance.(*feegrant.AllowedMsgAllowance)
	require.True(t, ok)
	require.ElementsMatch(t, []string{
		"/isun.suns.v1.MsgCheckIn", "/isun.suns.v1.MsgSetContact", "/isun.lease.v1.MsgStartPlacement",
		"/isun.lease.v1.MsgRejectPlacement", "/isun.audit.v1.MsgAttestUsage",
		"/isun.lease.v1.MsgRecordSnapshot", "/isun.uai.v1.MsgAnnounceHolding", "/isun.uai.v1.MsgDropHolding",
	}, limited.AllowedMessages, "the hot key does nothing else at the owner's cost")
	inner, err := limited.GetAllowance()
	require.NoError(t, err)
	periodic, ok := inner.(*feegrant.PeriodicAllowance)
	require.True(t, ok)
	require.Equal(t, 24*time.Hour, periodic.Period)
	require.Equal(t, sdk.NewCoins(sdk.NewInt64Coin("uisc", 10_000_000)), periodic.PeriodSpendLimit)
}

func TestJoinAgainFindsTheNode(t *testing.T) {
	f := setup(t)
	first, err := f.join()
	require.NoError(t, err)
	again, err := f.join()
	require.NoError(t, err)
	require.True(t, again.Already)
	require.Equal(t, first.Node, again.Node)
	require.Equal(t, 1, f.market.Chain.TxCount(), "nothing was sent")

	f.market.Revoke(f.owner.Address(), first.Node.Agent)
	again, err = f.join()
	require.NoError(t, err)
	require.True(t, again.Already)
	require.NotEmpty(t, again.TxHash, "the fee grant was renewed")
	_, ok := f.market.Grant(f.owner.Address(), first.Node.Agent)
	require.True(t, ok)
}

func TestJoinSurvivesALostAnswer(t *testing.T) {
	f := setup(t)
	f.market.Node.Fail(chaintest.BreaksAfter, "broadcast_tx_sync")
	joined, err := f.join()
	require.NoError(t, err, "the transaction got in, though nobody said so")
	require.EqualValues(t, 1, joined.Node.ID.Number)
	require.Len(t, f.market.Nodes(), 1)
}

func TestJoinLearnsTheNextNumber(t *testing.T) {
	f := setup(t)
	_, err := f.join()
	require.NoError(t, err)
	f.market.Forget() // retired, unbonded and gone
	joined, err := f.join()
	require.NoError(t, err)
	require.EqualValues(t, 2, joined.Node.ID.Number)

	f.agent = identity.NewKey()
	joined, err = f.join()
	require.NoError(t, err)
	require.EqualValues(t, 3, joined.Node.ID.Number, "a second machine of the same owner")
}

func TestJoinRefusals(t *testing.T) {
	f := setup(t)
	f.report.Capacity.CpuPoints = 0
	_, err := f.join()
	require.ErrorIs(t, err, sunstypes.ErrNodeTooSmall)
	require.Zero(t, f.market.Chain.TxCount(), "the chain's own check came before anything was paid")

	f = setup(t)
	f.market.Refuse(sunstypes.ErrInvalidBond.Wrap("too little"))
	_, err = f.join()
	require.ErrorIs(t, err, sunstypes.ErrInvalidBond)

	f = setup(t)
	_, err = f.join()
	require.NoError(t, err)
	f.owner = f.newOwner()
	_, err = f.join()
	require.ErrorIs(t, err, operator.ErrOtherOperator)
}

func TestDrainResumeRetire(t *testing.T) {
	f := setup(t)
	joined, err := f.join()
	require.NoError(t, err)
	for _, step := range []struct {
		do   func() (string, error)
		want sunstypes.NodeStatus
	}{
		{func() (string, error) { return f.owner.Drain(t.Context(), joined.Node.ID) }, sunstypes.NODE_STATUS_DRAINING},
		{func() (string, error) { return f.owner.Resume(t.Context(), joined.Node.ID) }, sunstypes.NODE_STATUS_ACTIVE},
		{func() (string, error) { return f.owner.Retire(t.Context(), joined.Node.ID) }, sunstypes.NODE_STATUS_RETIRED},
	} {
		hash, err := step.do()
		require.NoError(t, err)
		require.NotEmpty(t, hash)
		require.Equal(t, step.want, f.market.Nodes()[0].Status)
	}
	_, err = f.newOwner().Drain(t.Context(), joined.Node.ID)
	require.ErrorContains(t, err, "belongs to")
}

func TestBondLetsAllSUNSCount(t *testing.T) {
	p := operatortest.Params()
	p.BondPerSuns, p.MinBond = math.NewInt(999), math.NewInt(500)
	require.Equal(t, math.NewInt(2498), operator.Bond(p, 2500), "2497.5, rounded up")
	require.Equal(t, math.NewInt(500), operator.Bond(p, 100), "never below the least")
}

func TestUpdateReplacesTheReport(t *testing.T) {
	f := setup(t)
	joined, err := f.join()
	require.NoError(t, err)
	f.report.Capacity.MemoryMiB = 6144
	report, err := f.report.OnChain(bench.BundleOf(operatortest.Params()))
	require.NoError(t, err)
	hash, err := f.owner.Update(t.Context(), joined.Node.ID, report)
	require.NoError(t, err)
	require.NotEmpty(t, hash)
	node := f.market.Nodes()[0]
	require.EqualValues(t, 3000, node.MilliSuns)
	require.Equal(t, report.Digest, node.ReportDigest)

	// The answer is lost, the transaction is not.
	f.report.Capacity.MemoryMiB = 7168
	report, err = f.report.OnChain(bench.BundleOf(operatortest.Params()))
	require.NoError(t, err)
	f.market.Node.Fail(chaintest.BreaksAfter, "broadcast_tx_sync")
	_, err = f.owner.Update(t.Context(), joined.Node.ID, report)
	require.NoError(t, err)
	require.EqualValues(t, 3500, f.market.Nodes()[0].MilliSuns)

	_, err = f.newOwner().Update(t.Context(), joined.Node.ID, report)
	require.ErrorContains(t, err, "belongs to")
}

func TestCheckUpdateSaysWhatPlacementsHold(t *testing.T) {
	params := operatortest.Params()
	card := sunstypes.Accelerator{
		DeviceID: "GPU-1", Kind: "gpu", Vendor: "nvidia", Model: "RTX 4090", MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_600,
	}
	info := sunstypes.NodeInfo{
		Node: sunstypes.Node{
			Architecture: "amd64", Accelerators: []sunstypes.NodeAccelerator{{Accelerator: card, MilliSuns: 30_000}},
		},
		Load: sunstypes.NodeLoad{Placements: 1, ReservedGeneralMilliSuns: 2500, BusyDevices: []string{"GPU-1"}},
	}
	require.Equal(t, []sunstypes.Accelerator{card}, operator.Busy(info))
	for name, tc := range map[string]struct {
		edit func(*bench.Report)
		want string
	}{
		"as before":                {func(*bench.Report) {}, ""},
		"less than is held":        {func(r *bench.Report) { r.Capacity.MemoryMiB-- }, "they hold 2.5 SUNS of it and 2.499 would be left"},
		"the device is gone":       {func(r *bench.Report) { r.Accelerators = nil }, "accelerator GPU-1 (RTX 4090)"},
		"the device is worth less": {func(r *bench.Report) { r.Accelerators[0].MemoryMiB /= 2 }, "accelerator GPU-1"},
		"another machine":          {func(r *bench.Report) { r.Host.Architecture = "arm64" }, "a node of its own"},
	} {
		f := setup(t)
		f.report.Accelerators = []bench.Accelerator{{Accelerator: card, Offered: true}}
		tc.edit(&f.report)
		report, err := f.report.OnChain(bench.BundleOf(params))
		require.NoError(t, err)
		err = operator.CheckUpdate(params, info, report)
		if tc.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, sunstypes.ErrBelowReserved, name)
		require.ErrorContains(t, err, tc.want, name)
	}
}
