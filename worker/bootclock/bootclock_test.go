package bootclock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSystemRisesWithinOneBoot(t *testing.T) {
	clock, err := New("/proc")
	require.NoError(t, err)
	require.NotEmpty(t, clock.Boot())
	first := clock.Now()
	require.Positive(t, first)
	require.GreaterOrEqual(t, clock.Now(), first)

	_, err = New(t.TempDir())
	require.ErrorContains(t, err, "boot id")
}
