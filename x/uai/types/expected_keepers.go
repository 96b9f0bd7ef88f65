package types

import sdk "github.com/cosmos/cosmos-sdk/types"

// BankKeeper is what x/uai needs of x/bank.
type BankKeeper interface {
	// BlockedAddr says whether an address may not receive coins: royalties could never be paid to it.
	BlockedAddr(addr sdk.AccAddress) bool
}
