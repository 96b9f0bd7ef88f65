package types

import sdk "github.com/cosmos/cosmos-sdk/types"

const (
	// BaseDenom is the smallest unit of the coin; 1 ISC is 1,000,000 uisc.
	BaseDenom = "uisc"
	// DisplayDenom is the unit people speak of.
	DisplayDenom = "isc"
	// BaseUnitsPerCoin is how many uisc make one ISC.
	BaseUnitsPerCoin = 1_000_000
	// Bech32Prefix begins every account address.
	Bech32Prefix = "isun"
)

// The SDK reads address prefixes from a global. Every program and test of this module imports these types, so setting it
// here means no address is ever written with another prefix.
func init() {
	config := sdk.GetConfig()
	config.SetBech32PrefixForAccount(Bech32Prefix, Bech32Prefix+"pub")
	config.SetBech32PrefixForValidator(Bech32Prefix+"valoper", Bech32Prefix+"valoperpub")
	config.SetBech32PrefixForConsensusNode(Bech32Prefix+"valcons", Bech32Prefix+"valconspub")
	sdk.DefaultBondDenom = BaseDenom
}
