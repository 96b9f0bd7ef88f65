package app

import (
	"encoding/json"
	"fmt"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/gogoproto/proto"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// GenesisState is the state of every module, by name, as the genesis file holds it.
type GenesisState map[string]json.RawMessage

// Defaults of a new chain. Blocks come every second, so windows counted in blocks are longer than the SDK's.
const (
	// DefaultMaxBlockBytes holds some ten thousand attestations and still reaches every validator well within a second.
	DefaultMaxBlockBytes = 4 << 20
	// DefaultMaxBlockGas is about what two cores execute in a second.
	DefaultMaxBlockGas = 200_000_000
	// defaultUnbonding is how long stake stays slashable after it was withdrawn.
	defaultUnbonding = 21 * 24 * time.Hour
	// defaultSignedBlocks is the window in which a validator must be seen signing: nearly three hours of blocks, so that
	// a restart or a change of the binary costs nobody its place.
	defaultSignedBlocks = 10_000
	blocksPerYear       = (365*24 + 6) * 60 * 60
	maxEvidenceBytes    = 1 << 20
)

// InitChainer sets up the state of a new chain from its genesis. Genesis comes from outside, so whatever is wrong with it
// must be an error that names it, never a panic.
func (app *App) InitChainer(ctx sdk.Context, req *abci.RequestInitChain) (res *abci.ResponseInitChain, err error) {
	defer func() {
		if r := recover(); r != nil {
			res, err = nil, fmt.Errorf("genesis cannot be used: %v", r)
		}
	}()
	var state GenesisState
	if err := json.Unmarshal(req.AppStateBytes, &state); err != nil {
		return nil, fmt.Errorf("read the genesis state: %w", err)
	}
	if err := app.basics.ValidateGenesis(app.encoding.Codec, app.encoding.TxConfig, state); err != nil {
		return nil, fmt.Errorf("genesis state is invalid: %w", err)
	}
	if err := app.UpgradeKeeper.SetModuleVersionMap(ctx, app.modules.GetVersionMap()); err != nil {
		return nil, fmt.Errorf("store the modules' versions: %w", err)
	}
	res, err = app.modules.InitGenesis(ctx, app.encoding.Codec, state)
	if err != nil {
		return nil, err
	}
	// Every module account exists from the first block on: creating one later would be a write that unrelated
	// transactions of the same block wait for.
	for _, name := range ModuleAccountNames() {
		app.AccountKeeper.GetModuleAccount(ctx, name)
	}
	return res, nil
}

// DefaultGenesis is the genesis of a chain that nobody has money or stake on yet: every module's own defaults, in our coin
// and at our pace.
func DefaultGenesis(basics module.BasicManager, cdc codec.JSONCodec) (GenesisState, error) {
	state := GenesisState(basics.DefaultGenesis(cdc))
	for _, set := range []func(codec.JSONCodec, GenesisState) error{
		setBankDefaults, setStakingDefaults, setSlashingDefaults, setMintDefaults, setGovDefaults,
	} {
		if err := set(cdc, state); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// DefaultConsensusParams are CometBFT's limits for a chain of one-second blocks.
func DefaultConsensusParams() *cmttypes.ConsensusParams {
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = DefaultMaxBlockBytes
	params.Block.MaxGas = DefaultMaxBlockGas
	// Evidence must stay usable as long as the stake behind it can be slashed.
	params.Evidence.MaxAgeDuration = defaultUnbonding
	params.Evidence.MaxAgeNumBlocks = int64(defaultUnbonding / time.Second)
	params.Evidence.MaxBytes = maxEvidenceBytes
	return params
}

func setBankDefaults(cdc codec.JSONCodec, state GenesisState) error {
	return EditGenesis(cdc, state, banktypes.ModuleName, func(g *banktypes.GenesisState) {
		g.DenomMetadata = []banktypes.Metadata{{
			Description: "the coin of iSunCoin",
			Base:        sunstypes.BaseDenom,
			Display:     sunstypes.DisplayDenom,
			Name:        "iSunCoin",
			Symbol:      "ISC",
			DenomUnits: []*banktypes.DenomUnit{
				{Denom: sunstypes.BaseDenom, Exponent: 0},
				{Denom: sunstypes.DisplayDenom, Exponent: 6},
			},
		}}
	})
}

func setStakingDefaults(cdc codec.JSONCodec, state GenesisState) error {
	return EditGenesis(cdc, state, stakingtypes.ModuleName, func(g *stakingtypes.GenesisState) {
		g.Params.BondDenom = sunstypes.BaseDenom
		g.Params.UnbondingTime = defaultUnbonding
	})
}

func setSlashingDefaults(cdc codec.JSONCodec, state GenesisState) error {
	return EditGenesis(cdc, state, slashingtypes.ModuleName, func(g *slashingtypes.GenesisState) {
		g.Params.SignedBlocksWindow = defaultSignedBlocks
		g.Params.MinSignedPerWindow = math.LegacyNewDecWithPrec(5, 1)
		g.Params.DowntimeJailDuration = 10 * time.Minute
		g.Params.SlashFractionDowntime = math.LegacyNewDecWithPrec(1, 4)
		g.Params.SlashFractionDoubleSign = math.LegacyNewDecWithPrec(5, 2)
	})
}

// setMintDefaults leaves x/mint no inflation of its own, so that what its queries say is true: see mintValidatorEmission.
func setMintDefaults(cdc codec.JSONCodec, state GenesisState) error {
	return EditGenesis(cdc, state, minttypes.ModuleName, func(g *minttypes.GenesisState) {
		g.Minter = minttypes.NewMinter(math.LegacyZeroDec(), math.LegacyZeroDec())
		g.Params.MintDenom = sunstypes.BaseDenom
		g.Params.InflationMax = math.LegacyZeroDec()
		g.Params.InflationMin = math.LegacyZeroDec()
		g.Params.InflationRateChange = math.LegacyZeroDec()
		g.Params.BlocksPerYear = uint64(blocksPerYear)
	})
}

// setGovDefaults gives people a weekend and a working day to vote.
func setGovDefaults(cdc codec.JSONCodec, state GenesisState) error {
	deposit, voting, expedited := 7*24*time.Hour, 3*24*time.Hour, 24*time.Hour
	return EditGenesis(cdc, state, govtypes.ModuleName, func(g *govv1.GenesisState) {
		g.Params.MinDeposit = isc(500)
		g.Params.ExpeditedMinDeposit = isc(2_500)
		g.Params.MaxDepositPeriod = &deposit
		g.Params.VotingPeriod = &voting
		g.Params.ExpeditedVotingPeriod = &expedited
	})
}

// isc is a whole number of coins.
func isc(amount int64) sdk.Coins {
	return sdk.NewCoins(sdk.NewInt64Coin(sunstypes.BaseDenom, amount*sunstypes.BaseUnitsPerCoin))
}

// DefaultGenesis is the default genesis of the wired modules.
func (app *App) DefaultGenesis() (GenesisState, error) {
	return DefaultGenesis(app.basics, app.encoding.Codec)
}

// EditGenesis changes one module's part of a genesis in place. P is the module's genesis type.
func EditGenesis[T any, P interface {
	*T
	proto.Message
}](cdc codec.JSONCodec, state GenesisState, module string, change func(P)) error {
	part := P(new(T))
	if err := cdc.UnmarshalJSON(state[module], part); err != nil {
		return fmt.Errorf("read the genesis of %s: %w", module, err)
	}
	change(part)
	raw, err := cdc.MarshalJSON(part)
	if err != nil {
		return fmt.Errorf("write the genesis of %s: %w", module, err)
	}
	state[module] = raw
	return nil
}
