package types_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func TestValidateCountry(t *testing.T) {
	for _, code := range []string{"TW", "JP", "AD", "ZW", "US", "SS"} {
		require.NoError(t, types.ValidateCountry(code))
	}
	for _, code := range []string{"", "T", "TWN", "tw", "XX", "UK", "EU", "ZZ", " TW"} {
		require.ErrorIs(t, types.ValidateCountry(code), types.ErrInvalidNode, code)
	}
}

func TestValidateTexts(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		valid bool
	}{
		"moniker":               {types.ValidateMoniker("太陽幣 attic #1"), true},
		"moniker of 64 bytes":   {types.ValidateMoniker(strings.Repeat("x", 64)), true},
		"moniker of 65 bytes":   {types.ValidateMoniker(strings.Repeat("x", 65)), false},
		"moniker with delete":   {types.ValidateMoniker("a\x7f"), false},
		"moniker with a C1":     {types.ValidateMoniker("a\u009b2J"), false},
		"moniker backwards":     {types.ValidateMoniker("a\u202eb"), false},
		"zone":                  {types.ValidateZone("tw-north-1"), true},
		"no zone":               {types.ValidateZone(""), true},
		"zone of 32":            {types.ValidateZone(strings.Repeat("z", 32)), true},
		"zone of 33":            {types.ValidateZone(strings.Repeat("z", 33)), false},
		"zone with space":       {types.ValidateZone("a b"), false},
		"gateways":              {types.ValidateGateways([]string{"a.example:443", "[::1]:1", "1.2.3.4:65535"}), true},
		"no gateways":           {types.ValidateGateways(nil), true},
		"gateway of port 0":     {types.ValidateGateways([]string{"a:0"}), false},
		"gateway of port 65536": {types.ValidateGateways([]string{"a:65536"}), false},
		"gateway of no host":    {types.ValidateGateways([]string{":80"}), false},
		"gateway with a path":   {types.ValidateGateways([]string{"https://a:80"}), false},
		"empty gateway":         {types.ValidateGateways([]string{""}), false},
	} {
		if c.valid {
			require.NoError(t, c.err, name)
		} else {
			require.ErrorIs(t, c.err, types.ErrInvalidNode, name)
		}
	}
}

func TestNodeIDs(t *testing.T) {
	operator := sdk.AccAddress([]byte("operator____________"))
	id := types.NewNodeID(operator, 7)
	parsed, err := types.ParseNodeID(id.String())
	require.NoError(t, err)
	require.True(t, parsed.Equal(id))
	key, err := id.Key()
	require.NoError(t, err)
	require.Equal(t, id, types.NodeIDFromKey(key))
	for _, s := range []string{"", "7", operator.String(), operator.String() + "/", operator.String() + "/0", operator.String() + "/x", "x/1"} {
		_, err := types.ParseNodeID(s)
		require.ErrorIs(t, err, types.ErrInvalidNodeID, s)
	}
}

func TestNodeIDsInStateAreInLowerCase(t *testing.T) {
	id := types.NewNodeID(sdk.AccAddress([]byte("operator____________")), 7)
	key, err := id.Key()
	require.NoError(t, err)
	canonical, err := id.Canonical()
	require.NoError(t, err)
	require.Equal(t, key, canonical)
	id.Operator = strings.ToUpper(id.Operator)
	_, err = id.Key()
	require.NoError(t, err)
	_, err = id.Canonical()
	require.ErrorIs(t, err, types.ErrInvalidNodeID)
}

func FuzzParseNodeID(f *testing.F) {
	f.Add(types.NewNodeID(sdk.AccAddress([]byte("operator____________")), 7).String())
	f.Add("/")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := types.ParseNodeID(s)
		if err == nil {
			require.NoError(t, id.Validate())
		}
	})
}
