package suns_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	googleproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	msgv1 "cosmossdk.io/api/cosmos/msg/v1"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

func descriptor(t *testing.T, file string) protoreflect.FileDescriptor {
	t.Helper()
	found, err := proto.HybridResolver.FindFileByPath("isun/suns/v1/" + file)
	require.NoError(t, err)
	return found
}

var tableRow = regexp.MustCompile(`(?m)^\|(.+)\|$`)

// table gives the leading cells of each row of a section's table, without code marks.
func table(t *testing.T, section string, columns int) [][]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "\n## "+section+"\n")
	require.True(t, found, "no section %s", section)
	text, _, _ := strings.Cut(rest, "\n## ")
	var rows [][]string
	for _, match := range tableRow.FindAllStringSubmatch(text, -1) {
		cells := strings.Split(strings.ReplaceAll(strings.ReplaceAll(match[1], `\|`, "¦"), "`", ""), "|")
		require.GreaterOrEqual(t, len(cells), columns, match[0])
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "¦", "|")
		}
		rows = append(rows, cells[:columns])
	}
	require.Greater(t, len(rows), 2, "section %s has no table", section)
	return rows[2:]
}

func TestReadmeListsMessages(t *testing.T) {
	var want [][]string
	methods := descriptor(t, "tx.proto").Services().Get(0).Methods()
	for i := range methods.Len() {
		input := methods.Get(i).Input()
		signers, _ := googleproto.GetExtension(input.Options(), msgv1.E_Signer).([]string)
		want = append(want, []string{string(input.Name()), strings.Join(signers, ", ")})
	}
	require.Equal(t, want, table(t, "Messages", 2))
}

func TestReadmeListsEvents(t *testing.T) {
	var want [][]string
	events := descriptor(t, "events.proto").Messages()
	for i := range events.Len() {
		var fields []string
		for j := range events.Get(i).Fields().Len() {
			fields = append(fields, string(events.Get(i).Fields().Get(j).Name()))
		}
		want = append(want, []string{string(events.Get(i).Name()), strings.Join(fields, ", ")})
	}
	require.Equal(t, want, table(t, "Events", 2))
}

func TestReadmeListsErrors(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "types/errors.go", nil, 0)
	require.NoError(t, err)
	var want [][]string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		args := spec.Values[0].(*ast.CallExpr).Args
		words, err := strconv.Unquote(args[2].(*ast.BasicLit).Value)
		require.NoError(t, err)
		want = append(want, []string{args[1].(*ast.BasicLit).Value, spec.Names[0].Name, words})
		return false
	})
	require.Equal(t, want, table(t, "Errors", 3))
}

func TestReadmeListsParams(t *testing.T) {
	const mostUisc = "1 to 1000000000000000000"
	bounds := map[string]string{
		"bundle":                   bound(1, types.MaxBundleUnits),
		"accelerator_bundle":       bound(1, types.MaxBundleUnits),
		"max_gap":                  span(types.MinMaxGap, types.MaxMaxGap),
		"epoch_duration":           span(types.MinEpochDuration, types.MaxEpochDuration),
		"silence_limit":            span(types.MinSilenceLimit, types.MaxSilenceLimit),
		"unbonding_period":         span(types.MinUnbondingPeriod, types.MaxUnbondingPeriod),
		"min_ask":                  "1 to max_rewarded_ask",
		"max_rewarded_ask":         fmt.Sprintf("min_ask to %d", types.MaxAskPrice),
		"min_bond":                 mostUisc,
		"bond_per_suns":            mostUisc,
		"min_node_milli_suns":      bound(types.MinMinNodeMilliSuns, types.MaxNodeMilliSuns),
		"claim_epochs":             bound(types.MinClaimEpochs, types.MaxClaimEpochs),
		"max_deadlines_per_block":  bound(types.MinBlockBudget, types.MaxBlockBudget),
		"max_payouts_per_block":    bound(types.MinBlockBudget, types.MaxBlockBudget),
		"max_unbondings_per_block": bound(types.MinBlockBudget, types.MaxBlockBudget),
	}
	params := types.DefaultParams()
	raw, err := codec.NewProtoCodec(codectypes.NewInterfaceRegistry()).MarshalJSON(&params)
	require.NoError(t, err)
	values := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &values))
	var want [][]string
	fields := descriptor(t, "params.proto").Messages().ByName("Params").Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		want = append(want, []string{name, shown(values[name], fields.Get(i).Message()), bounds[name]})
	}
	require.Equal(t, want, table(t, "Params", 3))
}

func bound(low, high uint64) string { return fmt.Sprintf("%d to %d", low, high) }

func span(low, high time.Duration) string { return fmt.Sprintf("%s to %s", low, high) }

// shown is a default as the README writes it: the numbers of a bundle in the order of its fields, durations as Go does.
func shown(value any, message protoreflect.MessageDescriptor) string {
	switch v := value.(type) {
	case map[string]any:
		var parts []string
		for i := range message.Fields().Len() {
			parts = append(parts, fmt.Sprint(v[string(message.Fields().Get(i).Name())]))
		}
		return strings.Join(parts, ", ")
	case string:
		if d, err := time.ParseDuration(v); err == nil && message != nil {
			return d.String()
		}
	}
	return fmt.Sprint(value)
}

// Every collection of the store has its row, in the order of the prefixes.
func TestReadmeListsState(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "types/keys.go", nil, 0)
	require.NoError(t, err)
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		number, err := strconv.Atoi(call.Args[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		want = append(want, fmt.Sprintf("0x%02x", number))
		return false
	})
	var got []string
	for _, row := range table(t, "State", 1) {
		got = append(got, strings.Fields(row[0])[0])
	}
	require.Equal(t, want, got)
}
