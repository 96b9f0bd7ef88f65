package chain

import (
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// Defaults of Config.
const (
	// DefaultEndpoint is the RPC of a chain on this machine.
	DefaultEndpoint = "tcp://localhost:26657"
	// DefaultGasAdjustment leaves room for what changes between a simulation and the block: a queue that grew, a key that
	// became longer.
	DefaultGasAdjustment = 1.5
	// DefaultTimeout bounds one call to one endpoint.
	DefaultTimeout = 10 * time.Second
	// DefaultPollInterval is a tenth of the chain's block time: little of what is waited for is the poll.
	DefaultPollInterval = 100 * time.Millisecond
)

// Config says how to reach a chain.
type Config struct {
	// ChainID must be the nodes'; empty takes that of the first node that answers.
	ChainID string
	// Endpoints are URLs of CometBFT RPC servers, in order of preference; empty is DefaultEndpoint.
	Endpoints []string
	// GasPrices such as "0.025uisc"; empty asks the node for its least.
	GasPrices string
	// GasAdjustment multiplies simulated gas; 0 is DefaultGasAdjustment.
	GasAdjustment float64
	// Timeout bounds one call to one endpoint; 0 is DefaultTimeout.
	Timeout time.Duration
	// PollInterval is the pause between two looks at the chain when waiting for something; 0 is DefaultPollInterval.
	PollInterval time.Duration
}

// withDefaults fills what is unset.
func (c Config) withDefaults() Config {
	if len(c.Endpoints) == 0 {
		c.Endpoints = []string{DefaultEndpoint}
	}
	if c.GasAdjustment == 0 {
		c.GasAdjustment = DefaultGasAdjustment
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.PollInterval == 0 {
		c.PollInterval = DefaultPollInterval
	}
	return c
}

// validate says what is wrong with a filled Config.
func (c Config) validate() error {
	if c.GasAdjustment < 1 {
		return fmt.Errorf("gas adjustment is %v: less than 1 would send transactions with too little gas", c.GasAdjustment)
	}
	if c.Timeout < 0 || c.PollInterval < 0 {
		return errors.New("timeout and poll interval cannot be negative")
	}
	if _, err := sdk.ParseDecCoins(c.GasPrices); err != nil {
		return fmt.Errorf("gas prices %q: %w (an example: 0.025uisc)", c.GasPrices, err)
	}
	for _, e := range c.Endpoints {
		if strings.TrimSpace(e) == "" {
			return errors.New("an endpoint is empty (an example: tcp://localhost:26657)")
		}
	}
	return nil
}
