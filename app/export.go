package app

import (
	"encoding/json"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
)

// Export writes the state of the loaded height as a genesis. With forZeroHeight the new chain begins at height 1 again:
// what counts in heights of the old chain is settled or reset, see prepareForZeroHeight. jailExcept are the operators that
// keep their place then; all others are jailed, unless the list is empty. modules narrows the export down.
func (app *App) Export(forZeroHeight bool, jailExcept, modules []string) (servertypes.ExportedApp, error) {
	ctx := app.NewContextLegacy(true, cmtproto.Header{Height: app.LastBlockHeight()})

	// CometBFT starts the new chain at the height after the exported one.
	height := app.LastBlockHeight() + 1
	if forZeroHeight {
		height = 0
		if err := app.prepareForZeroHeight(ctx, jailExcept); err != nil {
			return servertypes.ExportedApp{}, fmt.Errorf("prepare for height zero: %w", err)
		}
	}
	state, err := app.ExportModules(ctx, modules)
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("export the modules' state: %w", err)
	}
	raw, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("encode the state: %w", err)
	}
	validators, err := staking.WriteValidators(ctx, app.StakingKeeper)
	if err != nil {
		return servertypes.ExportedApp{}, fmt.Errorf("export the validators: %w", err)
	}
	return servertypes.ExportedApp{
		AppState:        raw,
		Validators:      validators,
		Height:          height,
		ConsensusParams: app.GetConsensusParams(ctx),
	}, nil
}

// ExportModules writes the state of the named modules, of all when none is named. The SDK exports all of them at once, from
// a context that opens each store when it is first read and keeps no lock on the list of them: so they are opened before.
func (app *App) ExportModules(ctx sdk.Context, modules []string) (map[string]json.RawMessage, error) {
	app.keys.open(ctx.MultiStore())
	return app.modules.ExportGenesisForModules(ctx, app.encoding.Codec, modules)
}

// operatorSet reads a list of validator operators.
func operatorSet(operators []string) (map[string]bool, error) {
	set := make(map[string]bool, len(operators))
	for _, operator := range operators {
		if _, err := sdk.ValAddressFromBech32(operator); err != nil {
			return nil, fmt.Errorf("operator %q: %w", operator, err)
		}
		set[operator] = true
	}
	return set, nil
}
