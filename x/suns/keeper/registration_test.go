package keeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func TestRegisterNode(t *testing.T) {
	f := newFixture(t)
	f.NextBlock(5 * time.Second)
	f.Fund(testkit.Addr("alice"), 5_000_000)
	msg := registration("alice", 1)
	msg.Report = withCards(msg.Report, "GPU-0")

	res, events, err := deliverEvents(f, f.msgs.RegisterNode, msg)
	require.NoError(t, err)
	require.EqualValues(t, 34_000, res.MilliSuns)
	agent := testkit.Addr(agentName("alice", 1)).String()
	require.Equal(t, []types.EventNodeRegistered{{
		Operator: msg.Operator, Number: 1, Agent: agent, MilliSuns: 34_000, AskPrice: 1_000_000, Bond: "4000000",
	}}, testkit.EventsOf[types.EventNodeRegistered](t, events))
	require.Equal(t, []string{"changed 1"}, f.hooks.take())

	id := types.NodeID{Operator: msg.Operator, Number: 1}
	require.Equal(t, types.NodeInfo{
		Node: types.Node{
			ID: id, Agent: agent, Moniker: "attic", Architecture: "amd64", Capacity: msg.Report.Capacity,
			Accelerators:     []types.NodeAccelerator{{Accelerator: rtx4090("GPU-0"), MilliSuns: 30_000}},
			GeneralMilliSuns: 4_000, MilliSuns: 34_000, AskPrice: 1_000_000, Country: "TW", Zone: "home",
			Gateways: msg.Gateways, ReportVersion: 1, ReportDigest: msg.Report.Digest, Bond: math.NewInt(4_000_000),
			Status: types.NODE_STATUS_ACTIVE, RegisteredMs: 5_000, RegisteredEpoch: 1,
		},
		LastCheckInMs: 5_000, DeadlineMs: 5_000 + 2*3_600_000, FreeGeneralMilliSuns: 4_000,
	}, f.info(id))
	require.EqualValues(t, 1_000_000, f.Balance(testkit.Addr("alice")))
	require.Zero(t, f.ModuleBalance(types.ModuleName), "the bond is credited at the end of the block")
	f.NextBlock(time.Second)
	require.EqualValues(t, 4_000_000, f.ModuleBalance(types.ModuleName))

	found, err := f.keeper.NodeOfAgent(f.Ctx, testkit.Addr(agentName("alice", 1)))
	require.NoError(t, err)
	require.Equal(t, id, found.ID)
}

func TestRegisterNodeNumbersAreTheOperatorsOwn(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1)
	f.register("bob", 1)
	f.register("alice", 2)
	for _, number := range []uint64{0, 1, 2, 4} {
		f.Fund(testkit.Addr("alice"), 4_000_000)
		_, err := deliver(f, f.msgs.RegisterNode, registration("alice", number))
		require.ErrorIs(t, err, types.ErrNotNextNumber, "number %d", number)
	}
	f.register("alice", 3)
}

func TestRegisterNodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, c := range map[string]struct {
		change func(*types.MsgRegisterNode)
		want   error
	}{
		"no operator":           {func(m *types.MsgRegisterNode) { m.Operator = "" }, types.ErrInvalidNodeID},
		"foreign operator":      {func(m *types.MsgRegisterNode) { m.Operator = "cosmos1qqqq" }, types.ErrInvalidNodeID},
		"claim too high":        {func(m *types.MsgRegisterNode) { m.Report.MilliSuns = 4_001 }, types.ErrClaimTooHigh},
		"claim too low":         {func(m *types.MsgRegisterNode) { m.Report.MilliSuns = 3_999 }, types.ErrReportContradicts},
		"no report":             {func(m *types.MsgRegisterNode) { m.Report = types.BenchmarkReport{} }, types.ErrInvalidReport},
		"report of version 0":   {func(m *types.MsgRegisterNode) { m.Report.Version = 0 }, types.ErrInvalidReport},
		"short digest":          {func(m *types.MsgRegisterNode) { m.Report.Digest = m.Report.Digest[1:] }, types.ErrInvalidReport},
		"architecture":          {func(m *types.MsgRegisterNode) { m.Report.Architecture = "riscv64" }, types.ErrInvalidReport},
		"too small":             {func(m *types.MsgRegisterNode) { m.Report.Capacity.CpuPoints, m.Report.MilliSuns = 99, 99 }, types.ErrNodeTooSmall},
		"endless memory":        {func(m *types.MsgRegisterNode) { m.Report.Capacity.MemoryMiB = types.MaxMemoryMiB + 1 }, types.ErrCapacityOutOfBounds},
		"long moniker":          {func(m *types.MsgRegisterNode) { m.Moniker = long }, types.ErrInvalidNode},
		"moniker with control":  {func(m *types.MsgRegisterNode) { m.Moniker = "a\x1b[2J" }, types.ErrInvalidNode},
		"moniker not UTF-8":     {func(m *types.MsgRegisterNode) { m.Moniker = "a\xff" }, types.ErrInvalidNode},
		"country in lower case": {func(m *types.MsgRegisterNode) { m.Country = "tw" }, types.ErrInvalidNode},
		"no country":            {func(m *types.MsgRegisterNode) { m.Country = "" }, types.ErrInvalidNode},
		"unknown country":       {func(m *types.MsgRegisterNode) { m.Country = "XX" }, types.ErrInvalidNode},
		"zone":                  {func(m *types.MsgRegisterNode) { m.Zone = "Home" }, types.ErrInvalidNode},
		"long zone":             {func(m *types.MsgRegisterNode) { m.Zone = long }, types.ErrInvalidNode},
		"gateway without port":  {func(m *types.MsgRegisterNode) { m.Gateways = []string{"203.0.113.7"} }, types.ErrInvalidNode},
		"gateway twice":         {func(m *types.MsgRegisterNode) { m.Gateways = []string{"a:1", "a:1"} }, types.ErrInvalidNode},
		"too many gateways":     {func(m *types.MsgRegisterNode) { m.Gateways = []string{"a:1", "a:2", "a:3", "a:4", "a:5"} }, types.ErrInvalidNode},
		"long gateway":          {func(m *types.MsgRegisterNode) { m.Gateways = []string{long + ":1"} }, types.ErrInvalidNode},
		"ask below the least":   {func(m *types.MsgRegisterNode) { m.AskPrice = 999 }, types.ErrInvalidAsk},
		"ask above the most":    {func(m *types.MsgRegisterNode) { m.AskPrice = types.MaxAskPrice + 1 }, types.ErrInvalidAsk},
		"bond below the least":  {func(m *types.MsgRegisterNode) { m.Bond = testkit.Coin(999_999) }, types.ErrInvalidBond},
		"bond of another coin":  {func(m *types.MsgRegisterNode) { m.Bond = sdk.NewInt64Coin("stake", 4_000_000) }, types.ErrInvalidBond},
		"bond without amount":   {func(m *types.MsgRegisterNode) { m.Bond = sdk.Coin{Denom: types.BaseDenom} }, types.ErrInvalidBond},
		"negative bond":         {func(m *types.MsgRegisterNode) { m.Bond.Amount = math.NewInt(-1) }, types.ErrInvalidBond},
		"endless bond":          {func(m *types.MsgRegisterNode) { m.Bond.Amount = math.NewIntWithDecimal(1, 70) }, types.ErrInvalidBond},
		"bond not owned":        {func(m *types.MsgRegisterNode) { m.Bond = testkit.Coin(4_000_001) }, sdkerrors.ErrInsufficientFunds},
		"no agent":              {func(m *types.MsgRegisterNode) { m.AgentPubKey, m.AgentSignature = nil, nil }, types.ErrAgentSignature},
		"signature of another number": {func(m *types.MsgRegisterNode) {
			m.AgentSignature = registration("alice", 2).AgentSignature
		}, types.ErrAgentSignature},
		"agent is the operator": {func(m *types.MsgRegisterNode) { signWith(m, "alice") }, types.ErrAgentSignature},
		"agent is taken":        {func(m *types.MsgRegisterNode) { signWith(m, agentName("bob", 1)) }, types.ErrAgentTaken},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.register("bob", 1)
			f.Fund(testkit.Addr("alice"), 4_000_000)
			msg := registration("alice", 1)
			c.change(msg)
			_, err := deliver(f, f.msgs.RegisterNode, msg)
			require.ErrorIs(t, err, c.want)
			f.NextBlock(time.Second)
			require.EqualValues(t, 4_000_000, f.Balance(testkit.Addr("alice")))
			_, err = f.keeper.GetNode(f.Ctx, types.NewNodeID(testkit.Addr("alice"), 1))
			require.ErrorIs(t, err, types.ErrNodeNotFound)
			f.register("alice", 1)
		})
	}
}

func signWith(m *types.MsgRegisterNode, name string) {
	key := testkit.Key(name)
	m.AgentPubKey = key.PubKey().Bytes()
	m.AgentSignature, _ = key.Sign(types.AgentSignBytes(testkit.ChainID, m.Operator, m.Number))
}

func TestRegisterNodeAtBounds(t *testing.T) {
	f := newFixture(t)
	f.register("alice", 1, withBond(1_000_000), func(m *types.MsgRegisterNode) {
		m.Report.Capacity.CpuPoints, m.Report.MilliSuns = 100, 100
		m.AskPrice, m.Moniker, m.Zone, m.Gateways = 1_000, "", "", nil
	})
	f.register("alice", 2, func(m *types.MsgRegisterNode) {
		m.AskPrice, m.Moniker, m.Zone = types.MaxAskPrice, strings.Repeat("太陽", 10), strings.Repeat("z", types.MaxZoneBytes)
		m.Gateways = []string{"a:1", "b:65535", "[2001:db8::1]:443", "host.example.org:80"}
	})
}

// An operator's address may be written in upper case, and is kept as the chain writes it.
func TestRegisterNodeOperatorInUpperCase(t *testing.T) {
	f := newFixture(t)
	f.Fund(testkit.Addr("alice"), 4_000_000)
	msg := registration("alice", 1)
	canonical := msg.Operator
	msg.Operator = strings.ToUpper(msg.Operator)
	_, err := deliver(f, f.msgs.RegisterNode, msg)
	require.NoError(t, err)
	require.Equal(t, canonical, f.node(types.NodeID{Operator: msg.Operator, Number: 1}).ID.Operator)
}
