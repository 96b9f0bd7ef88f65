package types

const (
	// DefaultMaxImageBytes is 100 GiB: the large language models of today with their weights.
	DefaultMaxImageBytes uint64 = 100 << 30
	// DefaultMaxRoyalty is a million ISC per hour, in uisc.
	DefaultMaxRoyalty uint64 = 1_000_000_000_000

	// LowestMaxImageBytes is 1 MiB. Below it not even a static binary with its manifests could be published.
	LowestMaxImageBytes uint64 = 1 << 20
	// HighestMaxImageBytes is 16 TiB. Beyond it a worker could not hold one image on the largest common disk, and sums of
	// sizes over many images would come near the range of an int64 in clients.
	HighestMaxImageBytes uint64 = 16 << 40

	// LowestMaxRoyalty is 1 uisc per hour; 0 would be an unset param.
	LowestMaxRoyalty uint64 = 1
	// HighestMaxRoyalty is 10^15 uisc per hour, more than the whole supply. Beyond it price and royalty of an hour, which a
	// tenant's cap must cover, could add up to more than an uint64.
	HighestMaxRoyalty uint64 = 1_000_000_000_000_000
)

// DefaultParams are the params of a new chain.
func DefaultParams() Params {
	return Params{MaxImageBytes: DefaultMaxImageBytes, MaxRoyalty: DefaultMaxRoyalty}
}

// Validate returns ErrInvalidParams with the first param out of its bounds.
func (p Params) Validate() error {
	if p.MaxImageBytes < LowestMaxImageBytes || p.MaxImageBytes > HighestMaxImageBytes {
		return ErrInvalidParams.Wrapf("max_image_bytes %d is not in %d..%d",
			p.MaxImageBytes, LowestMaxImageBytes, HighestMaxImageBytes)
	}
	if p.MaxRoyalty < LowestMaxRoyalty || p.MaxRoyalty > HighestMaxRoyalty {
		return ErrInvalidParams.Wrapf("max_royalty %d is not in %d..%d", p.MaxRoyalty, LowestMaxRoyalty, HighestMaxRoyalty)
	}
	return nil
}
