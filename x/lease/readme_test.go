package lease_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	googleproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	msgv1 "cosmossdk.io/api/cosmos/msg/v1"
	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

// rowsOf reads the first columns of the first table that follows a heading of the README, without its head and its marks of
// code.
func rowsOf(t *testing.T, heading string, columns int) [][]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(readme), "\n## "+heading+"\n")
	require.True(t, found, "no section %q", heading)
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, found := strings.Cut(section, "\n| --- ")
	require.True(t, found, "no table in section %q", heading)
	var rows [][]string
	for _, line := range strings.Split(table, "\n")[1:] {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		// A bar within a cell is written as \|.
		line = strings.ReplaceAll(strings.Trim(line, "| "), `\|`, "\x00")
		cells := strings.Split(line, "|")
		require.GreaterOrEqual(t, len(cells), columns, line)
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.NewReplacer("`", "", "\x00", "|").Replace(cells[i]))
		}
		rows = append(rows, cells[:columns])
	}
	require.NotEmpty(t, rows)
	return rows
}

func protoFile(t *testing.T, name string) protoreflect.FileDescriptor {
	t.Helper()
	file, err := proto.HybridResolver.FindFileByPath("isun/lease/v1/" + name)
	require.NoError(t, err)
	return file
}

func TestReadmeListsMessages(t *testing.T) {
	methods := protoFile(t, "tx.proto").Services().ByName("Msg").Methods()
	want := make([][]string, methods.Len())
	for i := range want {
		msg := methods.Get(i).Input()
		signers, ok := googleproto.GetExtension(msg.Options(), msgv1.E_Signer).([]string)
		require.True(t, ok)
		want[i] = []string{string(msg.Name()), strings.Join(signers, ", ")}
	}
	require.Equal(t, want, rowsOf(t, "Messages", 2))
}

func TestReadmeListsEvents(t *testing.T) {
	events := protoFile(t, "events.proto").Messages()
	want := make([][]string, events.Len())
	for i := range want {
		fields := make([]string, events.Get(i).Fields().Len())
		for j := range fields {
			fields[j] = string(events.Get(i).Fields().Get(j).Name())
		}
		want[i] = []string{string(events.Get(i).Name()), strings.Join(fields, ", ")}
	}
	require.Equal(t, want, rowsOf(t, "Events", 2))
}

// calls lists the calls that variables of a file of types are set to, with the variables' names.
func calls(t *testing.T, file string) (names []string, args [][]ast.Expr) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "types/"+file, nil, 0)
	require.NoError(t, err)
	for _, decl := range parsed.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			value, ok := spec.(*ast.ValueSpec)
			require.True(t, ok)
			call, ok := value.Values[0].(*ast.CallExpr)
			require.True(t, ok)
			names, args = append(names, value.Names[0].Name), append(args, call.Args)
		}
	}
	return names, args
}

func literal(t *testing.T, expr ast.Expr) string {
	t.Helper()
	lit, ok := expr.(*ast.BasicLit)
	require.True(t, ok)
	if lit.Kind != token.STRING {
		return lit.Value
	}
	text, err := strconv.Unquote(lit.Value)
	require.NoError(t, err)
	return text
}

func TestReadmeListsErrors(t *testing.T) {
	names, args := calls(t, "errors.go")
	want := make([][]string, len(names))
	for i, name := range names {
		want[i] = []string{literal(t, args[i][1]), name, literal(t, args[i][len(args[i])-1])}
	}
	require.Equal(t, want, rowsOf(t, "Errors", 3))
}

// Prefixes are in sequence and never reused; the README says what stands under each.
func TestReadmeListsPrefixes(t *testing.T) {
	names, args := calls(t, "keys.go")
	want := make([][]string, len(names))
	for i, name := range names {
		require.True(t, strings.HasSuffix(name, "Prefix"), name)
		require.Equal(t, strconv.Itoa(i), literal(t, args[i][0]), name)
		want[i] = []string{fmt.Sprintf("0x%02x", i)}
	}
	require.Equal(t, want, rowsOf(t, "State", 1))
}

func TestReadmeListsParams(t *testing.T) {
	count := func(least, most uint64) string { return fmt.Sprintf("%d to %d", least, most) }
	seconds := func(least, most time.Duration) string {
		return fmt.Sprintf("%ds to %ds", int64(least.Seconds()), int64(most.Seconds()))
	}
	window, fromOne := seconds(0, types.MaxWindow), seconds(time.Second, types.MaxWindow)
	bounds := map[string]string{
		"billing_period":          seconds(types.MinPeriod, types.MaxPeriod),
		"settle_grace":            "0s to below billing_period",
		"start_deadline":          fromOne,
		"drain_grace":             window,
		"trial_period":            window,
		"max_wait":                fromOne,
		"retention":               fromOne,
		"retry_backoff_min":       fromOne,
		"retry_backoff_max":       fmt.Sprintf("retry_backoff_min to %ds", int64(types.MaxWindow.Seconds())),
		"node_backoff_min":        fromOne,
		"node_backoff_max":        fmt.Sprintf("node_backoff_min to %ds", int64(types.MaxWindow.Seconds())),
		"retry_fee":               count(0, types.MaxRetryFee),
		"min_demand_milli_suns":   count(1, types.MaxMinDemand),
		"provider_share_bps":      count(0, 10_000),
		"max_replicas":            count(1, types.MaxReplicasBound),
		"max_placements_per_node": count(1, types.MaxPlacementsPerNodeBound),
		"max_candidates":          count(1, types.MaxCandidatesBound),
		"suspend_after":           count(1, types.MaxSuspendAfter),
	}
	var want [][]string
	add := func(prefix string, message protoreflect.MessageDescriptor, values map[string]any) {
		for i := range message.Fields().Len() {
			name := string(message.Fields().Get(i).Name())
			if name == "budgets" {
				continue
			}
			bound, known := bounds[name]
			if prefix != "" {
				bound, known = count(1, types.MaxBudget), true
				switch name {
				case "matches", "retries":
					bound = count(1, types.MaxMatchBudget)
				case "due_placements":
					bound = fmt.Sprintf("matches + retries to %d", types.MaxBudget)
				case "prunes":
					bound = fmt.Sprintf("matches + retries, lease_updates to %d", types.MaxBudget)
				}
			}
			require.True(t, known, name)
			want = append(want, []string{prefix + name, fmt.Sprint(values[name]), bound})
		}
	}
	params := types.DefaultParams()
	raw, err := codec.NewProtoCodec(codectypes.NewInterfaceRegistry()).MarshalJSON(&params)
	require.NoError(t, err)
	values := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &values))
	budgets, ok := values["budgets"].(map[string]any)
	require.True(t, ok)
	messages := protoFile(t, "params.proto").Messages()
	add("", messages.ByName("Params"), values)
	add("budgets.", messages.ByName("BlockBudgets"), budgets)
	require.Equal(t, want, rowsOf(t, "Params", 3))
}

// The README's figures are those of the code.
func TestReadmeExample(t *testing.T) {
	rate := types.Rate{Price: 1_001, MilliSuns: 2_500, Royalty: 70}
	require.False(t, rate.Within(math.NewInt(2_572)))
	require.True(t, rate.Within(math.NewInt(2_573)))
	hour := rate.Reserve(0, 3_600_000)
	require.Equal(t, "2572", hour.Total().String())
	row := func(s types.Settlement, forfeited, back math.Int) []string {
		audit := s.Audit.String()
		if forfeited.IsPositive() {
			audit += " + " + forfeited.String()
		}
		return []string{s.Operator.String(), audit, s.Royalty.String(), s.Returned.Add(back).String()}
	}
	served := func(seconds uint64) []string {
		span := hour
		span.AttestedMs = seconds * 1_000
		return row(rate.Settle(span, 9_000), math.ZeroInt(), math.ZeroInt())
	}
	cut := func(forfeit bool) []string {
		span := hour
		span.AttestedMs = 1_800_000
		left, toAudit, back := rate.Cut(span, 1_800_000, forfeit)
		return row(rate.Settle(left, 9_000), toAudit, back)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, want := range [][]string{served(3_600), served(3_599), cut(true), cut(false)} {
		require.Contains(t, string(readme), " | "+strings.Join(want, " | ")+" |\n")
	}
}
