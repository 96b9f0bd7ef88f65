package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/isuncoin/isuncoin/uai"
)

// PackService builds a command of this repository and packs it into an image of a layout folder, without any registry. It
// gives the digest of the image's index.
func PackService(ctx context.Context, dir, layout, pkg string) (string, error) {
	binary := filepath.Join(dir, "service", filepath.Base(pkg))
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	digest, err := uai.PackBinary(layout, binary, uai.Settings{})
	return string(digest), err
}
