package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// historyBlocks is how far a chain is before another node joins it.
const historyBlocks = 12

// A node that somebody sets up as docs/validators.md says, with the genesis and a peer, comes to the head of a running chain
// and to the header of every height on the way: app hash, results and validators are in it.
func TestNewNodeCatchesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s, err := stack.Start(t.TempDir(), shared.bin, "--epoch", "5s")
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	require.NoError(t, err)
	for _, to := range []string{"tenant2", "operator", "publisher"} {
		_, err := s.Run(ctx, "isunchaind", "tx", "bank", "send", "tenant", s.Chain.Accounts[to], "1000uisc", "--yes",
			"--home", s.Chain.Home, "--node", s.Chain.RPC, "--keyring-backend", s.Chain.KeyringBackend)
		require.NoError(t, err)
		seen := toldBy(ctx, t, s.Chain.RPC).Sync.Height
		waitForHeight(ctx, t, s.Chain.RPC, seen+1) // the next one is signed with the next sequence
	}
	waitForHeight(ctx, t, s.Chain.RPC, historyBlocks)

	rpc := joinChain(ctx, t, s)
	require.NoError(t, stack.Eventually(ctx, time.Minute, func() (bool, error) {
		status, err := statusOf(ctx, rpc)
		return err == nil && !status.Sync.CatchingUp && status.Sync.Height >= historyBlocks, err
	}))
	last := toldBy(ctx, t, rpc).Sync.Height
	for height := 1; height <= last; height++ {
		require.JSONEq(t, header(ctx, t, s.Chain.RPC, height), header(ctx, t, rpc, height), "height %d", height)
	}
}

// joinChain sets up a full node beside a chain's first and starts it. It gives the node's RPC address.
func joinChain(ctx context.Context, t *testing.T, s *stack.Stack) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "full")
	_, err := s.Run(ctx, "isunchaind", "init", "full", "--chain-id", s.Chain.ChainID, "--home", home)
	require.NoError(t, err)
	genesis, err := os.ReadFile(filepath.Join(s.Chain.Home, "config", "genesis.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "config", "genesis.json"), genesis, 0o600))
	_, err = s.Run(ctx, "isunchaind", "genesis", "validate", "--home", home)
	require.NoError(t, err)

	peer := toldBy(ctx, t, s.Chain.RPC).Info
	rpc := "tcp://" + freeAddress(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "full.log"))
	require.NoError(t, err)
	node := exec.Command(s.Program("isunchaind"), "start", "--home", home, "--log_no_color", "--rpc.laddr", rpc,
		"--p2p.laddr", "tcp://"+freeAddress(t), "--grpc.address", freeAddress(t), "--api.enable=false",
		"--p2p.persistent_peers", peer.ID+"@"+strings.TrimPrefix(peer.Address, "tcp://"))
	node.Stdout, node.Stderr = log, log
	require.NoError(t, node.Start())
	t.Cleanup(func() {
		_ = node.Process.Signal(os.Interrupt) // fails only for a node that has ended
		_ = node.Wait()                       // how it ended is of no interest
		require.NoError(t, log.Close())
		if t.Failed() {
			t.Log(stack.Tail(log.Name()))
		}
	})
	return rpc
}

// freeAddress is one of this machine's that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// status is what a node says of itself.
type status struct {
	Info struct {
		ID      string `json:"id"`
		Address string `json:"listen_addr"`
	} `json:"node_info"`
	Sync struct {
		Height     int  `json:"latest_block_height,string"`
		CatchingUp bool `json:"catching_up"`
	} `json:"sync_info"`
}

func statusOf(ctx context.Context, rpc string) (s status, err error) {
	return s, get(ctx, rpc, "/status", &s)
}

func toldBy(ctx context.Context, t *testing.T, rpc string) status {
	t.Helper()
	s, err := statusOf(ctx, rpc)
	require.NoError(t, err)
	return s
}

func waitForHeight(ctx context.Context, t *testing.T, rpc string, height int) {
	t.Helper()
	require.NoError(t, stack.Eventually(ctx, time.Minute, func() (bool, error) {
		s, err := statusOf(ctx, rpc)
		return s.Sync.Height >= height, err
	}))
}

// header is a block's as a node has it.
func header(ctx context.Context, t *testing.T, rpc string, height int) string {
	t.Helper()
	var answer struct {
		Signed struct {
			Header json.RawMessage `json:"header"`
		} `json:"signed_header"`
	}
	require.NoError(t, get(ctx, rpc, fmt.Sprintf("/commit?height=%d", height), &answer))
	require.NotEmpty(t, answer.Signed.Header)
	return string(answer.Signed.Header)
}

// get asks a node's RPC.
func get(ctx context.Context, rpc, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(rpc, "tcp://", "http://", 1)+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Result any `json:"result"`
	}{into}
	return json.NewDecoder(response.Body).Decode(&answer)
}
