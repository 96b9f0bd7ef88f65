package attester

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/sender"
	"github.com/isuncoin/isuncoin/worker/watchdog"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

func pid(replica uint32) leasetypes.PlacementID {
	return leasetypes.PlacementID{Tenant: "isun1tenant", Number: 7, Replica: replica, Generation: 1}
}

// view is a node with an attestation interval of a minute, hours of ten, a
// grace of 20 s and epochs of an hour; the clock stands at nowMs.
func view(nowMs uint64, placements ...leasetypes.NodePlacement) chain.View {
	v := chain.View{NowMs: nowMs, Seen: time.Hour, Placements: placements, Epoch: chain.Epoch{Number: 3, StartMs: 3_600_000, EndsMs: 7_200_000}}
	v.Node.Node.ID = sunstypes.NodeID{Operator: "isun1operator", Number: 1}
	v.Node.Node.Status = sunstypes.NODE_STATUS_ACTIVE
	v.Params.Audit.AttestInterval = time.Minute
	v.Params.Lease.SettleGrace = 20 * time.Second
	v.Params.Suns.SilenceLimit = 5 * time.Minute
	v.Params.Suns.EpochDuration = time.Hour
	return v
}

func placed(replica uint32, status leasetypes.PlacementStatus, spanEndMs uint64) leasetypes.NodePlacement {
	return leasetypes.NodePlacement{
		Placement: leasetypes.Placement{ID: pid(replica), Status: status},
		Billing:   leasetypes.PlacementBilling{Spans: []leasetypes.Span{{EndMs: spanEndMs}}},
	}
}

func record(replica uint32, used, attested uint64) journal.Record {
	return journal.Record{
		ID: pid(replica), Started: true,
		Usage: journal.Usage{ServedMs: used}, Attested: journal.Usage{ServedMs: attested},
	}
}

const (
	assigned = leasetypes.PLACEMENT_STATUS_ASSIGNED
	runs     = leasetypes.PLACEMENT_STATUS_RUNNING
	over     = leasetypes.PLACEMENT_STATUS_ENDED
)

func TestNext(t *testing.T) {
	const now = 4_000_000 // inside epoch 3
	slot := Slot(sunstypes.NodeID{Operator: "isun1operator", Number: 1}, view(0).Epoch)
	endedRecord := record(0, 500, 400)
	endedRecord.Ended = true
	for name, tc := range map[string]struct {
		view     chain.View
		record   *journal.Record
		now      uint64
		signed   uint64
		attested uint64
		want     Kind
		why      string
	}{
		"at the start, idle":         {view: view(now), want: CheckIn, why: "started"},
		"at the start, busy":         {view: view(now, placed(0, runs, 0)), record: ptr(record(0, 9, 0)), want: Attest, why: "interval"},
		"idle, signed in this epoch": {view: view(now), signed: 3_600_000, want: None},
		"idle, before its slot":      {view: view(now), now: 3_600_000 + slot - 1, signed: 3_599_999, want: None},
		"idle, in its slot":          {view: view(now), now: 3_600_000 + slot, signed: 3_599_999, want: CheckIn, why: "epoch"},
		"busy, nothing new used":     {view: view(now, placed(0, runs, 0)), record: ptr(record(0, 9, 9)), signed: now - 59_999, want: None},
		"busy, nothing new, interval over": {
			view: view(now, placed(0, runs, 0)), record: ptr(record(0, 9, 9)), signed: now - 60_000, want: CheckIn, why: "placements",
		},
		"assigned only, interval over": {view: view(now, placed(0, assigned, 0)), signed: now - 60_000, want: CheckIn, why: "placements"},
		"assigned has no entry even with a record": {
			view: view(now, placed(0, assigned, 0)), record: ptr(record(0, 9, 0)), signed: now - 60_000, want: CheckIn,
		},
		"used, interval not over": {
			view: view(now, placed(0, runs, now+60_000)), record: ptr(record(0, 9, 0)), signed: now - 59_999, attested: now - 59_999, want: None,
		},
		"used, interval over": {
			view: view(now, placed(0, runs, now+60_000)), record: ptr(record(0, 9, 0)), signed: now - 60_000, attested: now - 60_000, want: Attest,
		},
		"hour about to end": {
			view: view(now, placed(0, runs, now+2000)), record: ptr(record(0, 9, 0)), signed: now - 10_000, attested: now - 10_000, want: Attest, why: "ending",
		},
		"hour about to end, attested just now": {
			view: view(now, placed(0, runs, now+1000)), record: ptr(record(0, 9, 0)), signed: now - 500, attested: now - 500, want: None,
		},
		"hour ended, its block perhaps not yet": {
			view: view(now, placed(0, runs, now-499)), record: ptr(record(0, 9, 0)), signed: now - 600, attested: now - 600, want: None,
		},
		"hour ended": {
			view: view(now, placed(0, runs, now-500)), record: ptr(record(0, 9, 0)), signed: now - 600, attested: now - 600, want: Attest, why: "ended",
		},
		"hour ended and was attested after it": {
			view: view(now, placed(0, runs, now-2000)), record: ptr(record(0, 9, 0)), signed: now - 1000, attested: now - 1000, want: None,
		},
		"placement ended": {
			view: view(now, placed(0, over, 0)), record: &endedRecord, signed: now - 100, attested: now - 100, want: Attest, why: "placement ended",
		},
		"placement ended, all attested": {
			view: view(now, placed(0, over, 0)), record: ptr(record(0, 9, 9)), signed: now - 100, attested: now - 100, want: None,
		},
		"unresponsive":                      {view: unresponsive(view(now)), signed: now - 2000, want: CheckIn, why: "unresponsive"},
		"unresponsive, answer not seen yet": {view: unresponsive(view(now)), signed: now - 1999, want: None},
		"retired":                           {view: retired(view(now)), want: None},
		"retired, all attested":             {view: retired(view(now, placed(0, over, 0))), record: ptr(record(0, 9, 9)), want: None},
		"retired, the end not attested": {
			view: retired(view(now, placed(0, over, 0))), record: &endedRecord, signed: now - 100, attested: now - 100, want: Attest, why: "retired",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Situation{View: tc.view, NowMs: tc.now, SignedMs: tc.signed, AttestedMs: tc.attested}
			if s.NowMs == 0 {
				s.NowMs = now
			}
			if tc.record != nil {
				s.Records = map[leasetypes.PlacementID]journal.Record{tc.record.ID: *tc.record}
			}
			plan := Next(s)
			require.Equal(t, tc.want, plan.Kind, plan.Reason)
			require.Contains(t, plan.Reason, tc.why)
			require.Equal(t, tc.want == Attest, len(plan.Entries) > 0)
		})
	}
}

func ptr(r journal.Record) *journal.Record { return &r }

func unresponsive(v chain.View) chain.View {
	v.Node.Node.Status = sunstypes.NODE_STATUS_UNRESPONSIVE
	return v
}

func retired(v chain.View) chain.View {
	v.Node.Node.Status = sunstypes.NODE_STATUS_RETIRED
	return v
}

func TestSlotsSpreadOverThreeQuarters(t *testing.T) {
	epoch := chain.Epoch{StartMs: 1000, EndsMs: 5000}
	seen := make([]int, 3)
	for n := range uint64(300) {
		slot := Slot(sunstypes.NodeID{Operator: "isun1operator", Number: n}, epoch)
		require.Less(t, slot, uint64(3000))
		seen[slot/1000]++
	}
	for _, count := range seen {
		require.Greater(t, count, 60, "%v", seen)
	}
	require.Zero(t, Slot(sunstypes.NodeID{}, chain.Epoch{StartMs: 5, EndsMs: 5}))
}

// fixture is an attester with a journal, over a chain that does as it is told.
type fixture struct {
	*testing.T
	a       *Attester
	journal *journal.Journal
	records map[leasetypes.PlacementID]journal.Record
	flushed int
	asked   int
	now     time.Duration
	// the chain
	sequence  uint64
	txs       [][]sdk.Msg
	answer    func(msgs []sdk.Msg) error
	confirmed []time.Duration
}

func setup(t *testing.T, records ...journal.Record) *fixture {
	t.Helper()
	j, _, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	f := &fixture{T: t, journal: j, records: map[leasetypes.PlacementID]journal.Record{}, now: time.Hour}
	for _, r := range records {
		f.records[r.ID] = r
	}
	f.restart()
	return f
}

func (f *fixture) restart() {
	f.a = New("isun1agent", f, f.journal, f, f, f, func() time.Duration { return f.now }, slog.New(slog.DiscardHandler))
}

func (f *fixture) step(v chain.View) error {
	_, err := f.a.Step(context.Background(), v)
	return err
}

func (f *fixture) Refresh(context.Context) error { f.flushed++; return nil }

func (f *fixture) Records() map[leasetypes.PlacementID]journal.Record { return f.records }

func (f *fixture) MarkAttested(m map[leasetypes.PlacementID]journal.Usage) error {
	for id, u := range m {
		r := f.records[id]
		r.Attested = u
		f.records[id] = r
	}
	return nil
}

func (f *fixture) AskAgain() { f.asked++ }

func (f *fixture) Attestation(context.Context) (audittypes.NodeAttestation, error) {
	return audittypes.NodeAttestation{Sequence: f.sequence}, nil
}

// Send is the chain: it wants rising sequences.
func (f *fixture) Send(_ context.Context, msgs ...sdk.Msg) error {
	f.txs = append(f.txs, msgs)
	if f.answer != nil {
		if err := f.answer(msgs); err != nil {
			return err
		}
	}
	for _, m := range msgs {
		if m, ok := m.(*audittypes.MsgAttestUsage); ok {
			if m.Sequence <= f.sequence {
				return fmt.Errorf("%w: sequence %d is not above %d", sender.ErrRefused, m.Sequence, f.sequence)
			}
			f.sequence = m.Sequence
		}
	}
	return nil
}

func (f *fixture) Now() time.Duration { return f.now }

func (f *fixture) Confirm(at time.Duration, limits watchdog.Limits) error {
	require.Equal(f, watchdog.Limits{Busy: 5 * time.Minute, Idle: 2 * time.Hour}, limits)
	f.confirmed = append(f.confirmed, at)
	return nil
}

func (f *fixture) attested(i int) *audittypes.MsgAttestUsage {
	m, ok := f.txs[i][0].(*audittypes.MsgAttestUsage)
	require.True(f, ok, "%T", f.txs[i][0])
	return m
}

func TestStepAttests(t *testing.T) {
	f := setup(t, record(0, 1500, 0), record(1, 800, 800))
	v := view(4_000_000, placed(0, runs, 0), placed(1, runs, 0))
	require.NoError(t, f.step(v))
	require.Len(t, f.txs, 1)
	m := f.attested(0)
	require.Equal(t, "isun1agent", m.Agent)
	require.EqualValues(t, 1, m.Version)
	require.EqualValues(t, 1, m.Sequence)
	require.Equal(t, []audittypes.UsageEntry{{ID: pid(0), ServedMs: 1500}}, m.Entries, "only what is new")
	require.Equal(t, 1, f.flushed, "in the journal before it is sent")
	require.Equal(t, []time.Duration{time.Hour}, f.confirmed)

	require.NoError(t, f.step(v))
	require.Len(t, f.txs, 1, "nothing new is due")
	require.EqualValues(t, 1, f.a.Status().Attested)
}

func TestSequenceIsAboveJournalAndChain(t *testing.T) {
	f := setup(t, record(0, 1, 0))
	f.sequence = 41 // an older home attested this far
	v := view(4_000_000, placed(0, runs, 0))
	require.NoError(t, f.step(v))
	require.EqualValues(t, 42, f.attested(0).Sequence)

	// The next worker has only the journal's word, and the chain's.
	f.restart()
	f.records[pid(0)] = record(0, 2, 1)
	f.sequence = 7 // a lagging endpoint
	require.NoError(t, f.step(v))
	require.EqualValues(t, 43, f.attested(1).Sequence)
}

func TestLostAnswerIsSentAgain(t *testing.T) {
	f := setup(t, record(0, 1000, 0))
	v := view(4_000_000, placed(0, runs, 0))
	lost := errors.New("timed out")
	f.answer = func([]sdk.Msg) error { f.sequence = 1; return lost } // it got in, the answer did not get out
	require.ErrorIs(t, f.step(v), lost)
	require.Empty(t, f.confirmed)
	require.EqualValues(t, 1, f.a.Status().Failures)

	f.answer = nil
	require.NoError(t, f.step(v))
	require.Len(t, f.txs, 1, "not before its back-off has passed")
	f.now += backoffMin
	require.NoError(t, f.step(v))
	require.EqualValues(t, 2, f.attested(1).Sequence)
	require.Equal(t, []time.Duration{f.now}, f.confirmed)
	require.Empty(t, f.a.Status().LastError)
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	f := setup(t, record(0, 1000, 0))
	f.answer = func([]sdk.Msg) error { return errors.New("down") }
	v := view(4_000_000, placed(0, runs, 0))
	for range 10 {
		require.Error(t, f.step(v))
		require.NoError(t, f.step(v), "waits")
		f.now += backoffMax
	}
	require.Len(t, f.txs, 10)
}

func TestOneEntryAtFaultDoesNotCostTheOthers(t *testing.T) {
	f := setup(t, record(0, 10, 0), record(1, 20, 0), record(2, 30, 0))
	f.answer = func(msgs []sdk.Msg) error {
		for _, e := range msgs[0].(*audittypes.MsgAttestUsage).Entries {
			if e.ID == pid(1) {
				return fmt.Errorf("%w: placement is not on the agent's node", sender.ErrRefused)
			}
		}
		return nil
	}
	v := view(4_000_000, placed(0, runs, 0), placed(1, runs, 0), placed(2, runs, 0))
	require.NoError(t, f.step(v))
	require.EqualValues(t, 10, f.records[pid(0)].Attested.ServedMs)
	require.Zero(t, f.records[pid(1)].Attested.ServedMs)
	require.EqualValues(t, 30, f.records[pid(2)].Attested.ServedMs)
	require.Len(t, f.confirmed, 1)
}

// What was on its way when the worker was killed is no failure.
func TestAskedAgainWhenTheChainHoldsMore(t *testing.T) {
	for _, overtaking := range []error{audittypes.ErrUsageWentBackwards, audittypes.ErrStaleSequence} {
		f := setup(t, record(0, 1000, 0))
		f.answer = func([]sdk.Msg) error { return fmt.Errorf("%w: %w", sender.ErrRefused, overtaking) }
		v := view(4_000_000, placed(0, runs, 0))
		require.NoError(t, f.step(v))
		require.Equal(t, 1, f.asked)
		require.Zero(t, f.a.Status().Failures)
		f.answer = nil
		f.now += backoffMax
		require.NoError(t, f.step(v))
		require.EqualValues(t, 1000, f.records[pid(0)].Attested.ServedMs)
	}
}

func TestManyEntriesAreSplit(t *testing.T) {
	var records []journal.Record
	var placements []leasetypes.NodePlacement
	for i := range uint32(120) {
		records = append(records, record(i, 5, 0))
		placements = append(placements, placed(i, runs, 0))
	}
	f := setup(t, records...)
	require.NoError(t, f.step(view(4_000_000, placements...)))
	require.Len(t, f.txs, 1)
	require.Len(t, f.txs[0], 3)
	require.EqualValues(t, 3, f.sequence)
}

func TestCheckInConfirms(t *testing.T) {
	f := setup(t)
	require.NoError(t, f.step(view(4_000_000)))
	require.IsType(t, &sunstypes.MsgCheckIn{}, f.txs[0][0])
	require.Len(t, f.confirmed, 1)
	require.EqualValues(t, 4_000_000, f.a.Status().SignedMs)
}
