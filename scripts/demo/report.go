package main

import (
	"context"
	"fmt"
	"strconv"

	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// report is what the demo found. Amounts are in uisc.
type report struct {
	OK       bool     `json:"ok"`
	Failures []string `json:"failures,omitempty"`
	Lease    string   `json:"lease"`

	HTTPStatus    int    `json:"http_status"`
	PeriodsBilled uint64 `json:"periods_billed"`

	PaidByTenant      string `json:"paid_by_tenant"`
	ToOperators       string `json:"to_operators"`
	ToAuditPool       string `json:"to_audit_pool"`
	Refunded          string `json:"refunded"`
	MaintenanceMinted string `json:"maintenance_minted"`
	ValidatorsMinted  string `json:"validators_minted"`
	SupplyBefore      string `json:"supply_before"`
	SupplyAfter       string `json:"supply_after"`
	SupplyExplained   bool   `json:"supply_explained"`
	// MoneyAddsUp: accounts moved by exactly what the bill says, to the last uisc.
	MoneyAddsUp bool `json:"money_adds_up"`

	FailoverSeconds float64 `json:"failover_seconds"`
	ContainersLeft  int     `json:"containers_left"`
	DeployToHTTPMs  int64   `json:"deploy_to_http_ms"`
	DockerRunMs     int64   `json:"docker_run_ms"`
}

// totals are the chain's money at one height.
type totals struct {
	height    int64
	supply    math.Int
	toNodes   math.Int
	toOthers  math.Int
	burned    math.Int
	auditPool math.Int
	escrow    math.Int
	operators math.Int
	tenant    math.Int
}

// totals reads everything at one height, so that blocks in between change nothing.
func (d *demo) totals(ctx context.Context) (totals, error) {
	t := totals{}
	var err error
	if t.height, err = d.stack.Height(ctx); err != nil {
		return t, err
	}
	at := stack.At(t.height)
	emission, err := d.stack.Emission(ctx, at)
	if err != nil {
		return t, err
	}
	t.toNodes, t.toOthers, t.burned = emission.MintedToNodes, emission.MintedToValidators, emission.Burned
	if t.supply, err = d.stack.Supply(ctx, at); err != nil {
		return t, err
	}
	if t.auditPool, err = d.stack.AuditPool(ctx, at); err != nil {
		return t, err
	}
	if t.escrow, err = d.stack.ModuleBalance(ctx, "lease", at); err != nil {
		return t, err
	}
	if t.tenant, err = d.stack.Balance(ctx, d.stack.Chain.Accounts["tenant"], at); err != nil {
		return t, err
	}
	t.operators = math.ZeroInt()
	for _, worker := range d.workers {
		balance, err := d.stack.Balance(ctx, d.stack.Chain.Accounts[worker.Operator], at)
		if err != nil {
			return t, err
		}
		t.operators = t.operators.Add(balance)
	}
	return t, nil
}

// account fills in the money of the report and checks the bill against the accounts themselves.
func (d *demo) account(ctx context.Context, after totals) error {
	bill, r := d.lease.Bill, &d.report
	r.PeriodsBilled = bill.Periods
	r.PaidByTenant, r.ToOperators, r.Refunded = bill.Paid, bill.PaidOperators, bill.Refunded
	toAudit := amount(bill.PaidAudit).Add(amount(bill.RetryFees))
	r.ToAuditPool = toAudit.String()

	minted := after.toNodes.Sub(d.before.toNodes)
	toValidators := after.toOthers.Sub(d.before.toOthers)
	burned := after.burned.Sub(d.before.burned)
	r.MaintenanceMinted, r.ValidatorsMinted = minted.String(), toValidators.String()
	r.SupplyBefore, r.SupplyAfter = d.before.supply.String(), after.supply.String()
	r.SupplyExplained = after.supply.Sub(d.before.supply).Equal(minted.Add(toValidators).Sub(burned))
	d.check(r.SupplyExplained, "supply moved by %s, minted %s and %s, burned %s",
		after.supply.Sub(d.before.supply), minted, toValidators, burned)

	operatorFees, err := d.fees(ctx, after.height, d.workers[0].Operator, d.workers[1].Operator)
	if err != nil {
		return err
	}
	tenantFees, err := d.fees(ctx, after.height, "tenant")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what      string
		want, got math.Int
	}{
		{"paid + refunded of the deposit", amount(bill.Deposited), amount(bill.Paid).Add(amount(bill.Refunded))},
		{"paid to operators and the audit pool", amount(bill.Paid), amount(bill.PaidOperators).Add(toAudit).Add(amount(bill.PaidRoyalty))},
		{"operators' accounts, less fees", amount(bill.PaidOperators), after.operators.Sub(d.before.operators).Add(operatorFees)},
		{"the audit pool's account", toAudit, after.auditPool.Sub(d.before.auditPool)},
		{"the tenant's account, less fees", amount(bill.Paid), d.before.tenant.Sub(after.tenant).Sub(tenantFees)},
		{"the escrow account", math.ZeroInt(), after.escrow},
	} {
		d.check(c.want.Equal(c.got), "%s: %s uisc by the bill, %s by the accounts", c.what, c.want, c.got)
		r.MoneyAddsUp = len(d.failures) == 0
	}
	d.check(r.PeriodsBilled >= leastPeriod, "%d periods were billed", r.PeriodsBilled)
	d.check(r.ContainersLeft == 0, "%d containers are left", r.ContainersLeft)
	return nil
}

// fees are what accounts paid for transactions since the order, their agents' included.
func (d *demo) fees(ctx context.Context, until int64, names ...string) (math.Int, error) {
	sum := math.ZeroInt()
	for _, name := range names {
		paid, err := d.stack.FeesPaid(ctx, d.stack.Chain.Accounts[name], d.before.height+1, until)
		if err != nil {
			return sum, fmt.Errorf("fees of %s: %w", name, err)
		}
		sum = sum.Add(paid)
	}
	return sum, nil
}

// amount reads a number that our own programs printed; what is not one shows up as a sum that does not add up.
func amount(text string) math.Int {
	value, ok := math.NewIntFromString(text)
	if !ok {
		return math.ZeroInt()
	}
	return value
}

// print shows the report to people.
func (r report) print() {
	isc := func(text string) string {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return text
		}
		return fmt.Sprintf("%.6f ISC", value/1_000_000)
	}
	say("   paid by the tenant     %s", isc(r.PaidByTenant))
	say("     to the operators     %s", isc(r.ToOperators))
	say("     to the audit pool    %s", isc(r.ToAuditPool))
	say("   refunded               %s", isc(r.Refunded))
	say("   periods billed         %d", r.PeriodsBilled)
	say("   minted for the nodes   %s", isc(r.MaintenanceMinted))
	say("   minted for validators  %s", isc(r.ValidatorsMinted))
	say("   supply explained       %t", r.SupplyExplained)
	say("   money adds up          %t", r.MoneyAddsUp)
	say("   failover               %.1f s", r.FailoverSeconds)
	say("   containers left        %d", r.ContainersLeft)
}
