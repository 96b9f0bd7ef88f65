// Package integration_test runs the whole chain in-process: every module wired as in the node, real signed transactions in
// blocks, the invariants checked after each.
package integration_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// executors are the two ways a block can run; they must not differ in anything.
var executors = []string{"sequential", "block-stm"}

// onBothExecutors runs a test once with each.
func onBothExecutors(t *testing.T, test func(t *testing.T, executor string)) {
	t.Helper()
	for _, executor := range executors {
		t.Run(executor, func(t *testing.T) { test(t, executor) })
	}
}

// registration is a node of the given whole SUNS, whose bond counts for all of them.
func registration(c *chain.Chain, operator, agent string, number, suns, ask uint64) *sunstypes.MsgRegisterNode {
	c.T.Helper()
	address := c.Address(operator).String()
	signature, key, err := c.Keys.Sign(
		agent, sunstypes.AgentSignBytes(chain.ID, address, number), signing.SignMode_SIGN_MODE_DIRECT)
	require.NoError(c.T, err)
	digest := sha256.Sum256(fmt.Appendf(nil, "%s/%d", address, number))
	return &sunstypes.MsgRegisterNode{
		Operator: address, Number: number, Moniker: agent, AskPrice: ask, Country: "DE",
		Report: sunstypes.BenchmarkReport{
			Version: 1, Digest: digest[:], Architecture: "amd64", MilliSuns: suns * 1000,
			Capacity: sunstypes.Capacity{
				CpuPoints: suns * 1000, MemoryMiB: suns * 2048, StorageMiB: suns * 16384, BandwidthMbps: suns * 20,
			},
		},
		Bond:           sdk.NewInt64Coin(sunstypes.BaseDenom, int64(max(suns, 10))*sunstypes.BaseUnitsPerCoin),
		AgentPubKey:    key.Bytes(),
		AgentSignature: signature,
	}
}

// publication is an image that needs one SUNS.
func publication(c *chain.Chain, publisher, name string, royalty uint64) *uaitypes.MsgPublishImage {
	c.T.Helper()
	return &uaitypes.MsgPublishImage{
		Publisher: c.Address(publisher).String(), Name: name, Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))), SizeBytes: 1 << 20,
		Platforms: []string{"linux/amd64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 1000},
		Licence: "MIT", Royalty: royalty,
	}
}

// keyHolders leaves the key to a subject with one node.
func keyHolders(owner, subject string, node sunstypes.NodeID) *uaitypes.MsgSetKeyHolders {
	return &uaitypes.MsgSetKeyHolders{
		Owner: owner, Subject: subject, Threshold: 1,
		Recipient:   "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
		Shares:      []uaitypes.KeyShare{{Node: node, Index: 1, Sealed: []byte("sealed")}},
		Commitments: [][]byte{bytes.Repeat([]byte{7}, uaitypes.CommitmentBytes)},
	}
}

// sunsParams changes the params of x/suns.
func sunsParams(change func(*sunstypes.Params)) func(codec.JSONCodec, app.GenesisState) error {
	return func(cdc codec.JSONCodec, state app.GenesisState) error {
		return app.EditGenesis(cdc, state, sunstypes.ModuleName, func(g *sunstypes.GenesisState) { change(&g.Params) })
	}
}
