package chain

import (
	"context"
	"encoding/hex"

	"github.com/stretchr/testify/require"

	abci "github.com/cometbft/cometbft/abci/types"

	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// TxGas is what a transaction asks for unless told otherwise.
	TxGas = 1_000_000
	// TxFee is what it pays then, in uisc: the gas at the minimum price.
	TxFee = 1_000
)

// Address gives the address of a named account.
func (c *Chain) Address(name string) sdk.AccAddress {
	c.T.Helper()
	record, err := c.Keys.Key(name)
	require.NoError(c.T, err)
	address, err := record.GetAddress()
	require.NoError(c.T, err)
	return address
}

// NewAccount makes a key that has no account yet.
func (c *Chain) NewAccount(name string) sdk.AccAddress {
	c.T.Helper()
	return c.makeKey(name)
}

func (c *Chain) makeKey(name string) sdk.AccAddress {
	c.T.Helper()
	if c.options.fixedKeys {
		key := secp256k1.GenPrivKeyFromSecret([]byte(name))
		require.NoError(c.T, c.Keys.ImportPrivKeyHex(name, hex.EncodeToString(key.Bytes()), string(hd.Secp256k1Type)))
		return sdk.AccAddress(key.PubKey().Address())
	}
	record, _, err := c.Keys.NewMnemonic(
		name, keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
	require.NoError(c.T, err)
	address, err := record.GetAddress()
	require.NoError(c.T, err)
	return address
}

// TxOption changes a transaction.
type TxOption func(*clienttx.Factory)

// WithGas asks for other gas, at the minimum price.
func WithGas(gas uint64) TxOption {
	return func(f *clienttx.Factory) {
		fee := sdk.NewInt64Coin(sunstypes.BaseDenom, int64(gas/(TxGas/TxFee)))
		*f = f.WithGas(gas).WithFees(fee.String())
	}
}

// WithFeeGranter lets another account pay the fee.
func WithFeeGranter(granter sdk.AccAddress) TxOption {
	return func(f *clienttx.Factory) { *f = f.WithFeeGranter(granter) }
}

// Tx signs a transaction. Several of one account in one block follow each other.
func (c *Chain) Tx(signer string, msgs []sdk.Msg, opts ...TxOption) []byte {
	c.T.Helper()
	account := c.App.AccountKeeper.GetAccount(c.Ctx(), c.Address(signer))
	require.NotNil(c.T, account, "%s has no account", signer)
	sequence := account.GetSequence() + c.sequences[signer]
	c.sequences[signer]++

	factory := clienttx.Factory{}.
		WithChainID(ID).
		WithKeybase(c.Keys).
		WithTxConfig(c.App.TxConfig()).
		WithSignMode(signing.SignMode_SIGN_MODE_DIRECT).
		WithAccountNumber(account.GetAccountNumber()).
		WithSequence(sequence)
	for _, opt := range append([]TxOption{WithGas(TxGas)}, opts...) {
		opt(&factory)
	}
	builder, err := factory.BuildUnsignedTx(msgs...)
	require.NoError(c.T, err)
	require.NoError(c.T, clienttx.Sign(context.Background(), factory, signer, builder, true))
	bytes, err := c.App.TxConfig().TxEncoder()(builder.GetTx())
	require.NoError(c.T, err)
	return bytes
}

// Do runs a block with one transaction, which must succeed.
func (c *Chain) Do(signer string, msgs ...sdk.Msg) *abci.ExecTxResult {
	c.T.Helper()
	result := c.Try(signer, msgs...)
	require.Zero(c.T, result.Code, result.Log)
	return result
}

// Try runs a block with one transaction.
func (c *Chain) Try(signer string, msgs ...sdk.Msg) *abci.ExecTxResult {
	c.T.Helper()
	return c.NextBlock(c.Tx(signer, msgs)).Results[0]
}

// Balance is what an account holds, in uisc.
func (c *Chain) Balance(address sdk.AccAddress) int64 {
	return c.App.BankKeeper.GetBalance(c.Ctx(), address, sunstypes.BaseDenom).Amount.Int64()
}

// ModuleBalance is what a module's account holds, in uisc.
func (c *Chain) ModuleBalance(name string) int64 {
	return c.Balance(c.App.AccountKeeper.GetModuleAddress(name))
}

// Supply is all there is, in uisc.
func (c *Chain) Supply() int64 {
	return c.App.BankKeeper.GetSupply(c.Ctx(), sunstypes.BaseDenom).Amount.Int64()
}

// Coins is an amount of uisc.
func Coins(amount int64) sdk.Coins {
	return sdk.NewCoins(sdk.NewInt64Coin(sunstypes.BaseDenom, amount))
}
