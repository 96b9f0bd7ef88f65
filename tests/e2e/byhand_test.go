package e2e

import (
	"encoding/json"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
)

// chainLease is what `isunchaind query lease lease` prints of a lease, as far as the tests look.
type chainLease struct {
	Lease struct {
		Lease struct {
			ID       struct{ Tenant, Number string } `json:"id"`
			Image    string
			Status   string
			Replicas uint32
		}
		Money struct{ Deposited, Balance string }
	}
	Placements []struct {
		Placement struct {
			Status    string
			Endpoints []struct{ Name, Protocol, Address string }
		}
	}
}

// running counts the placements that run.
func (l chainLease) running() int {
	count := 0
	for _, p := range l.Placements {
		if p.Placement.Status == "PLACEMENT_STATUS_RUNNING" {
			count++
		}
	}
	return count
}

// tx sends a transaction as the tenant and waits until a block has it.
func (f *fixture) tx(args ...string) {
	f.t.Helper()
	args = append([]string{"tx", "lease"}, args...)
	var sent, included struct {
		Code   int
		RawLog string `json:"raw_log"`
		TxHash string `json:"txhash"`
	}
	args = append(args, "--from", "tenant", "--home", f.Chain.Home, "--yes")
	require.NoError(f.t, f.JSON(f.ctx, &sent, "isunchaind", args...))
	require.Zero(f.t, sent.Code, sent.RawLog)
	require.NoError(f.t, f.Query(f.ctx, &included, "wait-tx", sent.TxHash, "--timeout", patience.String()))
	require.Zero(f.t, included.Code, included.RawLog)
}

// testByHand does with isunchaind alone what isun does, and gives the bill.
func (f *fixture) testByHand() stack.Bill {
	tenant := f.Chain.Accounts["tenant"]
	env, err := json.Marshal(map[string]string{"name": "GREETING", "value": greeting})
	require.NoError(f.t, err)
	f.tx("create-lease", f.ref(), "1", "2000000", "3000000uisc", "--env", string(env))

	var list struct {
		Leases []struct {
			Lease struct {
				ID     struct{ Number string } `json:"id"`
				Status string
			}
		}
	}
	require.NoError(f.t, f.Query(f.ctx, &list, "lease", "leases", "--tenant", tenant))
	number := ""
	for _, l := range list.Leases {
		if l.Lease.Status == "LEASE_STATUS_ACTIVE" {
			number = l.Lease.ID.Number
		}
	}
	require.NotEmpty(f.t, number, "%+v", list)
	id := fmt.Sprintf("%s/%s", tenant, number)

	lease := f.awaitByHand(number, "one replica runs", func(l chainLease) bool { return l.running() == 1 })
	require.NotEmpty(f.t, lease.Placements[0].Placement.Endpoints)
	f.awaitAnswer(f.inspect(id).Running()[0])
	f.tx("fund-lease", tenant, number, "1000000uisc")
	f.tx("update-lease", number, "--replicas", "2")
	lease = f.awaitByHand(number, "two replicas run", func(l chainLease) bool { return l.running() == 2 })
	require.EqualValues(f.t, 2, lease.Lease.Lease.Replicas)
	require.Equal(f.t, "4000000", f.inspect(id).Bill.Deposited)
	f.awaitContainers("", 2)

	f.tx("close-lease", number)
	f.awaitByHand(number, "it is closed", func(l chainLease) bool { return l.Lease.Lease.Status == "LEASE_STATUS_CLOSED" })
	return f.close(id).Bill
}

func (f *fixture) awaitByHand(number, what string, expected func(chainLease) bool) chainLease {
	f.t.Helper()
	var lease chainLease
	err := stack.Eventually(f.ctx, patience, func() (bool, error) {
		lease = chainLease{}
		err := f.Query(f.ctx, &lease, "lease", "lease", f.Chain.Accounts["tenant"], number)
		return expected(lease), err
	})
	require.NoError(f.t, err, "%s: %+v", what, lease)
	return lease
}
