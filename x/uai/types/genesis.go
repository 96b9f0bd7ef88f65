package types

import (
	"bytes"

	"cosmossdk.io/collections"
)

// DefaultGenesis is the genesis of a new chain: no images.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate returns ErrInvalidGenesis with the first thing that is wrong. Images stand in the order of their keys, each once,
// so that an export is what was imported. They are held to the limits of the format, not to the params: governance may have
// lowered those since they were published.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return ErrInvalidGenesis.Wrapf("params: %s", err)
	}
	var previous []byte
	for i, image := range g.Images {
		if err := image.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("image %d: %s", i, err)
		}
		key, err := image.ID().Key()
		if err != nil {
			return err
		}
		encoded, err := collections.EncodeKeyWithPrefix(nil, ImageKeyCodec, key)
		if err != nil {
			return err
		}
		if bytes.Compare(previous, encoded) >= 0 {
			return ErrInvalidGenesis.Wrapf("image %d: %s is there twice or out of order", i, image.Ref())
		}
		previous = encoded
	}
	return nil
}
