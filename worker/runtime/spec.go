package runtime

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ID names one placement on one node. Chain and Node are part of it so that
// two workers on one engine can never mean the same container.
type ID struct {
	Chain      string // chain id
	Node       string // operator/number
	Lease      string // tenant/number
	Replica    uint32
	Generation uint64
}

// String is for logs: lease, replica and generation.
func (id ID) String() string {
	return fmt.Sprintf("%s replica %d generation %d", id.Lease, id.Replica, id.Generation)
}

// Key is a fixed-length name for the placement, the first 20 hex digits of a
// hash over all fields: safe in file, container and network names.
func (id ID) Key() string {
	// JSON keeps the fields apart whatever bytes they hold.
	raw, err := json.Marshal(id)
	if err != nil { // strings and integers always marshal
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:10])
}

// Labels returns the labels that every object of the placement carries.
func (id ID) Labels() map[string]string {
	return map[string]string{
		LabelChain:      id.Chain,
		LabelNode:       id.Node,
		LabelLease:      id.Lease,
		LabelReplica:    strconv.FormatUint(uint64(id.Replica), 10),
		LabelGeneration: strconv.FormatUint(id.Generation, 10),
	}
}

// IDFromLabels reads an id back. It fails if a label is absent or malformed,
// and then the object is not ours to touch.
func IDFromLabels(labels map[string]string) (ID, error) {
	id := ID{Chain: labels[LabelChain], Node: labels[LabelNode], Lease: labels[LabelLease]}
	if id.Chain == "" || id.Node == "" || id.Lease == "" {
		return ID{}, fmt.Errorf("labels %v: chain, node or lease is absent", labels)
	}
	replica, err := strconv.ParseUint(labels[LabelReplica], 10, 32)
	if err != nil {
		return ID{}, fmt.Errorf("label %s: %w", LabelReplica, err)
	}
	id.Replica = uint32(replica)
	if id.Generation, err = strconv.ParseUint(labels[LabelGeneration], 10, 64); err != nil {
		return ID{}, fmt.Errorf("label %s: %w", LabelGeneration, err)
	}
	return id, nil
}

// Compare orders ids by chain, node, lease, replica and generation.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		cmp.Compare(id.Chain, other.Chain),
		cmp.Compare(id.Node, other.Node),
		cmp.Compare(id.Lease, other.Lease),
		cmp.Compare(id.Replica, other.Replica),
		cmp.Compare(id.Generation, other.Generation),
	)
}

// Protocol is how a port is spoken to.
type Protocol string

// The protocols of a port. HTTP is TCP to the engine; the difference tells a
// tenant what to try.
const (
	ProtocolTCP  Protocol = "tcp"
	ProtocolUDP  Protocol = "udp"
	ProtocolHTTP Protocol = "http"
)

// Transport returns "tcp" or "udp".
func (p Protocol) Transport() string {
	if p == ProtocolUDP {
		return "udp"
	}
	return "tcp"
}

// Port asks for a container port to be published on an ephemeral host port.
type Port struct {
	Name          string
	Protocol      Protocol
	ContainerPort uint16
}

// Volume is a writable folder of its own size that lives as long as the
// placement. On a disk, it begins with what the image has at its path, unless
// something was filled into it; a volume of memory begins empty.
type Volume struct {
	Name    string
	Path    string // absolute, inside the container
	SizeMiB int64
}

// Limits bound what a placement may take of the machine.
type Limits struct {
	MilliCPU  int64 // 1000 is one host core
	MemoryMiB int64 // swap is never granted beyond it
	// StorageMiB bounds everything the placement can write, its volumes
	// included; what volumes leave is scratch space on /tmp and /var/tmp.
	StorageMiB    int64
	BandwidthMbps int64 // each direction; 0 means unlimited
	Pids          int64 // processes and threads; 0 means DefaultPids
}

// Spec says what to run. Everything in it comes from a tenant or an image
// author and is checked by Validate before an engine sees it.
type Spec struct {
	ID ID
	// Image is a local image reference or id, loaded already.
	Image string
	// Args replace the image's command; its entry point stays.
	Args []string
	Env  []string // NAME=value
	// User overrides the image's: a name or number, optionally ":group".
	User    string
	Ports   []Port
	Volumes []Volume
	Limits  Limits
	// Devices are the accelerators it holds.
	Devices []Device `json:",omitempty"` // absent, the digest is as it was before there were any
	// ReadOnlyRoot asks for a read-only root even where the engine could
	// bound a writable one; where it cannot, the root is read-only anyway.
	ReadOnlyRoot bool
	// Runtime names an OCI runtime such as "runsc"; empty is the default.
	Runtime string
	// StopSignal overrides the image's, such as "SIGINT".
	StopSignal string
	// StopGrace is how long Stop and Remove wait when called with a negative
	// grace; 0 means DefaultStopGrace.
	StopGrace time.Duration
}

// Digest identifies the part of the spec that a running container cannot
// change: all of it except CPU, memory and pids, which Resize handles.
func (s Spec) Digest() string {
	s.Limits.MilliCPU, s.Limits.MemoryMiB, s.Limits.Pids = 0, 0, 0
	// An absent list and an empty one mean the same.
	s.Args, s.Env = orEmpty(s.Args), orEmpty(s.Env)
	s.Ports, s.Volumes = orEmpty(s.Ports), orEmpty(s.Volumes)
	raw, err := json.Marshal(s)
	if err != nil { // plain values always marshal
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return slices.Clone(list)
}

// ScratchMiB is what the volumes and the log leave of the storage limit.
func (s Spec) ScratchMiB() int64 {
	scratch := s.Limits.StorageMiB - s.LogMiB()
	for _, v := range s.Volumes {
		scratch -= v.SizeMiB
	}
	return max(scratch, 0)
}

// maxLogMiB is as much log as a person would ever page through.
const maxLogMiB = 16

// LogMiB is how much of what the placement writes to its standard output and
// error is kept. It lies on the host's disk outside the placement's own, so it
// counts towards the storage limit; the oldest goes first.
func (s Spec) LogMiB() int64 {
	return min(max(s.Limits.StorageMiB/64, 1), maxLogMiB)
}

// SplitLease cuts a lease name into tenant and number.
func SplitLease(lease string) (tenant string, number uint64, err error) {
	tenant, digits, ok := strings.Cut(lease, "/")
	if !ok || tenant == "" {
		return "", 0, fmt.Errorf("lease %q is not tenant/number", lease)
	}
	if number, err = strconv.ParseUint(digits, 10, 64); err != nil {
		return "", 0, fmt.Errorf("lease %q is not tenant/number: %w", lease, err)
	}
	return tenant, number, nil
}
