package market

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tally counts, over all sequences, what was sent and what came of it.
type tally struct {
	accepted map[string]int
	refused  map[string]map[string]int
	events   map[string]int
	blocks   int
	// sequences that ran to their end.
	sequences int
}

func newTally() *tally {
	return &tally{accepted: map[string]int{}, refused: map[string]map[string]int{}, events: map[string]int{}}
}

func (c *tally) accept(kind string) { c.accepted[kind]++ }

func (c *tally) refuse(kind, why string) {
	if c.refused[kind] == nil {
		c.refused[kind] = map[string]int{}
	}
	c.refused[kind][why]++
}

func (c *tally) happened(what string) { c.events[what]++ }

// sent is how many messages were delivered, accepted or not.
func (c *tally) sent() (sum int) {
	for _, n := range c.accepted {
		sum += n
	}
	for _, whys := range c.refused {
		for _, n := range whys {
			sum += n
		}
	}
	return sum
}

func (c *tally) log(t *testing.T) {
	var text strings.Builder
	fmt.Fprintf(&text, "%d messages in %d blocks of %d sequences\n", c.sent(), c.blocks, c.sequences)
	kinds := map[string]bool{}
	for kind := range c.accepted {
		kinds[kind] = true
	}
	for kind := range c.refused {
		kinds[kind] = true
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&text, "%-22s %6d accepted, refused:", kind, c.accepted[kind])
		for _, why := range slices.Sorted(maps.Keys(c.refused[kind])) {
			fmt.Fprintf(&text, " %s × %d;", why, c.refused[kind][why])
		}
		text.WriteString("\n")
	}
	for _, what := range slices.Sorted(maps.Keys(c.events)) {
		fmt.Fprintf(&text, "%-40s %6d\n", what, c.events[what])
	}
	t.Log(text.String())
}

// require holds the run to have done everything: a run in which most things are refused proves little.
func (c *tally) require(t *testing.T) {
	check := func(done, least map[string]int) {
		for what, n := range least {
			require.GreaterOrEqual(t, done[what], n, "%s, in %d messages", what, c.sent())
		}
	}
	check(c.accepted, leastAccepted)
	check(c.events, leastEvents)
	for _, kind := range alwaysRefused {
		require.NotEmpty(t, c.refused[kind], kind)
		require.Zero(t, c.accepted[kind], kind)
	}
}

// alwaysRefused are messages nobody may get away with.
var alwaysRefused = []string{
	"attest another's", "attest same sequence", "attest unknown", "close another's lease", "drain another's node",
}

// leastAccepted and leastEvents are about a third of what a run of 100,000 messages does.
var (
	leastAccepted = map[string]int{
		"attest backwards":    200,
		"attest late":         300,
		"attest nothing":      100,
		"attest part":         200,
		"attest settled":      100,
		"attest too much":     300,
		"attest truly":        7_000,
		"attest unstarted":    100,
		"change audit params": 100,
		"change lease params": 500,
		"change suns params":  200,
		"change uai params":   100,
		"check in":            2_000,
		"close at the end":    300,
		"close lease":         500,
		"create lease":        900,
		"deprecate image":     100,
		"drain node":          300,
		"fund lease":          500,
		"migrate placement":   500,
		"publish image":       400,
		"register node":       900,
		"reject running":      300,
		"reject unstarted":    70,
		"resume node":         200,
		"retire node":         900,
		"start placement":     1_000,
		"transfer image":      200,
		"update cap":          400,
		"update demand":       300,
		"update image":        200,
		"update node agent":   100,
		"update node ask":     400,
		"update node bond":    100,
		"update node place":   100,
		"update node report":  100,
		"update replicas":     400,
		"withdraw rewards":    1_000,
	}
	leastEvents = map[string]int{
		"audit pool shared":            200,
		"audit reward paid":            600,
		"bond returned":                900,
		"device leased":                300,
		"ended CLOSED":                 200,
		"ended MIGRATED":               500,
		"ended NODE_DRAINED":           60,
		"ended NODE_RETIRED":           300,
		"ended NODE_SILENT":            50,
		"ended NOT_SERVED":             90,
		"ended NOT_STARTED":            300,
		"ended REJECTED":               300,
		"ended SCALED_DOWN":            50,
		"ended UNFUNDED":               20,
		"ended UPDATED":                100,
		"ended within the trial":       300,
		"entries skipped":              60,
		"epoch closed":                 600,
		"funded by a stranger":         300,
		"hour settled in full":         1_000,
		"hour settled, in part served": 200,
		"hour settled, nothing served": 300,
		"lease closed for waiting":     90,
		"lease refunded":               900,
		"lease suspended":              8,
		"lease unfunded":               700,
		"machine came back":            200,
		"machine died":                 200,
		"maintenance reward paid":      1_000,
		"next hour reserved":           900,
		"node silent":                  400,
		"placement matched":            2_000,
		"placement started":            1_000,
		"rest of the hour forfeited":   400,
		"retry fee paid":               3_000,
		"royalty paid":                 600,
		"started twice":                90,
	}
)
