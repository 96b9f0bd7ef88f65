package keeper

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// maxClasses bounds the classes of a bucket: 64-bit capacities have at most so many bits.
const maxClasses = 64

// fit is a node that can take a placement, with what it would take there.
type fit struct {
	node    sunstypes.Node
	devices []types.ReservedDevice
	// milliSuns are billed: general and devices.
	milliSuns uint64
	// hourPrice is in uisc per placement-hour, royalty included.
	hourPrice math.Int
}

// search looks for the cheapest node for one demand.
type search struct {
	k        *Keeper
	demand   sunstypes.Demand
	rules    types.PlacementRules
	archs    []string
	royalty  uint64
	maxPrice math.Int
	// avoid holds nodes that are not to be used, and operators where the rules spread.
	avoid     map[sunstypes.NodeID]bool
	operators map[string]bool
	cursor    *types.MatchCursor
	budget    uint32
	// maxPlacements is how many a node may hold.
	maxPlacements uint32

	examined uint32
	// opened counts the buckets that were looked into.
	opened    uint32
	stoppedAt *types.MatchCursor
	refusals  map[string]uint32
	// empty are the buckets that were found empty.
	empty []classOf
}

// classOf is a bucket: its base and class.
type classOf struct {
	base  string
	class uint32
}

// newSearch is the search of a lease's request.
func (k *Keeper) newSearch(ctx context.Context, b *book, request types.Request, params types.Params) (*search, error) {
	image, err := k.images.GetImage(ctx, b.lease.Image)
	if err != nil {
		return nil, err
	}
	s := &search{
		k: k, demand: b.lease.Demand, rules: b.lease.Rules, archs: architectures(image, b.lease.Rules),
		royalty: image.Royalty, maxPrice: math.NewIntFromUint64(b.lease.MaxPrice),
		avoid: map[sunstypes.NodeID]bool{}, operators: map[string]bool{},
		cursor: request.Cursor, budget: params.MaxCandidates, maxPlacements: params.MaxPlacementsPerNode,
		refusals: map[string]uint32{},
	}
	for _, node := range slices.Concat(b.lease.Rules.Avoid, b.lease.FailedNodes) {
		s.avoid[node] = true
	}
	return s, k.avoidOwnNodes(ctx, b, request, s)
}

// avoidOwnNodes keeps a replica off the node it leaves, and off its siblings' operators where the rules spread. It reads
// the lease's other placements only if they matter: each of a lease's replicas is matched by itself.
func (k *Keeper) avoidOwnNodes(ctx context.Context, b *book, request types.Request, s *search) error {
	if request.Replaces == 0 && !b.lease.Rules.SpreadOperators {
		return nil
	}
	placements, err := k.placementsOf(ctx, b.key, request.Replica)
	if b.lease.Rules.SpreadOperators {
		placements, err = k.leasePlacements(ctx, b.key)
	}
	if err != nil {
		return err
	}
	for _, p := range placements {
		switch {
		case !p.Live():
		case request.Replaces != 0 && p.ID.Generation == request.Replaces:
			s.avoid[p.Node] = true // the draining node itself
		case b.lease.Rules.SpreadOperators:
			s.operators[p.Node.Operator] = true
		}
	}
	return nil
}

// architectures are those that both the image and the rules allow, in a fixed order.
func architectures(image uaitypes.Image, rules types.PlacementRules) []string {
	archs := image.Architectures()
	if len(rules.Architectures) == 0 {
		return archs
	}
	return slices.DeleteFunc(archs, func(arch string) bool { return !slices.Contains(rules.Architectures, arch) })
}

// run finds the best node, or nil with the reasons; stoppedAt is set when candidates are left to examine.
func (s *search) run(ctx context.Context) (*fit, error) {
	if s.rules.Node != nil {
		return s.examine(ctx, *s.rules.Node)
	}
	countries := s.rules.Countries
	if len(countries) == 0 {
		countries = []string{""}
	}
	for i, country := range countries {
		if s.cursor != nil && uint32(i) < s.cursor.Country {
			continue
		}
		if s.opened >= s.budget { // many countries have many buckets, also when none has a candidate
			s.stoppedAt = &types.MatchCursor{Country: uint32(i)}
			return nil, nil
		}
		best, done, err := s.country(ctx, uint32(i), country)
		if err != nil || best != nil || !done {
			return best, err
		}
	}
	s.stoppedAt = nil // the last candidate was also the last one allowed
	return nil, nil
}

// country examines one country's candidates, cheapest first. A demand for general resources takes the first that fits; one
// for devices goes on while a candidate could still be cheaper, since buckets are ordered by the device alone. done says
// that the country holds nothing more.
func (s *search) country(ctx context.Context, index uint32, country string) (best *fit, done bool, err error) {
	candidates, err := s.candidates(ctx, index, country)
	if err != nil {
		return nil, false, err
	}
	defer candidates.close()
	for {
		order, ok, err := candidates.next()
		if err != nil {
			return nil, false, err
		}
		if !ok || s.beyond(order.K1(), best) {
			return best, true, nil
		}
		if s.examined >= s.budget {
			return best, best != nil, nil
		}
		s.examined++
		id := sunstypes.NodeIDFromKey(order.K3())
		candidate, err := s.examine(ctx, id)
		if err != nil {
			return nil, false, err
		}
		if candidate != nil && (best == nil || candidate.hourPrice.LT(best.hourPrice)) {
			best = candidate
		}
		if best != nil && s.demand.Accelerator == nil {
			return best, true, nil
		}
		if s.examined >= s.budget && best == nil {
			s.stoppedAt = &types.MatchCursor{Country: index, Price: order.K1(), Load: order.K2(), Node: id}
		}
	}
}

// beyond says that no candidate from this price of a bucket on can be used: the least it can cost is above the cap, or
// above the best one found. The price of a bucket is the ask per SUNS-hour, or the cheapest device's hour.
func (s *search) beyond(price uint64, best *fit) bool {
	var least math.Int
	if s.demand.Accelerator == nil {
		least = types.HourPrice(price, s.demand.GeneralMilliSuns, s.royalty)
	} else {
		// Every device's hour was rounded down.
		least = math.NewIntFromUint64(price).MulRaw(int64(s.demand.Accelerator.Count)).AddRaw(int64(s.royalty))
	}
	return least.GT(s.maxPrice) || best != nil && least.GT(best.hourPrice)
}

// examine says whether a node fits, by its state and not by the index.
func (s *search) examine(ctx context.Context, id sunstypes.NodeID) (*fit, error) {
	node, err := s.k.suns.GetNode(ctx, id)
	if errors.Is(err, sunstypes.ErrNodeNotFound) {
		return s.refuse("node does not exist")
	}
	if err != nil {
		return nil, err
	}
	key, err := id.Key()
	if err != nil {
		return nil, err
	}
	if _, err := s.k.IndexedNodes.Get(ctx, key); errors.Is(err, collections.ErrNotFound) {
		return s.refuse("node is full, paused or leaving")
	} else if err != nil {
		return nil, err
	}
	switch {
	case node.Status != sunstypes.NODE_STATUS_ACTIVE:
		return s.refuse("node is not active")
	case s.avoid[id]:
		return s.refuse("node is avoided or failed this lease before")
	case s.operators[node.ID.Operator]:
		return s.refuse("operator already runs a replica")
	case len(s.rules.Zones) > 0 && !slices.Contains(s.rules.Zones, node.Zone):
		return s.refuse("node is in another zone")
	case len(s.rules.Countries) > 0 && !slices.Contains(s.rules.Countries, node.Country):
		return s.refuse("node is in another country")
	case !slices.Contains(s.archs, node.Architecture):
		return s.refuse("node has another architecture")
	}
	load, err := s.k.suns.GetNodeLoad(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case load.Placements >= s.maxPlacements:
		return s.refuse("node holds as many placements as it may")
	case node.FreeGeneralMilliSuns(load) < s.demand.GeneralMilliSuns:
		return s.refuse("node has too little free")
	}
	devices, ok := s.pickDevices(node, load)
	if !ok {
		return s.refuse("node has no such devices free")
	}
	found := &fit{node: node, devices: devices, milliSuns: s.demand.GeneralMilliSuns}
	for _, device := range devices {
		found.milliSuns += device.MilliSuns
	}
	found.hourPrice = types.HourPrice(node.AskPrice, found.milliSuns, s.royalty)
	if !(types.Rate{Price: node.AskPrice, MilliSuns: found.milliSuns, Royalty: s.royalty}).Within(s.maxPrice) {
		return s.refuse("node costs more than the cap")
	}
	return found, nil
}

func (s *search) refuse(reason string) (*fit, error) {
	s.refusals[reason]++
	return nil, nil
}

// reason is the commonest refusal, for people.
func (s *search) reason() string {
	best, most := "no node on the market fits within the cap", uint32(0)
	reasons := make([]string, 0, len(s.refusals))
	for reason := range s.refusals { //consensus:ok sorted below
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		if s.refusals[reason] > most {
			best, most = reason, s.refusals[reason]
		}
	}
	return best
}

// pickDevices takes the smallest free devices that satisfy the demand.
func (s *search) pickDevices(node sunstypes.Node, load sunstypes.NodeLoad) ([]types.ReservedDevice, bool) {
	want := s.demand.Accelerator
	if want == nil {
		return nil, true
	}
	var devices []types.ReservedDevice
	for _, device := range freeDevices(node, load) {
		a := device.Accelerator
		if a.Kind != want.Kind || want.Model != "" && a.Model != want.Model || device.MilliSuns < want.MilliSuns {
			continue
		}
		devices = append(devices, types.ReservedDevice{DeviceID: a.DeviceID, MilliSuns: device.MilliSuns})
		if uint32(len(devices)) == want.Count {
			return devices, true
		}
	}
	return nil, false
}

// candidates merges the buckets that may hold a fit, in the order of the index.
type candidates struct {
	buckets []collections.KeySetIterator[matchEntry]
}

// candidates opens the buckets of a country: of every architecture, all classes from the demand's on.
func (s *search) candidates(ctx context.Context, index uint32, country string) (*candidates, error) {
	device := ""
	if want := s.demand.Accelerator; want != nil {
		device = deviceName(want.Kind, want.Model)
	}
	c := &candidates{}
	for _, arch := range s.archs {
		base := bucketBase(country, arch, device)
		classes, err := s.k.classes(ctx, base)
		if err != nil {
			c.close()
			return nil, err
		}
		for class := capacityClass(s.demand.GeneralMilliSuns); class < maxClasses; class++ {
			if classes&(1<<class) == 0 {
				continue
			}
			if err := s.openBucket(ctx, c, index, base, class); err != nil {
				c.close()
				return nil, err
			}
		}
	}
	return c, nil
}

func (s *search) openBucket(ctx context.Context, c *candidates, index uint32, base string, class uint32) error {
	bucket := bucketName(base, class)
	rng := collections.NewPrefixedPairRange[string, matchOrder](bucket)
	s.opened++
	resumed := s.cursor != nil && s.cursor.Country == index && s.cursor.Node != sunstypes.NodeID{}
	if resumed {
		node, err := s.cursor.Node.Key()
		if err != nil {
			return err
		}
		rng = rng.StartExclusive(collections.Join3(s.cursor.Price, s.cursor.Load, node))
	}
	it, err := s.k.MatchEntries.Iterate(ctx, rng)
	if err != nil {
		return err
	}
	if it.Valid() {
		c.buckets = append(c.buckets, it)
		return nil
	}
	if err := it.Close(); err != nil {
		return err
	}
	if !resumed {
		s.empty = append(s.empty, classOf{base, class})
	}
	return nil
}

// forgetEmpty clears the marks of buckets that a search found empty. Its iterators must be closed.
func (s *search) forgetEmpty(ctx context.Context) error {
	for _, found := range s.empty {
		classes, err := s.k.classes(ctx, found.base)
		if err != nil {
			return err
		}
		if err := s.k.MatchClasses.Set(ctx, found.base, classes&^(1<<found.class)); err != nil {
			return err
		}
	}
	return nil
}

// next takes the first candidate of all buckets.
func (c *candidates) next() (matchOrder, bool, error) {
	var first matchOrder
	from := -1
	for i := range c.buckets {
		if !c.buckets[i].Valid() {
			continue
		}
		entry, err := c.buckets[i].Key()
		if err != nil {
			return first, false, err
		}
		if from < 0 || lessOrder(entry.K2(), first) {
			first, from = entry.K2(), i
		}
	}
	if from < 0 {
		return first, false, nil
	}
	c.buckets[from].Next()
	return first, true, nil
}

func (c *candidates) close() {
	for _, it := range c.buckets {
		_ = it.Close() // in-memory iterators; closing them does not fail
	}
}

// lessOrder is the order of the index: price, load, node.
func lessOrder(a, b matchOrder) bool {
	if a.K1() != b.K1() {
		return a.K1() < b.K1()
	}
	if a.K2() != b.K2() {
		return a.K2() < b.K2()
	}
	if c := bytes.Compare(a.K3().K1(), b.K3().K1()); c != 0 {
		return c < 0
	}
	return a.K3().K2() < b.K3().K2()
}
