package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// commandTime bounds one command that is expected to end at once.
const commandTime = 30 * time.Second

// output is what a command left behind.
type output struct {
	code           int
	stdout, stderr string
}

// command runs a program to its end. A panic is never an answer.
func command(t *testing.T, name string, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(shared.bin, name), args...)
	// Whatever is kept in the home of the person who runs the tests must neither matter nor change.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(t, ctx.Err(), "%s %v does not end", name, args)
	out := output{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		out.code = exit.ExitCode()
	} else {
		require.NoError(t, err)
	}
	for _, word := range []string{"panic", "goroutine "} {
		require.NotContains(t, out.stdout+out.stderr, word)
	}
	return out
}

// wrong is a command that must be refused with words that help.
type wrong struct {
	name, program string
	args          []string
	// says are parts of the answer, in any order.
	says []string
}

func refuse(t *testing.T, cases []wrong, more ...string) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := command(t, c.program, append(c.args, more...)...)
			require.Equal(t, 1, out.code, "%+v", out)
			require.NotEmpty(t, out.stderr, "an error belongs on the error stream")
			for _, want := range c.says {
				require.Contains(t, out.stderr, want)
			}
		})
	}
}

// nobody is an address where no chain answers: a port that only root could have opened.
const nobody = "tcp://127.0.0.1:1"

// What needs no chain, or finds none.
func TestErrorsWithoutChain(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "worker")
	made := command(t, "isun-worker", "init", "--home", home, "--endpoint", nobody)
	require.Zero(t, made.code, made.stderr)
	startChain := "isunchaind localnet"
	refuse(t, []wrong{
		{"isun finds no chain", "isun", []string{"nodes", "--node", nobody}, []string{"no node answers", nobody, startChain}},
		{"isun deploy finds no chain", "isun", []string{"deploy", "hello:1", "--node", nobody}, []string{startChain}},
		{"isunchaind finds no chain", "isunchaind", []string{"query", "lease", "params", "--node", nobody}, []string{startChain}},
		{"isunchaind status finds no chain", "isunchaind", []string{"status", "--node", nobody}, []string{startChain}},
		{
			"the worker finds no chain", "isun-worker",
			[]string{"join", "--home", home, "--operator-key", "me", "--country", "TW"},
			[]string{"no node answers", startChain},
		},
		{"no image", "isun", []string{"deploy"}, []string{"IMAGE"}},
		{"no lease", "isun", []string{"close"}, []string{"LEASE"}},
		{"no such command of isun", "isun", []string{"rent"}, []string{"unknown command", "rent"}},
		{"no such command of isun-worker", "isun-worker", []string{"work"}, []string{"unknown command", "work"}},
		{"no such command of isunchaind", "isunchaind", []string{"work"}, []string{"unknown command", "work"}},
		{"no such flag", "isun", []string{"ps", "--colour"}, []string{"--colour"}},
		{"no such output", "isun", []string{"ps", "--output", "xml"}, []string{"xml", "json"}},
		{"no such output of the worker", "isun-worker", []string{"status", "--output", "xml"}, []string{"xml", "json"}},
		{"no price", "isun", []string{"deploy", "hello:1", "--max-price", "cheap"}, []string{"--max-price", "cheap"}},
		{"no amount", "isun", []string{"fund", "1", "much"}, []string{"much"}},
		{"nothing", "isun", []string{"fund", "1", "0"}, []string{"nothing"}},
		{"no replicas", "isun", []string{"scale", "1", "0"}, []string{"isun close"}},
		{"no home", "isun-worker", []string{"start", "--home", home + "-none"}, []string{"isun-worker init"}},
		{"not joined", "isun-worker", []string{"start", "--home", home}, []string{"isun-worker join"}},
		{"not joined, status", "isun-worker", []string{"status", "--home", home}, []string{"isun-worker join"}},
		{"a home that is there", "isun-worker", []string{"init", "--home", home}, []string{"exists already"}},
		{"a share beyond all", "isun-worker", []string{"init", "--home", home + "-2", "--offer", "120%"}, []string{"--offer", "100%"}},
		{"a network in a used folder", "isunchaind", []string{"localnet", "--home", home, "--reset"}, []string{"no local network"}},
		{"no validators", "isunchaind", []string{"localnet", "--validators", "0"}, []string{"validators"}},
	})
}

// What the chain, or what is there already, refuses.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	worker := f.join("worker-1", "operator", "1000000")
	f.publish()
	lease := f.deploy(1, "5")

	f.step("isun", func(f *fixture) { refuse(f.t, f.tenantErrors(lease), f.IsunFlags("tenant")...) })
	f.step("isun without its key", func(f *fixture) {
		flags := f.IsunFlags("stranger")
		refuse(f.t, []wrong{{"no such key", "isun", []string{"ps"}, []string{"stranger", "it has", "tenant2"}}}, flags...)
	})
	f.step("isunchaind", func(f *fixture) {
		refuse(f.t, f.byHandErrors(), "--from", "tenant", "--home", f.Chain.Home, "--yes")
	})
	f.step("isun-worker", func(f *fixture) { refuse(f.t, f.workerErrors(worker)) })
	f.step("nobody asks", func(f *fixture) {
		flags := f.IsunFlags("tenant")
		refuse(f.t, []wrong{{"close", "isun", []string{"close", lease.Lease}, []string{"--yes"}}}, flags[:len(flags)-1]...)
		require.Equal(f.t, "active", f.inspect(lease.Lease).Status)
	})
	f.step("json", func(f *fixture) { f.testJSON(lease, worker) })
	f.close(lease.Lease)
}

func (f *fixture) tenantErrors(lease stack.Lease) []wrong {
	ref := f.ref()
	return []wrong{
		{"unknown lease", "isun", []string{"inspect", "99"}, []string{"lease", "99", "not found"}},
		{"close an unknown lease", "isun", []string{"close", "99"}, []string{"99", "not found"}},
		{"fund an unknown lease", "isun", []string{"fund", "99", "1"}, []string{"99", "not found"}},
		{"scale an unknown lease", "isun", []string{"scale", "99", "2"}, []string{"99", "not found"}},
		{"no lease at all", "isun", []string{"inspect", "hello"}, []string{"hello"}},
		{"somebody else's lease", "isun", []string{"close", f.Chain.Accounts["tenant2"] + "/1"}, []string{"not found"}},
		{"unknown image", "isun", []string{"deploy", f.Chain.Accounts["publisher"] + "/nothing:1"}, []string{"nothing:1", "not found"}},
		{"an image of nobody", "isun", []string{"deploy", "isun1nobody/hello:1"}, []string{"isun1nobody"}},
		{"too small a deposit", "isun", []string{"deploy", ref, "--max-price", "2", "--deposit", "1uisc"}, []string{"deposit", "at the cap"}},
		{"more than there is", "isun", []string{"deploy", ref, "--max-price", "2", "--deposit", "999999999"}, []string{"insufficient funds"}},
		{"a coin of another name", "isun", []string{"deploy", ref, "--deposit", "5atom"}, []string{"5atom"}},
		{"too large", "isun", []string{"deploy", ref, "--suns", "5000"}, []string{"no node fits now", "isun nodes"}},
		{"less than the image needs", "isun", []string{"deploy", ref, "--suns", "0.01", "--max-price", "2"}, []string{"demand"}},
		{"too many", "isun", []string{"scale", lease.Lease, "5000"}, []string{"replicas"}},
		{"nothing to change", "isun", []string{"scale", lease.Lease}, []string{"nothing to change"}},
		{"a replica that is not there", "isun", []string{"migrate", lease.Lease, "7"}, []string{"replica"}},
		{"another chain", "isun", []string{"ps", "--chain-id", "isun-99"}, []string{"isun-99", f.Chain.ChainID}},
	}
}

func (f *fixture) byHandErrors() []wrong {
	tx := func(args ...string) []string { return append([]string{"tx", "lease"}, args...) }
	ref := f.ref()
	return []wrong{
		{"unknown lease", "isunchaind", tx("close-lease", "99"), []string{"lease not found", "99"}},
		{"too small a deposit", "isunchaind", tx("create-lease", ref, "1", "2000000", "1uisc"), []string{"deposit is less than one period"}},
		{"another coin", "isunchaind", tx("create-lease", ref, "1", "2000000", "5000000atom"), []string{"uisc"}},
		{"no number", "isunchaind", tx("create-lease", ref, "one", "2000000", "1uisc"), []string{"one"}},
		{"too few arguments", "isunchaind", tx("create-lease", ref), []string{"arg"}},
		{"not an agent", "isunchaind", tx("start-placement", "--id", "{}"), []string{"no node has this agent"}},
	}
}

func (f *fixture) workerErrors(w *stack.Worker) []wrong {
	fresh := filepath.Join(f.Dir, "fresh-worker")
	made := command(f.t, "isun-worker", "init", "--home", fresh, "--endpoint", f.Chain.RPC)
	require.Zero(f.t, made.code, made.stderr)
	keys := w.OperatorFlags()
	join := func(args ...string) []string { return append([]string{"join", "--home", fresh}, args...) }
	return []wrong{
		{"a second worker on one home", "isun-worker", []string{"start", "--home", w.Home}, []string{"already", w.Home}},
		{"join without a key", "isun-worker", join("--country", "TW", "--yes"), []string{"--operator-key", "isunchaind keys add"}},
		{
			"join with a key that is not there", "isun-worker",
			append(join("--country", "TW"), append(keys, "--operator-key", "stranger")...),
			[]string{"stranger", f.Chain.Home},
		},
		{"join from nowhere", "isun-worker", join(keys...), []string{"--country"}},
		{"join from no country", "isun-worker", append(join(keys...), "--country", "Taiwan"), []string{"country"}},
		{"join for no price", "isun-worker", append(join(keys...), "--country", "TW", "--price", "cheap"), []string{"--price"}},
		{"join below the least price", "isun-worker", append(join(keys...), "--country", "TW", "--price", "1uisc"), []string{"price"}},
		{"drain without a key", "isun-worker", []string{"drain", "--home", w.Home}, []string{"--operator-key"}},
		{
			"drain with another's key", "isun-worker",
			append([]string{"drain", "--home", w.Home}, append(keys, "--operator-key", "tenant")...),
			[]string{"belongs to"},
		},
	}
}

// testJSON reads what every command prints with --output json: one value, and nothing else on that stream.
func (f *fixture) testJSON(lease stack.Lease, w *stack.Worker) {
	isun := func(args ...string) []string {
		return append(append([]string{"isun"}, args...), f.IsunFlags("tenant")...)
	}
	chain := func(args ...string) []string {
		return append(append([]string{"isunchaind"}, args...), "--home", f.Chain.Home, "--node", f.Chain.RPC)
	}
	worker := func(args ...string) []string {
		return append(append([]string{"isun-worker"}, args...), "--home", w.Home)
	}
	number := "1"
	for _, args := range [][]string{
		isun("ps"), isun("ps", "--all"), isun("ps", "--tenant", f.Chain.Accounts["tenant2"]), isun("inspect", lease.Lease),
		isun("inspect", lease.Lease, "--history"), isun("nodes"), isun("nodes", "--operator", f.Chain.Accounts["tenant"]),
		isun("price"), isun("price", f.ref()), isun("price", "--suns", "5000"), isun("image", "ls"), isun("image", "show", f.ref()),
		isun("fund", lease.Lease, "1uisc"), isun("scale", lease.Lease, "--max-price", "2.5"), isun("version"),
		chain("status"), chain("query", "lease", "leases"), chain("query", "lease", "lease", f.Chain.Accounts["tenant"], number),
		chain("query", "lease", "placements", f.Chain.Accounts["tenant"], number), chain("query", "lease", "params"),
		chain("query", "lease", "quarantine"), chain("query", "lease", "quote", "--demand", `{"general_milli_suns":"1000"}`),
		chain("query", "lease", "node-placements", f.Chain.Accounts["operator"], number),
		chain("query", "suns", "nodes"), chain("query", "suns", "emission"), chain("query", "suns", "params"),
		chain("query", "audit", "pool"), chain("query", "audit", "params"), chain("query", "uai", "images"),
		worker("status"), worker("doctor"), worker("pause"), worker("resume"), append(worker("join"), w.OperatorFlags()...),
		{"isun-worker", "init", "--home", filepath.Join(f.Dir, "json-worker")},
	} {
		out := command(f.t, args[0], append(args[1:], "--output", "json")...)
		require.Zero(f.t, out.code, "%v: %+v", args, out)
		decoder := json.NewDecoder(strings.NewReader(out.stdout))
		var value any
		require.NoError(f.t, decoder.Decode(&value), "%v printed %q", args, out.stdout)
		require.False(f.t, decoder.More(), "%v printed more than one value: %q", args, out.stdout)
	}
}
