package types

import (
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// LeaseKey is a LeaseID as a key of state: tenant | number.
type LeaseKey = collections.Pair[sdk.AccAddress, uint64]

// RequestKey is a waiting replica as a key of state: tenant | number | replica.
type RequestKey = collections.Triple[sdk.AccAddress, uint64, uint32]

// PlacementKey is a PlacementID as a key of state: tenant | number | replica | generation.
type PlacementKey = collections.Quad[sdk.AccAddress, uint64, uint32, uint64]

// Codecs of the keys.
var (
	LeaseKeyCodec   codec.KeyCodec[LeaseKey]   = collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key)
	RequestKeyCodec codec.KeyCodec[RequestKey] = collections.TripleKeyCodec(
		sdk.AccAddressKey, collections.Uint64Key, collections.Uint32Key)
	PlacementKeyCodec codec.KeyCodec[PlacementKey] = collections.QuadKeyCodec(
		sdk.AccAddressKey, collections.Uint64Key, collections.Uint32Key, collections.Uint64Key)
)

// NewLeaseID names a tenant's lease.
func NewLeaseID(tenant sdk.AccAddress, number uint64) LeaseID {
	return LeaseID{Tenant: tenant.String(), Number: number}
}

// LeaseIDFromKey is the inverse of LeaseID.Key.
func LeaseIDFromKey(key LeaseKey) LeaseID { return NewLeaseID(key.K1(), key.K2()) }

// ParseLeaseID reads "tenant/number", the form people write.
func ParseLeaseID(s string) (LeaseID, error) {
	tenant, rest, ok := strings.Cut(s, "/")
	if !ok {
		return LeaseID{}, ErrInvalidID.Wrapf("%.120q is not tenant/number", s)
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		return LeaseID{}, ErrInvalidID.Wrapf("%.120q: %.40q is not a number", s, rest)
	}
	id := LeaseID{Tenant: tenant, Number: number}
	_, err = id.Key()
	return id, err
}

// String is "tenant/number".
func (id LeaseID) String() string { return fmt.Sprintf("%s/%d", id.Tenant, id.Number) }

// Key is the id as a key of state, or ErrInvalidID.
func (id LeaseID) Key() (LeaseKey, error) {
	tenant, err := sdk.AccAddressFromBech32(id.Tenant)
	if err != nil {
		return LeaseKey{}, ErrInvalidID.Wrapf("tenant %.80q is not an address", id.Tenant)
	}
	// An address in upper case is the same key: one lease would have two ids.
	if tenant.String() != id.Tenant {
		return LeaseKey{}, ErrInvalidID.Wrapf("tenant %.80q is not in lower case", id.Tenant)
	}
	if id.Number == 0 {
		return LeaseKey{}, ErrInvalidID.Wrap("lease numbers begin at 1")
	}
	return collections.Join(tenant, id.Number), nil
}

// PlacementIDFromKey is the inverse of PlacementID.Key.
func PlacementIDFromKey(key PlacementKey) PlacementID {
	return PlacementID{Tenant: key.K1().String(), Number: key.K2(), Replica: key.K3(), Generation: key.K4()}
}

// ParsePlacementID reads "tenant/number/replica/generation", the form PlacementID.String writes.
func ParsePlacementID(s string) (PlacementID, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return PlacementID{}, ErrInvalidID.Wrapf("%.120q is not tenant/number/replica/generation", s)
	}
	number, err1 := strconv.ParseUint(parts[1], 10, 64)
	replica, err2 := strconv.ParseUint(parts[2], 10, 32)
	generation, err3 := strconv.ParseUint(parts[3], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return PlacementID{}, ErrInvalidID.Wrapf("%.120q is not tenant/number/replica/generation", s)
	}
	id := PlacementID{Tenant: parts[0], Number: number, Replica: uint32(replica), Generation: generation}
	_, err := id.Key()
	return id, err
}

// String is "tenant/number/replica/generation".
func (id PlacementID) String() string {
	return fmt.Sprintf("%s/%d/%d/%d", id.Tenant, id.Number, id.Replica, id.Generation)
}

// Lease is the lease the placement belongs to.
func (id PlacementID) Lease() LeaseID { return LeaseID{Tenant: id.Tenant, Number: id.Number} }

// Key is the id as a key of state, or ErrInvalidID.
func (id PlacementID) Key() (PlacementKey, error) {
	lease, err := id.Lease().Key()
	if err != nil {
		return PlacementKey{}, err
	}
	if id.Generation == 0 {
		return PlacementKey{}, ErrInvalidID.Wrap("generations begin at 1")
	}
	return collections.Join4(lease.K1(), id.Number, id.Replica, id.Generation), nil
}
