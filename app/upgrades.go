package app

import (
	"context"
	"fmt"

	"github.com/spf13/cast"

	"github.com/cosmos/cosmos-sdk/client/flags"
	servertypes "github.com/cosmos/cosmos-sdk/server/types"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
)

// plannedUpgrade is one planned change of the state machine that governance can schedule by its key in upgrades.
type plannedUpgrade struct {
	// stores are the stores that appear, disappear or change their name at the upgrade's height.
	stores storetypes.StoreUpgrades
	// before runs ahead of the modules' own migrations, and may be nil.
	before func(context.Context, *App) error
}

// upgrades are the upgrades this binary can carry out, by the name of their plan. A release that changes state adds one; a
// node that reaches a plan it does not know halts, which is what makes operators change the binary.
var upgrades = map[string]plannedUpgrade{}

// registerUpgrades makes the upgrades known, and opens the stores the way the one that is due now needs them.
func (app *App) registerUpgrades(appOpts servertypes.AppOptions) {
	for name, u := range upgrades { //consensus:ok fills a table
		app.UpgradeKeeper.SetUpgradeHandler(name, app.upgradeHandler(u))
	}

	// Without a home, as in the command line and in tests, nothing can have been left, and looking would make a folder.
	if cast.ToString(appOpts.Get(flags.FlagHome)) == "" {
		return
	}
	plan, err := app.UpgradeKeeper.ReadUpgradeInfoFromDisk()
	must("read the upgrade plan left by the last binary", err)
	due, ok := upgrades[plan.Name]
	if !ok || app.UpgradeKeeper.IsSkipHeight(plan.Height) {
		return
	}
	app.SetStoreLoader(upgradetypes.UpgradeStoreLoader(plan.Height, &due.stores))
}

func (app *App) upgradeHandler(u plannedUpgrade) upgradetypes.UpgradeHandler {
	return func(ctx context.Context, plan upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
		if u.before != nil {
			if err := u.before(ctx, app); err != nil {
				return nil, fmt.Errorf("upgrade %s: %w", plan.Name, err)
			}
		}
		to, err := app.modules.RunMigrations(ctx, app.configurator, from)
		if err != nil {
			return nil, fmt.Errorf("upgrade %s: %w", plan.Name, err)
		}
		return to, nil
	}
}
