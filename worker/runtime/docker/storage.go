package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// storage makes and unmakes what a placement may write, within its limit.
type storage interface {
	kind() runtime.Storage
	// create makes the storage of a new placement from nothing, whatever an
	// earlier attempt left.
	create(ctx context.Context, l layout) (writable, error)
	// attach brings back what a reboot has unmounted.
	attach(ctx context.Context, id runtime.ID) error
	// volumes gives the folders of the volumes that are attached, by name.
	volumes(id runtime.ID) (map[string]string, error)
	// remove deletes the storage of a placement, given by its key. What does
	// not exist is removed already.
	remove(ctx context.Context, key string) error
}

// layout is what a placement wants to write to.
type layout struct {
	spec runtime.Spec
	// scratchMiB is for all that is no volume.
	scratchMiB int64
	// extra are folders the image declares as volumes; they share the scratch.
	extra []string
	owner owner
}

// writable is what a placement may write to.
type writable struct {
	mounts []mount.Mount
	// rootMiB bounds the root file system by the engine's quota; 0 means that
	// it is read-only.
	rootMiB int64
}

// owner is who the first process runs as, as far as numbers tell.
type owner struct {
	uid, gid int
	// named: the image names its user, and only a look into it would tell who
	// that is.
	named bool
}

const (
	runTmpfsMiB = 16
	// memoryScratchMiB is each scratch folder's size where it has to be memory.
	memoryScratchMiB = 16
)

// runMount is the /run every program expects; memory, so it counts as such.
func runMount() mount.Mount { return tmpfsMount("/run", runTmpfsMiB) }

func tmpfsMount(target string, sizeMiB int64) mount.Mount {
	return mount.Mount{Type: mount.TypeTmpfs, Target: target, TmpfsOptions: &mount.TmpfsOptions{
		SizeBytes: sizeMiB * mib, Mode: fs.ModeSticky | 0o777,
	}}
}

// openStorage picks the best kind that works here, or the one asked for.
func (r *Runtime) openStorage(ctx context.Context) (storage, error) {
	want := r.cfg.Storage
	switch want {
	case runtime.StorageTmpfs:
		return tmpfsStorage{}, nil
	case runtime.StorageLoop, runtime.StorageQuota, "":
	default:
		return nil, fmt.Errorf("docker runtime: storage %q is none of quota, loop, tmpfs", want)
	}
	sparse, err := probeLoop(ctx, r.cfg.StateDir)
	loop := &loopStorage{root: r.scopeDir(), sparse: sparse}
	if err != nil {
		if want != "" || ctx.Err() != nil {
			return nil, fmt.Errorf("loop storage: %w", err)
		}
		r.log.Warn("no disk images can be mounted, writable storage is memory", "error", err)
		return tmpfsStorage{}, nil
	}
	if want == runtime.StorageLoop {
		return loop, nil
	}
	if err := r.probeQuota(ctx); err != nil {
		if want == runtime.StorageQuota || ctx.Err() != nil {
			return nil, fmt.Errorf("quota storage: %w", err)
		}
		r.log.Debug("the engine bounds no root file systems, they are read-only", "reason", err)
		return loop, nil
	}
	return &quotaStorage{loopStorage: loop, dns: r.cfg.DNS}, nil
}

// scopeDir holds what belongs to this chain and node, so that even workers
// configured with the same state directory leave each other alone.
func (r *Runtime) scopeDir() string { return filepath.Join(r.cfg.StateDir, r.scopeKey()) }

// scopeKey is this chain and node as a name.
func (r *Runtime) scopeKey() string {
	sum := sha256.Sum256([]byte(r.cfg.Chain + "\x00" + r.cfg.Node))
	return hex.EncodeToString(sum[:8])
}

func (r *Runtime) placementDir(key string) string { return filepath.Join(r.scopeDir(), key) }

// keys lists the placements that have a folder.
func (r *Runtime) keys() ([]string, error) {
	entries, err := os.ReadDir(r.scopeDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list placement folders: %w", err)
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		keys = append(keys, e.Name())
	}
	return keys, nil
}

const restartsFile = "restarts"

// restarts reads how often Ensure started a placement again. The engine counts
// only restarts of its own.
func (r *Runtime) restarts(id runtime.ID) int {
	raw, err := os.ReadFile(filepath.Join(r.placementDir(id.Key()), restartsFile))
	if err != nil {
		return 0 // never restarted
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0 // a torn write after a power failure: begin anew
	}
	return n
}

func (r *Runtime) countRestart(id runtime.ID) error {
	dir := r.placementDir(id.Key())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("count restart: %w", err)
	}
	text := strconv.Itoa(r.restarts(id) + 1)
	if err := os.WriteFile(filepath.Join(dir, restartsFile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("count restart: %w", err)
	}
	return nil
}

// imageOwner finds the numeric user that volumes should belong to. A name
// would have to be looked up inside the image; then the folders' mode, which
// lets everybody in the container write, has to do.
func imageOwner(spec runtime.Spec, img image.InspectResponse) owner {
	user := spec.User
	if user == "" && img.Config != nil {
		user = img.Config.User
	}
	uidText, gidText, hasGroup := strings.Cut(user, ":")
	uid, err := strconv.Atoi(uidText)
	if err != nil || uid < 0 {
		return owner{named: uidText != "" && uidText != "root"}
	}
	if !hasGroup {
		return owner{uid: uid}
	}
	gid, err := strconv.Atoi(gidText)
	if err != nil || gid < 0 {
		return owner{uid: uid}
	}
	return owner{uid: uid, gid: gid}
}

// tmpfsStorage keeps everything writable in memory, inside the placement's
// memory limit. For a worker that may not mount.
type tmpfsStorage struct{}

func (tmpfsStorage) kind() runtime.Storage { return runtime.StorageTmpfs }

func (tmpfsStorage) create(_ context.Context, l layout) (writable, error) {
	scratch := append([]string{"/tmp", "/var/tmp"}, l.extra...)
	share := max(1, l.scratchMiB/int64(len(scratch)))
	mounts := []mount.Mount{runMount()}
	for _, target := range scratch {
		mounts = append(mounts, tmpfsMount(target, share))
	}
	for _, v := range l.spec.Volumes {
		mounts = append(mounts, tmpfsMount(v.Path, v.SizeMiB))
	}
	return writable{mounts: mounts}, nil
}

func (tmpfsStorage) attach(context.Context, runtime.ID) error { return nil }

func (tmpfsStorage) volumes(id runtime.ID) (map[string]string, error) {
	return nil, fmt.Errorf("%w: %s", runtime.ErrNoVolumes, id)
}

func (tmpfsStorage) remove(context.Context, string) error { return nil }
