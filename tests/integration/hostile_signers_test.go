package integration_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/x/authz"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Nobody signs for another: a message with a stranger's signature reaches no handler, and the one it names pays nothing.
func TestSignaturesOfOthersAreRefused(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor))
		before := b.ourState()
		for _, url := range b.ours() {
			s := b.attackable(url)
			var payer int64
			if s.signer != noSigner {
				payer = b.Balance(b.Address(s.signer))
			}
			tx := b.Tx(stranger, []sdk.Msg{s.msg})
			checked, err := b.App.CheckTx(&abci.RequestCheckTx{Tx: tx})
			require.NoError(t, err)
			require.NotZero(t, checked.Code, url)
			result := b.BlockAfter(0, tx).Results[0]
			require.Equal(t, sdkerrors.RootCodespace, result.Codespace, "%s: %s", url, result.Log)
			refusals := []uint32{ // the authority's account has no money for the fee, which is looked at first
				sdkerrors.ErrInsufficientFunds.ABCICode(),
				sdkerrors.ErrInvalidPubKey.ABCICode(), sdkerrors.ErrUnauthorized.ABCICode(), sdkerrors.ErrWrongSequence.ABCICode(),
			}
			require.Contains(t, refusals, result.Code, "%s: %s", url, result.Log)
			if s.signer != noSigner {
				require.Equal(t, payer, b.Balance(b.Address(s.signer)), url)
			}
		}
		require.Equal(t, before, b.ourState())
	})
}

// Everybody else's turn at a message that is not theirs, with a good signature: each is refused for what they are not.
func TestRolesOfOthersAreRefused(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor))
		before := b.ourState()
		by := func(signer string) string { return b.addr(signer) }
		assigned, running := b.placement("tenant", 4).ID, b.placement("tenant", 1).ID
		foreign := b.placement("tenant2", 1).ID
		entry := func(id leasetypes.PlacementID) []audittypes.UsageEntry {
			return []audittypes.UsageEntry{{ID: id, ServedMs: 600, CpuMs: 100}}
		}
		for _, c := range []struct {
			name, signer string
			msg          sdk.Msg
			err          *errorsmod.Error
		}{
			{"another tenant updates", "tenant2", &leasetypes.MsgUpdateLease{Tenant: by("tenant2"), Number: 3, Replicas: 2}, leasetypes.ErrLeaseNotFound},
			{"another tenant closes", "tenant2", &leasetypes.MsgCloseLease{Tenant: by("tenant2"), Number: 3}, leasetypes.ErrLeaseNotFound},
			{"the node's operator closes", "operator", &leasetypes.MsgCloseLease{Tenant: by("operator"), Number: 1}, leasetypes.ErrLeaseNotFound},
			{"a stranger migrates", stranger, &leasetypes.MsgMigratePlacement{Tenant: by(stranger), Number: 1}, leasetypes.ErrLeaseNotFound},
			{"the operator starts", "operator", &leasetypes.MsgStartPlacement{Agent: by("operator"), ID: assigned}, sunstypes.ErrAgentUnknown},
			{"no agent starts", stranger, &leasetypes.MsgStartPlacement{Agent: by(stranger), ID: assigned}, sunstypes.ErrAgentUnknown},
			{"another node's agent starts", "agent2", &leasetypes.MsgStartPlacement{Agent: by("agent2"), ID: assigned}, leasetypes.ErrNotThisNode},
			{"another of the operator's agents starts", "agent3", &leasetypes.MsgStartPlacement{Agent: by("agent3"), ID: assigned}, leasetypes.ErrNotThisNode},
			{"the tenant rejects", "tenant", &leasetypes.MsgRejectPlacement{Agent: by("tenant"), ID: assigned, Reason: "no"}, sunstypes.ErrAgentUnknown},
			{"another node's agent rejects", "agent2", &leasetypes.MsgRejectPlacement{Agent: by("agent2"), ID: running, Reason: "no"}, leasetypes.ErrNotThisNode},
			{"the operator attests", "operator", &audittypes.MsgAttestUsage{Agent: by("operator"), Version: 1, Sequence: 99}, sunstypes.ErrAgentUnknown},
			{"an agent attests for another node", "agent", &audittypes.MsgAttestUsage{
				Agent: by("agent"), Version: 1, Sequence: 99, Entries: entry(foreign),
			}, leasetypes.ErrNotThisNode},
			{"an agent attests what is not there", "agent", &audittypes.MsgAttestUsage{
				Agent: by("agent"), Version: 1, Sequence: 99,
				Entries: entry(leasetypes.PlacementID{Tenant: by("tenant"), Number: 99, Generation: 1}),
			}, leasetypes.ErrPlacementNotFound},
			{"an agent attests what it has not started", "agent", &audittypes.MsgAttestUsage{
				Agent: by("agent"), Version: 1, Sequence: 99, Entries: entry(assigned),
			}, leasetypes.ErrPlacementNotStarted},
			{"another node's agent saves", "agent2", b.snapshot("agent2", b.placement("tenant", 1)), leasetypes.ErrNotThisNode},
			{"the tenant saves", "tenant", b.snapshot("tenant", b.placement("tenant", 1)), sunstypes.ErrAgentUnknown},
			{"an agent saves what it has not started", "agent", b.snapshot("agent", b.placement("tenant", 4)), leasetypes.ErrPlacementNotStarted},
			{"another requests a snapshot", "tenant2", &leasetypes.MsgRequestSnapshot{Tenant: by("tenant2"), Number: 3}, leasetypes.ErrLeaseNotFound},
			{"another removes a snapshot", "tenant2", &leasetypes.MsgRemoveSnapshot{
				Tenant: by("tenant2"), Number: 1, Sequence: 1,
			}, leasetypes.ErrSnapshotNotFound},
			{"another restores a snapshot", stranger, &leasetypes.MsgRestoreSnapshot{
				Tenant: by(stranger), Number: 1, Sequence: 1,
			}, leasetypes.ErrLeaseNotFound},
			{"the operator checks in", "operator", &sunstypes.MsgCheckIn{Agent: by("operator")}, sunstypes.ErrAgentUnknown},
			{"the operator sets the contact", "operator", &sunstypes.MsgSetContact{Agent: by("operator")}, sunstypes.ErrAgentUnknown},
			{"another operator drains", "operator2", &sunstypes.MsgDrainNode{Operator: by("operator2"), Number: 2}, sunstypes.ErrNodeNotFound},
			{"the agent retires its node", "agent", &sunstypes.MsgRetireNode{Operator: by("agent"), Number: 1}, sunstypes.ErrNodeNotFound},
			{"the agent takes the reward", "agent", &sunstypes.MsgWithdrawRewards{Operator: by("agent"), Number: 1}, sunstypes.ErrNodeNotFound},
			{"another deprecates", "tenant", &uaitypes.MsgDeprecateImage{Owner: by("tenant"), Image: b.image("web")}, uaitypes.ErrNotOwner},
			{"another gives an image away", "tenant", &uaitypes.MsgTransferImage{
				Owner: by("tenant"), Image: b.image("web"), NewOwner: by("tenant"),
			}, uaitypes.ErrNotOwner},
			{"another restricts an image", "tenant", &uaitypes.MsgSetAccess{
				Owner: by("tenant"), Image: b.image("web"), Restricted: true,
			}, uaitypes.ErrNotOwner},
			{"the operator announces", "operator", &uaitypes.MsgAnnounceHolding{
				Agent: by("operator"), Digests: []string{"sha256:" + strings.Repeat("0c", 32)},
			}, sunstypes.ErrAgentUnknown},
			{"another node's agent drops", "agent2", &uaitypes.MsgDropHolding{
				Agent: by("agent2"), Digests: []string{"sha256:" + strings.Repeat("0c", 32)},
				Node: &sunstypes.NodeID{Operator: by("operator"), Number: 1},
			}, uaitypes.ErrNodeHolds},
			{"another removes an object", "tenant", &uaitypes.MsgRemoveObject{Owner: by("tenant"), Name: "kept"}, uaitypes.ErrObjectNotFound},
			{"a validator changes params", "validator0", &sunstypes.MsgUpdateParams{
				Authority: by("validator0"), Params: sunstypes.DefaultParams(),
			}, sunstypes.ErrUnauthorized},
			{"a tenant changes params", "tenant", &leasetypes.MsgUpdateParams{
				Authority: by("tenant"), Params: leasetypes.DefaultParams(),
			}, leasetypes.ErrUnauthorized},
			{"an agent changes params", "agent", &audittypes.MsgUpdateParams{
				Authority: by("agent"), Params: audittypes.DefaultParams(),
			}, audittypes.ErrUnauthorized},
			{"a publisher changes params", "publisher", &uaitypes.MsgUpdateParams{
				Authority: by("publisher"), Params: uaitypes.DefaultParams(),
			}, uaitypes.ErrUnauthorized},
		} {
			balance := b.Balance(b.Address(c.signer))
			result := b.BlockAfter(0, b.Tx(c.signer, []sdk.Msg{c.msg})).Results[0]
			require.Equal(t, c.err.Codespace(), result.Codespace, "%s: %s", c.name, result.Log)
			require.Equal(t, c.err.ABCICode(), result.Code, "%s: %s", c.name, result.Log)
			require.Equal(t, balance-chain.TxFee, b.Balance(b.Address(c.signer)), "%s: the fee is paid", c.name)
		}
		require.Equal(t, before, b.ourState())
	})
}

// An agent that attests twice, backwards, or more time than has passed.
func TestAttestationsThatLie(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor))
		running := b.placement("tenant", 1)
		attest := func(sequence, servedMs, cpuMs uint64) *abci.ExecTxResult {
			return b.Try("agent", &audittypes.MsgAttestUsage{
				Agent: b.addr("agent"), Version: 1, Sequence: sequence,
				Entries: []audittypes.UsageEntry{{ID: running.ID, ServedMs: servedMs, CpuMs: cpuMs}},
			})
		}
		require.Zero(t, attest(11, 2_000, 200).Code)
		requireCode(t, audittypes.ErrStaleSequence, attest(11, 3_000, 300))
		requireCode(t, audittypes.ErrStaleSequence, attest(1, 3_000, 300))
		requireCode(t, audittypes.ErrUsageWentBackwards, attest(12, 1_999, 300))
		requireCode(t, audittypes.ErrUsageWentBackwards, attest(12, 3_000, 199))
		requireCode(t, audittypes.ErrOutOfBounds, attest(audittypes.MaxSequence+1, 3_000, 300))
		requireCode(t, audittypes.ErrOutOfBounds, attest(12, audittypes.MaxServedMs+1, 300))
		requireCode(t, audittypes.ErrOutOfBounds, attest(12, 3_000, audittypes.MaxComputeMs+1))

		// As long as a number may be: it is taken, and counts no more than the chain's time since the start.
		require.Zero(t, attest(12, audittypes.MaxServedMs, 300).Code)
		key, err := running.ID.Key()
		require.NoError(t, err)
		billing, err := b.App.LeaseKeeper.Billings.Get(b.Ctx(), key)
		require.NoError(t, err)
		now, err := b.App.SunsKeeper.NowMs(b.Ctx())
		require.NoError(t, err)
		require.LessOrEqual(t, billing.Spans[0].AttestedMs, now-running.StartedMs)
		require.Zero(t, attest(13, audittypes.MaxServedMs, 300).Code, "the same again gains nothing")
	})
}

// What ended and settled is skipped with an event, so that the worker's other entries count.
func TestEntriesOfSettledPlacementsAreSkipped(t *testing.T) {
	b := newBusy(t)
	gone, goes := b.placement("tenant", 3), b.placement("tenant", 1)
	b.Do("tenant", &leasetypes.MsgCloseLease{Tenant: b.addr("tenant"), Number: 3})
	b.Run(20 * time.Second)
	result := b.Do("agent", &audittypes.MsgAttestUsage{
		Agent: b.addr("agent"), Version: 1, Sequence: 11, Entries: []audittypes.UsageEntry{
			{ID: gone.ID, ServedMs: 1_000, CpuMs: 100}, {ID: goes.ID, ServedMs: 1_000, CpuMs: 100},
		},
	})
	skipped := slices.ContainsFunc(result.Events, func(e abci.Event) bool { return e.Type == "isun.audit.v1.EventEntrySkipped" })
	require.True(t, skipped)
	// Another node's agent learns nothing of it.
	requireCode(t, leasetypes.ErrNotThisNode, b.Try("agent2", &audittypes.MsgAttestUsage{
		Agent: b.addr("agent2"), Version: 1, Sequence: 11, Entries: []audittypes.UsageEntry{{ID: gone.ID, ServedMs: 1_000, CpuMs: 100}},
	}))
}

// A node that claims more SUNS than its report, or one that cannot be; a tenant who asks for 2^63.
func TestClaimsAndOrdersBeyondMeasure(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor))
		register := func(change func(*sunstypes.MsgRegisterNode)) *sunstypes.MsgRegisterNode {
			msg := registration(b.Chain, "operator", "agent4", 3, 4, exampleAsk)
			change(msg)
			return msg
		}
		order := func(change func(*leasetypes.MsgCreateLease)) *leasetypes.MsgCreateLease {
			msg := &leasetypes.MsgCreateLease{
				Tenant: b.addr("tenant"), Image: b.image("web"), Replicas: 1, MaxPrice: 1_000_000, Deposit: chain.Coins(1_000_000)[0],
			}
			change(msg)
			return msg
		}
		asked := func(milliSuns uint64) *leasetypes.MsgCreateLease {
			return order(func(m *leasetypes.MsgCreateLease) { m.Demand = &sunstypes.Demand{GeneralMilliSuns: milliSuns} })
		}
		for _, c := range []struct {
			signer string
			msg    sdk.Msg
			err    *errorsmod.Error
		}{
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.Report.MilliSuns++ }), sunstypes.ErrClaimTooHigh},
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.Report.MilliSuns = ^uint64(0) }), sunstypes.ErrClaimTooHigh},
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.Report.MilliSuns-- }), sunstypes.ErrReportContradicts},
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.Report.Capacity.CpuPoints = 1 << 63 }), sunstypes.ErrCapacityOutOfBounds},
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.Bond.Amount = math.NewIntFromUint64(1 << 63).MulRaw(1 << 62) }), sunstypes.ErrInvalidBond},
			{"operator", register(func(m *sunstypes.MsgRegisterNode) { m.AskPrice = ^uint64(0) }), sunstypes.ErrInvalidAsk},
			{"tenant", asked(1 << 63), leasetypes.ErrInvalidDemand},
			{"tenant", asked(^uint64(0)), leasetypes.ErrInvalidDemand},
			{"tenant", order(func(m *leasetypes.MsgCreateLease) { m.Replicas = ^uint32(0) }), leasetypes.ErrInvalidReplicas},
			{"tenant", order(func(m *leasetypes.MsgCreateLease) { m.MaxPrice = ^uint64(0) }), leasetypes.ErrInvalidPrice},
			{"tenant", order(func(m *leasetypes.MsgCreateLease) { m.MaxPrice, m.Replicas = leasetypes.MaxPrice, 100 }), leasetypes.ErrDepositTooSmall},
			{"tenant", order(func(m *leasetypes.MsgCreateLease) { m.Deposit.Amount = leasetypes.MaxAmount.AddRaw(1) }), leasetypes.ErrInvalidAmount},
			{"tenant", order(func(m *leasetypes.MsgCreateLease) { m.Deposit.Amount = leasetypes.MaxAmount }), tooPoor},
		} {
			requireCode(t, c.err, b.BlockAfter(0, b.Tx(c.signer, []sdk.Msg{c.msg})).Results[0])
		}
		// The most that may be asked for, for many replicas: it waits, and nothing overflows.
		b.Do("tenant", order(func(m *leasetypes.MsgCreateLease) {
			m.Demand = &sunstypes.Demand{GeneralMilliSuns: sunstypes.MaxNodeMilliSuns}
			m.Replicas, m.MaxPrice, m.Deposit = 20, 1_000_000_000, chain.Coins(100_000_000_000)[0]
		}))
		b.Run(5 * time.Second)
	})
}

// Messages inside of messages: a grantee without a grant, a grant within a grant, and what is no message at all.
func TestMessagesWithinMessages(t *testing.T) {
	b := newBusy(t)
	before := b.ourState()
	steal := &leasetypes.MsgCloseLease{Tenant: b.addr("tenant"), Number: 1}
	exec := authz.NewMsgExec(b.Address(stranger), []sdk.Msg{steal})
	deep := exec
	for range 5 {
		deep = authz.NewMsgExec(b.Address(stranger), []sdk.Msg{&deep})
	}
	params := authz.NewMsgExec(b.Address(stranger), []sdk.Msg{b.attackable("/isun.suns.v1.MsgUpdateParams").msg})
	for name, msg := range map[string]sdk.Msg{"exec": &exec, "exec in exec": &deep, "params in exec": &params} {
		result := b.BlockAfter(0, b.Tx(stranger, []sdk.Msg{msg})).Results[0]
		require.Greater(t, result.Code, uint32(1), "%s: %s", name, result.Log)
	}
	require.Equal(t, before, b.ourState())

	// With a grant it is the tenant's own message, and its errors are the handler's.
	grant, err := authz.NewMsgGrant(b.Address("tenant"), b.Address(stranger), authz.NewGenericAuthorization(sdk.MsgTypeURL(steal)), nil)
	require.NoError(t, err)
	b.Do("tenant", grant)
	b.Do(stranger, &exec)
	requireCode(t, leasetypes.ErrLeaseEnded, b.Try(stranger, &exec))
}

// Bytes that are no transaction of ours are refused by mempool and proposals, and harmless in a block all the same.
func TestTransactionsThatCannotBeRead(t *testing.T) {
	b := newBusy(t)
	valid := b.Tx("tenant", []sdk.Msg{b.signed["/isun.lease.v1.MsgCloseLease"].msg})
	body := func(any *codectypes.Any) []byte {
		var raw txtypes.TxRaw
		require.NoError(t, raw.Unmarshal(valid))
		var err error
		raw.BodyBytes, err = (&txtypes.TxBody{Messages: []*codectypes.Any{any}}).Marshal()
		require.NoError(t, err)
		bytes, err := raw.Marshal()
		require.NoError(t, err)
		return bytes
	}
	closing, err := codectypes.NewAnyWithValue(b.signed["/isun.lease.v1.MsgCloseLease"].msg)
	require.NoError(t, err)
	bad := map[string][]byte{
		"nothing":         {},
		"half":            valid[:len(valid)/2],
		"no message":      body(&codectypes.Any{TypeUrl: "/isun.lease.v1.Lease", Value: closing.Value}),
		"a query":         body(&codectypes.Any{TypeUrl: "/isun.lease.v1.QueryLeaseRequest", Value: closing.Value}),
		"a response":      body(&codectypes.Any{TypeUrl: "/isun.lease.v1.MsgCloseLeaseResponse"}),
		"an unknown type": body(&codectypes.Any{TypeUrl: "/isun.lease.v1.MsgNone", Value: closing.Value}),
		"no type":         body(&codectypes.Any{Value: closing.Value}),
		"an unknown field": body(&codectypes.Any{
			TypeUrl: closing.TypeUrl, Value: append(slices.Clone(closing.Value), 0xba, 0x3e, 1, 'x'),
		}),
		"another's bytes":    body(&codectypes.Any{TypeUrl: "/isun.suns.v1.MsgRegisterNode", Value: closing.Value}),
		"not UTF-8":          body(&codectypes.Any{TypeUrl: closing.TypeUrl, Value: []byte{10, 2, 0xff, 0xfe}}),
		"a signer of no one": body(&codectypes.Any{TypeUrl: closing.TypeUrl, Value: []byte{16, 1}}),
	}
	before := b.ourState()
	for name, tx := range bad {
		checked, err := b.App.CheckTx(&abci.RequestCheckTx{Tx: tx})
		require.NoError(t, err, name)
		require.NotZero(t, checked.Code, "%s: %s", name, checked.Log) // the SDK's own, not always registered
		height := b.App.LastBlockHeight() + 1
		proposal, err := b.App.PrepareProposal(&abci.RequestPrepareProposal{Height: height, MaxTxBytes: 1 << 20, Txs: [][]byte{tx}})
		require.NoError(t, err, name)
		_, err = b.App.ProcessProposal(&abci.RequestProcessProposal{Height: height, Txs: proposal.Txs, Time: b.Time})
		require.NoError(t, err, name)
		result, err := b.App.FinalizeBlock(&abci.RequestFinalizeBlock{Height: height, Time: b.Time, Txs: [][]byte{tx}})
		require.NoError(t, err, name)
		require.NotZero(t, result.TxResults[0].Code, name)
	}
	require.Equal(t, before, b.ourState())
	b.Restart()
	b.NextBlock()
}
