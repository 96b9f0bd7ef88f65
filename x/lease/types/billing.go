package types

import (
	"cosmossdk.io/math"
)

const (
	// msPerSecond and secondsPerHour turn prices, which are per hour of 3,600 s, into charges, which are per whole second.
	msPerSecond    = 1_000
	secondsPerHour = 3_600
	// milliPerSuns: capacity is kept in thousandths of a SUNS.
	milliPerSuns = 1_000
	// basisPoints is a whole, in hundredths of a percent.
	basisPoints = 10_000

	// AttestJitterMs is how far an agent's clock and the block clock may drift apart between two attestations without the
	// difference being lost to either side: agents measure before they send, blocks are dated by their proposers.
	AttestJitterMs = 2_000
)

// Charge is floor(price · milliSuns · seconds ÷ (1000 · 3600)), in uisc: the price of seconds of service of milliSuns at
// price uisc per SUNS-hour.
func Charge(price, milliSuns, seconds uint64) math.Int {
	return math.NewIntFromUint64(price).
		Mul(math.NewIntFromUint64(milliSuns)).
		Mul(math.NewIntFromUint64(seconds)).
		QuoRaw(milliPerSuns * secondsPerHour)
}

// RoyaltyCharge is floor(royalty · seconds ÷ 3600), in uisc.
func RoyaltyCharge(royalty, seconds uint64) math.Int {
	return math.NewIntFromUint64(royalty).Mul(math.NewIntFromUint64(seconds)).QuoRaw(secondsPerHour)
}

// HourPrice is what a placement costs per hour of 3,600 s, royalty included, in uisc and rounded down: what offers are ordered
// by and people are told.
func HourPrice(price, milliSuns, royalty uint64) math.Int {
	return Charge(price, milliSuns, secondsPerHour).Add(math.NewIntFromUint64(royalty))
}

// Within says whether an hour costs no more than maxPrice uisc, before anything is rounded. A cap that was compared with the
// rounded price would let a period of several hours cost more than as many hours at the cap.
func (r Rate) Within(maxPrice math.Int) bool {
	exact := math.NewIntFromUint64(r.Price).Mul(math.NewIntFromUint64(r.MilliSuns)).
		Add(math.NewIntFromUint64(r.Royalty).MulRaw(milliPerSuns))
	return exact.LTE(maxPrice.MulRaw(milliPerSuns))
}

// PeriodAtCap is what one period costs at a cap of maxPrice uisc per placement-hour, rounded up: what a waiting replica
// needs on its lease's balance.
func PeriodAtCap(maxPrice, periodMs uint64) math.Int {
	return math.NewIntFromUint64(maxPrice).
		Mul(math.NewIntFromUint64(periodMs)).
		AddRaw(msPerSecond*secondsPerHour - 1).
		QuoRaw(msPerSecond * secondsPerHour)
}

// Rate is a placement's price.
type Rate struct {
	// Price is in uisc per SUNS-hour.
	Price uint64
	// MilliSuns are billed.
	MilliSuns uint64
	// Royalty is in uisc per hour.
	Royalty uint64
}

// Rate is the placement's price.
func (p Placement) Rate() Rate {
	return Rate{Price: p.Price, MilliSuns: p.MilliSuns, Royalty: p.Royalty}
}

// Reserve is the span that a period of service needs, in uisc.
func (r Rate) Reserve(startMs, endMs uint64) Span {
	seconds := (endMs - startMs) / msPerSecond
	return Span{
		StartMs:         startMs,
		EndMs:           endMs,
		Reserved:        Charge(r.Price, r.MilliSuns, seconds),
		ReservedRoyalty: RoyaltyCharge(r.Royalty, seconds),
	}
}

// Total is all that is reserved in the span, in uisc.
func (s Span) Total() math.Int { return s.Reserved.Add(s.ReservedRoyalty) }

// Settlement says where a span's money goes. The four parts add up to what was reserved.
type Settlement struct {
	Seconds  uint64
	Operator math.Int
	Audit    math.Int
	Royalty  math.Int
	Returned math.Int
}

// Settle divides a span by the seconds attested in it: charge = floor(price · milliSuns · seconds ÷ (1000 · 3600)), the
// operator gets floor(share · charge), the audit pool the rest of the charge, the image's owner floor(royalty · seconds ÷
// 3600), and what was not served returns.
func (r Rate) Settle(span Span, providerShareBps uint32) Settlement {
	seconds := min(span.AttestedMs, span.EndMs-span.StartMs) / msPerSecond
	charge := math.MinInt(Charge(r.Price, r.MilliSuns, seconds), span.Reserved)
	royalty := math.MinInt(RoyaltyCharge(r.Royalty, seconds), span.ReservedRoyalty)
	operator := charge.MulRaw(int64(providerShareBps)).QuoRaw(basisPoints)
	return Settlement{
		Seconds:  seconds,
		Operator: operator,
		Audit:    charge.Sub(operator),
		Royalty:  royalty,
		Returned: span.Total().Sub(charge).Sub(royalty),
	}
}

// Cut ends a span before its time, at atMs (between its start and its end). What is left reserves the seconds before the
// end. The reservation for the seconds after it goes back to the balance, or, when the tenant ended it outside of the trial,
// to the audit pool; royalty for them always goes back.
func (r Rate) Cut(span Span, atMs uint64, forfeit bool) (left Span, toAudit, toBalance math.Int) {
	after := (span.EndMs - atMs) / msPerSecond
	before := (span.EndMs-span.StartMs)/msPerSecond - after
	left = span
	left.EndMs = atMs
	left.AttestedMs = min(span.AttestedMs, atMs-span.StartMs)
	left.Reserved = math.MinInt(Charge(r.Price, r.MilliSuns, before), span.Reserved)
	left.ReservedRoyalty = math.MinInt(RoyaltyCharge(r.Royalty, before), span.ReservedRoyalty)
	toBalance = span.Total().Sub(left.Total())
	toAudit = math.ZeroInt()
	if forfeit {
		toAudit = math.MinInt(Charge(r.Price, r.MilliSuns, after), span.Reserved.Sub(left.Reserved))
		toBalance = toBalance.Sub(toAudit)
	}
	return left, toAudit, toBalance
}

// Reserved is the sum of the spans, in uisc.
func (b PlacementBilling) Reserved() math.Int {
	sum := math.ZeroInt()
	for _, span := range b.Spans {
		sum = sum.Add(span.Total())
	}
	return sum
}

// NewBilling is the money of a placement that was just matched.
func NewBilling(first Span) PlacementBilling {
	return PlacementBilling{
		Spans:        []Span{first},
		PaidOperator: math.ZeroInt(),
		PaidAudit:    math.ZeroInt(),
		PaidRoyalty:  math.ZeroInt(),
	}
}

// NewMoney is the money of a lease that was just created.
func NewMoney(deposit math.Int) LeaseMoney {
	return LeaseMoney{Balance: deposit, Totals: LeaseTotals{
		Deposited:     deposit,
		Refunded:      math.ZeroInt(),
		RetryFees:     math.ZeroInt(),
		PaidOperators: math.ZeroInt(),
		PaidAudit:     math.ZeroInt(),
		PaidRoyalty:   math.ZeroInt(),
	}}
}

// Spent is everything the lease has paid: to operators, the audit pool and image owners, retry fees included.
func (t LeaseTotals) Spent() math.Int {
	return t.PaidOperators.Add(t.PaidAudit).Add(t.PaidRoyalty).Add(t.RetryFees)
}
