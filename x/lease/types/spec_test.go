package types_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// listOf makes a list of count items that differ.
func listOf[T any](count int, item func(int) T) []T {
	list := make([]T, count)
	for i := range list {
		list[i] = item(i)
	}
	return list
}

// countries are the first of all valid codes.
func countries(t *testing.T, count int) []string {
	t.Helper()
	var codes []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z' && len(codes) < count; b++ {
			if code := string(a) + string(b); sunstypes.ValidateCountry(code) == nil {
				codes = append(codes, code)
			}
		}
	}
	require.Len(t, codes, count)
	return codes
}

func TestPlacementRulesBounds(t *testing.T) {
	node := sunstypes.NewNodeID(testkit.Addr("op"), 1)
	nobody := sunstypes.NodeID{Operator: "isun1nobody", Number: 1}
	zone := func(i int) string { return fmt.Sprintf("zone-%d", i) }
	avoid := func(i int) sunstypes.NodeID { return sunstypes.NewNodeID(testkit.Addr("op"), uint64(i+1)) }
	arch := func(int) string { return "amd64" }
	for _, tc := range []struct {
		name  string
		rules types.PlacementRules
		ok    bool
	}{
		{"none", types.PlacementRules{}, true},
		{"most countries", types.PlacementRules{Countries: countries(t, types.MaxListed)}, true},
		{"too many countries", types.PlacementRules{Countries: countries(t, types.MaxListed+1)}, false},
		{"lower case country", types.PlacementRules{Countries: []string{"tw"}}, false},
		{"long country", types.PlacementRules{Countries: []string{strings.Repeat("T", 1<<20)}}, false},
		{"country twice", types.PlacementRules{Countries: []string{"TW", "JP", "TW"}}, false},
		{"most zones", types.PlacementRules{Zones: listOf(types.MaxListed, zone)}, true},
		{"too many zones", types.PlacementRules{Zones: listOf(types.MaxListed+1, zone)}, false},
		{"longest zone", types.PlacementRules{Zones: []string{strings.Repeat("z", types.MaxNameBytes)}}, true},
		{"zone too long", types.PlacementRules{Zones: []string{strings.Repeat("z", types.MaxNameBytes+1)}}, false},
		{"empty zone", types.PlacementRules{Zones: []string{""}}, false},
		{"zone that is not text", types.PlacementRules{Zones: []string{"\xff"}}, false},
		{"most architectures", types.PlacementRules{Architectures: listOf(types.MaxListed, arch)}, true},
		{"too many architectures", types.PlacementRules{Architectures: listOf(types.MaxListed+1, arch)}, false},
		{"unknown architecture", types.PlacementRules{Architectures: []string{"riscv64"}}, false},
		{"most avoided", types.PlacementRules{Avoid: listOf(types.MaxListed, avoid)}, true},
		{"too many avoided", types.PlacementRules{Avoid: listOf(types.MaxListed+1, avoid)}, false},
		{"avoided node without number", types.PlacementRules{Avoid: []sunstypes.NodeID{{Operator: node.Operator}}}, false},
		{"avoided node in another spelling", types.PlacementRules{Avoid: []sunstypes.NodeID{
			{Operator: strings.ToUpper(node.Operator), Number: 1},
		}}, false},
		{"avoided node of nobody", types.PlacementRules{Avoid: []sunstypes.NodeID{nobody}}, false},
		{"a node", types.PlacementRules{Node: &node}, true},
		{"a node of nobody", types.PlacementRules{Node: &nobody}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requireBound(t, tc.ok, types.ErrInvalidRules, tc.rules.Validate())
		})
	}
}

func requireBound(t *testing.T, ok bool, want, err error) {
	t.Helper()
	if ok {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, want)
	require.Less(t, len(err.Error()), 1_000, "errors must not carry back what was sent")
}

func TestPriceBounds(t *testing.T) {
	for price, ok := range map[uint64]bool{0: false, 1: true, types.MaxPrice: true, types.MaxPrice + 1: false, ^uint64(0): false} {
		requireBound(t, ok, types.ErrInvalidPrice, types.ValidatePrice(price))
	}
}

func TestAmountBounds(t *testing.T) {
	uisc := func(amount math.Int) sdk.Coin { return sdk.Coin{Denom: sunstypes.BaseDenom, Amount: amount} }
	for _, tc := range []struct {
		name string
		coin sdk.Coin
		ok   bool
	}{
		{"least", uisc(math.OneInt()), true},
		{"nothing", uisc(math.ZeroInt()), false},
		{"below nothing", uisc(math.NewInt(-1)), false},
		{"unset", uisc(math.Int{}), false},
		{"empty", sdk.Coin{}, false},
		{"most", uisc(types.MaxAmount), true},
		{"above it", uisc(types.MaxAmount.AddRaw(1)), false},
		{"as large as there are", uisc(math.NewIntWithDecimal(1, 77)), false},
		{"another denom", sdk.NewInt64Coin("uatom", 1), false},
		{"no denom", sdk.Coin{Amount: math.OneInt()}, false},
	} {
		t.Run(tc.name, func(t *testing.T) { requireBound(t, tc.ok, types.ErrInvalidAmount, types.ValidateAmount(tc.coin)) })
	}
}

func TestCommandBounds(t *testing.T) {
	arg := func(int) string { return "x" }
	env := func(i int) types.EnvVar { return types.EnvVar{Name: fmt.Sprintf("V%d", i)} }
	one := func(name, value string) []types.EnvVar { return []types.EnvVar{{Name: name, Value: value}} }
	for _, tc := range []struct {
		name string
		args []string
		env  []types.EnvVar
		ok   bool
	}{
		{"nothing", nil, nil, true},
		{"most arguments", listOf(types.MaxArgs, arg), nil, true},
		{"too many arguments", listOf(types.MaxArgs+1, arg), nil, false},
		{"an empty argument", []string{""}, nil, true},
		{"NUL in an argument", []string{"a\x00b"}, nil, false},
		{"argument that is not text", []string{"\xff"}, nil, false},
		{"most variables", nil, listOf(types.MaxEnv, env), true},
		{"too many variables", nil, listOf(types.MaxEnv+1, env), false},
		{"longest name", nil, one(strings.Repeat("V", types.MaxNameBytes), ""), true},
		{"name too long", nil, one(strings.Repeat("V", types.MaxNameBytes+1), ""), false},
		{"no name", nil, one("", "x"), false},
		{"= in a name", nil, one("A=B", "x"), false},
		{"space in a name", nil, one("A B", "x"), false},
		{"NUL in a name", nil, one("A\x00", "x"), false},
		{"NUL in a value", nil, one("A", "\x00"), false},
		{"value that is not text", nil, one("A", "\xff"), false},
		{"a name twice", nil, []types.EnvVar{{Name: "A"}, {Name: "A"}}, false},
		{"most bytes", []string{strings.Repeat("x", types.MaxSpecBytes-3)}, one("A", "bc"), true},
		{"too many bytes", []string{strings.Repeat("x", types.MaxSpecBytes-3)}, one("A", "bcd"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requireBound(t, tc.ok, types.ErrInvalidSpec, types.ValidateCommand(tc.args, tc.env))
		})
	}
}

func TestEndpointBounds(t *testing.T) {
	good := types.Endpoint{Name: "web", Protocol: "http", Address: "203.0.113.7:8080", ContainerPort: 80}
	with := func(change func(*types.Endpoint)) []types.Endpoint {
		e := good
		change(&e)
		return []types.Endpoint{e}
	}
	address := func(a string) []types.Endpoint { return with(func(e *types.Endpoint) { e.Address = a }) }
	many := func(i int) types.Endpoint { e := good; e.Name = fmt.Sprintf("web%d", i); return e }
	for _, tc := range []struct {
		name      string
		endpoints []types.Endpoint
		ok        bool
	}{
		{"none", nil, true},
		{"one", []types.Endpoint{good}, true},
		{"most", listOf(types.MaxEndpoints, many), true},
		{"too many", listOf(types.MaxEndpoints+1, many), false},
		{"a name twice", []types.Endpoint{good, good}, false},
		{"no name", with(func(e *types.Endpoint) { e.Name = "" }), false},
		{"longest name", with(func(e *types.Endpoint) { e.Name = strings.Repeat("n", types.MaxNameBytes) }), true},
		{"name too long", with(func(e *types.Endpoint) { e.Name = strings.Repeat("n", types.MaxNameBytes+1) }), false},
		{"name that is not text", with(func(e *types.Endpoint) { e.Name = "\xff" }), false},
		{"tcp", with(func(e *types.Endpoint) { e.Protocol = "tcp" }), true},
		{"udp", with(func(e *types.Endpoint) { e.Protocol = "udp" }), true},
		{"another protocol", with(func(e *types.Endpoint) { e.Protocol = "sctp" }), false},
		{"first port", with(func(e *types.Endpoint) { e.ContainerPort = 1 }), true},
		{"last port", with(func(e *types.Endpoint) { e.ContainerPort = 65_535 }), true},
		{"no port", with(func(e *types.Endpoint) { e.ContainerPort = 0 }), false},
		{"port beyond the last", with(func(e *types.Endpoint) { e.ContainerPort = 65_536 }), false},
		{"IPv6", address("[2001:db8::1]:1"), true},
		{"a host name", address("node.example.com:65535"), true},
		{"longest address", address(strings.Repeat("a", types.MaxAddressBytes-3) + ":80"), true},
		{"address too long", address(strings.Repeat("a", types.MaxAddressBytes-2) + ":80"), false},
		{"empty address", address(""), false},
		{"no port in the address", address("203.0.113.7"), false},
		{"no host", address(":80"), false},
		{"port 0", address("h:0"), false},
		{"port 65536", address("h:65536"), false},
		{"port in words", address("h:http"), false},
		{"a URL", address("http://h:80"), false},
		{"a user", address("root@h:80"), false},
		{"a path", address("h/x:80"), false},
		{"NUL", address("h\x00:80"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requireBound(t, tc.ok, types.ErrInvalidEndpoints, types.ValidateEndpoints(tc.endpoints))
		})
	}
}

func TestReasonBounds(t *testing.T) {
	for reason, ok := range map[string]bool{
		"": false, "x": true, "\xff": false, "a\x00": false,
		strings.Repeat("r", types.MaxReasonBytes): true, strings.Repeat("r", types.MaxReasonBytes+1): false,
	} {
		requireBound(t, ok, types.ErrInvalidReason, types.ValidateReason(reason))
	}
}
