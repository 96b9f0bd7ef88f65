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

	// DefaultReplicas lets a content survive two nodes that leave at once.
	DefaultReplicas uint32 = 3
	// LowestReplicas is 1: with none nothing would be kept.
	LowestReplicas uint32 = 1
	// HighestReplicas is 16. Beyond it the network would store and move more copies than anybody reads.
	HighestReplicas uint32 = 16

	// DefaultMaxHoldingsPerNode is what a node of some terabytes may hold of images and snapshots.
	DefaultMaxHoldingsPerNode uint64 = 100_000
	// LowestMaxHoldingsPerNode is what one message may announce; below it a node could not say what it has.
	LowestMaxHoldingsPerNode uint64 = MaxDigests
	// HighestMaxHoldingsPerNode is ten million. Beyond it one machine could fill the state of the chain by itself.
	HighestMaxHoldingsPerNode uint64 = 10_000_000

	// DefaultMaxObjectsPerOwner is enough for what one account backs up.
	DefaultMaxObjectsPerOwner uint64 = 1_000
	// LowestMaxObjectsPerOwner is 1; 0 would be an unset param.
	LowestMaxObjectsPerOwner uint64 = 1
	// HighestMaxObjectsPerOwner is a million. Beyond it the nodes would keep, for fees alone, more than they could count.
	HighestMaxObjectsPerOwner uint64 = 1_000_000
)

// DefaultParams are the params of a new chain.
func DefaultParams() Params {
	return Params{
		MaxImageBytes: DefaultMaxImageBytes, MaxRoyalty: DefaultMaxRoyalty, Replicas: DefaultReplicas,
		MaxHoldingsPerNode: DefaultMaxHoldingsPerNode, MaxObjectsPerOwner: DefaultMaxObjectsPerOwner,
	}
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
	if p.Replicas < LowestReplicas || p.Replicas > HighestReplicas {
		return ErrInvalidParams.Wrapf("replicas %d is not in %d..%d", p.Replicas, LowestReplicas, HighestReplicas)
	}
	if p.MaxHoldingsPerNode < LowestMaxHoldingsPerNode || p.MaxHoldingsPerNode > HighestMaxHoldingsPerNode {
		return ErrInvalidParams.Wrapf("max_holdings_per_node %d is not in %d..%d",
			p.MaxHoldingsPerNode, LowestMaxHoldingsPerNode, HighestMaxHoldingsPerNode)
	}
	if p.MaxObjectsPerOwner < LowestMaxObjectsPerOwner || p.MaxObjectsPerOwner > HighestMaxObjectsPerOwner {
		return ErrInvalidParams.Wrapf("max_objects_per_owner %d is not in %d..%d",
			p.MaxObjectsPerOwner, LowestMaxObjectsPerOwner, HighestMaxObjectsPerOwner)
	}
	return nil
}
