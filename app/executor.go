package app

import (
	"github.com/cosmos/cosmos-sdk/baseapp/blockexec"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// setBlockExecutor installs what `block-executor` in app.toml names: "sequential" or "block-stm". Validators may differ in
// it, so both must give the same results; the block gas meter, which counts in execution order, is therefore off in both.
func (app *App) setBlockExecutor(appOpts servertypes.AppOptions) {
	app.SetDisableBlockGasMeter(true)
	blockexec.Apply(app.BaseApp, appOpts, app.keys.all(), app.encoding.TxConfig.TxDecoder(), feeDenom)
}

// feeDenom tells the executor's estimate of written keys which balance a fee changes.
func feeDenom(storetypes.MultiStore) string { return sunstypes.BaseDenom }
