package tenant

import (
	"context"
	"fmt"

	"github.com/cosmos/cosmos-sdk/types/query"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Offer is a node that fits a demand, as scripts see it.
type Offer struct {
	Node         string `json:"node"`
	HourPrice    uint64 `json:"hour_price_uisc,string"`
	AskPrice     uint64 `json:"ask_price_uisc,string"`
	MilliSuns    uint64 `json:"milli_suns"`
	Country      string `json:"country"`
	Architecture string `json:"architecture"`
}

// NewOffers are the chain's offers as scripts see them.
func NewOffers(offers []leasetypes.Offer) []Offer {
	views := make([]Offer, 0, len(offers))
	for _, o := range offers {
		views = append(views, Offer{
			Node: o.Node.String(), HourPrice: o.HourPrice, AskPrice: o.AskPrice, MilliSuns: o.MilliSuns,
			Country: o.Country, Architecture: o.Architecture,
		})
	}
	return views
}

// Node is a machine on the market, as scripts see it.
type Node struct {
	Node         string `json:"node"`
	Moniker      string `json:"moniker"`
	Status       string `json:"status"`
	Country      string `json:"country"`
	Zone         string `json:"zone,omitempty"`
	Architecture string `json:"architecture"`
	MilliSuns    uint64 `json:"milli_suns"`
	// FreeGeneralMilliSuns is what can still be leased of the general resources.
	GeneralMilliSuns     uint64   `json:"general_milli_suns"`
	FreeGeneralMilliSuns uint64   `json:"free_general_milli_suns"`
	Devices              []Device `json:"devices"`
	AskPrice             uint64   `json:"ask_price_uisc,string"`
	Placements           uint32   `json:"placements"`
	// SeenSeconds is how long ago it was heard of.
	SeenSeconds uint64 `json:"seen_seconds"`
}

// Device is an accelerator of a node.
type Device struct {
	Kind      string `json:"kind"`
	Vendor    string `json:"vendor"`
	Model     string `json:"model"`
	MemoryMiB uint64 `json:"memory_mib"`
	MilliSuns uint64 `json:"milli_suns"`
	Free      bool   `json:"free"`
}

// Nodes lists nodes, of all operators or of one, at most limit; retired ones only if asked for.
func (c *Client) Nodes(ctx context.Context, operator string, retired bool, limit int) ([]Node, error) {
	nowMs, err := c.clock(ctx)
	if err != nil {
		return nil, err
	}
	nodes := []Node{}
	err = pages(limit, func(page *query.PageRequest) (*query.PageResponse, int, error) {
		res, err := c.conn.Suns().Nodes(ctx, &sunstypes.QueryNodesRequest{Operator: operator, Pagination: page})
		if err != nil {
			return nil, 0, fmt.Errorf("nodes: %w", err)
		}
		for _, info := range res.Nodes {
			if retired || info.Node.Live() {
				nodes = append(nodes, newNode(info, nowMs))
			}
		}
		return res.Pagination, len(res.Nodes), nil
	})
	return nodes, err
}

func newNode(info sunstypes.NodeInfo, nowMs uint64) Node {
	n := info.Node
	view := Node{
		Node: n.ID.String(), Moniker: n.Moniker, Status: statusName(n.Status.String()), Country: n.Country, Zone: n.Zone,
		Architecture: n.Architecture, MilliSuns: n.MilliSuns, GeneralMilliSuns: n.GeneralMilliSuns,
		FreeGeneralMilliSuns: info.FreeGeneralMilliSuns, AskPrice: n.AskPrice, Placements: info.Load.Placements,
		SeenSeconds: secondsSince(info.LastCheckInMs, nowMs), Devices: make([]Device, 0, len(n.Accelerators)),
	}
	busy := make(map[string]bool, len(info.Load.BusyDevices))
	for _, id := range info.Load.BusyDevices {
		busy[id] = true
	}
	for _, a := range n.Accelerators {
		view.Devices = append(view.Devices, Device{
			Kind: a.Accelerator.Kind, Vendor: a.Accelerator.Vendor, Model: a.Accelerator.Model,
			MemoryMiB: a.Accelerator.MemoryMiB, MilliSuns: a.MilliSuns, Free: !busy[a.Accelerator.DeviceID],
		})
	}
	return view
}
