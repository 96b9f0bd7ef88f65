// Package bootstrap builds the genesis of a new chain: accounts with money and the signed genesis transactions of its first
// validators. The local network and the integration tests start their chains from it.
package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	dbm "github.com/cosmos/cosmos-db"

	"cosmossdk.io/log/v2"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/baseapp"
	"github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/genutil"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/isuncoin/isuncoin/app"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// genTxGas is more than creating a validator takes; gas costs nothing at genesis.
const genTxGas = 1_000_000

// Account is an account that exists from the start.
type Account struct {
	Address sdk.AccAddress
	Coins   sdk.Coins
}

// Validator is a validator of the first block. Its operator's account must be among the accounts, with at least the stake.
type Validator struct {
	// KeyName names the operator's key in the keyring.
	KeyName string
	Moniker string
	// ConsensusKey signs blocks.
	ConsensusKey cryptotypes.PubKey
	// Stake is what the operator delegates to itself, in uisc.
	Stake math.Int
	// Memo is by custom the node's address for peers, "id@host:port"; it may be empty.
	Memo string
}

// Spec says what chain to build.
type Spec struct {
	ChainID string
	// Time is the time of the first block.
	Time       time.Time
	Accounts   []Account
	Validators []Validator
	// Keyring holds the keys of the validators' operators.
	Keyring keyring.Keyring
	// Edit changes the modules' defaults, for example to shorten periods; it may be nil.
	Edit func(codec.JSONCodec, app.GenesisState) error
}

// Genesis builds and checks the genesis. The app gives modules and codecs; its state is not touched.
func Genesis(ctx context.Context, a *app.App, spec Spec) (*genutiltypes.AppGenesis, error) {
	if len(spec.Validators) == 0 {
		return nil, errors.New("a chain needs at least one validator")
	}
	state, err := a.DefaultGenesis()
	if err != nil {
		return nil, err
	}
	cdc := a.AppCodec()
	if err := addAccounts(cdc, state, spec.Accounts); err != nil {
		return nil, err
	}
	if spec.Edit != nil {
		if err := spec.Edit(cdc, state); err != nil {
			return nil, err
		}
	}
	if err := addValidators(ctx, a, state, spec); err != nil {
		return nil, err
	}
	if err := a.BasicManager().ValidateGenesis(cdc, a.TxConfig(), state); err != nil {
		return nil, fmt.Errorf("check the genesis: %w", err)
	}
	raw, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the genesis: %w", err)
	}
	genesis := genutiltypes.NewAppGenesisWithVersion(spec.ChainID, raw)
	genesis.AppName = app.Name
	genesis.GenesisTime = spec.Time
	genesis.InitialHeight = 1
	genesis.Consensus = &genutiltypes.ConsensusGenesis{Params: app.DefaultConsensusParams()}
	return genesis, genesis.ValidateAndComplete()
}

// Check starts a chain in memory from a genesis, which finds what no module can see by itself: params of two modules that do
// not fit each other, accounts that do not hold what state says.
func Check(genesis *genutiltypes.AppGenesis) error {
	doc, err := genesis.ToGenesisDoc()
	if err != nil {
		return err
	}
	a := app.New(log.NewNopLogger(), dbm.NewMemDB(), app.NoOptions{}, baseapp.SetChainID(doc.ChainID))
	params := doc.ConsensusParams.ToProto()
	_, err = a.InitChain(&abci.RequestInitChain{
		ChainId: doc.ChainID, Time: doc.GenesisTime, InitialHeight: doc.InitialHeight,
		ConsensusParams: &params, AppStateBytes: doc.AppState,
	})
	return errors.Join(err, a.Close())
}

func addAccounts(cdc codec.JSONCodec, state app.GenesisState, accounts []Account) error {
	list := make(authtypes.GenesisAccounts, 0, len(accounts))
	balances := make([]banktypes.Balance, 0, len(accounts))
	for _, account := range accounts {
		list = append(list, authtypes.NewBaseAccountWithAddress(account.Address))
		balances = append(balances, banktypes.Balance{Address: account.Address.String(), Coins: account.Coins})
	}
	packed, err := authtypes.PackAccounts(list)
	if err != nil {
		return fmt.Errorf("pack the genesis accounts: %w", err)
	}
	err = app.EditGenesis(cdc, state, authtypes.ModuleName, func(g *authtypes.GenesisState) {
		g.Accounts = append(g.Accounts, packed...)
	})
	if err != nil {
		return err
	}
	return app.EditGenesis(cdc, state, banktypes.ModuleName, func(g *banktypes.GenesisState) {
		g.Balances = banktypes.SanitizeGenesisBalances(append(g.Balances, balances...))
		for _, balance := range balances {
			g.Supply = g.Supply.Add(balance.Coins...)
		}
	})
}

func addValidators(ctx context.Context, a *app.App, state app.GenesisState, spec Spec) error {
	txs := make([]sdk.Tx, 0, len(spec.Validators))
	for _, validator := range spec.Validators {
		signed, err := genTx(ctx, a, spec, validator)
		if err != nil {
			return fmt.Errorf("genesis transaction of %s: %w", validator.Moniker, err)
		}
		txs = append(txs, signed)
	}
	_, err := genutil.SetGenTxsInAppGenesisState(a.AppCodec(), a.TxConfig().TxJSONEncoder(), state, txs)
	return err
}

// genTx is the signed transaction that creates a validator. At genesis every account signs with number and sequence 0.
func genTx(ctx context.Context, a *app.App, spec Spec, validator Validator) (sdk.Tx, error) {
	key, err := spec.Keyring.Key(validator.KeyName)
	if err != nil {
		return nil, err
	}
	operator, err := key.GetAddress()
	if err != nil {
		return nil, err
	}
	msg, err := stakingtypes.NewMsgCreateValidator(
		sdk.ValAddress(operator).String(),
		validator.ConsensusKey,
		sdk.NewCoin(sunstypes.BaseDenom, validator.Stake),
		stakingtypes.Description{Moniker: validator.Moniker},
		stakingtypes.NewCommissionRates(
			math.LegacyNewDecWithPrec(10, 2), math.LegacyNewDecWithPrec(20, 2), math.LegacyNewDecWithPrec(1, 2)),
		math.OneInt(),
	)
	if err != nil {
		return nil, err
	}
	builder := a.TxConfig().NewTxBuilder()
	if err := builder.SetMsgs(msg); err != nil {
		return nil, err
	}
	builder.SetGasLimit(genTxGas)
	builder.SetMemo(validator.Memo)
	factory := tx.Factory{}.
		WithChainID(spec.ChainID).
		WithKeybase(spec.Keyring).
		WithTxConfig(a.TxConfig()).
		WithSignMode(signing.SignMode_SIGN_MODE_DIRECT)
	if err := tx.Sign(ctx, factory, validator.KeyName, builder, true); err != nil {
		return nil, err
	}
	return builder.GetTx(), nil
}
