// Package cli holds the commands of x/suns that AutoCLI cannot make: those in which the agent signs too, and those
// that read better with flags of their own.
package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	"github.com/cosmos/cosmos-sdk/version"
	"github.com/cosmos/gogoproto/proto"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// maxNodeFile bounds what is read: the longest valid node is far shorter.
	maxNodeFile = 1 << 20
	flagAgent   = "agent"
)

// ExampleNode is a file that register-node reads. Of a machine with accelerators, report also holds "accelerators".
const ExampleNode = `{
  "number": "1",
  "moniker": "attic",
  "ask_price": "1000000",
  "country": "TW",
  "zone": "home",
  "gateways": ["203.0.113.7:8443"],
  "report": {
    "version": 1,
    "digest": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
    "architecture": "amd64",
    "capacity": {"cpu_points": "4000", "memory_mib": "8192", "storage_mib": "65536", "bandwidth_mbps": "80"},
    "milli_suns": "4000"
  },
  "bond": {"denom": "uisc", "amount": "4000000"}
}`

// NewTxCmd gives the transactions of x/suns.
func NewTxCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:                        types.ModuleName,
		Short:                      "Register machines and manage your own",
		SuggestionsMinimumDistance: 2,
		RunE:                       client.ValidateCmd,
	}
	cmd.AddCommand(newRegisterNodeCmd(), newUpdateNodeCmd())
	return cmd
}

func newRegisterNodeCmd() *cobra.Command {
	return nodeCmd(&cobra.Command{
		Use:   "register-node FILE",
		Short: "Register the machine that a JSON file describes ('-' reads standard input)",
		Long: `Register the machine that a JSON file describes ('-' reads standard input). isun-worker join measures a machine and
does this by itself.

The operator is the signer. The agent's key signs too: name a key of the keyring with --agent, or put agent_pub_key and
agent_signature in the file:

` + ExampleNode,
		Example: fmt.Sprintf("%s tx suns register-node node.json --agent attic --from operator", version.AppName),
	}, func() nodeMsg { return registration{new(types.MsgRegisterNode)} })
}

func newUpdateNodeCmd() *cobra.Command {
	return nodeCmd(&cobra.Command{
		Use:   "update-node FILE",
		Short: "Change one of your nodes as a JSON file says ('-' reads standard input)",
		Long: `Change one of your nodes as a JSON file says ('-' reads standard input): number, and those of moniker, ask_price,
country, zone, gateways, clear_gateways, report and add_bond that change. --agent names the key of a new agent.`,
		Example: fmt.Sprintf(`echo '{"number":"1","ask_price":"2000000"}' | %s tx suns update-node - --from operator`, version.AppName),
	}, func() nodeMsg { return update{new(types.MsgUpdateNode)} })
}

// nodeMsg is a message in which an operator names a node and its agent.
type nodeMsg interface {
	message() proto.Message
	id() *types.NodeID
	setOperator(operator string)
	setAgent(pubKey, signature []byte)
}

type registration struct{ *types.MsgRegisterNode }

func (r registration) message() proto.Message { return r.MsgRegisterNode }
func (r registration) id() *types.NodeID {
	return &types.NodeID{Operator: r.Operator, Number: r.Number}
}
func (r registration) setOperator(operator string) { r.Operator = operator }
func (r registration) setAgent(pubKey, signature []byte) {
	r.AgentPubKey, r.AgentSignature = pubKey, signature
}

type update struct{ *types.MsgUpdateNode }

func (u update) message() proto.Message      { return u.MsgUpdateNode }
func (u update) id() *types.NodeID           { return &types.NodeID{Operator: u.Operator, Number: u.Number} }
func (u update) setOperator(operator string) { u.Operator = operator }
func (u update) setAgent(pubKey, signature []byte) {
	u.AgentPubKey, u.AgentSignature = pubKey, signature
}

func nodeCmd(cmd *cobra.Command, newMsg func() nodeMsg) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		clientCtx, err := client.GetClientTxContext(cmd)
		if err != nil {
			return err
		}
		content, err := readFile(cmd.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		msg := newMsg()
		if err := clientCtx.Codec.UnmarshalJSON(content, msg.message()); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		msg.setOperator(clientCtx.GetFromAddress().String())
		agent, err := cmd.Flags().GetString(flagAgent)
		if err != nil {
			return err
		}
		if agent != "" {
			if err := signAs(clientCtx.Keyring, agent, clientCtx.ChainID, msg); err != nil {
				return fmt.Errorf("agent %s: %w", agent, err)
			}
		}
		return tx.GenerateOrBroadcastTxCLI(clientCtx, cmd.Flags(), msg.message())
	}
	cmd.Flags().String(flagAgent, "", "key of the keyring that is the node's agent")
	flags.AddTxFlagsToCmd(cmd)
	return cmd
}

// signAs lets a key of the keyring agree to be the node's agent.
func signAs(keys keyring.Keyring, agent, chainID string, msg nodeMsg) error {
	id := msg.id()
	signature, pubKey, err := keys.Sign(agent, types.AgentSignBytes(chainID, id.Operator, id.Number),
		signing.SignMode_SIGN_MODE_DIRECT)
	if err != nil {
		return err
	}
	msg.setAgent(pubKey.Bytes(), signature)
	return nil
}

func readFile(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, maxNodeFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxNodeFile {
		return nil, fmt.Errorf("%s is longer than %d bytes: that is no description of a node", name, maxNodeFile)
	}
	return content, nil
}
