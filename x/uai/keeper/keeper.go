// Package keeper holds the state and the rules of x/uai.
package keeper

import (
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/indexes"
	corestore "cosmossdk.io/core/store"

	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/uai/types"
)

// Keeper is x/uai's access to its store.
type Keeper struct {
	bank      types.BankKeeper
	suns      types.SunsKeeper
	authority string

	// Schema lists the collections.
	Schema collections.Schema
	// Params: Params
	Params collections.Item[types.Params]
	// Images: (publisher, name, tag) -> Image
	Images *collections.IndexedMap[types.ImageKey, types.Image, ImageIndexes]
	// Access: (publisher, name, tag), grantee: who may order a restricted image beside its owner
	Access collections.KeySet[types.AccessKey]
	// Contents: digest -> how often it is referenced
	Contents collections.Map[[]byte, types.References]
	// Objects: (owner, name) -> Object
	Objects collections.Map[types.ObjectKey, types.Object]
	// ObjectCounts: owner -> how many objects it keeps
	ObjectCounts collections.Map[sdk.AccAddress, uint64]
	// Holdings: digest, (operator, number): what nodes announced
	Holdings *collections.IndexedMap[types.HoldingKey, collections.NoValue, HoldingIndexes]
	// HoldingCounts: (operator, number) -> how much the node announced
	HoldingCounts collections.Map[sunstypes.NodeKey, uint64]
	// KeyHolders: subject -> who holds the key to it
	KeyHolders collections.Map[string, types.KeyHolders]
}

// HoldingIndexes find holdings by more than their digest.
type HoldingIndexes struct {
	// ByNode: (operator, number) | digest
	ByNode *indexes.ReversePair[[]byte, sunstypes.NodeKey, collections.NoValue]
}

// IndexesList implements collections.Indexes.
func (i HoldingIndexes) IndexesList() []collections.Index[types.HoldingKey, collections.NoValue] {
	return []collections.Index[types.HoldingKey, collections.NoValue]{i.ByNode}
}

// ImageIndexes find images by more than their name.
type ImageIndexes struct {
	// ByOwner: owner | publisher | name | tag
	ByOwner *indexes.Multi[sdk.AccAddress, types.ImageKey, types.Image]
	// ByDigest: digest | publisher | name | tag
	ByDigest *indexes.Multi[string, types.ImageKey, types.Image]
}

// IndexesList implements collections.Indexes.
func (i ImageIndexes) IndexesList() []collections.Index[types.ImageKey, types.Image] {
	return []collections.Index[types.ImageKey, types.Image]{i.ByOwner, i.ByDigest}
}

// NewKeeper builds the keeper. The authority is the address that may change the params. A schema that does not build is a
// mistake in this package, so it panics at start.
func NewKeeper(
	cdc codec.BinaryCodec, storeService corestore.KVStoreService, bank types.BankKeeper, suns types.SunsKeeper, authority string,
) Keeper {
	if _, err := sdk.AccAddressFromBech32(authority); err != nil {
		panic(fmt.Errorf("x/%s: authority %q: %w", types.ModuleName, authority, err))
	}
	sb := collections.NewSchemaBuilder(storeService)
	k := Keeper{
		bank:      bank,
		suns:      suns,
		authority: authority,
		Params:    collections.NewItem(sb, types.ParamsPrefix, "params", codec.CollValue[types.Params](cdc)),
		Images: collections.NewIndexedMap(sb, types.ImagesPrefix, "images", types.ImageKeyCodec,
			codec.CollValue[types.Image](cdc), newImageIndexes(sb)),
		Access:   collections.NewKeySet(sb, types.AccessPrefix, "access", types.AccessKeyCodec),
		Contents: collections.NewMap(sb, types.ContentsPrefix, "contents", types.DigestCodec, codec.CollValue[types.References](cdc)),
		Objects:  collections.NewMap(sb, types.ObjectsPrefix, "objects", types.ObjectKeyCodec, codec.CollValue[types.Object](cdc)),
		ObjectCounts: collections.NewMap(
			sb, types.ObjectCountsPrefix, "object_counts", sdk.AccAddressKey, collections.Uint64Value),
		Holdings: collections.NewIndexedMap(sb, types.HoldingsPrefix, "holdings", types.HoldingKeyCodec, collections.NoValue{},
			HoldingIndexes{ByNode: indexes.NewReversePair[collections.NoValue](
				sb, types.HoldingsByNodePrefix, "holdings_by_node", types.HoldingKeyCodec)}),
		HoldingCounts: collections.NewMap(
			sb, types.HoldingCountsPrefix, "holding_counts", sunstypes.NodeKeyCodec, collections.Uint64Value),
		KeyHolders: collections.NewMap(
			sb, types.KeyHoldersPrefix, "key_holders", collections.StringKey, codec.CollValue[types.KeyHolders](cdc)),
	}
	schema, err := sb.Build()
	if err != nil {
		panic(fmt.Errorf("x/%s: %w", types.ModuleName, err))
	}
	k.Schema = schema
	return k
}

func newImageIndexes(sb *collections.SchemaBuilder) ImageIndexes {
	return ImageIndexes{
		ByOwner: indexes.NewMulti(sb, types.ImagesByOwnerPrefix, "images_by_owner", sdk.AccAddressKey, types.ImageKeyCodec,
			func(_ types.ImageKey, image types.Image) (sdk.AccAddress, error) { return image.OwnerAddress() }),
		ByDigest: indexes.NewMulti(sb, types.ImagesByDigestPrefix, "images_by_digest", collections.StringKey, types.ImageKeyCodec,
			func(_ types.ImageKey, image types.Image) (string, error) { return image.Digest, nil }),
	}
}

// GetAuthority is the address that may change the params.
func (k Keeper) GetAuthority() string { return k.authority }
