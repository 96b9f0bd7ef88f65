// Package e2e drives the three programs as people would: real processes, a real Docker engine, real money moving.
//
// The programs are built by `make build`, or taken from the folder that ISUN_BIN names. Without a Docker engine the tests fail
// and say how to get one; ISUN_SKIP_DOCKER=1 skips them.
package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isuncoin/isuncoin/tests/stack"
)

const (
	// repository is the root of the repository, seen from this package.
	repository = "../.."
	// service is what tenants run; it answers HTTP with its greeting.
	service = "github.com/isuncoin/isuncoin/scripts/demo/webservice"
	// skipDocker is the environment variable that, set to 1, skips what needs an engine.
	skipDocker = "ISUN_SKIP_DOCKER"
	// buildTime is for a cold cache, which the Makefile's targets fill before.
	buildTime = 10 * time.Minute
)

// shared is what all tests only read: the programs, and a folder with the service's image.
var shared struct{ bin, layout string }

func TestMain(m *testing.M) {
	bin := os.Getenv("ISUN_BIN")
	forgetSettings()
	dir, err := os.MkdirTemp("", "isun-e2e-")
	if err == nil {
		err = prepare(dir, bin)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests cannot begin:", err)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// forgetSettings drops what the person who runs the tests has set for isun in the environment.
func forgetSettings() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ISUN_") && name != skipDocker {
			_ = os.Unsetenv(name) // fails only for names that cannot be
		}
	}
}

// prepare builds what all tests need, unless the programs are in a folder already.
func prepare(dir, bin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	if bin == "" {
		bin = filepath.Join(repository, "build")
		if out, err := exec.CommandContext(ctx, "make", "-C", repository, "build").CombinedOutput(); err != nil {
			return fmt.Errorf("make build: %w\n%s", err, out)
		}
	}
	var err error
	if shared.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	shared.layout = filepath.Join(dir, "images")
	_, err = stack.PackService(ctx, dir, shared.layout, service)
	return err
}
