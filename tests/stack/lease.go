package stack

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Lease is a lease as isun prints it.
type Lease struct {
	Lease      string      `json:"lease"`
	Number     uint64      `json:"number"`
	Status     string      `json:"status"`
	Replicas   uint32      `json:"replicas"`
	Bill       Bill        `json:"bill"`
	Placements []Placement `json:"placements"`
	// History is what inspect --history adds: settled placements too.
	History []Placement `json:"history"`
}

// Bill is a lease's money, in uisc.
type Bill struct {
	Deposited     string `json:"deposited_uisc"`
	Balance       string `json:"balance_uisc"`
	Reserved      string `json:"reserved_uisc"`
	Paid          string `json:"paid_uisc"`
	PaidOperators string `json:"paid_operators_uisc"`
	PaidAudit     string `json:"paid_audit_uisc"`
	PaidRoyalty   string `json:"paid_royalty_uisc"`
	RetryFees     string `json:"retry_fees_uisc"`
	Refunded      string `json:"refunded_uisc"`
	Periods       uint64 `json:"periods"`
	BilledSeconds uint64 `json:"billed_seconds"`
	AddsUp        bool   `json:"adds_up"`
}

// Placement is one replica on one node.
type Placement struct {
	Replica    uint32     `json:"replica"`
	Generation uint64     `json:"generation"`
	Node       string     `json:"node"`
	Status     string     `json:"status"`
	EndReason  string     `json:"end_reason"`
	Endpoints  []Endpoint `json:"endpoints"`
	// RunSeconds is how long it has run, or ran, on the chain clock.
	RunSeconds    uint64 `json:"run_seconds"`
	BilledSeconds uint64 `json:"billed_seconds"`
}

// Endpoint is where a placement is reached.
type Endpoint struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	URL     string `json:"url"`
}

// Running are the placements that run.
func (l Lease) Running() []Placement {
	var running []Placement
	for _, p := range l.Placements {
		if p.Status == "running" {
			running = append(running, p)
		}
	}
	return running
}

// On are the running placements of a node.
func (l Lease) On(node string) []Placement {
	var on []Placement
	for _, p := range l.Running() {
		if p.Node == node {
			on = append(on, p)
		}
	}
	return on
}

// URL is where the first port of a placement is reached, or empty.
func (p Placement) URL() string {
	if len(p.Endpoints) == 0 {
		return ""
	}
	return p.Endpoints[0].URL
}

// getTimeout bounds one request to a container.
const getTimeout = 5 * time.Second

// Get asks a container for its page and gives the status and the first line.
func Get(ctx context.Context, url string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, getTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	// A connection of its own each time: a kept one could belong to a container that is gone.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	const most = 4_096
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	return response.StatusCode, strings.TrimSpace(string(body)), err
}
