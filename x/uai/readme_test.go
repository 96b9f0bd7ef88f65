package uai_test

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

	"github.com/cosmos/gogoproto/proto"
	"github.com/stretchr/testify/require"
	googleproto "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	msgv1 "cosmossdk.io/api/cosmos/msg/v1"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

const protoPackage = "isun/uai/v1/"

// readmeTable gives the first columns of the table in a section of the README, without its head and code marks.
func readmeTable(t *testing.T, section string, columns int) [][]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(readme), "\n## "+section+"\n")
	require.True(t, found, "the README has no section %q", section)
	text, _, _ = strings.Cut(text, "\n## ")
	var rows [][]string
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		require.GreaterOrEqual(t, len(cells), columns, line)
		for i, cell := range cells {
			cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), "`", "")
		}
		rows = append(rows, cells[:columns])
	}
	require.Greater(t, len(rows), 2, "section %q has no table", section)
	return rows[2:]
}

func descriptor(t *testing.T, file string) protoreflect.FileDescriptor {
	t.Helper()
	found, err := proto.HybridResolver.FindFileByPath(protoPackage + file)
	require.NoError(t, err)
	return found
}

func TestReadmeMessages(t *testing.T) {
	var want [][]string
	methods := descriptor(t, "tx.proto").Services().ByName("Msg").Methods()
	for i := range methods.Len() {
		input := methods.Get(i).Input()
		signers, ok := googleproto.GetExtension(input.Options(), msgv1.E_Signer).([]string)
		require.True(t, ok)
		want = append(want, []string{string(input.Name()), strings.Join(signers, ", ")})
	}
	require.Equal(t, want, readmeTable(t, "Messages", 2))
}

func TestReadmeEvents(t *testing.T) {
	var want [][]string
	events := descriptor(t, "events.proto").Messages()
	for i := range events.Len() {
		var fields []string
		for j := range events.Get(i).Fields().Len() {
			fields = append(fields, string(events.Get(i).Fields().Get(j).Name()))
		}
		want = append(want, []string{string(events.Get(i).Name()), strings.Join(fields, ", ")})
	}
	require.Equal(t, want, readmeTable(t, "Events", 2))
}

func TestReadmeErrors(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "types/errors.go", nil, 0)
	require.NoError(t, err)
	var want [][]string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		call, ok := spec.Values[0].(*ast.CallExpr)
		require.True(t, ok)
		code, ok := call.Args[1].(*ast.BasicLit)
		require.True(t, ok)
		text, ok := call.Args[len(call.Args)-1].(*ast.BasicLit)
		require.True(t, ok)
		words, err := strconv.Unquote(text.Value)
		require.NoError(t, err)
		want = append(want, []string{code.Value, spec.Names[0].Name, words})
		return false
	})
	require.Equal(t, want, readmeTable(t, "Errors", 3))
}

func TestReadmeParams(t *testing.T) {
	bounds := map[string]string{
		"max_image_bytes": fmt.Sprintf("%d to %d", types.LowestMaxImageBytes, types.HighestMaxImageBytes),
		"max_royalty":     fmt.Sprintf("%d to %d", types.LowestMaxRoyalty, types.HighestMaxRoyalty),
		"replicas":        fmt.Sprintf("%d to %d", types.LowestReplicas, types.HighestReplicas),
		"max_holdings_per_node": fmt.Sprintf("%d to %d",
			types.LowestMaxHoldingsPerNode, types.HighestMaxHoldingsPerNode),
		"max_objects_per_owner": fmt.Sprintf("%d to %d",
			types.LowestMaxObjectsPerOwner, types.HighestMaxObjectsPerOwner),
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
		want = append(want, []string{name, fmt.Sprint(values[name]), bounds[name]})
	}
	require.Equal(t, want, readmeTable(t, "Params", 3))
}
