package app

import (
	"context"
	"fmt"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// CheckInvariants says which module's state does not add up, if any. It walks all of state, so it is for tests and
// simulations, never for a block. It holds at the end of every block.
func (app *App) CheckInvariants(ctx context.Context) error {
	for _, module := range []struct {
		name  string
		check func(context.Context) error
	}{
		{sunstypes.ModuleName, app.SunsKeeper.AllInvariants},
		{uaitypes.ModuleName, app.UAIKeeper.AllInvariants},
		{leasetypes.ModuleName, app.LeaseKeeper.AllInvariants},
		{audittypes.ModuleName, app.AuditKeeper.AllInvariants},
	} {
		if err := module.check(ctx); err != nil {
			return fmt.Errorf("invariant of x/%s: %w", module.name, err)
		}
	}
	return nil
}
