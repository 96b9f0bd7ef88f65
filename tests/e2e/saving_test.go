package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// How volumes are saved, and who holds the key, is on the chain as the tenant said it.
func TestSavingOfVolumesIsAsTheTenantSaid(t *testing.T) {
	f := newFixture(t)
	node := f.joinBare("node", "operator", "1000000")
	f.awaitContacts(1)
	require.NoError(t, f.Isun(f.ctx, "publisher", nil, "uai", "push", image, "--layout", shared.layout,
		"--suns", demand, "--port", "web:http:8080", "--volume", "data:/data:64MiB"))

	var lease stack.Lease
	require.NoError(t, f.Isun(f.ctx, "tenant", &lease, "deploy", f.ref(), "--max-price", maxPrice, "--deposit", "1",
		"--snapshot-every", "24h", "--key-holders", "1-of-1", "--wait-timeout", patience.String()))
	type saving struct {
		EverySeconds uint32 `json:"every_seconds"`
		Key          bool
	}
	var list struct{ Saving saving }
	require.NoError(t, f.Isun(f.ctx, "tenant", &list, "snapshot", "ls", lease.Lease))
	require.Equal(t, saving{EverySeconds: 86_400, Key: true}, list.Saving)

	var key struct {
		Threshold uint32
		Nodes     []struct{ Node string }
	}
	require.NoError(t, f.Isun(f.ctx, "tenant", &key, "snapshot", "key", lease.Lease, "--alone"))
	require.Zero(t, key.Threshold)
	require.NoError(t, f.Isun(f.ctx, "tenant", &key, "snapshot", "key", lease.Lease))
	require.EqualValues(t, 1, key.Threshold)
	require.Equal(t, node.Node, key.Nodes[0].Node)

	require.NoError(t, f.Isun(f.ctx, "tenant", nil, "scale", lease.Lease, "--snapshot-every", "0", "--wait=false"))
	require.NoError(t, f.Isun(f.ctx, "tenant", &list, "snapshot", "ls", lease.Lease))
	require.Equal(t, saving{Key: true}, list.Saving)
	require.ErrorContains(t, f.Isun(f.ctx, "tenant2", nil, "snapshot", "create", lease.Lease), "belongs to")
	require.NoError(t, f.Isun(f.ctx, "tenant", nil, "close", lease.Lease, "--wait-timeout", patience.String()))
	f.awaitNothingLeft()
}
