package command

import (
	"context"
	"errors"
	"fmt"
	"io"

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
}

func (k *keyFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.name, "operator-key", "", "name or address of the operator's key in isunchaind's keyring")
	f.StringVar(&k.backend, "keyring-backend", chainclient.DefaultKeyringBackend, "keyring backend (os|file|test|…)")
	f.StringVar(&k.home, "operator-home", chainclient.DefaultHome(), "isunchaind's home, where the keyring is")
	f.StringVar(&k.home, "keyring-dir", chainclient.DefaultHome(), "the same as --operator-home")
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

// ownersCommand sends one message about this worker's node.
func ownersCommand(o *options, cmd *cobra.Command, send func(context.Context, *operator.Operator, sunstypes.NodeID) (string, error), done, status string) *cobra.Command {
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
		hash, err := send(cmd.Context(), owner, node.ID())
		if err != nil {
			return err
		}
		return o.print(cmd.OutOrStdout(), sent{node.ID().String(), hash, status}, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "node %s %s\n", node.ID(), done)
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
	}, func(ctx context.Context, owner *operator.Operator, id sunstypes.NodeID) (string, error) {
		return owner.Drain(ctx, id)
	}, "drains: keep the worker running until its placements have moved (see `isun-worker status`)", "draining")
}

func retireCommand(o *options) *cobra.Command {
	var yes bool
	cmd := ownersCommand(o, &cobra.Command{
		Use:   "retire",
		Short: "Take the node off the market for good",
		Long: `Retires the node: its placements end at once, and its bond returns after the unbonding period.
This cannot be undone; drain first, so that tenants' work moves without a gap.`,
		Example: `  isun-worker drain --operator-key me
  isun-worker retire --operator-key me --yes`,
	}, func(ctx context.Context, owner *operator.Operator, id sunstypes.NodeID) (string, error) {
		if !yes {
			return "", errors.New("retiring cannot be undone: say --yes if you mean it")
		}
		return owner.Retire(ctx, id)
	}, "is retired; its bond returns after the unbonding period", "retired")
	cmd.Flags().BoolVar(&yes, "yes", false, "really")
	return cmd
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
