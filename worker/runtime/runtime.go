// Package runtime says what the worker needs of a container engine: make one
// placement run inside its limits, say what runs, and take it away again.
//
// A Runtime is bound to one chain and one node when it is made. Everything it
// creates carries the labels of that pair, and it neither lists, changes nor
// removes anything that lacks them, so several workers may share one engine.
//
// Every method is safe for concurrent use and may be repeated: the reconciler
// calls it again after a crash, a lost answer or a missed event, and the same
// call must then lead to the same state.
package runtime

import (
	"context"
	"io"
	"time"
)

// Labels carried by every container, network and volume of a placement.
const (
	LabelChain      = "isun.chain"
	LabelNode       = "isun.node"
	LabelLease      = "isun.lease"
	LabelReplica    = "isun.replica"
	LabelGeneration = "isun.generation"
	// LabelSpec is the digest of the part of the spec that cannot change while
	// a container lives; see Spec.Digest.
	LabelSpec = "isun.spec"
)

// Runtime runs placements. Errors wrap the sentinels of this package.
type Runtime interface {
	// Ensure makes the placement exist and run, and returns its state. A
	// missing container is created and started; a created or exited one is
	// started (an exited one counts a restart); a running or paused one is
	// left as it is, unless it runs detached: then it is started again with
	// its network; or unbounded: then it is bounded. Starting an exited container again is the caller's
	// decision, so back-off belongs to the caller.
	//
	// Errors: ErrInvalidSpec, ErrForeign (another chain or node),
	// ErrImageMissing, ErrNoSpace, ErrConflict (a container of this id was
	// made from a different spec; Remove it first), ErrUnavailable. After a
	// failed creation nothing is left behind.
	Ensure(ctx context.Context, spec Spec) (State, error)

	// Stop ends the processes: the stop signal, and after grace a kill. The
	// container stays, exited, so that its exit code and logs can be read. A
	// paused placement is thawed first. A negative grace means the spec's own.
	// ErrNotFound if there is none.
	Stop(ctx context.Context, id ID, grace time.Duration) error

	// Remove stops as Stop does and deletes the container with its network
	// and its storage. Removing what is not there succeeds.
	Remove(ctx context.Context, id ID, grace time.Duration) error

	// Pause freezes all processes; pausing twice succeeds. ErrNotFound, or
	// ErrNotRunning if there is nothing to freeze.
	Pause(ctx context.Context, id ID) error

	// Unpause thaws; thawing what runs succeeds. ErrNotFound, ErrNotRunning.
	Unpause(ctx context.Context, id ID) error

	// Resize changes CPU, memory and pids of a placement in place. Storage
	// and bandwidth are fixed at creation and ignored here. ErrNotFound,
	// ErrInvalidSpec.
	Resize(ctx context.Context, id ID, limits Limits) error

	// Inspect returns the state of one placement. For one that does not exist
	// it returns ErrNotFound together with a State of StatusMissing.
	Inspect(ctx context.Context, id ID) (State, error)

	// List returns all placements of this chain and node, sorted by id, in
	// whatever status.
	List(ctx context.Context) ([]State, error)

	// Events returns hints that something changed, until ctx ends, when the
	// channel is closed. Hints may be lost or repeated: they say when to look,
	// never what is so. After a gap an EventResync is sent.
	Events(ctx context.Context) (<-chan Event, error)

	// Logs returns what the placement wrote, plain text with standard output
	// and standard error merged as the options ask. The caller closes it.
	Logs(ctx context.Context, id ID, opts LogOptions) (io.ReadCloser, error)

	// HasImage reports whether Ensure could start this local image reference.
	HasImage(ctx context.Context, image string) (bool, error)

	// Info describes the engine; it fails with ErrUnavailable if there is none.
	Info(ctx context.Context) (Info, error)

	// Close releases connections. Containers run on.
	Close() error
}

// Fill puts content into the volumes of a placement, given by their names as
// folders of this host.
type Fill func(ctx context.Context, volumes map[string]string) error

// Keeping is a Runtime whose volumes can be read and filled from the host, so
// that they can outlive a placement.
type Keeping interface {
	// EnsureFilled is Ensure, but where a container has to be made, fill is
	// called first, when its volumes are there and empty. If fill fails nothing
	// is left behind; whatever happens meanwhile, a container never sees
	// volumes that fill had not finished with.
	EnsureFilled(ctx context.Context, spec Spec, fill Fill) (State, error)

	// Volumes gives the folders of this host that hold the volumes of a
	// placement, by name. They are there until Remove. ErrNotFound, and
	// ErrNoVolumes where they are out of the host's reach.
	Volumes(ctx context.Context, id ID) (map[string]string, error)
}

// State is what the engine says about one placement.
type State struct {
	ID          ID
	ContainerID string
	Status      Status
	// StartedAt is the engine's wall clock at the last start; zero if never.
	StartedAt time.Time
	// ExitCode is meaningful in StatusExited only: 137 after a kill, also one
	// for want of memory.
	ExitCode int
	// OOMKilled is true when the main process was killed for memory. It may
	// stay false when the kernel chose one of its children.
	OOMKilled bool
	// Restarts counts starts by Ensure after an exit.
	Restarts int
	// PID is the first process as the host sees it, 0 unless running or
	// paused. The meter finds cgroup and network figures through it.
	PID int
	// Detached is true when it runs without its network, because somebody took
	// that away: nobody reaches it.
	Detached bool
	// Unbounded is true when it runs without the limits that are set after
	// each start, such as bandwidth: its worker died before that, or somebody
	// started it by hand.
	Unbounded bool
	Limits    Limits
	// Endpoints are fixed at creation; something answers there only while the
	// placement runs.
	Endpoints []Endpoint
}

// Status is the life cycle of a container, reduced to what decisions need.
type Status string

// The statuses of a placement.
const (
	StatusMissing Status = "missing"
	StatusCreated Status = "created"
	StatusRunning Status = "running"
	StatusPaused  Status = "paused"
	StatusExited  Status = "exited"
)

// Endpoint is where a port of the placement can be reached.
type Endpoint struct {
	Name     string
	Protocol Protocol
	// HostIP is the address the port is bound to; 0.0.0.0 means all.
	HostIP        string
	HostPort      uint16
	ContainerPort uint16
}

// EventType says what happened to a placement.
type EventType string

// The hints a runtime gives.
const (
	EventStarted  EventType = "started"
	EventDied     EventType = "died"
	EventOOM      EventType = "oom"
	EventPaused   EventType = "paused"
	EventUnpaused EventType = "unpaused"
	EventRemoved  EventType = "removed"
	// EventResync has no ID: hints may have been lost, look at everything.
	EventResync EventType = "resync"
)

// Event is a hint that a placement changed.
type Event struct {
	Type        EventType
	ID          ID
	ContainerID string
	Time        time.Time
}

// LogOptions selects what Logs returns. The zero value returns everything
// written so far, from both streams.
type LogOptions struct {
	// Follow keeps the stream open until the placement ends or ctx does.
	Follow bool
	// Since leaves out what is older; zero means from the beginning.
	Since time.Time
	// Tail limits the answer to the last lines; 0 means all.
	Tail       int
	Timestamps bool
	// NoStdout and NoStderr leave out a stream.
	NoStdout, NoStderr bool
}

// Info describes an engine, for doctor and for logs.
type Info struct {
	Engine        string // "docker"
	Version       string
	APIVersion    string
	CgroupVersion string // "1" or "2"
	// Storage says how disk limits hold: see the Storage constants.
	Storage   Storage
	Runtimes  []string
	RootDir   string
	CPUs      int
	MemoryMiB int64
	// Bounds say which limits this host can hold placements to.
	Bounds []Bound
}

// Storage is how a runtime keeps a placement inside its disk limit.
type Storage string

// The ways to limit a disk, best first.
const (
	// StorageQuota: the engine limits the container's own layer.
	StorageQuota Storage = "quota"
	// StorageLoop: the root is read-only and everything writable lies on one
	// ext4 loop image per placement and volume.
	StorageLoop Storage = "loop"
	// StorageTmpfs: the root is read-only and everything writable is memory.
	// All that is left when the worker may not mount.
	StorageTmpfs Storage = "tmpfs"
)
