package command_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBenchInventoryShowsTheMachineWithoutAWorker(t *testing.T) {
	o := newOwner(t)
	found := o.json("bench", "inventory")
	require.NotEmpty(t, found["host"].(map[string]any)["architecture"])
	require.NotZero(t, found["host"].(map[string]any)["cpu"].(map[string]any)["threads"])
	require.Contains(t, found, "accelerators")
	text := o.ok("bench", "inventory")
	for _, what := range []string{"machine", "processor", "threads", "memory", "data folder", "file system", "accelerator"} {
		require.Contains(t, text, "\n"+what)
	}
}
