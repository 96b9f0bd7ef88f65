package metrics

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/attester"
	"github.com/isuncoin/isuncoin/worker/control"
	"github.com/isuncoin/isuncoin/worker/journal"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

type source struct{}

func (source) Status() control.Status {
	id := leasetypes.PlacementID{Tenant: "isun1t", Number: 7, Replica: 1, Generation: 2}
	return control.Status{
		ChainID: "isun-1", Node: "isun1op/1", Agent: "isun1agent", Mode: "paused", SilentIn: 12.5, ChainError: "down",
		Attester: attester.Status{Attested: 3, CheckIns: 1},
		Placements: []control.Placement{{
			ID: id, Chain: "running", Container: "paused", Restarts: 2,
			Usage: journal.Usage{ServedMs: 1500, CPUMs: 250, BytesIn: 10, BytesOut: 20}, Attested: journal.Usage{ServedMs: 1000},
		}},
	}
}

func TestScrape(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(source{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	for _, line := range []string{
		`isun_worker_info{agent="isun1agent",chain_id="isun-1",node="isun1op/1"} 1`,
		`isun_worker_mode{mode="active"} 0`,
		`isun_worker_mode{mode="paused"} 1`,
		`isun_worker_silence_left_seconds 12.5`,
		`isun_worker_chain_reachable 0`,
		`isun_worker_attestations_total 3`,
		`isun_worker_placements{chain="running",container="paused"} 1`,
		`isun_worker_served_seconds_total{generation="2",lease="isun1t/7",replica="1"} 1.5`,
		`isun_worker_attested_seconds_total{generation="2",lease="isun1t/7",replica="1"} 1`,
		`isun_worker_network_bytes_total{direction="out",generation="2",lease="isun1t/7",replica="1"} 20`,
		`isun_worker_restarts_total{generation="2",lease="isun1t/7",replica="1"} 2`,
		`go_goroutines`,
	} {
		require.Contains(t, w.Body.String(), line)
	}
}
