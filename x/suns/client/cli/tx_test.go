package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func newCodec() codec.Codec {
	registry := codectypes.NewInterfaceRegistry()
	cryptocodec.RegisterInterfaces(registry)
	return codec.NewProtoCodec(registry)
}

func TestExampleNodeCanBeRegistered(t *testing.T) {
	msg := new(types.MsgRegisterNode)
	require.NoError(t, newCodec().UnmarshalJSON([]byte(ExampleNode), msg))
	measured, err := msg.Report.Measure(types.DefaultParams())
	require.NoError(t, err)
	require.EqualValues(t, 4_000, measured.MilliSuns)
	require.NoError(t, types.ValidateGateways(msg.Gateways))
	require.NoError(t, types.ValidateCountry(msg.Country))
	require.NoError(t, types.ValidateUisc(msg.Bond))
}

func TestAgentOfTheKeyringSigns(t *testing.T) {
	keys := keyring.NewInMemory(newCodec())
	record, _, err := keys.NewMnemonic("attic", keyring.English, "m/44'/118'/0'/0/0", "", hd.Secp256k1)
	require.NoError(t, err)
	want, err := record.GetAddress()
	require.NoError(t, err)

	operator := testkit.Addr("operator")
	for _, msg := range []nodeMsg{
		registration{&types.MsgRegisterNode{Number: 3}}, update{&types.MsgUpdateNode{Number: 3}},
	} {
		msg.setOperator(operator.String())
		require.NoError(t, signAs(keys, "attic", "isun-1", msg))
		var pubKey, signature []byte
		switch m := msg.message().(type) {
		case *types.MsgRegisterNode:
			pubKey, signature = m.AgentPubKey, m.AgentSignature
		case *types.MsgUpdateNode:
			pubKey, signature = m.AgentPubKey, m.AgentSignature
		}
		agent, err := types.VerifyAgent("isun-1", types.NewNodeID(operator, 3), pubKey, signature)
		require.NoError(t, err)
		require.Equal(t, want, agent)
		require.Error(t, signAs(keys, "nobody", "isun-1", msg))
	}
}

func TestReadFile(t *testing.T) {
	content, err := readFile(strings.NewReader(ExampleNode), "-")
	require.NoError(t, err)
	require.Equal(t, ExampleNode, string(content))
	_, err = readFile(strings.NewReader(strings.Repeat("x", maxNodeFile+1)), "-")
	require.ErrorContains(t, err, "longer")
	_, err = readFile(nil, "testdata/absent")
	require.Error(t, err)
}

func TestCommands(t *testing.T) {
	for _, name := range []string{"register-node", "update-node"} {
		cmd, _, err := NewTxCmd().Find([]string{name})
		require.NoError(t, err)
		require.NotNil(t, cmd.Flags().Lookup("agent"))
		require.NotNil(t, cmd.Flags().Lookup("from"))
		require.Error(t, cmd.Args(cmd, nil))
	}
}
