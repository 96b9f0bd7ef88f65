package command_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isun-worker/command"
	"github.com/isuncoin/isuncoin/worker/netbench"
)

func TestBenchServeMeasuresOthersUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, in := io.Pipe()
	root := command.Root()
	root.SetArgs([]string{"bench", "serve", "--listen", "127.0.0.1:0", "--bytes", "268435456", "-o", "json", "--home", t.TempDir()})
	root.SetOut(in)
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var said struct {
		Listening string          `json:"listening"`
		Limits    netbench.Limits `json:"limits"`
	}
	require.NoError(t, json.Unmarshal(line, &said))
	require.EqualValues(t, 256<<20, said.Limits.Bytes)
	_, err = netbench.Measure(ctx, said.Listening, netbench.Options{Duration: netbench.MinDuration, Streams: 1})
	if err != nil { // loopback may move all of it between two looks
		require.ErrorContains(t, err, "ended it early")
	}
	cancel()
	require.NoError(t, <-ended)
}

func TestBenchServeRefusesLimitsThatCannotBe(t *testing.T) {
	root := command.Root()
	root.SetArgs([]string{"bench", "serve", "--sessions", "0", "--home", t.TempDir()})
	require.ErrorContains(t, root.Execute(), "0 sessions: want 1 to 1000")
}
