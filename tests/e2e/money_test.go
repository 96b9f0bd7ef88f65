package e2e

import (
	"cosmossdk.io/math"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// holdings are what the parts of a lease hold at one height, in uisc.
type holdings struct {
	height                                           int64
	tenant, operators, auditPool, escrow, supply, by math.Int
}

// holdings reads all accounts at one height, so that blocks in between change nothing.
func (f *fixture) holdings(operators ...string) holdings {
	f.t.Helper()
	height, err := f.Height(f.ctx)
	require.NoError(f.t, err)
	at := stack.At(height)
	h := holdings{height: height, operators: math.ZeroInt()}
	h.tenant, err = f.Balance(f.ctx, f.Chain.Accounts["tenant"], at)
	require.NoError(f.t, err)
	for _, name := range operators {
		balance, err := f.Balance(f.ctx, f.Chain.Accounts[name], at)
		require.NoError(f.t, err)
		h.operators = h.operators.Add(balance)
	}
	h.auditPool, err = f.AuditPool(f.ctx, at)
	require.NoError(f.t, err)
	h.escrow, err = f.ModuleBalance(f.ctx, "lease", at)
	require.NoError(f.t, err)
	h.supply, err = f.Supply(f.ctx, at)
	require.NoError(f.t, err)
	emission, err := f.Emission(f.ctx, at)
	require.NoError(f.t, err)
	h.by = emission.MintedToNodes.Add(emission.MintedToValidators).Sub(emission.Burned)
	return h
}

// requirePaid compares what accounts gained and lost between two looks with the bills of all leases in between, which are
// closed. Transaction fees are known to the last uisc and taken out. Operators are left out where none are named, as their
// accounts also move by rewards that they were paid.
func (f *fixture) requirePaid(before, after holdings, bills []stack.Bill, operators ...string) {
	f.t.Helper()
	paid, toOperators, toAudit := math.ZeroInt(), math.ZeroInt(), math.ZeroInt()
	for _, bill := range bills {
		f.requireBill(bill)
		paid = paid.Add(uisc(f.t, bill.Paid))
		toOperators = toOperators.Add(uisc(f.t, bill.PaidOperators))
		toAudit = toAudit.Add(uisc(f.t, bill.PaidAudit)).Add(uisc(f.t, bill.RetryFees))
	}
	require.True(f.t, toOperators.IsPositive(), "nobody was paid")
	fees := func(names ...string) math.Int {
		sum := math.ZeroInt()
		for _, name := range names {
			fee, err := f.FeesPaid(f.ctx, f.Chain.Accounts[name], before.height+1, after.height)
			require.NoError(f.t, err)
			sum = sum.Add(fee)
		}
		return sum
	}
	require.Equal(f.t, paid.String(), before.tenant.Sub(after.tenant).Sub(fees("tenant")).String(), "what the tenant paid")
	if len(operators) > 0 {
		got := after.operators.Sub(before.operators).Add(fees(operators...))
		require.Equal(f.t, toOperators.String(), got.String(), "what operators got")
	}
	require.Equal(f.t, toAudit.String(), after.auditPool.Sub(before.auditPool).String(), "what the audit pool got")
	require.Equal(f.t, "0", after.escrow.String(), "the escrow")
	require.Equal(f.t, after.supply.Sub(before.supply).String(), after.by.Sub(before.by).String(), "the supply moves by the emission alone")
}
