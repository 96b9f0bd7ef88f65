package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// quickVotes lets a proposal be decided in seconds.
func quickVotes(cdc codec.JSONCodec, state app.GenesisState) error {
	voting, expedited := 5*time.Second, 3*time.Second
	return app.EditGenesis(cdc, state, govtypes.ModuleName, func(g *govv1.GenesisState) {
		g.Params.VotingPeriod, g.Params.ExpeditedVotingPeriod = &voting, &expedited
	})
}

// Governance plans an upgrade; a binary that does not know it stops at its height, and one that does carries it out and goes
// on.
func TestUpgradeStopsTheOldBinaryAndRunsInTheNew(t *testing.T) {
	c := chain.New(t, chain.WithGenesis(quickVotes), chain.WithHome(t.TempDir()), chain.WithDisk(t, t.TempDir()))
	const name, height = "test-1", 12
	plan := &upgradetypes.MsgSoftwareUpgrade{
		Authority: app.Authority().String(), Plan: upgradetypes.Plan{Name: name, Height: height},
	}
	proposal, err := govv1.NewMsgSubmitProposal([]sdk.Msg{plan}, chain.Coins(500*sunstypes.BaseUnitsPerCoin),
		c.Address("validator0").String(), "", "upgrade", "to test upgrades", false)
	require.NoError(t, err)
	c.Do("validator0", proposal)
	c.Do("validator0", govv1.NewMsgVote(c.Address("validator0"), 1, govv1.OptionYes, ""))
	for c.App.LastBlockHeight() < height-1 {
		c.NextBlock()
	}

	require.ErrorContains(t, c.BlockError(), name, "the old binary must stop")

	ran := false
	app.AddUpgrade(t, name, storetypes.StoreUpgrades{}, func(context.Context, *app.App) error {
		ran = true
		return nil
	})
	c.Restart()
	c.NextBlock()
	require.True(t, ran)
	c.NextBlock()
}
