package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/identity"
)

func TestOneWorkerInAHome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.lock")
	unlock, err := Lock(path)
	require.NoError(t, err)
	_, err = Lock(path)
	require.ErrorIs(t, err, ErrRunning)
	require.ErrorContains(t, err, filepath.Dir(path))
	unlock()
	unlock, err = Lock(path)
	require.NoError(t, err)
	unlock()
}

// A copy of a home has the same agent key.
func TestOneWorkerOfANode(t *testing.T) {
	node := identity.Node{ChainID: "isun-" + strconv.Itoa(os.Getpid()), Operator: operatorAddress, Number: 1}
	unlock, err := lockNode(node)
	require.NoError(t, err)
	_, err = lockNode(node)
	require.ErrorIs(t, err, ErrNodeRunning)
	require.ErrorContains(t, err, "in process "+strconv.Itoa(os.Getpid()))
	for _, other := range []identity.Node{
		{ChainID: node.ChainID, Operator: node.Operator, Number: 2}, {ChainID: node.ChainID + "x", Operator: node.Operator, Number: 1},
	} {
		leave, err := lockNode(other)
		require.NoError(t, err, "several nodes may share a machine")
		leave()
	}
	unlock()
	unlock, err = lockNode(node)
	require.NoError(t, err)
	unlock()
}
