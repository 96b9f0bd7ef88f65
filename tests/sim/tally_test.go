//go:build sims

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
)

// tally counts what happened: transactions by outcome, events of our modules by name.
type tally map[string]int

// note counts a block.
func (n tally) note(block *abci.ResponseFinalizeBlock) {
	n["blocks"]++
	events := slices.Clone(block.Events)
	for _, result := range block.TxResults {
		if result.Code == 0 {
			n["transactions that succeeded"]++
		} else {
			n["transactions that failed"]++
		}
		events = append(events, result.Events...)
	}
	for _, event := range ourEvents(events) {
		n[event.Type]++
	}
}

// add sums up.
func (n tally) add(other tally) {
	for name, count := range other {
		n[name] += count
	}
}

// String lists the counts by name.
func (n tally) String() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(&text, "%7d %s\n", n[name], name)
	}
	return text.String()
}
