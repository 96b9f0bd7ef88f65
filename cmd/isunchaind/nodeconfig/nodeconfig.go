// Package nodeconfig holds the settings that a new node and a new client start with, and writes them to their files.
package nodeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"

	serverconfig "github.com/cosmos/cosmos-sdk/server/config"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// DefaultChainID is the first shard.
	DefaultChainID = "isun-1"
	// MinGasPrice is what a node asks for a unit of gas: a send costs about a hundred uisc.
	MinGasPrice = "0.001" + sunstypes.BaseDenom

	folderMode = 0o755
	secretMode = 0o600
)

// CometFile is where a home keeps the settings of consensus, peers and RPC.
func CometFile(home string) string { return filepath.Join(home, "config", "config.toml") }

// AppFile is where a home keeps the settings of the application and its servers.
func AppFile(home string) string { return filepath.Join(home, "config", "app.toml") }

// ClientFile is where a home keeps the settings of the command line.
func ClientFile(home string) string { return filepath.Join(home, "config", "client.toml") }

// Comet gives consensus for one-second blocks: the commit timeout sets the pace, and a round that fails is over soon enough
// for the next one to keep it.
func Comet() *cmtcfg.Config {
	config := cmtcfg.DefaultConfig()
	config.Consensus.TimeoutCommit = time.Second
	config.Consensus.TimeoutPropose = 2 * time.Second
	config.Consensus.TimeoutPrevote = 500 * time.Millisecond
	config.Consensus.TimeoutPrecommit = 500 * time.Millisecond
	// Debug endpoints are off unless asked for.
	config.RPC.PprofListenAddress = ""
	return config
}

// App gives the application's settings: a minimum gas price, REST and gRPC on this machine only, no telemetry.
func App() *serverconfig.Config {
	config := serverconfig.DefaultConfig()
	config.MinGasPrices = MinGasPrice
	config.BlockExecutor = serverconfig.BlockExecutorSequential
	config.API.Enable = true
	config.API.Swagger = false
	config.GRPC.Enable = true
	config.GRPCWeb.Enable = false
	return config
}

// Client is what the command line starts from.
type Client struct {
	ChainID        string
	KeyringBackend string
	Node           string
}

// EnsureClient writes client.toml if a home has none. An empty chain id means the default.
func EnsureClient(home, chainID string) error {
	if exists(ClientFile(home)) {
		return nil
	}
	if chainID == "" {
		chainID = DefaultChainID
	}
	return WriteClient(home, Client{ChainID: chainID, KeyringBackend: "os", Node: "tcp://localhost:26657"})
}

// EnsureNode writes config.toml and app.toml with our defaults if a home has none. Doing so before the SDK looks keeps it
// from writing its own, which differ.
func EnsureNode(home string) error {
	if !exists(CometFile(home)) {
		if err := WriteComet(home, Comet()); err != nil {
			return err
		}
	}
	if !exists(AppFile(home)) {
		return WriteApp(home, App())
	}
	return nil
}

// WriteComet writes config.toml.
func WriteComet(home string, config *cmtcfg.Config) error {
	config.SetRoot(home)
	if err := config.ValidateBasic(); err != nil {
		return fmt.Errorf("config.toml: %w", err)
	}
	for _, dir := range []string{"config", "data"} {
		if err := os.MkdirAll(filepath.Join(home, dir), folderMode); err != nil {
			return err
		}
	}
	cmtcfg.WriteConfigFile(CometFile(home), config)
	return nil
}

// WriteApp writes app.toml.
func WriteApp(home string, config *serverconfig.Config) error {
	if err := config.ValidateBasic(); err != nil {
		return fmt.Errorf("app.toml: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(AppFile(home)), folderMode); err != nil {
		return err
	}
	serverconfig.WriteConfigFile(AppFile(home), config)
	return nil
}

// The SDK's own client.toml knows nothing of gas, but its transactions read these keys from it.
var clientTemplate = template.Must(template.New("client.toml").Parse(`# Settings of the command line. A flag comes before what stands here.

# the chain
chain-id = "{{ .ChainID }}"
# where keys are kept (os|file|kwallet|pass|test|memory)
keyring-backend = "{{ .KeyringBackend }}"
# the key that signs when --from is not given
keyring-default-keyname = ""
# text or json
output = "text"
# the node that is asked
node = "{{ .Node }}"
# sync waits until the node has checked a transaction, async does not
broadcast-mode = "sync"

# gas: "auto" simulates the transaction and asks for what it took, times the adjustment
gas = "auto"
gas-adjustment = 1.5
gas-prices = "{{ .GasPrices }}"
`))

// WriteClient writes client.toml.
func WriteClient(home string, config Client) error {
	var text bytes.Buffer
	err := clientTemplate.Execute(&text, struct {
		Client
		GasPrices string
	}{config, MinGasPrice})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(ClientFile(home)), folderMode); err != nil {
		return err
	}
	return os.WriteFile(ClientFile(home), text.Bytes(), secretMode)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
