package localnet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/genutil"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/app/bootstrap"
	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
)

// preparedNode is a node whose keys exist.
type preparedNode struct {
	Node
	ports        Ports
	id           string
	consensusKey cryptotypes.PubKey
}

// prepare gives the network to run: the one in the home folder, or a new one.
func prepare(ctx context.Context, a *app.App, o Options) (Network, error) {
	if o.Reset {
		if err := clear(o.Home); err != nil {
			return Network{}, fmt.Errorf("reset: %w", err)
		}
	}
	network, found, err := load(o.Home)
	if err != nil {
		return Network{}, err
	}
	if !found {
		return setUp(ctx, a, o)
	}
	if len(o.ShapeFlags) > 0 {
		return Network{}, fmt.Errorf("the network in %s is already set up, so --%s cannot be followed; --reset begins anew",
			o.Home, strings.Join(o.ShapeFlags, ", --"))
	}
	return network, nil
}

func setUp(ctx context.Context, a *app.App, o Options) (Network, error) {
	if err := clear(o.Home); err != nil {
		return Network{}, err
	}
	home, err := filepath.Abs(o.Home)
	if err != nil {
		return Network{}, err
	}
	o.Home = home
	if err := mark(home); err != nil {
		return Network{}, err
	}
	nodes, err := prepareNodes(o)
	if err != nil {
		return Network{}, err
	}
	keys, err := keyring.New(sdk.KeyringServiceName(), keyring.BackendTest, home, nil, a.AppCodec())
	if err != nil {
		return Network{}, fmt.Errorf("open the keyring: %w", err)
	}
	addresses, err := makeKeys(keys, accountNames(o.Validators))
	if err != nil {
		return Network{}, err
	}
	genesis, err := bootstrap.Genesis(ctx, a, genesisSpec(o, nodes, keys, addresses))
	if err != nil {
		return Network{}, err
	}
	if err := bootstrap.Check(genesis); err != nil {
		return Network{}, err
	}
	for i, node := range nodes {
		if err := writeConfig(o, nodes, i); err != nil {
			return Network{}, fmt.Errorf("configure %s: %w", node.Name, err)
		}
		if err := genesis.SaveAs(filepath.Join(node.Home, "config", "genesis.json")); err != nil {
			return Network{}, fmt.Errorf("write the genesis of %s: %w", node.Name, err)
		}
	}
	network := describe(o, nodes, addresses)
	return network, network.save()
}

// prepareNodes makes the folders and keys of the nodes. The first lives in the home folder itself, so that `isunchaind
// --home` works on it as on any node.
func prepareNodes(o Options) ([]preparedNode, error) {
	ports, err := o.nodePorts()
	if err != nil {
		return nil, err
	}
	nodes := make([]preparedNode, o.Validators)
	for i := range nodes {
		name := validatorName(i)
		home := o.Home
		if i > 0 {
			home = filepath.Join(o.Home, "nodes", name)
		}
		for _, dir := range []string{"config", "data"} {
			if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
				return nil, err
			}
		}
		config := cmtcfg.DefaultConfig()
		config.SetRoot(home)
		id, key, err := genutil.InitializeNodeValidatorFiles(config)
		if err != nil {
			return nil, fmt.Errorf("make the keys of %s: %w", name, err)
		}
		nodes[i] = preparedNode{Node: newNode(name, home, ports[i]), ports: ports[i], id: id, consensusKey: key}
	}
	return nodes, nil
}

func makeKeys(keys keyring.Keyring, names []string) (map[string]sdk.AccAddress, error) {
	addresses := make(map[string]sdk.AccAddress, len(names))
	for _, name := range names {
		record, _, err := keys.NewMnemonic(
			name, keyring.English, sdk.FullFundraiserPath, keyring.DefaultBIP39Passphrase, hd.Secp256k1)
		if err != nil {
			return nil, fmt.Errorf("make the key of %s: %w", name, err)
		}
		if addresses[name], err = record.GetAddress(); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// writeConfig writes the three files of the i-th node.
func writeConfig(o Options, nodes []preparedNode, i int) error {
	node := nodes[i]
	if err := nodeconfig.WriteComet(node.Home, cometConfig(o, nodes, i)); err != nil {
		return err
	}
	config := nodeconfig.App()
	config.API.Address = fmt.Sprintf("tcp://localhost:%d", node.ports.API)
	config.GRPC.Address = node.GRPC
	config.BlockExecutor = o.BlockExecutor
	if err := nodeconfig.WriteApp(node.Home, config); err != nil {
		return err
	}
	return nodeconfig.WriteClient(node.Home, nodeconfig.Client{
		ChainID: o.ChainID, KeyringBackend: keyring.BackendTest, Node: node.RPC,
	})
}

func cometConfig(o Options, nodes []preparedNode, i int) *cmtcfg.Config {
	node := nodes[i]
	config := nodeconfig.Comet()
	config.Moniker = node.Name
	config.RPC.ListenAddress = fmt.Sprintf("tcp://127.0.0.1:%d", node.ports.RPC)
	config.P2P.ListenAddress = fmt.Sprintf("tcp://127.0.0.1:%d", node.ports.P2P)
	config.P2P.AddrBookStrict = false
	config.P2P.AllowDuplicateIP = true
	config.Consensus.TimeoutCommit = o.BlockTime
	var peers []string
	for j, peer := range nodes {
		if j != i {
			peers = append(peers, peer.address())
		}
	}
	config.P2P.PersistentPeers = strings.Join(peers, ",")
	return config
}

// address is where peers find the node.
func (n preparedNode) address() string { return fmt.Sprintf("%s@127.0.0.1:%d", n.id, n.ports.P2P) }

func describe(o Options, nodes []preparedNode, addresses map[string]sdk.AccAddress) Network {
	first := nodes[0].Node
	network := Network{
		Home: o.Home, ChainID: o.ChainID, RPC: first.RPC, GRPC: first.GRPC, API: first.API,
		KeyringBackend: keyring.BackendTest, Accounts: make(map[string]string, len(addresses)),
	}
	for name, address := range addresses {
		network.Accounts[name] = address.String()
	}
	for _, node := range nodes {
		network.Nodes = append(network.Nodes, node.Node)
	}
	return network
}

// genesisTime lies a little back: CometBFT waits for a genesis that is still to come.
func genesisTime() time.Time { return time.Now().UTC().Add(-time.Second).Truncate(time.Second) }
