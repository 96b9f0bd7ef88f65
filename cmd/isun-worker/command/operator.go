package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/worker/config"
	"github.com/isuncoin/isuncoin/worker/operator"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// keyFlags say where the operator's key is. It stays in isunchaind's keyring;
// the worker never copies it.
type keyFlags struct {
	name    string
	backend string
	home    string
	yes     bool
}

func (k *keyFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.name, "operator-key", "", "name or address of the operator's key in isunchaind's keyring")
	f.StringVar(&k.backend, "keyring-backend", chainclient.DefaultKeyringBackend, "keyring backend (os|file|test|…)")
	f.StringVar(&k.home, "operator-home", chainclient.DefaultHome(), "isunchaind's home, where the keyring is")
	f.StringVar(&k.home, "keyring-dir", chainclient.DefaultHome(), "the same as --operator-home")
	f.BoolVarP(&k.yes, "yes", "y", false, "do not ask before sending")
}

// confirm asks the owner before something is signed.
func (k *keyFlags) confirm(cmd *cobra.Command, question string) error {
	if k.yes {
		return nil
	}
	if !terminal(cmd.InOrStdin()) {
		return errors.New("nobody is there to ask: say --yes to send without asking")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", question)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was sent")
	}
	return nil
}

// open connects with the operator's key.
func (k *keyFlags) open(conn *chainclient.Conn, passphrase io.Reader) (*operator.Operator, error) {
	if k.name == "" {
		return nil, errors.New("--operator-key is needed: this is signed by the machine's owner, not by the worker " +
			"(list keys with `isunchaind keys list`, make one with `isunchaind keys add NAME`)")
	}
	ring, err := chainclient.OpenKeyring(chainclient.KeyringConfig{Backend: k.backend, Home: k.home, Input: passphrase}, conn.Codec())
	if err != nil {
		return nil, err
	}
	signer, err := chainclient.NewKeyringSigner(ring, k.name)
	if err != nil {
		return nil, fmt.Errorf("%w (looked in %s, see --operator-home and --keyring-backend)", err, k.home)
	}
	return operator.New(conn, signer), nil
}

// sent is what a command that sends one message prints.
type sent struct {
	Node   string `json:"node"`
	TxHash string `json:"tx_hash,omitempty"`
	Status string `json:"status"`
}

// order is a command that sends one message about this worker's node.
type order struct {
	send     func(*operator.Operator, context.Context, sunstypes.NodeID) (string, error)
	question string // before it is sent
	done     string // after it was
	status   string // what the node is then
}

func ownersCommand(o *options, cmd *cobra.Command, order order) *cobra.Command {
	var keys keyFlags
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := o.load(nil)
		if err != nil {
			return err
		}
		node, err := o.node()
		if err != nil {
			return err
		}
		conn, err := dial(cmd.Context(), cfg, node.ChainID)
		if err != nil {
			return err
		}
		defer conn.Close()
		owner, err := keys.open(conn, cmd.InOrStdin())
		if err != nil {
			return err
		}
		if err := keys.confirm(cmd, fmt.Sprintf(order.question, node.ID())); err != nil {
			return err
		}
		hash, err := order.send(owner, cmd.Context(), node.ID())
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), sent{node.ID().String(), hash, order.status}, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "node %s %s\n", node.ID(), order.done)
			return err
		})
	}
	keys.flags(cmd)
	return cmd
}

func drainCommand(o *options) *cobra.Command {
	return ownersCommand(o, &cobra.Command{
		Use:   "drain",
		Short: "Move all placements away and take no new ones",
		Long: `Drains the node: it gets no new placements, and those it runs move to other nodes, each as
soon as its replacement runs there. Keep the worker running until they have left; then the machine
can be switched off. 'isun-worker resume' ends a drain.`,
		Example: `  isun-worker drain --operator-key me`,
	}, order{
		send: (*operator.Operator).Drain, question: "drain node %s", status: "draining",
		done: "drains: keep the worker running until its placements have moved (see `isun-worker status`)",
	})
}

func retireCommand(o *options) *cobra.Command {
	return ownersCommand(o, &cobra.Command{
		Use:   "retire",
		Short: "Take the node off the market for good",
		Long: `Retires the node: its placements end at once, and its bond returns after the unbonding period.
This cannot be undone; drain first, so that tenants' work moves without a gap.`,
		Example: `  isun-worker drain --operator-key me
  isun-worker retire --operator-key me --yes`,
	}, order{
		send: (*operator.Operator).Retire, question: "retire node %s for good", status: "retired",
		done: "is retired; its bond returns after the unbonding period",
	})
}

// resumeChain ends a drain, if the node drains.
func resumeChain(ctx context.Context, o *options, cfg config.Config, keys *keyFlags, passphrase io.Reader) (note, hash string, err error) {
	node, err := o.node()
	if err != nil {
		return "", "", nil //nolint:nilerr // a worker that has not joined cannot drain
	}
	conn, err := dial(ctx, cfg, node.ChainID)
	if err != nil {
		return "whether the node drains is unknown: " + err.Error(), "", nil //nolint:nilerr // the local switch is what was asked for first
	}
	defer conn.Close()
	res, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: node.Operator, Number: node.Number})
	if err != nil {
		return "", "", fmt.Errorf("node %s: %w", node.ID(), err)
	}
	if res.Node.Node.Status != sunstypes.NODE_STATUS_DRAINING {
		return "", "", nil
	}
	if keys.name == "" {
		return "the node drains on the chain: `isun-worker resume --operator-key NAME` ends that too", "", nil
	}
	owner, err := keys.open(conn, passphrase)
	if err != nil {
		return "", "", err
	}
	hash, err = owner.Resume(ctx, node.ID())
	if err != nil {
		return "", "", err
	}
	return "the drain has ended", hash, nil
}
