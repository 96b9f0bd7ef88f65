package types

import (
	"fmt"
	"strconv"
	"strings"

	"cosmossdk.io/collections"
	"cosmossdk.io/collections/codec"

	sdk "github.com/cosmos/cosmos-sdk/types"
)

// NodeKey is a NodeID as a key of state: operator | number.
type NodeKey = collections.Pair[sdk.AccAddress, uint64]

// NodeKeyCodec encodes a NodeKey.
var NodeKeyCodec codec.KeyCodec[NodeKey] = collections.PairKeyCodec(sdk.AccAddressKey, collections.Uint64Key)

// NewNodeID names an operator's node.
func NewNodeID(operator sdk.AccAddress, number uint64) NodeID {
	return NodeID{Operator: operator.String(), Number: number}
}

// NodeIDFromKey is the inverse of NodeID.Key.
func NodeIDFromKey(key NodeKey) NodeID { return NewNodeID(key.K1(), key.K2()) }

// ParseNodeID reads "operator/number", the form people write.
func ParseNodeID(s string) (NodeID, error) {
	operator, rest, ok := strings.Cut(s, "/")
	if !ok {
		return NodeID{}, ErrInvalidNodeID.Wrapf("%.120q is not operator/number", s)
	}
	number, err := strconv.ParseUint(rest, 10, 64)
	if err != nil {
		return NodeID{}, ErrInvalidNodeID.Wrapf("%.120q: %.40q is not a number", s, rest)
	}
	id := NodeID{Operator: operator, Number: number}
	return id, id.Validate()
}

// String is "operator/number".
func (id NodeID) String() string { return fmt.Sprintf("%s/%d", id.Operator, id.Number) }

// Key is the id as a key of state, or ErrInvalidNodeID.
func (id NodeID) Key() (NodeKey, error) {
	operator, err := sdk.AccAddressFromBech32(id.Operator)
	if err != nil {
		return NodeKey{}, ErrInvalidNodeID.Wrapf("operator %.80q is not an address", id.Operator)
	}
	if id.Number == 0 {
		return NodeKey{}, ErrInvalidNodeID.Wrap("node numbers begin at 1")
	}
	return collections.Join(operator, id.Number), nil
}

// Canonical is Key for an id that is kept in state: its operator must be written as the chain writes it. An address in upper
// case is the same key, and one node would have two ids.
func (id NodeID) Canonical() (NodeKey, error) {
	key, err := id.Key()
	if err == nil && NodeIDFromKey(key) != id {
		err = ErrInvalidNodeID.Wrapf("operator %.80q is not in lower case", id.Operator)
	}
	return key, err
}

// Validate says whether the id is well formed.
func (id NodeID) Validate() error {
	_, err := id.Key()
	return err
}

// Equal says whether two ids name the same node.
func (id NodeID) Equal(other NodeID) bool { return id == other }
