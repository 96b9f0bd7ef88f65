package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// An hour of the schedule is 10,000 ISC; an epoch of a minute is a sixtieth of it, rounded down: 166,666,666 uisc, of which
// a fifth, rounded down, goes to the validators: 33,333,333.
const (
	epochEmission      = 166_666_666
	epochForValidators = 33_333_333
	epochForNodes      = epochEmission - epochForValidators
)

func TestEmissionReachesNodesAndValidators(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		c := chain.New(t, chain.WithExecutor(executor), chain.WithAccounts("agent"),
			chain.WithGenesis(sunsParams(func(p *sunstypes.Params) { p.EpochDuration = time.Minute })))
		c.Do("operator", registration(c, "operator", "agent", 1, 4, 1_000))
		supply := c.Supply()

		// A node shares from the epoch after its registration on; nobody does in the first, so nothing is minted.
		c.Run(time.Minute)
		require.Equal(t, supply, c.Supply())

		c.Do("agent", &sunstypes.MsgCheckIn{Agent: c.Address("agent").String()})
		c.Run(time.Minute)
		require.Equal(t, supply+epochEmission, c.Supply())
		emission, err := c.App.SunsKeeper.Emission.Get(c.Ctx())
		require.NoError(t, err)
		require.Equal(t, math.NewInt(epochForNodes), emission.MintedToNodes)
		require.Equal(t, math.NewInt(epochForValidators), emission.MintedToValidators)
		require.True(t, emission.DueToValidators.IsZero())

		// The validators' share went the way of the fees.
		outstanding, err := c.App.DistrKeeper.GetValidatorOutstandingRewardsCoins(
			c.Ctx(), sdk.ValAddress(c.Address("validator0")))
		require.NoError(t, err)
		pool, err := c.App.DistrKeeper.FeePool.Get(c.Ctx())
		require.NoError(t, err)
		rewards, _ := outstanding.Add(pool.CommunityPool...).TruncateDecimal()
		require.GreaterOrEqual(t, rewards.AmountOf(sunstypes.BaseDenom).Int64(), int64(epochForValidators))

		// The node's share is paid when its operator asks.
		before := c.Balance(c.Address("operator"))
		c.Do("operator", &sunstypes.MsgWithdrawRewards{Operator: c.Address("operator").String(), Number: 1})
		require.Equal(t, before+epochForNodes-chain.TxFee, c.Balance(c.Address("operator")))
	})
}

// A validator that signs twice loses a twentieth of its stake, and the loss is on record.
func TestSlashedStakeIsRecordedAsBurned(t *testing.T) {
	c := chain.New(t, chain.WithValidators(2))
	c.NextBlock()
	supply := c.Supply()

	c.DoubleSign(1)
	c.NextBlock()

	validator, err := c.App.StakingKeeper.GetValidator(c.Ctx(), sdk.ValAddress(c.Address("validator1")))
	require.NoError(t, err)
	require.True(t, validator.Jailed)
	burned := supply - c.Supply()
	// The evidence names a power of one, which is a million uisc of stake.
	require.EqualValues(t, 50_000, burned)
	requireBurned(t, c, burned)
}

// Half of the deposit of a proposal that is taken back is burned, and that is on record too.
func TestBurnedDepositsAreRecorded(t *testing.T) {
	c := chain.New(t)
	const deposit = 1_000_000_000
	proposal, err := govv1.NewMsgSubmitProposal(
		nil, chain.Coins(deposit), c.Address("tenant").String(), "metadata", "a title", "a summary", false)
	require.NoError(t, err)
	c.Do("tenant", proposal)
	require.EqualValues(t, deposit, c.ModuleBalance(govtypes.ModuleName))
	supply := c.Supply()

	c.Do("tenant", govv1.NewMsgCancelProposal(1, c.Address("tenant").String()))
	require.EqualValues(t, supply-deposit/2, c.Supply())
	require.Zero(t, c.ModuleBalance(govtypes.ModuleName))
	requireBurned(t, c, deposit/2)
}

func requireBurned(t *testing.T, c *chain.Chain, amount int64) {
	t.Helper()
	emission, err := c.App.SunsKeeper.Emission.Get(c.Ctx())
	require.NoError(t, err)
	require.Equal(t, math.NewInt(amount), emission.Burned)
}
