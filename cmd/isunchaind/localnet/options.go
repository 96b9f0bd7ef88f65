// Package localnet sets up and runs a whole network on one machine: validators with a genesis of funded, named accounts, as
// child processes that end with it.
package localnet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	serverconfig "github.com/cosmos/cosmos-sdk/server/config"

	"github.com/isuncoin/isuncoin/cmd/isunchaind/nodeconfig"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// maxValidators keeps the ports of the nodes, which lie portStep apart, from running into each other.
	maxValidators = 9
	portStep      = 10
	// minBlockTime: below it consensus itself takes longer than the pause.
	minBlockTime = 100 * time.Millisecond
)

// Ports are where one node listens, all on the loopback interface.
type Ports struct {
	RPC  int
	P2P  int
	API  int
	GRPC int
}

// DefaultPorts are those that clients try when told nothing.
func DefaultPorts() Ports { return Ports{RPC: 26657, P2P: 26656, API: 1317, GRPC: 9090} }

// shifted are the ports of the i-th node.
func (p Ports) shifted(i int) Ports {
	by := i * portStep
	return Ports{RPC: p.RPC + by, P2P: p.P2P + by, API: p.API + by, GRPC: p.GRPC + by}
}

// Options say what network to run.
type Options struct {
	Home       string
	ChainID    string
	Validators int
	Ports      Ports
	// FreePorts lets the system choose ports that nobody uses, for networks side by side.
	FreePorts bool
	// Reset throws away a network that is already in Home.
	Reset bool
	// BlockTime is the pause between blocks.
	BlockTime time.Duration
	// BlockExecutor is "sequential" or "block-stm".
	BlockExecutor string
	Periods       Periods
	// Replicas is on how many nodes iSunCloud keeps content.
	Replicas uint32
	// JSON makes the description of the running network one line of JSON.
	JSON bool
	// ShapeFlags are the options given by the user that only a new network can follow.
	ShapeFlags []string
}

// Periods are what a new network may count faster than a real one; 0 leaves a period to follow from the others or be the
// module's default.
type Periods struct {
	Billing        time.Duration
	SettleGrace    time.Duration
	StartDeadline  time.Duration
	AttestInterval time.Duration
	Epoch          time.Duration
	SilenceLimit   time.Duration
	Unbonding      time.Duration
}

// DefaultOptions are a chain of one validator where clients look for it.
func DefaultOptions() Options {
	return Options{
		Home:          DefaultHome(),
		ChainID:       nodeconfig.DefaultChainID,
		Validators:    1,
		Ports:         DefaultPorts(),
		BlockTime:     time.Second,
		BlockExecutor: serverconfig.BlockExecutorSequential,
		Replicas:      1,
	}
}

// DefaultHome is apart from a real node's home, so that --reset can never touch one.
func DefaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".isunchain-localnet"
	}
	return filepath.Join(home, ".isunchain-localnet")
}

// Validate says what cannot be run.
func (o Options) Validate() error {
	switch {
	case o.Home == "":
		return errors.New("no home folder is given")
	case o.ChainID == "":
		return errors.New("no chain id is given")
	case o.Validators < 1 || o.Validators > maxValidators:
		return fmt.Errorf("%d validators: between 1 and %d can be run", o.Validators, maxValidators)
	case o.BlockTime < minBlockTime:
		return fmt.Errorf("block time %s: at least %s is needed", o.BlockTime, minBlockTime)
	case o.Replicas < uaitypes.LowestReplicas || o.Replicas > uaitypes.HighestReplicas:
		return fmt.Errorf("%d replicas: between %d and %d can be kept", o.Replicas, uaitypes.LowestReplicas, uaitypes.HighestReplicas)
	case o.BlockExecutor != serverconfig.BlockExecutorSequential && o.BlockExecutor != serverconfig.BlockExecutorBlockSTM:
		return fmt.Errorf("block executor %q: there are %s and %s",
			o.BlockExecutor, serverconfig.BlockExecutorSequential, serverconfig.BlockExecutorBlockSTM)
	}
	return nil
}

// nodePorts are the ports of every node.
func (o Options) nodePorts() ([]Ports, error) {
	ports := make([]Ports, o.Validators)
	for i := range ports {
		if !o.FreePorts {
			ports[i] = o.Ports.shifted(i)
			continue
		}
		free, err := freePorts()
		if err != nil {
			return nil, fmt.Errorf("find free ports: %w", err)
		}
		ports[i] = free
	}
	return ports, nil
}

// freePorts asks the system for unused ports. They are all held until the last is known, so no two are the same.
func freePorts() (Ports, error) {
	var ports Ports
	for _, port := range []*int{&ports.RPC, &ports.P2P, &ports.API, &ports.GRPC} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return Ports{}, err
		}
		defer listener.Close()
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return Ports{}, fmt.Errorf("%s is no TCP address", listener.Addr())
		}
		*port = address.Port
	}
	return ports, nil
}
