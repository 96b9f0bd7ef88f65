package runtimetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/runtime"
	"github.com/isuncoin/isuncoin/worker/runtime/runtimetest/program"
)

// nobody is a user that no image of the suite has and that owns nothing.
const nobody = "65534:65534"

// testDevices gives one placement a device and another a second one: each may
// use its own, as whoever it runs as, and knows of no other.
func testDevices(t *testing.T, b *bench) {
	mine, _ := b.harness.Node(t)
	others, _ := b.harness.Node(t)
	for i, c := range []struct {
		held []string
		open string
		user string
		want int
	}{
		{[]string{mine}, mine, "", 0},
		{[]string{mine}, mine, nobody, 0},
		{[]string{mine, others}, others, nobody, 0},
		{[]string{mine}, others, "", program.ExitNoDevice},
		{nil, mine, "", program.ExitNoDevice},
	} {
		spec := b.spec(program.Open, c.open)
		spec.ID.Replica, spec.User = uint32(i), c.user
		for _, node := range c.held {
			spec.Devices = append(spec.Devices, runtime.Device{ID: node, Nodes: []string{node}})
		}
		require.Equal(t, c.want, b.outcome(t, spec).ExitCode, "%s with %v as %q", c.open, c.held, c.user)
	}
	told := b.spec(program.Env, "WHERE")
	told.ID.Replica = 99
	told.Env = []string{"WHERE=what the tenant says"}
	told.Devices = []runtime.Device{{ID: "card", Nodes: []string{mine}, Env: []string{"WHERE=here"}}}
	require.Zero(t, b.outcome(t, told).ExitCode)
	require.Equal(t, []string{"here"}, b.logLines(t, told.ID, runtime.LogOptions{}))
}

// testDeviceGone unplugs a device before its placement starts.
func testDeviceGone(t *testing.T, b *bench) {
	node, unplug := b.harness.Node(t)
	spec := hangSpec(b)
	spec.Devices = []runtime.Device{{ID: "card", Nodes: []string{node}}}
	unplug()
	_, err := b.rt.Ensure(b.ctx, spec)
	require.ErrorIs(t, err, runtime.ErrNoDevice)
	states, err := b.rt.List(b.ctx)
	require.NoError(t, err)
	require.Empty(t, states, "nothing is left behind")
}
