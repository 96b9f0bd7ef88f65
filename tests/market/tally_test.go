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

// require holds the run to have done everything: of each kind at least so many in 100,000 messages.
func (c *tally) require(t *testing.T) {
	check := func(done, least map[string]int) {
		for what, n := range least {
			require.GreaterOrEqual(t, done[what]*100_000, n*c.sent(), "%s: %d of %d messages, a run that proves little", what, done[what], c.sent())
		}
	}
	check(c.accepted, leastAccepted)
	check(c.events, leastEvents)
}

// leastAccepted and leastEvents are about half of what a run of 100,000 messages does.
var (
	leastAccepted = map[string]int{}
	leastEvents   = map[string]int{}
)
