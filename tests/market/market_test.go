package market

import (
	"flag"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	// messages are sent in all unless MARKET_STEPS says otherwise.
	messages = 100_000
	// sequenceSteps is how long a sequence is on average: long enough for leases to live and die in it, short enough to be
	// shrunk.
	sequenceSteps = 500
)

// operation is something that may happen, and how often of 256 times.
type operation struct {
	weight int
	run    func(*world)
}

// operations begin with the block's end: the shrinker prefers it.
var operations = []operation{
	{35, func(w *world) { w.block(w.gap()) }},
	{12, (*world).createLease},
	{9, (*world).fundLease},
	{14, (*world).updateLease},
	{3, (*world).closeLease},
	{7, (*world).migratePlacement},
	{1, (*world).migrateMuch},
	{1, (*world).strangerCloses},
	{30, (*world).startAll},
	{6, (*world).startAny},
	{5, (*world).rejectPlacement},
	{40, (*world).attestAll},
	{18, (*world).attestOddly},
	{22, (*world).checkIn},
	{2, (*world).die},
	{5, (*world).comeBack},
	{8, (*world).registerNode},
	{8, (*world).updateNode},
	{3, (*world).drainNode},
	{4, (*world).resumeNode},
	{1, (*world).retireNode},
	{1, (*world).strangerDrains},
	{7, (*world).withdrawRewards},
	{3, (*world).publishImage},
	{1, (*world).deprecateImage},
	{2, (*world).transferImage},
	{6, (*world).govern},
}

// die draws an operation without the bias towards low numbers that rapid's integers have.
var die = rapid.Custom(func(t *rapid.T) int {
	face := 0
	for range 8 {
		face *= 2
		if rapid.Bool().Draw(t, "bit") {
			face++
		}
	}
	return face
})

func (w *world) step() {
	face := die.Draw(w.rt, "operation")
	for _, op := range operations {
		if face -= op.weight; face < 0 {
			op.run(w)
			return
		}
	}
	w.block(w.gap())
}

// gap is the time between two blocks: mostly seconds, sometimes none, sometimes more than the clock follows.
func (w *world) gap() time.Duration {
	return oneOf(w, "gap", time.Second, 5*time.Second, 5*time.Second, 10*time.Second, 0, time.Millisecond, 999*time.Millisecond,
		30*time.Second, time.Minute, 10*time.Minute, 3*time.Hour)
}

// TestMarket sends at least 100,000 random messages, in sequences that each end with everything closed.
func TestMarket(t *testing.T) {
	want := messages
	if steps := os.Getenv("MARKET_STEPS"); steps != "" {
		var err error
		want, err = strconv.Atoi(steps)
		require.NoError(t, err, "MARKET_STEPS")
	}
	setDefault(t, "rapid.steps", strconv.Itoa(sequenceSteps))
	setDefault(t, "rapid.checks", "10")
	// Each sequence is a chain of its own, garbage soon after.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	counts := newTally()
	for round := uint64(0); counts.sent() < want; round++ {
		nextSeed(t, round)
		rapid.Check(t, func(rt *rapid.T) { runSequence(t, rt, counts) })
	}
	counts.log(t)
	if want >= messages {
		counts.require(t)
	}
}

// seedsPerRound is more than rapid draws from one seed on.
const seedsPerRound = 1_000_000

// nextSeed has a round that was given a seed draw something else than the round before.
func nextSeed(t *testing.T, round uint64) {
	seed, err := strconv.ParseUint(flag.Lookup("rapid.seed").Value.String(), 10, 64)
	require.NoError(t, err)
	if seed != 0 && round > 0 {
		require.NoError(t, flag.Set("rapid.seed", strconv.FormatUint(seed+seedsPerRound, 10)))
	}
}

// setDefault sets a flag of rapid that the command line left alone.
func setDefault(t *testing.T, name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		require.NoError(t, flag.Set(name, value))
	}
}

func runSequence(t *testing.T, rt *rapid.T, counts *tally) {
	w := newWorld(t, rt, counts)
	w.open()
	rt.Repeat(map[string]func(*rapid.T){"step": func(*rapid.T) { w.step() }})
	w.closeEverything()
	counts.sequences++
}

// open puts a few nodes and images into the market, so that a sequence begins with something to rent.
func (w *world) open() {
	w.chooseParams()
	for range 3 {
		w.publishImage()
	}
	for range 5 {
		w.registerNode()
	}
	w.block(time.Second)
}

// chooseParams gives every other chain other params than the first ones, every third time for one thing of a kind in a block
// alone, and every third hours that are over before that is done.
func (w *world) chooseParams() {
	for range w.pick(2, "other params") * 10 {
		w.govern()
	}
	params := w.params.lease
	if w.chance(3, "tight budgets") {
		params.Budgets = leasetypes.BlockBudgets{
			LeaseUpdates: 1, Matches: 1, Retries: 1, Endings: 1, Evictions: 1, DuePlacements: leasetypes.MinFollowUp, DueLeases: 1, NodeBackoffs: 1,
			Prunes: leasetypes.MinFollowUp, Reindexes: 1,
		}
		for range w.pick(3, "wider budgets") {
			w.changeBudget(&params.Budgets)
		}
	}
	if w.chance(3, "short hours") {
		params.BillingPeriod, params.SettleGrace = w.duration("short hour", 7, 1, 20), 0
	}
	w.changeLeaseParams(w.Authority.String(), params)
}

// closeEverything closes every lease and retires every node: then nothing is left, no coin in escrow, no bond, no
// placement, no request, no reserved capacity.
func (w *world) closeEverything() {
	for _, l := range w.openLeases() {
		_, err := send(w, "close at the end", w.leaseMsgs.CloseLease,
			&leasetypes.MsgCloseLease{Tenant: l.id.Tenant, Number: l.id.Number}, "%s", l)
		require.NoError(w.T, err)
		l.isClosing, l.closing = true, w.now
	}
	for _, n := range w.liveNodes() {
		w.retire(n)
	}
	const patience = 4_000
	for range patience {
		if len(w.leases) == 0 && len(w.nodes) == 0 {
			break
		}
		w.block(time.Hour)
	}
	require.Empty(w.T, w.leases, "leases that are not refunded")
	require.Empty(w.T, w.nodes, "nodes whose bond did not return")
	require.Zero(w.T, w.held[escrowAccount])
	require.Zero(w.T, w.ModuleBalance(leasetypes.ModuleName))
	require.Zero(w.T, w.ModuleBalance(sunstypes.ModuleName))
	w.requireNothingLeft()
}

func (w *world) requireNothingLeft() {
	placements, err := w.leaseKeeper.Placements.Iterate(w.Ctx, nil)
	require.NoError(w.T, err)
	defer placements.Close()
	require.False(w.T, placements.Valid(), "a placement is left")
	requests, err := w.leaseKeeper.Requests.Iterate(w.Ctx, nil)
	require.NoError(w.T, err)
	defer requests.Close()
	require.False(w.T, requests.Valid(), "a request is left")
	loads, err := w.sunsKeeper.Loads.Iterate(w.Ctx, nil)
	require.NoError(w.T, err)
	defer loads.Close()
	require.False(w.T, loads.Valid(), "reserved capacity is left")
}
