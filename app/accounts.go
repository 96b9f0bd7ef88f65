package app

import (
	"maps"
	"slices"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// moduleAccounts are the accounts that modules own, and what each may do with the supply. Only the validators' and the
// nodes' emission mint, and only slashing and vetoed deposits burn.
var moduleAccounts = map[string][]string{
	authtypes.FeeCollectorName:     nil,
	distrtypes.ModuleName:          nil,
	minttypes.ModuleName:           {authtypes.Minter},
	stakingtypes.BondedPoolName:    {authtypes.Burner, authtypes.Staking},
	stakingtypes.NotBondedPoolName: {authtypes.Burner, authtypes.Staking},
	govtypes.ModuleName:            {authtypes.Burner},
	sunstypes.ModuleName:           nil,
	sunstypes.RewardPoolName:       {authtypes.Minter},
	leasetypes.ModuleName:          nil,
	audittypes.ModuleName:          nil,
}

// Authority is the account that may change params: governance.
func Authority() sdk.AccAddress { return authtypes.NewModuleAddress(govtypes.ModuleName) }

// ModuleAccountNames lists the module accounts, sorted.
func ModuleAccountNames() []string { return slices.Sorted(maps.Keys(moduleAccounts)) }

// BlockedAddresses are the accounts that nobody may send to. A module's account must hold exactly what the module's state
// says is owed, so a gift would break its books. Governance is the exception: it may be given funds that a proposal's
// messages then spend.
func BlockedAddresses() map[string]bool {
	blocked := make(map[string]bool, len(moduleAccounts))
	for name := range moduleAccounts { //consensus:ok fills a set
		if name != govtypes.ModuleName {
			blocked[authtypes.NewModuleAddress(name).String()] = true
		}
	}
	return blocked
}
