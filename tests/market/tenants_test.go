package market

import (
	"github.com/stretchr/testify/require"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

// maxOpenLeases keeps a sequence's state, which every block's invariants walk, small.
const maxOpenLeases = 8

func (w *world) createLease() {
	if len(w.openLeases()) >= maxOpenLeases {
		w.closeLease()
		return
	}
	picture := w.anyImage()
	if picture == nil {
		w.publishImage()
		return
	}
	tenant := people[oneOf(w, "tenant", tenants...)].String()
	demand := w.demand(picture)
	replicas := uint32(1 + w.pick(4, "replicas less one"))
	maxPrice := w.maxPrice(picture, demand)
	least := (maxPrice*w.periodSeconds() + 3_599) / 3_600 * uint64(replicas)
	deposit := int64(least * oneOf[uint64](w, "periods", 1, 2, 1, 1, 10))
	if w.chance(20, "short deposit") {
		deposit--
	}
	rules := w.rules()
	response, err := send(w, "create lease", w.leaseMsgs.CreateLease, &leasetypes.MsgCreateLease{
		Tenant: tenant, Image: picture.ref, Demand: &demand, Replicas: replicas, Rules: rules, MaxPrice: maxPrice,
		Deposit: testkit.Coin(deposit),
	}, "of %s: %d × %v of %s, cap %d, deposit %d, rules %v", nick(tenant), replicas, &demand, picture.ref, maxPrice, deposit, &rules)
	if err != nil {
		return
	}
	require.False(w.T, picture.retired, "%s is deprecated", picture.ref)
	w.leases = append(w.leases, &lease{
		id: leasetypes.LeaseID{Tenant: tenant, Number: response.Number}, image: picture, demand: demand, replicas: replicas,
		rules: rules, maxPrice: maxPrice, balance: deposit, deposited: deposit,
	})
	w.move(tenant, escrowAccount, deposit)
}

// maxPrice is generous or too little or, half of the time, just what a node asks.
func (w *world) maxPrice(picture *image, demand sunstypes.Demand) uint64 {
	if nodes := w.liveNodes(); len(nodes) > 0 && w.chance(2, "just enough") {
		n := nodes[w.pick(len(nodes), "node to pay")]
		return (n.ask*demand.GeneralMilliSuns+999)/1_000 + picture.royalty
	}
	return oneOf[uint64](w, "cap", 20_000, 60_000, 3_000_000, 100_003, 2_001)
}

func (w *world) periodSeconds() uint64 { return ms(w.params.lease.BillingPeriod) / 1000 }

func (w *world) anyImage() *image {
	refs := w.imageRefs()
	if len(refs) == 0 {
		return nil
	}
	return w.images[oneOf(w, "image", refs...)]
}

// demand is what an image needs, or more.
func (w *world) demand(picture *image) sunstypes.Demand {
	demand := picture.demand
	demand.GeneralMilliSuns = max(demand.GeneralMilliSuns, oneOf[uint64](w, "milli-SUNS", 1_000, 100, 333, 500, 2_500))
	if demand.Accelerator == nil && w.chance(4, "device") {
		demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: sunstypes.KindGPU, Count: 1}
		if w.chance(3, "two devices") {
			demand.Accelerator.Count = 2
		}
		demand.Accelerator.Model = oneOf(w, "model", "", "G5", "G8")
	}
	return demand
}

func (w *world) rules() (rules leasetypes.PlacementRules) {
	if w.chance(4, "countries") {
		rules.Countries = oneOf(w, "preference", []string{"TW"}, []string{"DE", "TW"}, []string{"US", "DE"})
	}
	if w.chance(8, "zones") {
		rules.Zones = []string{"east"}
	}
	if w.chance(8, "architectures") {
		rules.Architectures = []string{oneOf(w, "architecture", "amd64", "arm64")}
	}
	rules.SpreadOperators = w.chance(6, "spread")
	if len(w.nodes) > 0 && w.chance(8, "avoid") {
		rules.Avoid = []sunstypes.NodeID{w.nodes[w.pick(len(w.nodes), "avoided node")].id}
	}
	if len(w.nodes) > 0 && w.chance(12, "named") {
		rules.Node = &w.nodes[w.pick(len(w.nodes), "named node")].id
	}
	return rules
}

// anyLease is mostly an open one, sometimes one that is closing, sometimes nil: one that does not exist.
func (w *world) anyLease() *lease {
	if open := w.openLeases(); len(open) > 0 && !w.chance(25, "any lease") {
		return open[w.pick(len(open), "lease")]
	}
	if len(w.leases) > 0 {
		return w.leases[w.pick(len(w.leases), "lease of all")]
	}
	return nil
}

func (w *world) leaseID(l *lease) leasetypes.LeaseID {
	if l == nil {
		return leasetypes.LeaseID{Tenant: people[tenants[0]].String(), Number: 999}
	}
	return l.id
}

func (w *world) fundLease() {
	l := w.anyLease()
	id := w.leaseID(l)
	funder := id.Tenant
	if w.chance(2, "stranger") {
		funder = people[oneOf(w, "funder", append(tenants[:len(tenants):len(tenants)], operators...)...)].String()
	}
	paid := oneOf[int64](w, "amount", 1, 100, 1_000, 5_000, 100_000, 2*funds)
	_, err := send(w, "fund lease", w.leaseMsgs.FundLease, &leasetypes.MsgFundLease{
		Funder: funder, Tenant: id.Tenant, Number: id.Number, Amount: testkit.Coin(paid),
	}, "%s#%d by %s with %d", nick(id.Tenant), id.Number, nick(funder), paid)
	if err != nil {
		return
	}
	if funder != id.Tenant {
		w.tally.happened("funded by a stranger")
	}
	l.balance += paid
	l.deposited += paid
	w.move(funder, escrowAccount, paid)
}

func (w *world) updateLease() {
	l := w.anyLease()
	id := w.leaseID(l)
	msg := &leasetypes.MsgUpdateLease{Tenant: id.Tenant, Number: id.Number}
	var picture *image
	kind := oneOf(w, "what", "replicas", "cap", "demand", "image")
	switch kind {
	case "replicas":
		msg.Replicas = uint32(1 + w.pick(4, "replicas less one"))
	case "cap":
		msg.MaxPrice = oneOf[uint64](w, "cap", 20_000, 5_000, 2_001, 100_003, 3_000_000)
	case "demand":
		if l == nil {
			return
		}
		demand := w.demand(l.image)
		msg.Demand = &demand
	case "image":
		if picture = w.anyImage(); picture == nil {
			return
		}
		msg.Image = picture.ref
	}
	if _, err := send(w, "update "+kind, w.leaseMsgs.UpdateLease, msg, "%v", msg); err != nil {
		return
	}
	switch {
	case msg.Replicas != 0:
		l.replicas = msg.Replicas
	case msg.MaxPrice != 0:
		l.maxPrice = msg.MaxPrice
	case msg.Demand != nil:
		l.demand = *msg.Demand
	case picture != nil:
		l.image = picture
	}
}

func (w *world) closeLease() {
	l := w.anyLease()
	id := w.leaseID(l)
	_, err := send(w, "close lease", w.leaseMsgs.CloseLease,
		&leasetypes.MsgCloseLease{Tenant: id.Tenant, Number: id.Number}, "%s#%d", nick(id.Tenant), id.Number)
	if err == nil {
		l.isClosing, l.closing = true, w.now
	}
}

func (w *world) migratePlacement() { w.migrate(w.anyLease(), uint32(w.pick(4, "replica"))) }

// migrateMuch asks for more than a block of a tight chain ends.
func (w *world) migrateMuch() {
	for _, l := range w.openLeases() {
		for replica := range l.replicas {
			w.migrate(l, replica)
		}
	}
}

func (w *world) migrate(l *lease, replica uint32) {
	id := w.leaseID(l)
	_, err := send(w, "migrate placement", w.leaseMsgs.MigratePlacement,
		&leasetypes.MsgMigratePlacement{Tenant: id.Tenant, Number: id.Number, Replica: replica},
		"%s#%d/%d", nick(id.Tenant), id.Number, replica)
	if err != nil {
		return
	}
	// Of a draining placement and its replacement the chain moves the one that stays.
	moved := w.sortedPlacements(func(p *placement) bool {
		if p.lease != l || p.id.Replica != replica || !p.live() || p.asked {
			return false
		}
		_, placed, err := w.leaseKeeper.GetPlacement(w.Ctx, p.id)
		return err == nil && placed.EndReason == leasetypes.END_REASON_MIGRATED
	})
	require.Len(w.T, moved, 1, "placements that migrate")
	moved[0].asked, moved[0].askedMs = true, w.now
}

func (w *world) strangerCloses() {
	l := w.anyLease()
	if l == nil {
		return
	}
	stranger := people[operators[0]].String()
	_, err := send(w, "close another's lease", w.leaseMsgs.CloseLease,
		&leasetypes.MsgCloseLease{Tenant: stranger, Number: l.id.Number}, "%s", l)
	require.Error(w.T, err)
}
