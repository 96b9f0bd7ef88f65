package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
)

// genesisMutations is how many changes are tried unless ISUN_GENESIS_MUTATIONS says another number: there are some four
// thousand, which take minutes.
const genesisMutations = 240

// mutation changes one place of a module's genesis.
type mutation struct {
	module, path, what string
	// apply gives the module's genesis with the change. The tree it is given is its own.
	apply func(root any) any
}

func (m mutation) String() string { return m.module + m.path + " " + m.what }

// step is a part of a path: the name of a field or the index of an entry.
type step any

// removed stands for a field that is taken out.
type removed struct{}

// replaceAt changes the value at a path.
func replaceAt(root any, path []step, change func(any) any) any {
	if len(path) == 0 {
		return change(root)
	}
	switch at := path[0].(type) {
	case string:
		object := root.(map[string]any)
		value := replaceAt(object[at], path[1:], change)
		if _, gone := value.(removed); gone {
			delete(object, at)
		} else {
			object[at] = value
		}
	case int:
		list := root.([]any)
		list[at] = replaceAt(list[at], path[1:], change)
	}
	return root
}

// changesTo gives what may become of a value.
func changesTo(value any) map[string]func(any) any {
	to := func(other any) func(any) any { return func(any) any { return other } }
	changes := map[string]func(any) any{"removed": to(removed{}), "null": to(nil)}
	switch value := value.(type) {
	case []any:
		changes["empty"] = to([]any{})
		if len(value) > 0 {
			changes["with an entry twice"] = func(v any) any { return append([]any{v.([]any)[0]}, v.([]any)...) }
		}
		if len(value) > 1 {
			changes["reversed"] = func(v any) any {
				slices.Reverse(v.([]any))
				return v
			}
		}
	case map[string]any:
		changes["empty"] = to(map[string]any{})
	default:
		for name, other := range map[string]any{
			"zero": "0", "max": "18446744073709551615", "negative": "-1", "empty": "", "garbage": "cosmos1garbage",
			"number": json.Number("4294967295"), "negative number": json.Number("-1"),
		} {
			changes[name] = to(other)
		}
	}
	return changes
}

// mutations lists every change of every field, in order. Of a list it goes into the first and the last entry.
func mutations(module string, path []step, value any) (all []mutation) {
	name := ""
	for _, s := range path {
		name += fmt.Sprintf("/%v", s)
	}
	changes := changesTo(value)
	for _, what := range slices.Sorted(maps.Keys(changes)) {
		if _, entry := lastOf(path).(int); (entry || len(path) == 0) && what == "removed" {
			continue // an entry is no field
		}
		change := changes[what]
		all = append(all, mutation{module: module, path: name, what: what, apply: func(root any) any {
			return replaceAt(root, path, change)
		}})
	}
	below := func(s step, value any) {
		all = append(all, mutations(module, append(slices.Clone(path), s), value)...)
	}
	switch value := value.(type) {
	case []any:
		for _, i := range slices.Compact([]int{0, max(0, len(value)-1)}) {
			if i < len(value) {
				below(i, value[i])
			}
		}
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(value)) {
			below(field, value[field])
		}
	}
	return all
}

func lastOf(path []step) step {
	if len(path) == 0 {
		return nil
	}
	return path[len(path)-1]
}

// tree reads JSON and keeps its numbers as they are.
func tree(t testing.TB, raw []byte) (value any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&value))
	return value
}

// A genesis is hostile input too. Whatever one field of one of our modules becomes: either the start is refused with an
// error that names the module, or the state adds up and the chain runs.
func TestGenesisWithAnyFieldChanged(t *testing.T) {
	b := newBusy(t)
	exported := b.Export(false)
	state := chain.State(t, exported)
	var all []mutation
	for _, module := range ourModules {
		all = append(all, mutations(module, nil, tree(t, state[module]))...)
	}
	wanted := genesisMutations
	if text := os.Getenv("ISUN_GENESIS_MUTATIONS"); text != "" {
		number, err := strconv.Atoi(text)
		require.NoError(t, err)
		wanted = number
	}
	stride := max(1, len(all)/wanted)
	for gcd(stride, 9) != 1 { // most fields have nine changes: each kind gets its turn
		stride++
	}
	refused, ran := 0, 0
	for i := 0; i < len(all); i += stride {
		if runMutated(t, b, exported, state, all[i]) {
			ran++
		} else {
			refused++
		}
	}
	t.Logf("%d changes, of which %d were tried: %d were refused, %d chains ran", len(all), refused+ran, refused, ran)
	require.NotZero(t, refused)
	require.NotZero(t, ran)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// runMutated starts a chain from a changed genesis and says whether it could be started.
func runMutated(
	t *testing.T, b *busy, exported *genutiltypes.AppGenesis, state map[string]json.RawMessage, m mutation,
) (started bool) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			assert.Fail(t, "panic", "%s: %v", m, r)
		}
	}()
	changed := maps.Clone(state)
	module, err := json.Marshal(m.apply(tree(t, state[m.module])))
	require.NoError(t, err)
	changed[m.module] = module
	// A start begins with this, and an application is not built for what ends there.
	if err := b.App.BasicManager().ValidateGenesis(b.App.AppCodec(), b.App.TxConfig(), changed); err != nil {
		requireRefusal(t, m, err, "genesis of x/"+m.module+": ")
		return false
	}
	raw, err := json.Marshal(changed)
	require.NoError(t, err)
	genesis := *exported
	genesis.AppState = raw
	c, err := chain.TryGenesis(t, b.Keys, &genesis, chain.WithoutInvariants())
	if err != nil {
		requireRefusal(t, m, err, "genesis of x/") // perhaps by the module that contradicts the changed one
		return false
	}
	for range 3 {
		if !assert.NoError(t, c.App.CheckInvariants(c.Ctx()), m.String()) {
			return true
		}
		c.NextBlock()
	}
	assert.NoError(t, c.App.CheckInvariants(c.Ctx()), m.String())
	return true
}

// requireRefusal demands an error for people: one that names the module, and is no accident.
func requireRefusal(t *testing.T, m mutation, err error, names string) {
	t.Helper()
	text := err.Error()
	assert.Contains(t, text, names, m.String())
	for _, accident := range []string{"runtime error", "nil pointer", "index out of range", "invalid memory", "interface conversion"} {
		assert.NotContains(t, text, accident, m.String())
	}
	assert.LessOrEqual(t, len(text), 2_000, "%s: the error repeats what was given", m)
}
