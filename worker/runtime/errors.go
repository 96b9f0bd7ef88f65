package runtime

import "errors"

// Sentinels that callers decide by. They come wrapped with the value at fault.
var (
	// ErrNotFound: no container of this id on this chain and node.
	ErrNotFound = errors.New("placement not found")
	// ErrNotRunning: the container exists but none of its processes do.
	ErrNotRunning = errors.New("placement is not running")
	// ErrInvalidSpec: the spec itself is at fault; trying again cannot help.
	ErrInvalidSpec = errors.New("invalid placement spec")
	// ErrForeign: the id names another chain or node than this runtime's.
	ErrForeign = errors.New("placement belongs to another chain or node")
	// ErrImageMissing: the engine does not have the image; load it first.
	ErrImageMissing = errors.New("image is not loaded")
	// ErrNoSpace: the host has no room for the storage asked for.
	ErrNoSpace = errors.New("no space left for placement storage")
	// ErrConflict: a container of this id exists, made from another spec.
	ErrConflict = errors.New("placement exists with a different spec")
	// ErrStartFailed: the engine has the image but could not start a process
	// in it, such as for an unknown user. The tenant's fault, most likely. A
	// missing entry point shows only as an exit with code 127.
	ErrStartFailed = errors.New("placement did not start")
	// ErrNoDevice: an accelerator of the placement cannot be handed over: it is
	// not there any more, or the engine lacks what passes it on.
	ErrNoDevice = errors.New("device is not available")
	// ErrNoVolumes: volumes are memory here, and nothing reads them but the
	// placement; see StorageTmpfs.
	ErrNoVolumes = errors.New("volumes are not on a disk of this host")
	// ErrUnavailable: the engine does not answer; trying again may help.
	ErrUnavailable = errors.New("container engine is not available")
)
