package app

import (
	"context"
	"testing"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
)

// AddUpgrade makes the binary know an upgrade until the test ends.
func AddUpgrade(t *testing.T, name string, stores storetypes.StoreUpgrades, before func(context.Context, *App) error) {
	t.Helper()
	upgrades[name] = plannedUpgrade{stores: stores, before: before}
	t.Cleanup(func() { delete(upgrades, name) })
}
