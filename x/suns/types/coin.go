package types

import (
	"os"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

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
// here means no address is ever written with another prefix. Unless it is told a scope for that global, it asks the system
// for the program's name every time it reads or writes an address, which is a tenth of what running a block costs. The scope
// is ours whatever the machine's environment says, so that no machine differs.
func init() {
	if err := os.Setenv(sdk.EnvConfigScope, Bech32Prefix); err != nil {
		panic(err)
	}
	config := sdk.GetConfig()
	config.SetBech32PrefixForAccount(Bech32Prefix, Bech32Prefix+"pub")
	config.SetBech32PrefixForValidator(Bech32Prefix+"valoper", Bech32Prefix+"valoperpub")
	config.SetBech32PrefixForConsensusNode(Bech32Prefix+"valcons", Bech32Prefix+"valconspub")
	sdk.DefaultBondDenom = BaseDenom
}

// Coins are an amount of uisc.
func Coins(amount math.Int) sdk.Coins { return sdk.NewCoins(sdk.NewCoin(BaseDenom, amount)) }

// ValidateUisc says whether a coin is a positive amount of uisc that state can hold.
func ValidateUisc(coin sdk.Coin) error {
	if coin.Denom != BaseDenom {
		return ErrInvalidAmount.Wrapf("denom %.40q is not %s", coin.Denom, BaseDenom)
	}
	if coin.Amount.IsNil() || !coin.Amount.IsPositive() {
		return ErrInvalidAmount.Wrap("must be above 0")
	}
	return checkUisc(coin.Amount)
}

// checkUisc says whether an amount in state is set and between 0 and maxUisc.
func checkUisc(amount math.Int) error {
	switch {
	case amount.IsNil():
		return ErrInvalidAmount.Wrap("is not set")
	case amount.IsNegative():
		return ErrInvalidAmount.Wrapf("%s is negative", amount)
	case amount.GT(maxUisc):
		return ErrInvalidAmount.Wrapf("is above %s", maxUisc)
	}
	return nil
}
