package types

import (
	"cosmossdk.io/collections"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// MinSnapshotSeconds is how often volumes may be saved: oftener than once a minute a node would do little else.
	MinSnapshotSeconds = 60
	// MaxSnapshotSeconds is a month: longer than a lease should trust one machine.
	MaxSnapshotSeconds = 2_592_000
	// DefaultSnapshotKeep is how many snapshots of a replica are kept when the tenant does not say.
	DefaultSnapshotKeep = 3
	// MaxSnapshotKeep bounds what is kept, and what a lease that is forgotten leaves to remove.
	MaxSnapshotKeep = 16
	// SnapshotRequestPauseMs is between two requests of a tenant: each has every node of the lease save its volumes.
	SnapshotRequestPauseMs = 10_000
)

// SnapshotKey is a snapshot as a key of state: tenant | number | replica | sequence.
type SnapshotKey = PlacementKey

// SnapshotKeyCodec encodes a SnapshotKey.
var SnapshotKeyCodec = PlacementKeyCodec

// ValidateSnapshotPolicy holds an order's schedule and number of snapshots to their bounds; 0 of either is valid.
func ValidateSnapshotPolicy(everySeconds, keep uint32) error {
	if everySeconds != 0 && (everySeconds < MinSnapshotSeconds || everySeconds > MaxSnapshotSeconds) {
		return ErrInvalidSnapshot.Wrapf("snapshot_every_seconds %d is not 0 and not within %d and %d",
			everySeconds, MinSnapshotSeconds, MaxSnapshotSeconds)
	}
	if keep > MaxSnapshotKeep {
		return ErrInvalidSnapshot.Wrapf("snapshot_keep %d is above %d", keep, MaxSnapshotKeep)
	}
	return nil
}

// KeptSnapshots is how many snapshots of each replica are kept.
func (l Lease) KeptSnapshots() int {
	if l.SnapshotKeep == 0 {
		return DefaultSnapshotKeep
	}
	return int(l.SnapshotKeep)
}

// Key is the snapshot as a key of state.
func (s Snapshot) Key() (SnapshotKey, error) {
	lease, err := s.Lease.Key()
	if err != nil {
		return SnapshotKey{}, err
	}
	if s.Sequence == 0 {
		return SnapshotKey{}, ErrInvalidSnapshot.Wrap("snapshots are numbered from 1")
	}
	return collections.Join4(lease.K1(), lease.K2(), s.Replica, s.Sequence), nil
}

// Validate says whether a snapshot can be kept.
func (s Snapshot) Validate() error {
	if _, err := s.Key(); err != nil {
		return err
	}
	if _, err := s.Node.Canonical(); err != nil {
		return ErrInvalidSnapshot.Wrap(err.Error())
	}
	if _, err := uaitypes.ParseDigest(s.Digest); err != nil {
		return ErrInvalidSnapshot.Wrap(err.Error())
	}
	if err := uaitypes.ValidateSize(s.SizeBytes); err != nil {
		return ErrInvalidSnapshot.Wrap(err.Error())
	}
	if s.Generation == 0 || s.Replica >= MaxReplicasBound || s.TakenMs > sunstypes.MaxClockMs {
		return ErrInvalidSnapshot.Wrapf("replica %d, generation %d, taken at %d ms", s.Replica, s.Generation, s.TakenMs)
	}
	return nil
}

// Chooses says whether the tenant chose what a placement of this generation begins with. The choice is forgotten once such a
// placement has saved its volumes.
func (r ReplicaSnapshots) Chooses(generation uint64) bool {
	return r.RestoreSequence != 0 && generation >= r.RestoreGeneration
}

type replicaID struct {
	lease   LeaseID
	replica uint32
}

// validateSnapshots says whether snapshots are of leases that are there, and numbered as their replicas say.
func (g GenesisState) validateSnapshots(leases map[LeaseID]Lease) error {
	states := make(map[replicaID]ReplicaSnapshots, len(g.ReplicaSnapshots))
	for _, s := range g.ReplicaSnapshots {
		id := replicaID{s.Lease, s.Replica}
		if _, known := leases[s.Lease]; !known || s.Replica >= MaxReplicasBound {
			return ErrInvalidGenesis.Wrapf("snapshots of replica %d of unknown lease %s", s.Replica, s.Lease)
		}
		if _, twice := states[id]; twice || s.State.LastSequence == 0 {
			return ErrInvalidGenesis.Wrapf("snapshots of replica %d of lease %s are there twice or never were", s.Replica, s.Lease)
		}
		if (s.State.RestoreSequence == 0) != (s.State.RestoreGeneration == 0) {
			return ErrInvalidGenesis.Wrapf("replica %d of lease %s restores %d from generation %d on",
				s.Replica, s.Lease, s.State.RestoreSequence, s.State.RestoreGeneration)
		}
		states[id] = s.State
	}
	seen := make(map[replicaID]map[uint64]bool, len(states))
	for _, s := range g.Snapshots {
		if err := s.Validate(); err != nil {
			return ErrInvalidGenesis.Wrapf("snapshot %d of replica %d of lease %s: %s", s.Sequence, s.Replica, s.Lease, err)
		}
		id := replicaID{s.Lease, s.Replica}
		if s.Sequence > states[id].LastSequence || s.Generation >= leases[s.Lease].NextGeneration {
			return ErrInvalidGenesis.Wrapf("snapshot %d of replica %d of lease %s is above the last", s.Sequence, s.Replica, s.Lease)
		}
		if seen[id] == nil {
			seen[id] = make(map[uint64]bool)
		}
		if seen[id][s.Sequence] || len(seen[id]) > MaxSnapshotKeep {
			return ErrInvalidGenesis.Wrapf("snapshot %d of replica %d of lease %s is there twice, or one too many", s.Sequence, s.Replica, s.Lease)
		}
		seen[id][s.Sequence] = true
	}
	for id, state := range states { //consensus:ok any one of them is refused
		if state.RestoreSequence != 0 && !seen[id][state.RestoreSequence] {
			return ErrInvalidGenesis.Wrapf("replica %d of lease %s restores a snapshot that is not there", id.replica, id.lease)
		}
	}
	return nil
}
