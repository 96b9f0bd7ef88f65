package localnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Network describes a network that was set up. It is kept in the home folder, so that a later run knows it, and is what
// scripts get to read.
type Network struct {
	Home    string `json:"home"`
	ChainID string `json:"chain_id"`
	// RPC, GRPC and API are the first node's endpoints.
	RPC  string `json:"rpc"`
	GRPC string `json:"grpc"`
	API  string `json:"api"`
	// KeyringBackend and Home are where the accounts' keys are.
	KeyringBackend string            `json:"keyring_backend"`
	Accounts       map[string]string `json:"accounts"`
	Nodes          []Node            `json:"nodes"`
}

// Node is one validator's process.
type Node struct {
	Name string `json:"name"`
	Home string `json:"home"`
	RPC  string `json:"rpc"`
	GRPC string `json:"grpc"`
	API  string `json:"api"`
	Log  string `json:"log"`
	// PID is 0 unless the node runs.
	PID int `json:"pid,omitempty"`
}

func newNode(name, home string, ports Ports) Node {
	return Node{
		Name: name,
		Home: home,
		RPC:  fmt.Sprintf("tcp://localhost:%d", ports.RPC),
		GRPC: fmt.Sprintf("localhost:%d", ports.GRPC),
		API:  fmt.Sprintf("http://localhost:%d", ports.API),
		Log:  filepath.Join(home, "node.log"),
	}
}

func networkFile(home string) string { return filepath.Join(home, "localnet.json") }

// marker says that a folder is a local network's, also when setting it up failed half-way.
func marker(home string) string { return filepath.Join(home, ".localnet") }

// mark makes a folder a local network's.
func mark(home string) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	return os.WriteFile(marker(home), nil, 0o600)
}

// load reads the network of a home; there being none is no error.
func load(home string) (network Network, found bool, err error) {
	raw, err := os.ReadFile(networkFile(home))
	if errors.Is(err, os.ErrNotExist) {
		return Network{}, false, nil
	}
	if err != nil {
		return Network{}, false, err
	}
	if err := json.Unmarshal(raw, &network); err != nil {
		return Network{}, false, fmt.Errorf("%s: %w", networkFile(home), err)
	}
	return network, true, nil
}

// save keeps the description. It is written last, so a network that has one is complete.
func (n Network) save() error {
	raw, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(networkFile(n.Home), append(raw, '\n'), 0o600)
}

// clear removes a network. A folder that holds anything else is left alone: a mistyped --home must not cost anybody a node.
func clear(home string) error {
	entries, err := os.ReadDir(home)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(marker(home)); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s holds no local network; remove it yourself if it is not needed", home)
	}
	return os.RemoveAll(home)
}
