package integration_test

import (
	"fmt"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// requestGas is the least that an order pays for each of its replicas: the writes of its request.
const requestGas = 8_000

// order is an order of replicas at a price of 3,600 uisc an hour.
func floodOrder(c *chain.Chain, tenant, image string, replicas uint32) *leasetypes.MsgCreateLease {
	return &leasetypes.MsgCreateLease{
		Tenant: c.Address(tenant).String(), Image: image, Replicas: replicas, MaxPrice: exampleAsk,
		Deposit: chain.Coins(int64(replicas) * exampleAsk)[0],
	}
}

// A tenant fills a block with orders of a hundred replicas. Each replica is paid for in gas, and while blocks work the flood
// off, another tenant's order is matched in the block it comes in, on both executors.
func TestOrdersOfOneTenantDelayNobodyElse(t *testing.T) {
	onBothExecutors(t, func(t *testing.T, executor string) {
		c := chain.New(t, chain.WithExecutor(executor), chain.WithAccounts("agent"))
		c.Do("operator", registration(c, "operator", "agent", 1, 4, exampleAsk))
		image := publication(c, "publisher", "web", 0)
		c.Do("publisher", image)
		ref := image.Publisher + "/web:1"
		const orders, replicas = 10, 100
		var txs [][]byte
		for range orders {
			flood := floodOrder(c, "tenant", ref, replicas)
			flood.Rules.Countries = []string{"AQ"} // where nobody is
			txs = append(txs, c.Tx("tenant", []sdk.Msg{flood}, chain.WithGas(5_000_000)))
		}
		for _, result := range c.NextBlock(txs...).Results {
			require.Zero(t, result.Code, result.Log)
			require.Greater(t, result.GasUsed, int64(replicas*requestGas))
		}
		for number := range uint64(3) {
			c.Do("tenant2", floodOrder(c, "tenant2", ref, 1))
			lease, err := c.App.LeaseKeeper.GetLease(c.Ctx(), leasetypes.NewLeaseID(c.Address("tenant2"), number+1))
			require.NoError(t, err)
			require.EqualValues(t, 1, lease.LivePlacements)
		}
	})
}

// largestOrder fills every list and text of an order.
func largestOrder(c *chain.Chain, image string) *leasetypes.MsgCreateLease {
	msg := floodOrder(c, "tenant", image, 1)
	rules := leasetypes.PlacementRules{Architectures: []string{"amd64"}}
	for i := range leasetypes.MaxListed {
		rules.Countries = append(rules.Countries, countryCodes[i])
		rules.Zones = append(rules.Zones, fmt.Sprintf("%0*d", leasetypes.MaxNameBytes, i))
		rules.Avoid = append(rules.Avoid, sunstypes.NewNodeID(c.Address("operator"), uint64(i+1)))
	}
	msg.Rules = rules
	for i := range leasetypes.MaxEnv {
		msg.Env = append(msg.Env, leasetypes.EnvVar{Name: fmt.Sprintf("%060d", i), Value: strings.Repeat("v", 4)})
		msg.Args = append(msg.Args, strings.Repeat("a", 64))
	}
	return msg
}

// countryCodes are as many as an order may list.
var countryCodes = []string{
	"AR", "AT", "AU", "BE", "BR", "CA", "CH", "CL", "CN", "CZ", "DE", "DK", "ES", "FI", "FR", "GB",
	"GR", "HU", "ID", "IE", "IL", "IN", "IT", "JP", "KR", "MX", "MY", "NL", "NO", "NZ", "PE", "PL",
}

// orderGasPerByte is what a byte of an order pays at least: ten for its size, and nearly thirty for what state keeps of it.
const orderGasPerByte = 38

// The largest orders pay for their bytes, and a block holds so many of them as the gas limit allows and not one more.
func TestLargestOrdersPayForTheirSize(t *testing.T) {
	c := chain.New(t)
	image := publication(c, "publisher", "web", 0)
	c.Do("publisher", image)
	ref := image.Publisher + "/web:1"
	small := c.Tx("tenant", []sdk.Msg{floodOrder(c, "tenant", ref, 1)})
	large := c.Tx("tenant", []sdk.Msg{largestOrder(c, ref)}, chain.WithGas(10_000_000))
	block := c.NextBlock(small, large)
	for _, result := range block.Results {
		require.Zero(t, result.Code, result.Log)
	}
	more := block.Results[1].GasUsed - block.Results[0].GasUsed
	require.GreaterOrEqual(t, more, int64(orderGasPerByte*(len(large)-len(small))))
	t.Logf("an order of %d bytes: %d gas, of %d bytes: %d gas", len(small), block.Results[0].GasUsed, len(large), block.Results[1].GasUsed)

	const gas = 10_000_000
	var txs [][]byte
	for range app.DefaultMaxBlockGas / gas {
		txs = append(txs, c.Tx("tenant", []sdk.Msg{largestOrder(c, ref)}, chain.WithGas(gas)))
	}
	one := c.Tx("tenant2", []sdk.Msg{floodOrder(c, "tenant2", ref, 1)})
	refused, err := c.App.ProcessProposal(&abci.RequestProcessProposal{Height: 10, Txs: append(txs[:len(txs):len(txs)], one)})
	require.NoError(t, err)
	require.False(t, refused.IsAccepted())
	for _, result := range c.NextBlock(txs...).Results {
		require.Zero(t, result.Code, result.Log)
	}
}
