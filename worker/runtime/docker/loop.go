package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/docker/docker/api/types/mount"

	"github.com/isuncoin/isuncoin/worker/runtime"
)

// loopStorage gives every placement ext4 images of its own: one for scratch
// space and one per volume. A full one answers ENOSPC at its limit. Their
// blocks are taken from the host's disk when they are made: a sparse image
// would find the disk full, later and in the middle of a write, whenever the
// owner or another placement has filled it meanwhile.
//
// The images are mounted by the worker and bound into the container, not
// handed to the engine as /dev/loopN: after a reboot that number may be
// another placement's disk. And it is a folder inside the image that is bound,
// never the mount point: where the image is not mounted, or the engine lives
// in another mount namespace, the folder is absent and the start fails,
// instead of filling the host's disk without a limit.
//
//	<root>/<key>/<disk>.img          the image
//	<root>/<key>/<disk>/             where it is mounted
//	<root>/<key>/<disk>/data         a volume's root
//	<root>/<key>/scratch/{0,1,…}     /tmp, /var/tmp and the image's own volumes
type loopStorage struct {
	root string
	// sparse: the file system below cannot promise blocks.
	sparse bool
}

const (
	scratchDisk  = "scratch"
	volumePrefix = "vol-"
	imageSuffix  = ".img"
	dataDir      = "data"
	// mountOptions: a tenant's file system must bring neither devices nor
	// set-user-id programs.
	// The inode tables need no zeroing: a new file reads as zeros, and the
	// kernel's way of zeroing gives the image's blocks back to the host.
	mountOptions = "loop,nodev,nosuid,noinit_itable"
)

type disk struct {
	name    string
	sizeMiB int64
}

func (s *loopStorage) kind() runtime.Storage { return runtime.StorageLoop }

func (s *loopStorage) isSparse() bool { return s.sparse }

// probeLoop tries the whole way once on a small image, in a folder of its own:
// another process may be doing the same. It also finds out whether the image
// could be given blocks of its own.
func probeLoop(ctx context.Context, stateDir string) (sparse bool, err error) {
	unlock, err := lockProbes(stateDir, syscall.LOCK_SH)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	dir, err := os.MkdirTemp(stateDir, probePrefix)
	if err != nil {
		return false, fmt.Errorf("placement storage: %w", err)
	}
	s := &loopStorage{root: stateDir}
	key := filepath.Base(dir)
	err = s.makeDisk(ctx, key, disk{name: scratchDisk, sizeMiB: runtime.MinVolumeMiB})
	if info, statErr := os.Stat(filepath.Join(dir, scratchDisk+imageSuffix)); statErr == nil {
		sparse = holes(info) > 0
	}
	return sparse, errors.Join(err, s.remove(context.WithoutCancel(ctx), key))
}

// holes is how many bytes a file has no blocks for.
func holes(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return max(0, info.Size()-st.Blocks*512)
}

func (s *loopStorage) create(ctx context.Context, l layout) (writable, error) {
	key := l.spec.ID.Key()
	if err := s.remove(ctx, key); err != nil {
		return writable{}, err
	}
	disks := l.disks()
	if err := s.checkRoom(disks); err != nil {
		return writable{}, err
	}
	for _, d := range disks {
		if err := s.makeDisk(ctx, key, d); err != nil {
			return writable{}, err
		}
	}
	mounts, err := s.mountsOf(l)
	return writable{mounts: mounts}, err
}

func (l layout) disks() []disk {
	var disks []disk
	if l.scratchMiB >= runtime.MinVolumeMiB {
		disks = append(disks, disk{name: scratchDisk, sizeMiB: l.scratchMiB})
	}
	for _, v := range l.spec.Volumes {
		disks = append(disks, disk{name: volumePrefix + v.Name, sizeMiB: v.SizeMiB})
	}
	return disks
}

// mountsOf makes the folders that are bound into the container.
func (s *loopStorage) mountsOf(l layout) ([]mount.Mount, error) {
	dir := filepath.Join(s.root, l.spec.ID.Key())
	mounts := []mount.Mount{runMount()}
	scratch := append([]string{"/tmp", "/var/tmp"}, l.extra...)
	for i, target := range scratch {
		if l.scratchMiB < runtime.MinVolumeMiB {
			mounts = append(mounts, tmpfsMount(target, memoryScratchMiB))
			continue
		}
		source := filepath.Join(dir, scratchDisk, fmt.Sprint(i))
		if err := openFolder(source, l.owner, os.ModeSticky|0o777); err != nil {
			return nil, err
		}
		mounts = append(mounts, bindMount(source, target))
	}
	for _, v := range l.spec.Volumes {
		source := filepath.Join(dir, volumePrefix+v.Name, dataDir)
		if err := openFolder(source, l.owner, 0o777); err != nil {
			return nil, err
		}
		mounts = append(mounts, bindMount(source, v.Path))
	}
	return mounts, nil
}

func bindMount(source, target string) mount.Mount {
	return mount.Mount{
		Type: mount.TypeBind, Source: source, Target: target,
		BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
	}
}

// openFolder makes a folder that whoever runs in the container can write:
// without capabilities even its root has no more right than the mode gives.
func openFolder(path string, who owner, mode os.FileMode) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	if err := os.Chown(path, who.uid, who.gid); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	return nil
}

func (s *loopStorage) makeDisk(ctx context.Context, key string, d disk) error {
	dir := filepath.Join(s.root, key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	file := filepath.Join(dir, d.name+imageSuffix)
	if err := createSparse(file, d.sizeMiB*mib); err != nil {
		return err
	}
	// No blocks are kept back for root, who is the tenant in there, and the
	// tables are written when first used.
	if err := run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0",
		"-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", file); err != nil {
		return err
	}
	if err := reserve(file, d.sizeMiB*mib); err != nil {
		return err
	}
	return s.mount(ctx, dir, d.name)
}

func createSparse(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return noSpace(fmt.Errorf("placement storage: %w", err))
	}
	if err := file.Truncate(size); err != nil {
		return errors.Join(noSpace(fmt.Errorf("placement storage: %w", err)), file.Close())
	}
	return file.Close()
}

// reserve makes the holes of a file blocks of its own. Where the file system
// cannot promise blocks the file stays sparse, and checkRoom keeps count.
func reserve(path string, size int64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	err = syscall.EINTR
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(file.Fd()), 0, 0, size)
	}
	if err != nil && !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.ENOSYS) {
		return errors.Join(noSpace(fmt.Errorf("placement storage: reserve %d MiB: %w", size/mib, err)), file.Close())
	}
	return file.Close()
}

func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", runtime.ErrNoSpace, err)
	}
	return err
}

func (s *loopStorage) mount(ctx context.Context, dir, name string) error {
	point := filepath.Join(dir, name)
	if err := os.MkdirAll(point, 0o700); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	return run(ctx, "mount", "-t", "ext4", "-o", mountOptions, point+imageSuffix, point)
}

func (s *loopStorage) attach(ctx context.Context, id runtime.ID) error {
	dir := filepath.Join(s.root, id.Key())
	images, err := filepath.Glob(filepath.Join(dir, "*"+imageSuffix))
	if err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	mounted, err := mountPoints()
	if err != nil {
		return err
	}
	for _, image := range images {
		point := strings.TrimSuffix(image, imageSuffix)
		if mounted[point] {
			continue
		}
		if err := s.mount(ctx, dir, filepath.Base(point)); err != nil {
			return err
		}
	}
	return nil
}

func (s *loopStorage) volumes(id runtime.ID) (map[string]string, error) {
	dir := filepath.Join(s.root, id.Key())
	images, err := filepath.Glob(filepath.Join(dir, volumePrefix+"*"+imageSuffix))
	if err != nil {
		return nil, fmt.Errorf("placement storage: %w", err)
	}
	folders := make(map[string]string, len(images))
	for _, image := range images {
		point := strings.TrimSuffix(image, imageSuffix)
		folder := filepath.Join(point, dataDir)
		// Absent where the image is not mounted.
		if _, err := os.Lstat(folder); err != nil {
			return nil, fmt.Errorf("placement storage: %w", err)
		}
		folders[strings.TrimPrefix(filepath.Base(point), volumePrefix)] = folder
	}
	return folders, nil
}

// remove unmounts first and deletes only when nothing of the placement is
// mounted any more, so that deleting can never reach through a mount.
func (s *loopStorage) remove(ctx context.Context, key string) error {
	dir := filepath.Join(s.root, key)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for {
		points, err := mountsBelow(dir)
		if err != nil {
			return err
		}
		if len(points) == 0 {
			break
		}
		for _, point := range points {
			// Lazily if it is busy: some other namespace still looks in, and
			// the loop device goes when that one does.
			if err := run(ctx, "umount", point); err != nil {
				if err := run(ctx, "umount", "-l", point); err != nil {
					return err
				}
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	return nil
}

// checkRoom refuses what the host's disk could not hold, counting also what
// images may still grow by where their blocks could not be reserved.
func (s *loopStorage) checkRoom(disks []disk) error {
	var wanted int64
	for _, d := range disks {
		wanted += d.sizeMiB * mib
	}
	promised, err := s.promisedBytes()
	if err != nil {
		return err
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.root), &st); err != nil {
		return fmt.Errorf("placement storage: %w", err)
	}
	free := int64(st.Bavail) * st.Bsize
	if wanted > free-promised {
		return fmt.Errorf("%w: %d MiB wanted, %d free of which %d are promised to other placements",
			runtime.ErrNoSpace, wanted/mib, free/mib, promised/mib)
	}
	return nil
}

func (s *loopStorage) promisedBytes() (int64, error) {
	// Of all nodes that share the state directory, and so its disk.
	images, err := filepath.Glob(filepath.Join(filepath.Dir(s.root), "*", "*", "*"+imageSuffix))
	if err != nil {
		return 0, fmt.Errorf("placement storage: %w", err)
	}
	var promised int64
	for _, image := range images {
		info, err := os.Stat(image)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("placement storage: %w", err)
		}
		promised += holes(info)
	}
	return promised, nil
}

// run executes a system tool and keeps what it said for the error.
func run(ctx context.Context, name string, args ...string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}
