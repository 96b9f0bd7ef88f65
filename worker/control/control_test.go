package control

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type agent struct{ changed chan struct{} }

func (a agent) Status() Status { return Status{Node: "isun1op/1", Mode: "active"} }
func (a agent) SwitchChanged() { a.changed <- struct{}{} }

func TestSwitchOutlivesProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paused")
	s := NewSwitch(path)
	require.False(t, s.Paused())
	changed, err := s.Set(true)
	require.NoError(t, err)
	require.True(t, changed)
	require.True(t, NewSwitch(path).Paused())
	changed, err = s.Set(true)
	require.NoError(t, err)
	require.False(t, changed, "twice is the same as once")
	changed, err = s.Set(false)
	require.NoError(t, err)
	require.True(t, changed)
	require.False(t, s.Paused())
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.sock")
	client := NewClient(path)
	_, err := client.Status(context.Background())
	require.ErrorIs(t, err, ErrNotRunning)
	require.ErrorIs(t, client.SwitchChanged(context.Background()), ErrNotRunning)

	// What a killed worker left behind does not keep the next one out.
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	a := agent{changed: make(chan struct{}, 1)}
	go func() { ended <- Serve(ctx, path, a) }()
	var status Status
	require.Eventually(t, func() bool {
		status, err = client.Status(context.Background())
		return err == nil
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, "isun1op/1", status.Node)
	require.NoError(t, client.SwitchChanged(context.Background()))
	<-a.changed

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "only the owner may pause")
	cancel()
	require.NoError(t, <-ended)
	_, err = client.Status(context.Background())
	require.ErrorIs(t, err, ErrNotRunning)
}
