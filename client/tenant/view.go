package tenant

import (
	"strings"
	"time"

	"cosmossdk.io/math"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Lease is a lease as scripts see it. Amounts are whole uisc as decimal strings, because JSON numbers lose digits; prices
// are uisc per hour; SUNS are thousandths; times are seconds on the chain clock.
type Lease struct {
	Lease    string `json:"lease"`
	Tenant   string `json:"tenant"`
	Number   uint64 `json:"number"`
	Image    string `json:"image"`
	Status   string `json:"status"`
	Replicas uint32 `json:"replicas"`
	// Running counts replicas whose placement runs what the lease now asks for.
	Running       uint32 `json:"running"`
	Demand        Demand `json:"demand"`
	MaxPrice      uint64 `json:"max_price_uisc,string"`
	AgeSeconds    uint64 `json:"age_seconds"`
	CloseReason   string `json:"close_reason,omitempty"`
	Revision      uint64 `json:"revision"`
	HourPrice     string `json:"hour_price_uisc"`
	FundedSeconds uint64 `json:"funded_seconds"`
	Bill          Bill   `json:"bill"`
	// Placements that are not settled.
	Placements []Placement `json:"placements"`
	Waiting    []Waiting   `json:"waiting"`
	// Env and Args are what the containers get.
	Args []string          `json:"args,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
	// Saving of its volumes, where it was asked for and there are any.
	Saving *Saving `json:"saving,omitempty"`
}

// Demand is what one replica needs at least.
type Demand struct {
	GeneralMilliSuns uint64       `json:"general_milli_suns"`
	Accelerator      *Accelerator `json:"accelerator,omitempty"`
}

// Accelerator asks for whole devices.
type Accelerator struct {
	Kind      string `json:"kind"`
	Model     string `json:"model,omitempty"`
	Count     uint32 `json:"count"`
	MilliSuns uint64 `json:"milli_suns"`
}

// Bill is a lease's money in uisc. Deposited is always balance, reserved, paid and refunded together.
type Bill struct {
	Deposited     string `json:"deposited_uisc"`
	Balance       string `json:"balance_uisc"`
	Reserved      string `json:"reserved_uisc"`
	PaidOperators string `json:"paid_operators_uisc"`
	PaidAudit     string `json:"paid_audit_uisc"`
	PaidRoyalty   string `json:"paid_royalty_uisc"`
	RetryFees     string `json:"retry_fees_uisc"`
	// Paid is the four above together.
	Paid          string `json:"paid_uisc"`
	Refunded      string `json:"refunded_uisc"`
	Periods       uint64 `json:"periods"`
	BilledSeconds uint64 `json:"billed_seconds"`
	// AddsUp is true when the chain's figures do.
	AddsUp bool `json:"adds_up"`
}

// Placement is one replica on one node.
type Placement struct {
	Replica    uint32 `json:"replica"`
	Generation uint64 `json:"generation"`
	Node       string `json:"node"`
	Status     string `json:"status"`
	Image      string `json:"image"`
	MilliSuns  uint64 `json:"milli_suns"`
	// AskPrice is in uisc per SUNS-hour, HourPrice in uisc per hour, royalty included.
	AskPrice  uint64 `json:"ask_price_uisc,string"`
	HourPrice string `json:"hour_price_uisc"`
	// RunSeconds is how long it has run, or ran.
	RunSeconds    uint64     `json:"run_seconds"`
	BilledSeconds uint64     `json:"billed_seconds"`
	PaidOperator  string     `json:"paid_operator_uisc"`
	PaidAudit     string     `json:"paid_audit_uisc"`
	PaidRoyalty   string     `json:"paid_royalty_uisc"`
	EndReason     string     `json:"end_reason,omitempty"`
	EndDetail     string     `json:"end_detail,omitempty"`
	Draining      bool       `json:"draining,omitempty"`
	Endpoints     []Endpoint `json:"endpoints"`

	raw leasetypes.Placement
}

// Endpoint is where a placement can be reached.
type Endpoint struct {
	Name          string `json:"name"`
	Protocol      string `json:"protocol"`
	Address       string `json:"address"`
	ContainerPort uint32 `json:"container_port"`
	URL           string `json:"url"`
}

// Waiting is a replica without a node.
type Waiting struct {
	Replica  uint32 `json:"replica"`
	Attempts uint32 `json:"attempts"`
	// RetrySeconds is when it is tried again.
	RetrySeconds uint64 `json:"retry_seconds"`
	Reason       string `json:"reason,omitempty"`
}

// newLease makes the view of a lease at a time of the chain clock.
func newLease(res *leasetypes.QueryLeaseResponse, nowMs uint64) Lease {
	l := res.Lease.Lease
	view := Lease{
		Lease: l.ID.String(), Tenant: l.ID.Tenant, Number: l.ID.Number, Image: l.Image, Status: statusName(l.Status.String()),
		Replicas: l.Replicas, Demand: newDemand(l.Demand), MaxPrice: l.MaxPrice, AgeSeconds: secondsSince(l.CreatedMs, nowMs),
		CloseReason: l.CloseReason, Revision: l.Revision, Bill: newBill(res.Lease.Money, res.Reserved), Args: l.Args,
		Placements: make([]Placement, 0, len(res.Placements)), Waiting: make([]Waiting, 0, len(res.Requests)),
	}
	if len(l.Env) > 0 {
		view.Env = make(map[string]string, len(l.Env))
		for _, v := range l.Env {
			view.Env[v.Name] = v.Value
		}
	}
	rate := math.ZeroInt()
	for _, info := range res.Placements {
		view.Placements = append(view.Placements, newPlacement(info, nowMs))
		if info.Placement.Live() {
			rate = rate.Add(hourPrice(info.Placement))
		}
	}
	for replica := range l.Replicas {
		if runningPlacement(l, res.Placements, replica) != nil {
			view.Running++
		}
	}
	for _, r := range res.Requests {
		view.Waiting = append(view.Waiting, Waiting{
			Replica: r.Replica, Attempts: r.Attempts, RetrySeconds: secondsSince(nowMs, r.RetryMs), Reason: r.Reason,
		})
	}
	view.HourPrice = rate.String()
	view.FundedSeconds = fundedSeconds(res.Lease.Money.Balance.Add(res.Reserved), rate)
	return view
}

// runningPlacement finds the placement that runs what a lease asks for a replica now, or nil: after an update the old one
// runs until it is replaced.
func runningPlacement(l leasetypes.Lease, placements []leasetypes.PlacementInfo, replica uint32) *leasetypes.Placement {
	for i := range placements {
		p := &placements[i].Placement
		if p.ID.Replica == replica && p.Status == leasetypes.PLACEMENT_STATUS_RUNNING &&
			p.Image == l.Image && p.GeneralMilliSuns == l.Demand.GeneralMilliSuns {
			return p
		}
	}
	return nil
}

func newPlacement(info leasetypes.PlacementInfo, nowMs uint64) Placement {
	p, b := info.Placement, info.Billing
	view := Placement{
		Replica: p.ID.Replica, Generation: p.ID.Generation, Node: p.Node.String(), Status: statusName(p.Status.String()),
		Image: p.Image, MilliSuns: p.MilliSuns, AskPrice: p.Price, HourPrice: hourPrice(p).String(),
		BilledSeconds: b.BilledSeconds, PaidOperator: orZero(b.PaidOperator), PaidAudit: orZero(b.PaidAudit),
		PaidRoyalty: orZero(b.PaidRoyalty), EndDetail: p.EndDetail, Draining: p.DrainDeadlineMs > 0 && p.EndedMs == 0,
		Endpoints: make([]Endpoint, 0, len(p.Endpoints)), raw: p,
	}
	if p.EndReason != leasetypes.END_REASON_UNSPECIFIED {
		view.EndReason = enumName(p.EndReason.String(), "END_REASON_")
	}
	if p.StartedMs > 0 {
		end := nowMs
		if p.EndedMs > 0 {
			end = p.EndedMs
		}
		view.RunSeconds = secondsSince(p.StartedMs, end)
	}
	for _, e := range p.Endpoints {
		view.Endpoints = append(view.Endpoints, Endpoint{
			Name: e.Name, Protocol: e.Protocol, Address: e.Address, ContainerPort: e.ContainerPort, URL: URL(e),
		})
	}
	return view
}

func newDemand(d sunstypes.Demand) Demand {
	view := Demand{GeneralMilliSuns: d.GeneralMilliSuns}
	if a := d.Accelerator; a != nil {
		view.Accelerator = &Accelerator{Kind: a.Kind, Model: a.Model, Count: a.Count, MilliSuns: a.MilliSuns}
	}
	return view
}

// Proto is the demand as the chain has it.
func (d Demand) Proto() sunstypes.Demand {
	demand := sunstypes.Demand{GeneralMilliSuns: d.GeneralMilliSuns}
	if a := d.Accelerator; a != nil {
		demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: a.Kind, Model: a.Model, Count: a.Count, MilliSuns: a.MilliSuns}
	}
	return demand
}

func newBill(money leasetypes.LeaseMoney, reserved math.Int) Bill {
	t := money.Totals
	paid := sum(t.PaidOperators, t.PaidAudit, t.PaidRoyalty, t.RetryFees)
	return Bill{
		Deposited: orZero(t.Deposited), Balance: orZero(money.Balance), Reserved: orZero(reserved),
		PaidOperators: orZero(t.PaidOperators), PaidAudit: orZero(t.PaidAudit), PaidRoyalty: orZero(t.PaidRoyalty),
		RetryFees: orZero(t.RetryFees), Paid: paid.String(), Refunded: orZero(t.Refunded),
		Periods: t.Periods, BilledSeconds: t.BilledSeconds,
		AddsUp: sum(t.Deposited).Equal(sum(money.Balance, reserved, paid, t.Refunded)),
	}
}

// sum adds amounts; an unset one is 0.
func sum(amounts ...math.Int) math.Int {
	total := math.ZeroInt()
	for _, a := range amounts {
		if !a.IsNil() {
			total = total.Add(a)
		}
	}
	return total
}

func orZero(a math.Int) string { return sum(a).String() }

// hourPrice is what a placement costs per hour, royalty included, in uisc.
func hourPrice(p leasetypes.Placement) math.Int {
	return leasetypes.HourPrice(p.Price, p.MilliSuns, p.Royalty)
}

// fundedSeconds is how long an amount lasts at a rate per hour, 0 when nothing runs.
func fundedSeconds(amount, perHour math.Int) uint64 {
	if !perHour.IsPositive() {
		return 0
	}
	seconds := amount.MulRaw(int64(time.Hour / time.Second)).Quo(perHour)
	if !seconds.IsUint64() {
		return 0
	}
	return seconds.Uint64()
}

// secondsSince is the whole seconds between two times of the chain clock, 0 when the second is not after the first.
func secondsSince(fromMs, toMs uint64) uint64 {
	if toMs < fromMs {
		return 0
	}
	return (toMs - fromMs) / 1000
}

// statusName is the last part of an enum's name in lower case: "LEASE_STATUS_ACTIVE" is "active".
func statusName(name string) string {
	_, last, _ := strings.Cut(name, "_STATUS_")
	return strings.ToLower(last)
}

func enumName(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", "-")
}
