package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
	"github.com/isuncoin/isuncoin/worker/runtime"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// slots are a machine's cards, by id.
type slots struct {
	mu    sync.Mutex
	cards map[string]accel.Attach
	err   error
}

func (s *slots) Attach(_ context.Context, ids []string) (out []accel.Attach, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	for _, id := range ids {
		card, ok := s.cards[id]
		if !ok {
			return nil, fmt.Errorf("%w: %s is not in this machine any more", accel.ErrNoDevice, id)
		}
		out = append(out, card)
	}
	return out, nil
}

func (s *slots) unplug(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cards, id)
}

func (s *slots) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// machine is a fixture with two cards.
func machine(t *testing.T) (*fixture, *slots) {
	t.Helper()
	f := setup(t)
	s := &slots{cards: map[string]accel.Attach{
		"GPU-1": {NVIDIA: "GPU-1"},
		"GPU-2": {Nodes: []string{"/dev/dri/renderD128", "/dev/kfd"}, Env: []string{"A=b"}},
	}}
	f.engine.Plug("/dev/dri/renderD128")
	f.engine.Plug("/dev/kfd")
	f.devices = s
	f.restart()
	return f, s
}

func (f *fixture) hold(i int, ids ...string) {
	for _, id := range ids {
		f.view.Placements[i].Placement.Devices = append(f.view.Placements[i].Placement.Devices, leasetypes.ReservedDevice{DeviceID: id})
	}
}

func (f *fixture) check() error {
	f.Helper()
	f.mu.Lock()
	view := f.view
	view.Placements = slices.Clone(view.Placements)
	f.mu.Unlock()
	return f.r.CheckDevices(context.Background(), view)
}

func TestAContainerGetsThePlacementsDevices(t *testing.T) {
	f, _ := machine(t)
	f.place(0, 1)
	f.hold(0, "GPU-1", "GPU-2")
	f.place(1, 1)
	f.settled(Active)
	spec, ok := f.engine.Spec(container(0, 1))
	require.True(t, ok)
	require.Equal(t, []runtime.Device{
		{ID: "GPU-1", NVIDIA: "GPU-1"},
		{ID: "GPU-2", Nodes: []string{"/dev/dri/renderD128", "/dev/kfd"}, Env: []string{"A=b"}},
	}, spec.Devices)
	require.Equal(t, runs, f.chainStatus(0).Status)
	spec, ok = f.engine.Spec(container(1, 1))
	require.True(t, ok)
	require.Empty(t, spec.Devices, "and no other container does")
}

func TestADeviceThatIsNotThereGivesThePlacementBackAtOnce(t *testing.T) {
	f, s := machine(t)
	s.unplug("GPU-1")
	f.resolve = func(context.Context) (bool, error) { t.Error("no image is pulled for it"); return true, nil }
	f.place(0, 1)
	f.hold(0, "GPU-1")
	f.settled(Active)
	require.Equal(t, ended, f.chainStatus(0).Status)
	require.Contains(t, f.chainStatus(0).EndDetail, "GPU-1 is not in this machine any more")
	require.Equal(t, runtime.StatusMissing, f.status(container(0, 1)))
}

// Between the look and the start a card may still go.
func TestADeviceThatGoesDuringTheStart(t *testing.T) {
	f, _ := machine(t)
	f.engine.Unplug("/dev/kfd")
	f.place(0, 1)
	f.hold(0, "GPU-2")
	f.settled(Active)
	require.Equal(t, ended, f.chainStatus(0).Status)
	require.Contains(t, f.chainStatus(0).EndDetail, "/dev/kfd")
}

func TestASourceThatDoesNotAnswerIsTriedAgain(t *testing.T) {
	f, s := machine(t)
	s.fail(fmt.Errorf("%w: no answer of nvidia", accel.ErrUnknown))
	f.place(0, 1)
	f.hold(0, "GPU-1")
	f.settled(Active)
	require.Equal(t, assigned, f.chainStatus(0).Status)
	s.fail(nil)
	f.advance(backoffMax)
	f.settled(Active)
	require.Equal(t, runs, f.chainStatus(0).Status)
}

// After a restart of the machine drivers take their time.
func TestADeviceMayComeBackAfterARestartOfTheMachine(t *testing.T) {
	f, s := machine(t)
	f.place(0, 1)
	f.hold(0, "GPU-1")
	f.settled(Active)
	f.engine.Reboot()
	f.restart()
	s.unplug("GPU-1")
	f.settled(Active)
	require.Equal(t, runs, f.chainStatus(0).Status)
	s.mu.Lock()
	s.cards["GPU-1"] = accel.Attach{NVIDIA: "GPU-1"}
	s.mu.Unlock()
	f.advance(backoffMax)
	f.settled(Active)
	require.Equal(t, runtime.StatusRunning, f.status(container(0, 1)))
}

// The kernel may number cards otherwise after a restart: the same device then
// has another node, and a container made for the old one would get another's.
func TestAnotherNodeMakesTheContainerAnew(t *testing.T) {
	f, s := machine(t)
	f.place(0, 1)
	f.hold(0, "GPU-2")
	f.settled(Active)
	require.NoError(t, f.engine.Exit(container(0, 1), 0))
	s.mu.Lock()
	s.cards["GPU-2"] = accel.Attach{Nodes: []string{"/dev/dri/renderD129", "/dev/kfd"}}
	s.mu.Unlock()
	f.engine.Plug("/dev/dri/renderD129")
	f.advance(backoffMax)
	f.settled(Active)
	f.advance(backoffMax)
	f.settled(Active)
	spec, ok := f.engine.Spec(container(0, 1))
	require.True(t, ok)
	require.Equal(t, []string{"/dev/dri/renderD129", "/dev/kfd"}, spec.DeviceNodes())
}

func TestADeviceThatGoesFromUnderAPlacementGivesItBack(t *testing.T) {
	f, s := machine(t)
	f.place(0, 1)
	f.hold(0, "GPU-1")
	f.place(1, 1)
	f.settled(Active)
	require.NoError(t, f.check())

	s.unplug("GPU-1")
	require.NoError(t, f.check())
	f.settled(Active)
	require.Equal(t, runs, f.chainStatus(0).Status, "one look is no proof: a driver may be reloaded")
	require.NoError(t, f.check())
	f.settled(Active)
	f.settled(Active)
	require.Equal(t, ended, f.chainStatus(0).Status)
	require.Contains(t, f.chainStatus(0).EndDetail, "GPU-1 is not in this machine any more")
	require.Equal(t, runtime.StatusMissing, f.status(container(0, 1)))
	require.Equal(t, runs, f.chainStatus(1).Status, "the others run on")
	require.NoError(t, f.check())
}

func TestAGlitchOfADeviceIsForgotten(t *testing.T) {
	f, s := machine(t)
	f.place(0, 1)
	f.hold(0, "GPU-1")
	f.settled(Active)
	boom := errors.New("the driver hangs")
	for range 3 {
		s.fail(fmt.Errorf("%w: GPU-1", accel.ErrNoDevice))
		require.NoError(t, f.check())
		s.fail(nil)
		require.NoError(t, f.check())
		s.fail(boom)
		require.ErrorIs(t, f.check(), boom)
	}
	f.settled(Active)
	require.Equal(t, runs, f.chainStatus(0).Status)
}
