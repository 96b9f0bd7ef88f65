package integration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

func send(c *chain.Chain, from, to string, amount int64) []sdk.Msg {
	c.T.Helper()
	return []sdk.Msg{banktypes.NewMsgSend(c.Address(from), c.Address(to), chain.Coins(amount))}
}

// Every transaction of a block pays the collector; what they paid is there when the block has ended.
func TestFeesOfABlockAddUp(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		c := chain.New(t, chain.WithExecutor(executor))
		supply := c.Supply()

		// Two of one account follow each other, and one that fails pays as well.
		block := c.NextBlock(
			c.Tx("tenant", send(c, "tenant", "tenant2", 100)),
			c.Tx("tenant", send(c, "tenant", "tenant2", 11)),
			c.Tx("operator", send(c, "operator", "tenant2", 2*chain.Funds)),
		)
		require.Zero(t, block.Results[0].Code, block.Results[0].Log)
		require.Zero(t, block.Results[1].Code, block.Results[1].Log)
		require.Equal(t, sdkerrors.ErrInsufficientFunds.ABCICode(), block.Results[2].Code)

		require.EqualValues(t, chain.Funds-111-2*chain.TxFee, c.Balance(c.Address("tenant")))
		require.EqualValues(t, chain.Funds+111, c.Balance(c.Address("tenant2")))
		require.EqualValues(t, chain.Funds-chain.TxFee, c.Balance(c.Address("operator")))
		require.EqualValues(t, 3*chain.TxFee, c.ModuleBalance(authtypes.FeeCollectorName))
		require.Equal(t, supply, c.Supply(), "fees neither make nor burn coins")

		c.NextBlock()
		require.Zero(t, c.ModuleBalance(authtypes.FeeCollectorName), "the next block hands them out")
		require.Equal(t, supply, c.Supply())
	})
}

func TestFeeGrantPaysForAnAccountWithoutMoney(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		c := chain.New(t, chain.WithExecutor(executor))
		agent := c.NewAccount("agent")
		allowance, err := feegrant.NewAllowedMsgAllowance(
			&feegrant.BasicAllowance{SpendLimit: chain.Coins(2 * chain.TxFee)},
			[]string{sdk.MsgTypeURL(&feegrant.MsgRevokeAllowance{})},
		)
		require.NoError(t, err)
		grant, err := feegrant.NewMsgGrantAllowance(allowance, c.Address("operator"), agent)
		require.NoError(t, err)
		c.Do("operator", grant)
		before := c.Balance(c.Address("operator"))

		// The granter pays, also when the message then fails.
		revoke := feegrant.NewMsgRevokeAllowance(agent, c.Address("tenant"))
		paid := chain.WithFeeGranter(c.Address("operator"))
		block := c.NextBlock(c.Tx("agent", []sdk.Msg{&revoke}, paid))
		require.NotZero(t, block.Results[0].Code, "there is no such grant to revoke")
		require.Equal(t, before-chain.TxFee, c.Balance(c.Address("operator")))
		require.EqualValues(t, chain.TxFee, c.ModuleBalance(authtypes.FeeCollectorName))

		// A message that is not granted is not paid for.
		block = c.NextBlock(c.Tx("agent", send(c, "agent", "tenant", 1), paid))
		require.NotZero(t, block.Results[0].Code)
		require.Equal(t, before-chain.TxFee, c.Balance(c.Address("operator")))
	})
}

func TestNobodyCanGiveToAModulesAccount(t *testing.T) {
	c := chain.New(t)
	for _, name := range []string{leasetypes.ModuleName, leasetypes.AuditPoolName, "suns", "suns_rewards", "fee_collector"} {
		result := c.Try("tenant", banktypes.NewMsgSend(
			c.Address("tenant"), authtypes.NewModuleAddress(name), chain.Coins(1)))
		require.Equal(t, sdkerrors.ErrUnauthorized.ABCICode(), result.Code, name)
	}
}
