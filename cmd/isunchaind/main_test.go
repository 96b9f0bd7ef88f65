package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/cmd/isunchaind/localnet"
)

// asProgram makes the test's own binary behave as isunchaind, so that the tests run the real program, and the local network
// the real node, without building anything.
const asProgram = "ISUNCHAIND_TEST_AS_PROGRAM"

// patience is for a machine busy with other things.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is isunchaind with its arguments.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "HOME="+t.TempDir())
	return cmd
}

// run runs isunchaind to its end and gives what it printed.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := program(t, args...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	require.NoError(t, err, "isunchaind %s: %s", strings.Join(args, " "), failure.String())
	return out
}

// runningNetwork is a local network that answers.
type runningNetwork struct {
	localnet.Network
	t   *testing.T
	cmd *exec.Cmd
}

// startNetwork runs a local network until the test ends.
func startNetwork(t *testing.T, args ...string) *runningNetwork {
	t.Helper()
	cmd := program(t, append([]string{"localnet", "--output", "json"}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	n := &runningNetwork{t: t, cmd: cmd}
	t.Cleanup(func() {
		n.signal(syscall.SIGTERM)
		_ = cmd.Wait() // or it would write into the folder while that is removed; an error if the test waited already
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err, "%s", line)
	require.NoError(t, json.Unmarshal(line, &n.Network))
	return n
}

func (n *runningNetwork) signal(signal os.Signal) {
	if err := n.cmd.Process.Signal(signal); err != nil {
		require.ErrorIs(n.t, err, os.ErrProcessDone)
	}
}

// stop ends the network as Ctrl-C does; it must end well, and its nodes with it.
func (n *runningNetwork) stop() {
	n.t.Helper()
	n.signal(syscall.SIGINT)
	require.NoError(n.t, n.cmd.Wait())
	n.requireNodesGone()
}

func (n *runningNetwork) requireNodesGone() {
	n.t.Helper()
	for _, node := range n.Nodes {
		require.Eventually(n.t, func() bool {
			return errors.Is(syscall.Kill(node.PID, 0), syscall.ESRCH)
		}, patience, 20*time.Millisecond, "%s still runs", node.Name)
	}
}

// cli runs a command against the network.
func (n *runningNetwork) cli(args ...string) []byte {
	n.t.Helper()
	return run(n.t, append(args, "--home", n.Home, "--output", "json")...)
}

func (n *runningNetwork) balance(account string) string {
	n.t.Helper()
	var response struct {
		Balances []struct{ Amount string }
	}
	require.NoError(n.t, json.Unmarshal(n.cli("query", "bank", "balances", account), &response))
	require.Len(n.t, response.Balances, 1)
	return response.Balances[0].Amount
}

// send pays from tenant to tenant2 and waits until a block has it.
func (n *runningNetwork) send(amount string) {
	n.t.Helper()
	var sent struct {
		Code int
		Hash string `json:"txhash"`
	}
	out := n.cli("tx", "bank", "send", "tenant", n.Accounts["tenant2"], amount, "--yes")
	require.NoError(n.t, json.Unmarshal(out, &sent))
	require.Zero(n.t, sent.Code, "%s", out)

	var included struct {
		Code   int
		Height json.Number
	}
	out = n.cli("query", "wait-tx", sent.Hash, "--timeout", patience.String())
	require.NoError(n.t, json.Unmarshal(out, &included))
	require.Zero(n.t, included.Code, "%s", out)
}

func TestLocalNetworkEndToEnd(t *testing.T) {
	for _, executor := range []string{"sequential", "block-stm"} {
		t.Run(executor, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "net")
			n := startNetwork(t, "--home", home, "--free-ports", "--block-time", "200ms", "--block-executor", executor,
				"--billing-period", "10s", "--epoch", "30s", "--silence-limit", "10s")
			require.Equal(t, "100000000000", n.balance("tenant2"))
			n.send("1000000uisc")
			require.Equal(t, "100001000000", n.balance("tenant2"))
			var params struct {
				Params struct {
					BillingPeriod string `json:"billing_period"`
				}
			}
			require.NoError(t, json.Unmarshal(n.cli("query", "lease", "params"), &params))
			require.Equal(t, "10s", params.Params.BillingPeriod)
			n.stop()

			// Another run goes on from there, with the same accounts on the same ports.
			again := startNetwork(t, "--home", home)
			require.Equal(t, n.Accounts, again.Accounts)
			require.Equal(t, n.RPC, again.RPC)
			require.Equal(t, "100001000000", again.balance("tenant2"))

			// A network that is killed outright leaves no node behind, and loses nothing.
			again.signal(syscall.SIGKILL)
			_ = again.cmd.Wait()
			again.requireNodesGone()
			once := startNetwork(t, "--home", home)
			once.send("5uisc")
			require.Equal(t, "100001000005", once.balance("tenant2"))
			once.stop()

			// What it exports starts a chain where it ended.
			restartFromExport(t, home)
			moved := startNetwork(t, "--home", home)
			require.Equal(t, "100001000005", moved.balance("tenant2"))
			moved.send("5uisc")
			require.Equal(t, "100001000010", moved.balance("tenant2"))
		})
	}
}

// restartFromExport replaces a node's genesis by an export of its state, and forgets the rest.
func restartFromExport(t *testing.T, home string) {
	t.Helper()
	exported := filepath.Join(t.TempDir(), "exported.json")
	run(t, "export", "--home", home, "--output-document", exported)
	run(t, "comet", "unsafe-reset-all", "--home", home)
	raw, err := os.ReadFile(exported)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(home, "config", "genesis.json"), raw, 0o600))
}

func TestNetworkOfSeveralValidators(t *testing.T) {
	home := filepath.Join(t.TempDir(), "net")
	n := startNetwork(t, "--home", home, "--free-ports", "--block-time", "300ms", "--validators", "2",
		"--block-executor", "block-stm")
	require.Len(t, n.Nodes, 2)
	n.send("7uisc")
	require.Equal(t, "100000000007", n.balance("tenant2"))
	n.stop()
}

// A node killed in the middle of its work ends the network, and goes on from its last committed block the next time.
func TestNodeSurvivesBeingKilled(t *testing.T) {
	home := filepath.Join(t.TempDir(), "net")
	n := startNetwork(t, "--home", home, "--free-ports", "--block-time", "200ms")
	n.send("3uisc")
	require.NoError(t, syscall.Kill(n.Nodes[0].PID, syscall.SIGKILL))
	var exit *exec.ExitError
	require.ErrorAs(t, n.cmd.Wait(), &exit)

	again := startNetwork(t, "--home", home)
	require.Equal(t, "100000000003", again.balance("tenant2"))
	again.send("4uisc")
	require.Equal(t, "100000000007", again.balance("tenant2"))
}

func TestInit(t *testing.T) {
	home := t.TempDir()
	var result struct {
		ChainID string `json:"chain_id"`
		NodeID  string `json:"node_id"`
		Genesis string
	}
	require.NoError(t, json.Unmarshal(run(t, "init", "me", "--home", home, "--output", "json"), &result))
	require.Equal(t, "isun-1", result.ChainID)
	require.Equal(t, result.NodeID, strings.TrimSpace(string(run(t, "comet", "show-node-id", "--home", home))))
	run(t, "genesis", "validate", "--home", home)

	config, err := os.ReadFile(filepath.Join(home, "config", "config.toml"))
	require.NoError(t, err)
	require.Contains(t, string(config), `timeout_commit = "1s"`)
	require.Contains(t, string(config), `pprof_laddr = ""`)

	// A genesis that is there is not replaced by mistake.
	require.Error(t, program(t, "init", "me", "--home", home).Run())
	run(t, "init", "me", "--home", home, "--overwrite")
}

// A validator's genesis can be put together by hand, as for a network of many.
func TestGenesisByHand(t *testing.T) {
	home := t.TempDir()
	run(t, "init", "me", "--home", home, "--chain-id", "isun-7")
	keys := []string{"--home", home, "--keyring-backend", "test"}
	run(t, append([]string{"keys", "add", "val"}, keys...)...)
	run(t, append([]string{"genesis", "add-genesis-account", "val", "2000000uisc"}, keys...)...)
	run(t, append([]string{"genesis", "gentx", "val", "1000000uisc", "--chain-id", "isun-7"}, keys...)...)
	run(t, "genesis", "collect-gentxs", "--home", home)
	run(t, "genesis", "validate", "--home", home)
}

func TestConfig(t *testing.T) {
	home := t.TempDir()
	require.Equal(t, "isun-1\n", string(run(t, "config", "chain-id", "--home", home)))
	run(t, "config", "chain-id", "isun-2", "--home", home)
	run(t, "config", "gas-adjustment", "2", "--home", home)
	require.Equal(t, "isun-2\n", string(run(t, "config", "chain-id", "--home", home)))
	require.Error(t, program(t, "config", "colour", "blue", "--home", home).Run())
	require.Error(t, program(t, "config", "gas-adjustment", "much", "--home", home).Run())
}

// A command that talks to a chain must not take settings of a node for its flags, nor make a node's files.
func TestClientCommandsLeaveANodesFilesAlone(t *testing.T) {
	home := t.TempDir()
	run(t, "keys", "list", "--home", home, "--keyring-backend", "test")
	require.NoFileExists(t, filepath.Join(home, "config", "config.toml"))
	require.FileExists(t, filepath.Join(home, "config", "client.toml"))
	run(t, "version")
}
