// Command dockercheck says whether a Docker engine answers where the worker would look for it.
//
// It exists because the docker command line cannot be relied on for that: it may be missing while the
// engine runs, or be newer than the engine and refuse to talk to it, where the worker's client settles
// on an older API version.
//
// Exit codes: 0 it answers, 1 nothing answers, 2 an engine is there but this user may not use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

const (
	exitNoAnswer = 1
	exitDenied   = 2

	// An engine that is up answers in milliseconds; one that is starting is asked again by the caller.
	answerTimeout = 5 * time.Second
)

func main() {
	version, err := engineVersion()
	switch {
	case err == nil:
		fmt.Println(version)
	case denied(err):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitDenied)
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitNoAnswer)
	}
}

// engineVersion returns the engine's release and the API version agreed with it.
func engineVersion() (string, error) {
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return "", fmt.Errorf("docker settings in the environment: %w", err)
	}
	defer docker.Close()

	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	version, err := docker.ServerVersion(ctx)
	if err != nil {
		return "", fmt.Errorf("docker engine at %s: %w", docker.DaemonHost(), err)
	}
	return fmt.Sprintf("Docker engine %s, API %s", version.Version, docker.ClientVersion()), nil
}

// denied tells a socket this user may not open from one that nobody listens on. The client flattens
// the system's error into text, hence the second test.
func denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied")
}
