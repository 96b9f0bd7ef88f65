package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
	"github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// The match index holds every node that can take a placement, in buckets of (country or any, architecture, device model or
// none, log2 class of free general capacity), ordered by price, load and node. It is written in the end blocker alone.

// MaxOperatorEntries is how many of an operator's nodes stand in one bucket at a time: with more, one operator with many
// machines could make every match examine them all.
const MaxOperatorEntries = 8

// entryOrder is (price, load, node number) or, with the operator, the order of candidates in a bucket.
type (
	operatorOrder = collections.Triple[uint64, uint32, uint64]
	operatorEntry = collections.Triple[string, sdk.AccAddress, operatorOrder]
	matchOrder    = collections.Triple[uint64, uint32, sunstypes.NodeKey]
	matchEntry    = collections.Pair[string, matchOrder]
)

var (
	operatorOrderCodec                               = collections.TripleKeyCodec(collections.Uint64Key, collections.Uint32Key, collections.Uint64Key)
	operatorEntryCodec codec.KeyCodec[operatorEntry] = collections.TripleKeyCodec(
		collections.StringKey, sdk.AccAddressKey, operatorOrderCodec)
	matchOrderCodec                            = collections.TripleKeyCodec(collections.Uint64Key, collections.Uint32Key, sunstypes.NodeKeyCodec)
	matchEntryCodec codec.KeyCodec[matchEntry] = collections.PairKeyCodec(collections.StringKey, matchOrderCodec)
)

// bucketBase names a bucket without its class. Empty country is any, empty device is none.
func bucketBase(country, architecture, device string) string {
	return country + "/" + architecture + "/" + device
}

func bucketName(base string, class uint32) string { return fmt.Sprintf("%s/%02d", base, class) }

// capacityClass is the bit length of free milli-SUNS: nodes of a higher class than a demand's always have room for it.
func capacityClass(milliSuns uint64) uint32 { return uint32(bits.Len64(milliSuns)) }

// indexEntry is one place of a node in the index.
type indexEntry struct {
	base  string
	class uint32
	price uint64
	load  uint32
}

// entriesOf lists the places of a node.
func entriesOf(node types.IndexedNode) []indexEntry {
	var entries []indexEntry
	for _, country := range []string{"", node.Country} {
		entries = append(entries, indexEntry{
			base: bucketBase(country, node.Architecture, ""), class: node.Class, price: node.Price, load: node.Load,
		})
		for _, device := range node.Devices {
			entries = append(entries, indexEntry{
				base: bucketBase(country, node.Architecture, device.Device), class: node.Class,
				price: device.HourPrice, load: node.Load,
			})
		}
	}
	return entries
}

// entriesPerUnit is how many entries of the index one unit of the reindexing budgets changes: those of a new price of a node
// without accelerators.
const entriesPerUnit = 4

// reindexNodes works off a queue of nodes to index anew. A node with many kinds of devices costs more of the budget.
func (k *Keeper) reindexNodes(ctx context.Context, queue duequeue.Queue[sunstypes.NodeKey], now uint64, budget uint32) error {
	units := uint32(0)
	return processCosts(ctx, k, queue, now, budget, nodeName, &units,
		func(ctx context.Context, key sunstypes.NodeKey, _ uint64) error {
			changed, err := k.changeIndex(ctx, key)
			units = uint32(changed) / entriesPerUnit
			return err
		})
}

// reindexNode makes the index agree with a node's state.
func (k *Keeper) reindexNode(ctx context.Context, key sunstypes.NodeKey) error {
	_, err := k.changeIndex(ctx, key)
	return err
}

// changeIndex is reindexNode with the number of entries that changed.
func (k *Keeper) changeIndex(ctx context.Context, key sunstypes.NodeKey) (changed int, err error) {
	want, err := k.indexable(ctx, key)
	if err != nil {
		return 0, err
	}
	return k.setIndexed(ctx, key, want)
}

// setIndexed makes the index hold a node as given, or not at all, and says how many entries changed.
func (k *Keeper) setIndexed(ctx context.Context, key sunstypes.NodeKey, want *types.IndexedNode) (changed int, err error) {
	have, err := k.indexed(ctx, key)
	if err != nil || have.Equal(want) {
		return 0, err
	}
	var old, fresh []indexEntry
	if have != nil {
		old = entriesOf(*have)
	}
	if want != nil {
		fresh = entriesOf(*want)
	}
	changed = len(old) + len(fresh)
	for _, change := range changesBetween(key.K2(), old, fresh) {
		if err := k.changeBucket(ctx, key.K1(), change); err != nil {
			return changed, err
		}
	}
	if want == nil {
		return changed, k.IndexedNodes.Remove(ctx, key)
	}
	return changed, k.IndexedNodes.Set(ctx, key, *want)
}

// indexable is what the index should hold of a node; nil when it can take no placement. It follows no param: one that changed
// would have every node indexed anew.
func (k *Keeper) indexable(ctx context.Context, key sunstypes.NodeKey) (*types.IndexedNode, error) {
	id := sunstypes.NodeIDFromKey(key)
	node, err := k.suns.GetNode(ctx, id)
	if errors.Is(err, sunstypes.ErrNodeNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	load, err := k.suns.GetNodeLoad(ctx, id)
	if err != nil {
		return nil, err
	}
	standing, err := k.standing(ctx, key)
	if err != nil {
		return nil, err
	}
	now, err := k.suns.NowMs(ctx)
	if err != nil {
		return nil, err
	}
	free := node.FreeGeneralMilliSuns(load)
	if node.Status != sunstypes.NODE_STATUS_ACTIVE || load.Placements >= types.MaxPlacementsPerNodeBound ||
		standing.BackoffUntilMs > now || free == 0 {
		return nil, nil
	}
	return &types.IndexedNode{
		Country: node.Country, Architecture: node.Architecture, Class: capacityClass(free),
		Price: node.AskPrice, Load: load.Placements, Devices: deviceBuckets(node, load),
	}, nil
}

// freeDevices are the devices no placement holds, the smallest first.
func freeDevices(node sunstypes.Node, load sunstypes.NodeLoad) []sunstypes.NodeAccelerator {
	free := node.FreeDevices(load)
	slices.SortFunc(free, func(a, b sunstypes.NodeAccelerator) int {
		switch {
		case a.MilliSuns < b.MilliSuns:
			return -1
		case a.MilliSuns > b.MilliSuns:
			return 1
		case a.Accelerator.DeviceID < b.Accelerator.DeviceID:
			return -1
		default:
			return 1
		}
	})
	return free
}

// deviceName names the bucket of a kind and model; an empty model is any.
func deviceName(kind, model string) string { return kind + "/" + model }

// deviceBuckets lists, for every kind and model with a free device, the hour price of the cheapest.
func deviceBuckets(node sunstypes.Node, load sunstypes.NodeLoad) []types.DeviceBucket {
	var buckets []types.DeviceBucket
	add := func(name string, device sunstypes.NodeAccelerator) {
		for _, bucket := range buckets {
			if bucket.Device == name {
				return // devices come cheapest first
			}
		}
		price := types.HourPrice(node.AskPrice, device.MilliSuns, 0)
		hourPrice := ^uint64(0)
		if price.IsUint64() {
			hourPrice = price.Uint64()
		}
		buckets = append(buckets, types.DeviceBucket{Device: name, HourPrice: hourPrice})
	}
	for _, device := range freeDevices(node, load) {
		add(deviceName(device.Accelerator.Kind, ""), device)
		add(deviceName(device.Accelerator.Kind, device.Accelerator.Model), device)
	}
	return buckets
}

// bucketChange is what happens to a node's place in one bucket: it leaves one, takes one, or both.
type bucketChange struct {
	base        string
	class       uint32
	leave, take *operatorOrder
}

// changesBetween pairs the places a node has with those it should have, bucket by bucket.
func changesBetween(number uint64, have, want []indexEntry) []bucketChange {
	changes := make([]bucketChange, 0, len(have)+len(want))
	for _, entry := range have {
		order := entry.order(number)
		changes = append(changes, bucketChange{base: entry.base, class: entry.class, leave: &order})
	}
	for _, entry := range want {
		order := entry.order(number)
		at := slices.IndexFunc(changes, func(c bucketChange) bool { return c.base == entry.base && c.class == entry.class })
		if at < 0 {
			at = len(changes)
			changes = append(changes, bucketChange{base: entry.base, class: entry.class})
		}
		changes[at].take = &order
	}
	return changes
}

func (e indexEntry) order(number uint64) operatorOrder {
	return collections.Join3(e.price, e.load, number)
}

// changeBucket moves a node within a bucket, into it or out of it. Of every operator the first MaxOperatorEntries in a bucket
// are candidates; when one comes or goes, another may leave or take its place. The operator's entries are read once: an
// iterator costs more than all the rest.
func (k *Keeper) changeBucket(ctx context.Context, operator sdk.AccAddress, change bucketChange) error {
	bucket := bucketName(change.base, change.class)
	// At most one leaves, so the next one after the candidates is all that can follow.
	before, err := k.operatorHead(ctx, bucket, operator, MaxOperatorEntries+1)
	if err != nil {
		return err
	}
	after := slices.Clone(before)
	if change.leave != nil {
		after = slices.DeleteFunc(after, sameOrder(*change.leave))
		if err := k.OperatorEntries.Remove(ctx, collections.Join3(bucket, operator, *change.leave)); err != nil {
			return err
		}
	}
	if change.take != nil {
		at, _ := slices.BinarySearchFunc(after, *change.take, compareOrders)
		after = slices.Insert(after, at, *change.take)
		if err := k.OperatorEntries.Set(ctx, collections.Join3(bucket, operator, *change.take)); err != nil {
			return err
		}
		if err := k.markClass(ctx, change.base, change.class); err != nil {
			return err
		}
	}
	return k.changeCandidates(ctx, bucket, operator, firstEntries(before), firstEntries(after))
}

// firstEntries are those of an operator's entries that are candidates.
func firstEntries(entries []operatorOrder) []operatorOrder {
	return entries[:min(len(entries), MaxOperatorEntries)]
}

// changeCandidates makes an operator's candidates in a bucket those it should have.
func (k *Keeper) changeCandidates(
	ctx context.Context, bucket string, operator sdk.AccAddress, before, after []operatorOrder,
) error {
	for _, old := range before {
		if !slices.ContainsFunc(after, sameOrder(old)) {
			if err := k.MatchEntries.Remove(ctx, candidateKey(bucket, operator, old)); err != nil {
				return err
			}
		}
	}
	for _, fresh := range after {
		if !slices.ContainsFunc(before, sameOrder(fresh)) {
			if err := k.MatchEntries.Set(ctx, candidateKey(bucket, operator, fresh)); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameOrder(a operatorOrder) func(operatorOrder) bool {
	return func(b operatorOrder) bool { return compareOrders(a, b) == 0 }
}

// compareOrders is the order of the store: price, load, number.
func compareOrders(a, b operatorOrder) int {
	return cmp.Or(cmp.Compare(a.K1(), b.K1()), cmp.Compare(a.K2(), b.K2()), cmp.Compare(a.K3(), b.K3()))
}

func candidateKey(bucket string, operator sdk.AccAddress, order operatorOrder) matchEntry {
	return collections.Join(bucket, collections.Join3(order.K1(), order.K2(), collections.Join(operator, order.K3())))
}

// operatorHead lists an operator's first entries of a bucket.
func (k *Keeper) operatorHead(
	ctx context.Context, bucket string, operator sdk.AccAddress, limit int,
) ([]operatorOrder, error) {
	it, err := k.OperatorEntries.Iterate(ctx,
		collections.NewSuperPrefixedTripleRange[string, sdk.AccAddress, operatorOrder](bucket, operator))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var head []operatorOrder
	for ; it.Valid() && len(head) < limit; it.Next() {
		entry, err := it.Key()
		if err != nil {
			return nil, err
		}
		head = append(head, entry.K3())
	}
	return head, nil
}

// markClass notes that a class of a bucket has entries. A search clears the bit when it finds none.
func (k *Keeper) markClass(ctx context.Context, base string, class uint32) error {
	classes, err := k.classes(ctx, base)
	if err != nil {
		return err
	}
	if classes&(1<<class) != 0 {
		return nil
	}
	return k.MatchClasses.Set(ctx, base, classes|1<<class)
}

func (k *Keeper) classes(ctx context.Context, base string) (uint64, error) {
	classes, err := k.MatchClasses.Get(ctx, base)
	if errors.Is(err, collections.ErrNotFound) {
		return 0, nil
	}
	return classes, err
}
