package cost

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/bench/report"
)

const (
	attestInterval = 5 * time.Minute
	attestations   = int(hour / attestInterval)
	// settling is enough blocks for every queue's budget to let the leases through.
	settling = 8
)

// spent is what some blocks cost: processor time of the checks for the mempool, which every node does once for each
// transaction, and of running and committing the blocks; and how long the latter took.
type spent struct {
	checked, executed, elapsed time.Duration
	gas                        float64
	txs                        int
}

func (s *spent) add(block spent) {
	s.checked += block.checked
	s.executed += block.executed
	s.elapsed += block.elapsed
	s.gas += block.gas
	s.txs += block.txs
}

// execution is the processor time of one transaction in a block, with its share of the block's own work.
func (s spent) execution() time.Duration { return s.executed / time.Duration(s.txs) }

// whole is what a node spends on one transaction.
func (s spent) whole() time.Duration { return s.execution() + s.checked/time.Duration(s.txs) }

// cycle is what each step of one round of leases cost.
type cycle struct {
	send, create, start, attest, close, matching, settling, idle spent
}

// run rents, serves and settles one lease for every tenant, an hour long, and sends as often.
func (m *market) run(number uint64) cycle {
	m.T.Helper()
	var c cycle
	runtime.GC()
	for range 3 {
		c.send.add(m.block(time.Second, m.sends()))
	}
	for range settling {
		c.idle.add(m.block(time.Second, nil))
	}
	runtime.GC()
	c.create.add(m.block(time.Second, m.creates()))
	for range settling {
		c.matching.add(m.block(time.Second, nil))
	}
	m.findPlacements()
	runtime.GC()
	c.start.add(m.block(time.Second, m.starts()))
	for i := range attestations {
		// The tenant closes a second before the hour is over, so that no second one is reserved.
		pause, served := attestInterval, time.Duration(i+1)*attestInterval
		if i == attestations-1 {
			pause, served = pause-time.Second, served-time.Second
		}
		c.attest.add(m.block(pause, m.attests(served)))
	}
	runtime.GC()
	c.close.add(m.block(0, m.closes(number)))
	for range settling {
		c.settling.add(m.block(attestInterval, nil)) // past the grace, and the refunds
	}
	for range settling {
		c.settling.add(m.block(hour/4, nil)) // and the history is forgotten
	}
	return c
}

// requireSettled says that the round really came to its end: paid, refunded and forgotten.
func (m *market) requireSettled(b *testing.B) {
	b.Helper()
	require.Zero(b, m.ModuleBalance("lease"))
	left, err := m.App.LeaseKeeper.Leases.Iterate(m.Ctx(), nil)
	require.NoError(b, err)
	keys, err := left.Keys()
	require.NoError(b, err)
	require.Empty(b, keys, "every lease is forgotten")
	m.CheckInvariants()
}

// BenchmarkCycle is one lease of one hour from its order to when it is forgotten, in bank sends of the same run, by gas and by
// the processor time that a node spends: it checks each transaction once for its mempool and runs it in a block. A node of
// the market runs 50 placements and attests every five minutes, so a lease bears a fiftieth of twelve
// attestations. What blocks without any transaction cost by themselves is taken off, and so is garbage collection, which
// depends on all that the process holds: it runs between the steps.
func BenchmarkCycle(b *testing.B) {
	const leases, rounds = 500, 4
	for range b.N {
		collectBetweenSteps(b)
		m := newMarket(b, "sequential", leases)
		m.run(1) // stores, caches and the heap are warm then
		var best cycle
		for round := range rounds {
			c := m.run(uint64(round + 2))
			m.requireSettled(b)
			best = best.fasterOf(c, round == 0)
		}
		best.report(b, leases)
	}
}

// fasterOf takes of each step the round that was disturbed least.
func (c cycle) fasterOf(other cycle, first bool) cycle {
	if first {
		return other
	}
	for _, pair := range []struct {
		mine   *spent
		others spent
	}{
		{&c.send, other.send},
		{&c.create, other.create},
		{&c.start, other.start},
		{&c.attest, other.attest},
		{&c.close, other.close},
		{&c.matching, other.matching},
		{&c.settling, other.settling},
		{&c.idle, other.idle},
	} {
		pair.mine.executed = min(pair.mine.executed, pair.others.executed)
		pair.mine.checked = min(pair.mine.checked, pair.others.checked)
	}
	return c
}

// step is a part of the cycle: what it cost, in how many blocks.
type step struct {
	name   string
	cost   spent
	blocks int
}

func (c cycle) steps() []step {
	return []step{
		{"create", c.create, 1},
		{"matching", c.matching, settling},
		{"start", c.start, 1},
		{"attest", c.attest, attestations},
		{"close", c.close, 1},
		{"settling", c.settling, 2 * settling},
	}
}

// executed is the processor time of a step in blocks, beyond what blocks cost by themselves.
func (c cycle) executed(s step) time.Duration {
	return max(0, s.cost.executed-time.Duration(s.blocks)*c.idle.executed/settling)
}

func (c cycle) report(b *testing.B, leases int) {
	b.Helper()
	execution := c.send.execution()
	against := func(s spent) float64 { return float64(execution) / float64(s.execution()) }
	report.Figure(b, "send_tx_per_second", float64(time.Second)/float64(execution))
	report.Figure(b, "create_vs_send", against(c.create))
	report.Figure(b, "start_vs_send", against(c.start))
	report.Figure(b, "attest_vs_send", against(c.attest))
	report.Figure(b, "close_vs_send", against(c.close))

	var executed, checked time.Duration
	for _, s := range c.steps() {
		report.Figure(b, "cycle_"+s.name+"_execution_vs_sends", float64(c.executed(s))/float64(leases)/float64(execution))
		executed += c.executed(s)
		checked += s.cost.checked
	}
	report.Figure(b, "cycle_execution_vs_sends", float64(executed)/float64(leases)/float64(execution))
	report.Figure(b, "cycle_vs_sends", float64(executed+checked)/float64(leases)/float64(c.send.whole()))

	sendGas := c.send.gas / float64(c.send.txs)
	gas := 0.0
	report.Figure(b, "send_gas", sendGas)
	for _, s := range c.steps() {
		if s.cost.gas > 0 {
			report.Figure(b, s.name+"_gas", s.cost.gas/float64(leases))
			gas += s.cost.gas / float64(leases)
		}
	}
	report.Figure(b, "cycle_gas_vs_send_gas", gas/sendGas)
}

// BenchmarkExecutors is how many more transactions a second of blocks runs in parallel than in order, on the processors
// there are: sends, orders, starts and attestations of disjoint senders.
func BenchmarkExecutors(b *testing.B) {
	const leases, rounds = 500, 2
	for range b.N {
		collectBetweenSteps(b)
		best := map[string]time.Duration{}
		for _, executor := range []string{"sequential", "block-stm"} {
			m := newMarket(b, executor, leases)
			m.run(1)
			for round := range rounds {
				c := m.run(uint64(round + 2))
				took := c.send.elapsed + c.create.elapsed + c.start.elapsed + c.attest.elapsed + c.close.elapsed
				if round == 0 || took < best[executor] {
					best[executor] = took
				}
			}
		}
		report.Figure(b, "block_stm_vs_sequential", float64(best["sequential"])/float64(best["block-stm"]))
	}
}
