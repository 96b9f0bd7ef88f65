package types

// DefaultGenesis is the genesis of a new chain: no images.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate returns ErrInvalidGenesis with the first thing that is wrong. Images are held to the limits of the format, not to
// the params: governance may have lowered those since they were published.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return ErrInvalidGenesis.Wrapf("params: %s", err)
	}
	seen := make(map[ImageID]struct{}, len(g.Images))
	for i, image := range g.Images {
		if err := image.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("image %d: %s", i, err)
		}
		if _, ok := seen[image.ID()]; ok {
			return ErrInvalidGenesis.Wrapf("image %d: %s is there twice", i, image.Ref())
		}
		seen[image.ID()] = struct{}{}
	}
	return nil
}
