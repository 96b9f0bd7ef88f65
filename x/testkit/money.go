package testkit

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/crypto/keys/secp256k1"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// treasury holds all coins of a new fixture. Funding an account moves coins out of it, so the supply never changes behind
// the back of the supply invariant.
const (
	treasury     = "testkit_treasury"
	treasuryUisc = 1_000_000_000_000_000_000
)

// Coins is an amount of uisc; 0 is no coins.
func Coins(uisc int64) sdk.Coins { return sdk.NewCoins(sdk.NewInt64Coin(types.BaseDenom, uisc)) }

// Coin is an amount of uisc.
func Coin(uisc int64) sdk.Coin { return sdk.NewInt64Coin(types.BaseDenom, uisc) }

// Fund gives an account uisc out of the treasury.
func (f *Fixture) Fund(addr sdk.AccAddress, uisc int64) {
	f.T.Helper()
	from := authtypes.NewModuleAddress(treasury)
	require.NoError(f.T, f.Bank.SendCoins(f.Ctx, from, addr, Coins(uisc)))
}

// FundModule gives a module account uisc out of the treasury.
func (f *Fixture) FundModule(name string, uisc int64) {
	f.T.Helper()
	f.Fund(authtypes.NewModuleAddress(name), uisc)
}

// Balance is an account's uisc.
func (f *Fixture) Balance(addr sdk.AccAddress) int64 {
	f.T.Helper()
	return f.small(f.Bank.GetBalance(f.Ctx, addr, types.BaseDenom).Amount)
}

// ModuleBalance is a module account's uisc. Virtual sends count from the end of the block.
func (f *Fixture) ModuleBalance(name string) int64 {
	f.T.Helper()
	return f.Balance(authtypes.NewModuleAddress(name))
}

// Supply is all uisc.
func (f *Fixture) Supply() int64 {
	f.T.Helper()
	return f.small(f.Bank.GetSupply(f.Ctx, types.BaseDenom).Amount)
}

func (f *Fixture) small(amount math.Int) int64 {
	f.T.Helper()
	require.True(f.T, amount.IsInt64(), "amount %s does not fit a test's int64", amount)
	return amount.Int64()
}

// Key is a secp256k1 key, the same for equal names.
func Key(name string) *secp256k1.PrivKey {
	return secp256k1.GenPrivKeyFromSecret([]byte("testkit " + name))
}

// Addr is the address of Key(name).
func Addr(name string) sdk.AccAddress { return sdk.AccAddress(Key(name).PubKey().Address()) }

// Digest is a SHA-256 digest, the same for equal names.
func Digest(name string) []byte {
	digest := sha256.Sum256([]byte(name))
	return digest[:]
}

// EventsOf are the typed events of one kind among events.
func EventsOf[T any, P interface {
	*T
	sdk.Msg
}](t testing.TB, events sdk.Events) []T {
	t.Helper()
	name := sdk.MsgTypeURL(P(new(T)))[1:]
	var found []T
	for _, event := range events.ToABCIEvents() {
		if event.Type != name {
			continue
		}
		parsed, err := sdk.ParseTypedEvent(event)
		require.NoError(t, err)
		typed, ok := parsed.(P)
		require.True(t, ok, fmt.Sprintf("event %s is a %T", name, parsed))
		found = append(found, *typed)
	}
	return found
}

func sortedNames(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
