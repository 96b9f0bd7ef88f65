package types_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/lease/types"
)

func TestCharge(t *testing.T) {
	for _, tc := range []struct {
		name                      string
		price, milliSuns, seconds uint64
		want                      string
	}{
		{"one SUNS for an hour", 1_000, 1_000, 3_600, "1000"},
		{"half a SUNS for an hour", 1_001, 500, 3_600, "500"},
		{"a second", 3_599, 1_000, 1, "0"},
		{"a second that just costs one", 3_600, 1_000, 1, "1"},
		{"nothing served", 1_000, 1_000, 0, "0"},
		{"larger than 64 bits", 1_000_000_000_000, 1_000_000_000_000, 3_600, "1000000000000000000000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, types.Charge(tc.price, tc.milliSuns, tc.seconds).String())
		})
	}
}

func TestHourPriceAddsTheRoyalty(t *testing.T) {
	require.Equal(t, "2505", types.HourPrice(1_000, 2_500, 5).String())
}

func TestPeriodAtCapRoundsUp(t *testing.T) {
	require.Equal(t, "1", types.PeriodAtCap(1, 1_000).String())
	require.Equal(t, "3600", types.PeriodAtCap(3_600, 3_600_000).String())
	require.Equal(t, "2", types.PeriodAtCap(3_601, 1_000).String())
}

func TestSettleWorkedExample(t *testing.T) {
	// 2.5 SUNS at 1,001 uisc, royalty 70, 3,599 of 3,600 s: charge floor(1001 · 2500 · 3599 ÷ 3,600,000) = 2501,
	// operator floor(0.9 · 2501) = 2250, audit 251, royalty floor(70 · 3599 ÷ 3600) = 69; reserved 2502 + 70.
	rate := types.Rate{Price: 1_001, MilliSuns: 2_500, Royalty: 70}
	span := rate.Reserve(0, 3_600_000)
	require.Equal(t, "2572", span.Total().String())
	span.AttestedMs = 3_599_999
	s := rate.Settle(span, 9_000)
	require.EqualValues(t, 3_599, s.Seconds)
	require.Equal(t, "2250", s.Operator.String())
	require.Equal(t, "251", s.Audit.String())
	require.Equal(t, "69", s.Royalty.String())
	require.Equal(t, "2", s.Returned.String())
}

// No uisc is created or lost, whatever is attested, cut and shared.
func TestMoneyOfASpanAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := types.Rate{
			Price:     rapid.Uint64Range(0, 1_000_000_000_000).Draw(t, "price"),
			MilliSuns: rapid.Uint64Range(1, 100_000_000).Draw(t, "milli_suns"),
			Royalty:   rapid.Uint64Range(0, 1_000_000_000_000).Draw(t, "royalty"),
		}
		start := rapid.Uint64Range(0, 1<<40).Draw(t, "start")
		period := rapid.Uint64Range(1, 7_200).Draw(t, "period") * 1_000
		span := rate.Reserve(start, start+period)
		reserved := span.Total()
		span.AttestedMs = rapid.Uint64Range(0, period).Draw(t, "attested")
		out := math.ZeroInt()
		if rapid.Bool().Draw(t, "cut") {
			at := start + rapid.Uint64Range(0, period).Draw(t, "at")
			left, toAudit, toBalance := rate.Cut(span, at, rapid.Bool().Draw(t, "forfeit"))
			require.False(t, toAudit.IsNegative())
			require.False(t, toBalance.IsNegative())
			require.LessOrEqual(t, left.AttestedMs, at-start)
			out = out.Add(toAudit).Add(toBalance)
			span = left
		}
		s := rate.Settle(span, uint32(rapid.IntRange(0, 10_000).Draw(t, "share")))
		for _, part := range []math.Int{s.Operator, s.Audit, s.Royalty, s.Returned} {
			require.False(t, part.IsNegative())
			out = out.Add(part)
		}
		require.Equal(t, reserved.String(), out.String())
	})
}

var placementKey = collections.Join4(sdk.AccAddress("tenant"), uint64(1), uint32(0), uint64(1))

// Whatever an agent claims and whenever, no moment counts twice and no more is credited than time has passed.
func TestCreditNeverExceedsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const start, period = 1_000, 60_000
		rate := types.Rate{Price: 1, MilliSuns: 1}
		billing := types.NewBilling(rate.Reserve(start, start+period))
		billing.Spans = append(billing.Spans, rate.Reserve(start+period, start+2*period))
		billing.AttestedUntilMs = start
		service := types.ServiceOf(placementKey, types.Placement{}, billing)
		now, total := uint64(start), uint64(0)
		for range rapid.IntRange(1, 30).Draw(t, "attestations") {
			now += rapid.Uint64Range(0, 10_000).Draw(t, "pause")
			total += service.Credit(rapid.Uint64Range(0, 200_000).Draw(t, "claimed"), now)
			require.LessOrEqual(t, total, now-start)
			require.LessOrEqual(t, service.AttestedUntilMs, now)
			for _, span := range service.Spans {
				elapsed := min(max(now, span.StartMs), span.EndMs) - span.StartMs
				require.LessOrEqual(t, span.AttestedMs, elapsed)
			}
		}
	})
}

// An honest agent that attests often enough is credited everything up to the last attestation, whatever the block times.
func TestCreditOfHonestServiceIsWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const start, period = 0, 600_000
		rate := types.Rate{Price: 1, MilliSuns: 1}
		service := types.ServiceOf(placementKey, types.Placement{}, types.NewBilling(rate.Reserve(start, start+period)))
		now, claimed := uint64(start), uint64(0)
		for range rapid.IntRange(1, 20).Draw(t, "attestations") {
			now += rapid.Uint64Range(0, 20_000).Draw(t, "pause")
			// The agent measured up to 2 s before the block.
			claimed = max(claimed, now-min(now, rapid.Uint64Range(0, types.AttestJitterMs).Draw(t, "lag")))
			service.Credit(claimed, now)
		}
		require.Equal(t, claimed, service.Spans[0].AttestedMs)
	})
}

func TestBackoff(t *testing.T) {
	const s = 1_000_000_000
	for attempts, want := range []uint64{2_000, 4_000, 8_000, 10_000, 10_000} {
		require.Equal(t, want, types.Backoff(2*s, 10*s, uint32(attempts)))
	}
	require.EqualValues(t, 10_000, types.Backoff(2*s, 10*s, 1<<31))
}
