package dockertest

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernel's file systems in user space. Opening it does nothing by itself,
// every kernel with containers has it, and no engine hands it to a container
// unasked, as it does /dev/null and its like.
const (
	fuseMajor, fuseMinor = 10, 229
	// nodeGroup is nobody's on the host and in the suite's image.
	nodeGroup = 64229
)

var nodeCount atomic.Int64

// Node makes a character device below /dev that root and one group may use,
// as a maker's driver would, and gives its path and what unplugs it.
func Node(t *testing.T) (path string, unplug func()) {
	t.Helper()
	path = fmt.Sprintf("/dev/isun-test-%d-%d", os.Getpid(), nodeCount.Add(1))
	require.NoError(t, syscall.Mknod(path, syscall.S_IFCHR|0o600, fuseMajor<<8|fuseMinor), "making a device node takes root")
	unplug = func() {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	t.Cleanup(unplug)
	require.NoError(t, os.Chown(path, 0, nodeGroup))
	require.NoError(t, os.Chmod(path, 0o660)) //nolint:gosec // what a driver's rules make of it
	return path, unplug
}
