package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cosmossdk.io/math"
	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/tests/stack"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// number is an unsigned integer as the chain prints it, in a string.
type number uint64

func (n *number) UnmarshalJSON(raw []byte) error {
	value, err := strconv.ParseUint(strings.Trim(string(raw), `"`), 10, 64)
	*n = number(value)
	return err
}

// onChain is a placement with its money as the chain holds it, times in chain-clock milliseconds.
type onChain struct {
	Placement struct {
		ID struct {
			Replica    uint32
			Generation number
		} `json:"id"`
		Status    string
		Price     number
		MilliSuns number `json:"milli_suns"`
		StartedMs number `json:"started_ms"`
		EndedMs   number `json:"ended_ms"`
		PeriodMs  number `json:"period_ms"`
	}
	Billing struct {
		ServedMs      number `json:"served_ms"`
		BilledSeconds number `json:"billed_seconds"`
	}
}

// settlement is what EventPeriodSettled says of one hour, in uisc.
type settlement struct {
	replica                            uint32
	generation, seconds                uint64
	operator, audit, royalty, returned math.Int
}

// placementsOf reads all placements a lease ever had.
func (f *fixture) placementsOf(lease stack.Lease) []onChain {
	f.t.Helper()
	tenant, of, _ := strings.Cut(lease.Lease, "/")
	var answer struct{ Placements []onChain }
	require.NoError(f.t, f.Query(f.ctx, &answer, "lease", "placements", tenant, of))
	return answer.Placements
}

// requireExact holds a closed lease's bill to its hours, as the blocks tell of them: each is paid by the seconds attested in
// it, none is longer than an hour, all of a placement are no longer than it ran, and no two placements of a replica ran at the
// same time.
func (f *fixture) requireExact(lease stack.Lease) {
	f.t.Helper()
	if f.firstBlock() > 1 {
		return // the chain began with an export: the blocks that settled the first hours are another chain's
	}
	settled := f.settlements(lease)
	operators, audit := math.ZeroInt(), math.ZeroInt()
	for _, s := range settled {
		operators, audit = operators.Add(s.operator), audit.Add(s.audit)
	}
	require.Equal(f.t, lease.Bill.PaidOperators, operators.String(), "what the hours paid to operators")
	placements := f.placementsOf(lease)
	// What was reserved for the time after the tenant's own end goes to the audit pool beside the hours.
	after, most := uisc(f.t, lease.Bill.PaidAudit).Sub(audit), math.ZeroInt()
	for _, p := range placements {
		most = most.Add(leasetypes.Charge(uint64(p.Placement.Price), uint64(p.Placement.MilliSuns), uint64(p.Placement.PeriodMs/1000)))
	}
	require.False(f.t, after.IsNegative() || after.GT(most), "%s beside the hours", after)
	for _, p := range placements {
		seconds := uint64(0)
		for _, s := range settled {
			if s.replica != p.Placement.ID.Replica || s.generation != uint64(p.Placement.ID.Generation) {
				continue
			}
			require.LessOrEqual(f.t, s.seconds*1000, uint64(p.Placement.PeriodMs))
			charge := leasetypes.Charge(uint64(p.Placement.Price), uint64(p.Placement.MilliSuns), s.seconds)
			require.Equal(f.t, charge.MulRaw(9).QuoRaw(10).String(), s.operator.String(), "nine tenths of %d s", s.seconds)
			require.Equal(f.t, charge.String(), s.operator.Add(s.audit).String(), "and the rest to the audit pool")
			seconds += s.seconds
		}
		require.Equal(f.t, uint64(p.Billing.BilledSeconds), seconds)
		require.LessOrEqual(f.t, seconds*1000, uint64(p.Placement.EndedMs-p.Placement.StartedMs), "%+v", p)
	}
	f.requireApart(placements)
}

// requireApart says that no two placements of a replica ran at the same time.
func (f *fixture) requireApart(placements []onChain) {
	f.t.Helper()
	ran := slices.DeleteFunc(slices.Clone(placements), func(p onChain) bool { return p.Placement.StartedMs == 0 })
	for i, p := range ran {
		for _, q := range ran[:i] {
			if p.Placement.ID.Replica == q.Placement.ID.Replica {
				require.True(f.t, p.Placement.StartedMs >= q.Placement.EndedMs || q.Placement.StartedMs >= p.Placement.EndedMs,
					"two at once: %+v, %+v", p, q)
			}
		}
	}
}

// settlements reads what every block since the chain's begin says of a lease's hours.
func (f *fixture) settlements(lease stack.Lease) []settlement {
	f.t.Helper()
	last, err := f.Height(f.ctx)
	require.NoError(f.t, err)
	var settled []settlement
	for height := f.firstBlock(); height <= last; height++ {
		for _, e := range f.blockEvents(height) {
			if e["type"] != "isun.lease.v1.EventPeriodSettled" || e["tenant"]+"/"+e["number"] != lease.Lease {
				continue
			}
			parsed := func(name string) uint64 {
				value, err := strconv.ParseUint(e[name], 10, 64)
				require.NoError(f.t, err, "%s of %v", name, e)
				return value
			}
			settled = append(settled, settlement{
				replica: uint32(parsed("replica")), generation: parsed("generation"), seconds: parsed("seconds"),
				operator: uisc(f.t, e["operator"]), audit: uisc(f.t, e["audit"]),
				royalty: uisc(f.t, e["royalty"]), returned: uisc(f.t, e["returned"]),
			})
		}
	}
	return settled
}

// blockEvents are the events of a block's end, each with its type and its attributes by name.
func (f *fixture) blockEvents(height int64) []map[string]string {
	f.t.Helper()
	var answer struct {
		Result struct {
			Events []struct {
				Type       string
				Attributes []struct{ Key, Value string }
			} `json:"finalize_block_events"`
		}
	}
	f.rpc("/block_results?height="+strconv.FormatInt(height, 10), &answer)
	var events []map[string]string
	for _, e := range answer.Result.Events {
		event := map[string]string{"type": e.Type}
		for _, a := range e.Attributes {
			event[a.Key] = strings.Trim(a.Value, `"`)
		}
		events = append(events, event)
	}
	return events
}

// firstBlock is the oldest one the node has: not the first of all where the chain began with an export.
func (f *fixture) firstBlock() int64 {
	f.t.Helper()
	var answer struct {
		Result struct {
			SyncInfo struct {
				Earliest number `json:"earliest_block_height"`
			} `json:"sync_info"`
		}
	}
	f.rpc("/status", &answer)
	return int64(answer.Result.SyncInfo.Earliest)
}

// rpcClient is kept, as hundreds of blocks are asked for.
var rpcClient = sync.OnceValue(func() *http.Client { return &http.Client{Timeout: commandTime} })

// rpc asks the chain's node.
func (f *fixture) rpc(path string, into any) {
	f.t.Helper()
	url := "http" + strings.TrimPrefix(f.Chain.RPC, "tcp") + path
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, url, nil)
	require.NoError(f.t, err)
	response, err := rpcClient().Do(request)
	require.NoError(f.t, err)
	defer response.Body.Close()
	require.NoError(f.t, json.NewDecoder(response.Body).Decode(into), url)
}
