package integration_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const votingPeriod = 10 * time.Second

// quickVotes are shortHours with votes that one can wait for.
func quickVotes(cdc codec.JSONCodec, state app.GenesisState) error {
	if err := shortHours(cdc, state); err != nil {
		return err
	}
	return app.EditGenesis(cdc, state, govtypes.ModuleName, func(g *govv1.GenesisState) {
		voting, expedited := votingPeriod, votingPeriod/2
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
	})
}

// submission is a proposal with its whole deposit.
func (b *busy) submission(msgs ...sdk.Msg) sdk.Msg {
	b.T.Helper()
	msg, err := govv1.NewMsgSubmitProposal(msgs, chain.Coins(500*sunstypes.BaseUnitsPerCoin), b.addr(stranger), "",
		"a change", "for the worse", false)
	require.NoError(b.T, err)
	return msg
}

// decide votes for a proposal and gives what became of it.
func (b *busy) decide(number uint64) (*govv1.Proposal, chain.Block) {
	b.T.Helper()
	b.Do("validator0", govv1.NewMsgVote(b.Address("validator0"), number, govv1.OptionYes, ""))
	block := b.BlockAfter(votingPeriod)
	proposal, err := b.App.GovKeeper.Proposals.Get(b.Ctx(), number)
	require.NoError(b.T, err)
	return &proposal, block
}

// requireDecided demands a status of a proposal that everybody was for.
func requireDecided(t *testing.T, want govv1.ProposalStatus, proposal *govv1.Proposal) {
	t.Helper()
	require.Equal(t, want.String(), proposal.Status.String(), proposal.FailedReason)
}

// authorityMsgs are our messages that only governance may send.
func (b *busy) authorityMsgs() (msgs []sdk.Msg) {
	b.T.Helper()
	for _, url := range b.ours() {
		if s := b.attackable(url); s.signer == noSigner {
			msgs = append(msgs, s.msg)
		}
	}
	require.NotEmpty(b.T, msgs)
	return msgs
}

// by gives a copy of a message from another authority.
func by(msg sdk.Msg, authority string) sdk.Msg {
	other := reflect.New(reflect.TypeOf(msg).Elem())
	other.Elem().Set(reflect.ValueOf(msg).Elem())
	other.Elem().FieldByName("Authority").SetString(authority)
	return other.Interface().(sdk.Msg)
}

// worthless gives a message of governance's with nothing set but who sends it.
func worthless(msg sdk.Msg) sdk.Msg {
	other := reflect.New(reflect.TypeOf(msg).Elem()).Interface().(sdk.Msg)
	return by(other, app.Authority().String())
}

// A proposal that speaks for somebody else than governance, or for nobody, is refused when it is submitted.
func TestProposalsFromAWrongAuthorityAreRefused(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		b := newBusy(t, chain.WithExecutor(executor), chain.WithGenesis(quickVotes))
		before := b.ourState()
		deposit := b.Balance(b.Address(stranger))
		tried := 0
		for _, msg := range b.authorityMsgs() {
			for _, authority := range []string{b.addr(stranger), "", "not an address", b.addr("validator0")} {
				result := b.BlockAfter(0, b.Tx(stranger, []sdk.Msg{b.submission(by(msg, authority))})).Results[0]
				require.NotZero(t, result.Code, "%T by %q", msg, authority)
				tried++
			}
		}
		require.Equal(t, before, b.ourState())
		require.EqualValues(t, deposit-int64(tried)*chain.TxFee, b.Balance(b.Address(stranger)), "no deposit was taken")
		_, err := b.App.GovKeeper.Proposals.Get(b.Ctx(), 1)
		require.Error(t, err)
	})
}

// What governance decided but cannot be done fails alone: the proposal says why, what its other messages did is undone, the
// chain goes on, and both executors agree.
func TestProposalsThatCannotBeDoneDoNoHarm(t *testing.T) {
	var hashes [2][][]byte
	for i, executor := range executors {
		b := newBusy(t, chain.WithExecutor(executor), chain.WithGenesis(quickVotes))
		good := leasetypes.DefaultParams()
		good.RetryFee++
		number := uint64(0)
		for _, msg := range b.authorityMsgs() {
			params := b.ourParams()
			b.Do(stranger, b.submission(
				&leasetypes.MsgUpdateParams{Authority: app.Authority().String(), Params: good}, worthless(msg)))
			number++
			proposal, block := b.decide(number)
			requireDecided(t, govv1.StatusFailed, proposal)
			require.NotEmpty(t, proposal.FailedReason, "%T", msg)
			require.NotContains(t, proposal.FailedReason, "panic", "%T", msg)
			require.Equal(t, params, b.ourParams(), "%T", msg)
			hashes[i] = append(hashes[i], block.AppHash)
		}
	}
	require.Equal(t, hashes[0], hashes[1], "the executors differ")
}

// ourParams are the params of our modules.
func (b *busy) ourParams() (all []any) {
	b.T.Helper()
	suns, err := b.App.SunsKeeper.Params.Get(b.Ctx())
	require.NoError(b.T, err)
	uai, err := b.App.UAIKeeper.Params.Get(b.Ctx())
	require.NoError(b.T, err)
	lease, err := b.App.LeaseKeeper.Params.Get(b.Ctx())
	require.NoError(b.T, err)
	audit, err := b.App.AuditKeeper.Params.Get(b.Ctx())
	require.NoError(b.T, err)
	return []any{suns, uai, lease, audit}
}

// An hour that could not be billed, because its record was broken, is billed once governance has it tried again: nobody
// lost or gained a coin by it.
func TestGovernanceRetriesWhatFailed(t *testing.T) {
	var hashes [2][][]byte
	for i, executor := range executors {
		b := newBusy(t, chain.WithExecutor(executor), chain.WithoutInvariants(), chain.WithGenesis(quickVotes))
		c := &strickenChain{busy: b}
		key := b.placementKey("tenant", 1)
		v := &town{Chain: b.Chain}
		repair := spoil(b, v.Uncached(), leasetypes.StoreKey, leasetypes.BillingsPrefix, leasetypes.PlacementKeyCodec, key, unreadable)
		block := c.block(time.Second)
		for len(b.quarantined(leasetypes.ModuleName)) == 1 { // until the hour's own end
			block = c.block(time.Second)
			require.Less(t, block.Height, int64(200), "nothing fails")
		}
		item := b.requireSetAside(leasetypes.ModuleName, "due_placements", block)
		repair()
		b.CheckInvariants()
		b.Do(stranger, b.submission(&leasetypes.MsgRetryQuarantined{Authority: app.Authority().String(), Number: item.Number}))
		proposal, block := b.decide(1)
		requireDecided(t, govv1.StatusPassed, proposal)
		hashes[i] = append(c.hashes, block.AppHash)
		c.block(time.Second)
		require.NotContains(t, b.quarantined(leasetypes.ModuleName), item)
		require.Len(t, b.quarantined(leasetypes.ModuleName), 1)
		billing, err := b.App.LeaseKeeper.Billings.Get(b.Ctx(), key)
		require.NoError(t, err)
		require.Greater(t, billing.Spans[0].EndMs, item.DueMs, "the next hour is reserved")
		b.CheckInvariants()
	}
	require.Equal(t, hashes[0], hashes[1], "the executors differ")
}
