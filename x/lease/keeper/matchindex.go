package keeper

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"

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

// reindexNode makes the index agree with a node's state.
func (k *Keeper) reindexNode(ctx context.Context, key sunstypes.NodeKey) error {
	want, err := k.indexable(ctx, key)
	if err != nil {
		return err
	}
	have, err := k.IndexedNodes.Get(ctx, key)
	switch {
	case errors.Is(err, collections.ErrNotFound):
	case err != nil:
		return err
	default:
		if want != nil && have.Equal(want) {
			return nil
		}
		for _, entry := range entriesOf(have) {
			if err := k.changeEntry(ctx, key, entry, false); err != nil {
				return err
			}
		}
	}
	if want == nil {
		return k.IndexedNodes.Remove(ctx, key)
	}
	for _, entry := range entriesOf(*want) {
		if err := k.changeEntry(ctx, key, entry, true); err != nil {
			return err
		}
	}
	return k.IndexedNodes.Set(ctx, key, *want)
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

// changeEntry adds or removes a node's place in a bucket. Of every operator the first MaxOperatorEntries in a bucket are
// candidates; when one comes or goes, another may leave or take its place.
func (k *Keeper) changeEntry(ctx context.Context, key sunstypes.NodeKey, entry indexEntry, add bool) error {
	bucket := bucketName(entry.base, entry.class)
	operator := key.K1()
	before, err := k.operatorHead(ctx, bucket, operator)
	if err != nil {
		return err
	}
	own := collections.Join3(bucket, operator, collections.Join3(entry.price, entry.load, key.K2()))
	if add {
		err = k.OperatorEntries.Set(ctx, own)
	} else {
		err = k.OperatorEntries.Remove(ctx, own)
	}
	if err != nil {
		return err
	}
	after, err := k.operatorHead(ctx, bucket, operator)
	if err != nil {
		return err
	}
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
	if !add {
		return nil
	}
	return k.markClass(ctx, entry.base, entry.class)
}

func sameOrder(a operatorOrder) func(operatorOrder) bool {
	return func(b operatorOrder) bool { return a.K1() == b.K1() && a.K2() == b.K2() && a.K3() == b.K3() }
}

func candidateKey(bucket string, operator sdk.AccAddress, order operatorOrder) matchEntry {
	return collections.Join(bucket, collections.Join3(order.K1(), order.K2(), collections.Join(operator, order.K3())))
}

// operatorHead lists an operator's first entries of a bucket.
func (k *Keeper) operatorHead(ctx context.Context, bucket string, operator sdk.AccAddress) ([]operatorOrder, error) {
	it, err := k.OperatorEntries.Iterate(ctx,
		collections.NewSuperPrefixedTripleRange[string, sdk.AccAddress, operatorOrder](bucket, operator))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var head []operatorOrder
	for ; it.Valid() && len(head) < MaxOperatorEntries; it.Next() {
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
