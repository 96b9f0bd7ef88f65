package command_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/cmd/isun-worker/command"
	"github.com/isuncoin/isuncoin/worker/accel/plugin"
	"github.com/isuncoin/isuncoin/worker/operator/operatortest"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// A library of the SDK has a flag of this name already.
func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write golden files anew")
	}
}

// TestMain answers for the worker when the worker runs itself: its program is
// the test's.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != plugin.SelfCommand {
		os.Exit(m.Run())
	}
	if err := command.Root().ExecuteContext(context.Background()); err != nil {
		code, _ := command.ExitCode(err)
		os.Exit(code)
	}
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to write it")
	require.Equal(t, string(want), text)
}

// owner is somebody with a machine, a key and a chain.
type owner struct {
	*testing.T
	market *operatortest.Market
	home   string
	keys   string
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	o := &owner{T: t, market: operatortest.New(t), home: filepath.Join(t.TempDir(), "worker"), keys: t.TempDir()}
	encoding, err := chain.NewEncoding()
	require.NoError(t, err)
	ring, err := chain.OpenKeyring(chain.KeyringConfig{Home: o.keys, Input: strings.NewReader("")}, encoding.Codec)
	require.NoError(t, err)
	record, _, err := ring.NewMnemonic("me", keyring.English, "", "", hd.Secp256k1)
	require.NoError(t, err)
	address, err := record.GetAddress()
	require.NoError(t, err)
	o.market.Chain.AddAccount(address, 0)
	return o
}

// run carries out a command line in the owner's home.
func (o *owner) run(args ...string) (string, error) {
	o.Helper()
	var out, errOut bytes.Buffer
	root := command.Root()
	root.SetArgs(append(args, "--home", o.home))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader(""))
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

func (o *owner) ok(args ...string) string {
	o.Helper()
	out, err := o.run(args...)
	require.NoError(o, err)
	return out
}

func (o *owner) json(args ...string) map[string]any {
	o.Helper()
	var value map[string]any
	require.NoError(o, json.Unmarshal([]byte(o.ok(append(args, "-o", "json")...)), &value))
	return value
}

func (o *owner) key() []string {
	return []string{"--operator-key", "me", "--operator-home", o.keys, "--yes"}
}

func (o *owner) joins() map[string]any {
	o.Helper()
	o.ok("init", "--endpoint", o.market.Node.URL(), "--reserve-memory", "0", "--reserve-disk", "0", "--gas-prices", "0.001uisc")
	return o.json(append([]string{"join", "--country", "de", "--moniker", "attic", "--price", "0.02isc", "--measure", "10ms"}, o.key()...)...)
}

func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		everyCommand(sub, visit)
	}
}

func TestHelp(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	everyCommand(command.Root(), func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			root := command.Root()
			root.SetArgs(append(strings.Fields(name)[1:], "--help"))
			root.SetOut(&out)
			require.NoError(t, root.Execute())
			text := out.String()
			if host, err := os.Hostname(); err == nil { // a default of join
				text = strings.ReplaceAll(text, `"`+host+`"`, `"HOSTNAME"`)
			}
			golden(t, "help/"+strings.ReplaceAll(name, " ", "-")+".txt", text)
		})
		if cmd.Runnable() {
			require.NotEmpty(t, cmd.Example, "%s shows how it is used", name)
			require.NotEmpty(t, cmd.Long, name)
		}
	})
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		root := command.Root()
		root.SetArgs([]string{"completion", shell})
		root.SetOut(&out)
		require.NoError(t, root.Execute())
		require.Contains(t, out.String(), "isun-worker")
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	o := newOwner(t)
	require.Contains(t, o.ok("init", "--offer", "40%"), "isun-worker doctor")
	_, err := o.run("init")
	require.ErrorContains(t, err, "exists already")
	raw, err := os.ReadFile(filepath.Join(o.home, "config.toml"))
	require.NoError(t, err)
	require.Contains(t, string(raw), "share = '40%'")

	_, err = newOwner(t).run("init", "--offer", "140%")
	require.ErrorContains(t, err, "--offer")
}

func TestJoin(t *testing.T) {
	o := newOwner(t)
	joined := o.joins()
	require.Equal(t, false, joined["already_joined"])
	nodes := o.market.Nodes()
	require.Len(t, nodes, 1)
	require.Equal(t, nodes[0].ID.String(), joined["node"])
	require.Equal(t, "DE", nodes[0].Country)
	require.EqualValues(t, 20_000, nodes[0].AskPrice)
	require.Equal(t, float64(nodes[0].MilliSuns), joined["milli_suns"])

	again := o.json(append([]string{"join"}, o.key()...)...)
	require.Equal(t, true, again["already_joined"])
	require.Equal(t, joined["node"], again["node"])

	// Half of the home is lost: joining finds out who it is, and measures anew.
	require.NoError(t, os.Remove(filepath.Join(o.home, "node.json")))
	require.NoError(t, os.Remove(filepath.Join(o.home, "report.json")))
	again = o.json(append([]string{"join", "--measure", "10ms"}, o.key()...)...)
	require.Equal(t, joined["node"], again["node"])
	require.FileExists(t, filepath.Join(o.home, "report.json"))
	require.Len(t, o.market.Nodes(), 1)
}

func TestJoinSaysWhatIsMissing(t *testing.T) {
	o := newOwner(t)
	o.ok("init", "--endpoint", o.market.Node.URL(), "--reserve-memory", "0", "--reserve-disk", "0", "--gas-prices", "0.001uisc")
	for want, args := range map[string][]string{
		"--operator-key is needed": {"--country", "DE", "--yes"},
		"--country is needed":      {"--operator-key", "me", "--operator-home", o.keys, "--yes"},
		"--yes":                    {"--operator-key", "me", "--operator-home", o.keys, "--country", "DE"},
		"no key \"you\"":           {"--operator-key", "you", "--operator-home", o.keys, "--country", "DE", "--yes"},
		"--price":                  {"--operator-key", "me", "--operator-home", o.keys, "--country", "DE", "--price", "cheap", "--yes"},
		"--bond":                   {"--operator-key", "me", "--operator-home", o.keys, "--country", "DE", "--bond", "-1", "--yes"},
	} {
		_, err := o.run(append([]string{"join", "--measure", "10ms"}, args...)...)
		require.ErrorContains(t, err, want)
	}
	require.Zero(t, o.market.Chain.TxCount())
}

func TestPauseAndResumeWithoutAWorker(t *testing.T) {
	o := newOwner(t)
	o.joins()
	paused := o.json("pause")
	require.Equal(t, true, paused["paused"])
	require.Equal(t, false, paused["worker_running"])
	require.Equal(t, true, o.json("status")["paused"])
	require.Equal(t, false, o.json("pause")["changed"])
	require.Contains(t, o.ok("resume"), "isun-worker start")
	require.Equal(t, false, o.json("status")["paused"])
}

func TestDrainResumeRetire(t *testing.T) {
	o := newOwner(t)
	o.joins()
	require.Equal(t, "draining", o.json(append([]string{"drain"}, o.key()...)...)["status"])
	require.Contains(t, o.ok("resume"), "isun-worker resume --operator-key", "it says that the node still drains")
	require.Equal(t, sunstypes.NODE_STATUS_DRAINING, o.market.Nodes()[0].Status)
	require.Contains(t, o.ok(append([]string{"resume"}, o.key()...)...), "the drain has ended")
	require.Equal(t, sunstypes.NODE_STATUS_ACTIVE, o.market.Nodes()[0].Status)
	_, err := o.run("retire", "--operator-key", "me", "--operator-home", o.keys)
	require.ErrorContains(t, err, "--yes")
	require.Equal(t, "retired", o.json(append([]string{"retire"}, o.key()...)...)["status"])
}

func TestStatus(t *testing.T) {
	o := newOwner(t)
	o.joins()
	s := o.json("status")
	require.Equal(t, "active", s["chain"].(map[string]any)["status"])
	require.Equal(t, "2500000", s["chain"].(map[string]any)["maintenance_reward_uisc"])
	require.Nil(t, s["worker"])
	text := o.ok("status")
	require.Contains(t, text, "not running")
	require.Contains(t, text, "2.5 ISC for maintenance")

	_, err := newOwner(t).run("status")
	require.ErrorContains(t, err, "isun-worker init")
}

func TestBench(t *testing.T) {
	o := newOwner(t)
	o.ok("init", "--endpoint", o.market.Node.URL(), "--reserve-memory", "0", "--reserve-disk", "0")
	text := o.ok("bench", "--measure", "10ms", "--offer", "100%")
	require.Contains(t, text, "100% offered")
	require.Regexp(t, `SUNS, bound by (cpu|memory|storage|bandwidth)`, text)
	require.Regexp(t, `(cpu|memory|storage|bandwidth) .*holds? you at [0-9.]+ SUNS`, text)
	for _, figure := range []string{"cpu.integer", "cpu.float", "cpu.compression", "cpu.memory", "memory.triad", "disk.fsync"} {
		require.Contains(t, text, figure)
	}
	b := o.json("bench", "--measure", "10ms", "--offer-memory", "1GiB", "--reserve-threads", "1")
	require.Equal(t, true, b["bundle_from_chain"])
	require.Positive(t, b["milli_suns"])
	require.EqualValues(t, 2, b["version"])
	require.Len(t, b["digest"], 64)
	require.EqualValues(t, 1024, b["capacity"].(map[string]any)["memory_mib"])
	require.NoFileExists(t, filepath.Join(o.home, "report.json"), "nothing is stored")
}

func TestBenchSaysWhatIsWrong(t *testing.T) {
	o := newOwner(t)
	o.ok("init", "--endpoint", o.market.Node.URL(), "--reserve-memory", "0", "--reserve-disk", "0")
	for want, args := range map[string][]string{
		"--offer: share":                  {"--offer", "140%"},
		"--offer-memory":                  {"--offer-memory", "lots"},
		"more is offered than there is":   {"--offer-storage", "900000TiB"},
		"want some of cpu":                {"--only", "gpu"},
		"want at most 5m":                 {"--measure", "1h"},
		"threads, of which 4096 are rese": {"--reserve-threads", "4096"},
		"want host:port":                  {"--only", "network", "--network", "nowhere"},
		"isun-worker join":                {"--submit"},
		"leave out --only":                {"--submit", "--only", "cpu"},
	} {
		_, err := o.run(append([]string{"bench", "--measure", "1ms"}, args...)...)
		require.ErrorContains(t, err, want)
	}
}

func TestBenchSubmit(t *testing.T) {
	o := newOwner(t)
	o.joins()
	path := filepath.Join(o.home, "report.json")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	submit := append([]string{"bench", "--submit", "--measure", "10ms", "--offer-memory", "1GiB"}, o.key()...)

	_, err = o.run("bench", "--submit", "--measure", "10ms")
	require.ErrorContains(t, err, "--operator-key is needed")

	// The chain refuses: the report stays what the chain has.
	o.market.Refuse(sunstypes.ErrNodeStatus.Wrap("retired"))
	_, err = o.run(submit...)
	require.ErrorIs(t, err, sunstypes.ErrNodeStatus)
	o.market.Refuse(nil)
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, kept)

	// Placements hold more than would be left.
	o.market.Load(sunstypes.NodeLoad{Placements: 1, ReservedGeneralMilliSuns: 1 << 40})
	_, err = o.run(submit...)
	require.ErrorIs(t, err, sunstypes.ErrBelowReserved)
	require.ErrorContains(t, err, "isun-worker drain")
	o.market.Load(sunstypes.NodeLoad{})

	sent := o.json(submit...)
	require.NotEmpty(t, sent["tx_hash"])
	node := o.market.Nodes()[0]
	require.Equal(t, sent["digest"], hex.EncodeToString(node.ReportDigest))
	require.EqualValues(t, 1024, node.Capacity.MemoryMiB)
	kept, err = os.ReadFile(path)
	require.NoError(t, err)
	digest := sha256.Sum256(kept)
	require.Equal(t, node.ReportDigest, digest[:], "the kept report is the one the chain has")
	require.NoFileExists(t, path+".sent")

	// A program that ended between the transaction and its answer.
	require.NoError(t, os.Rename(path, path+".sent"))
	require.NoError(t, os.WriteFile(path, before, 0o600))
	o.json(append([]string{"join"}, o.key()...)...)
	kept, err = os.ReadFile(path)
	require.NoError(t, err)
	digest = sha256.Sum256(kept)
	require.Equal(t, node.ReportDigest, digest[:])
}

func TestStartNeedsToJoin(t *testing.T) {
	o := newOwner(t)
	_, err := o.run("start")
	require.ErrorContains(t, err, "isun-worker init")
	o.ok("init")
	_, err = o.run("start")
	require.ErrorContains(t, err, "isun-worker join")
	_, err = o.run("start", "--log-level", "loud")
	require.ErrorContains(t, err, "log.level")
	_, err = o.run("status", "-o", "yaml")
	require.ErrorContains(t, err, "want text or json")
}
