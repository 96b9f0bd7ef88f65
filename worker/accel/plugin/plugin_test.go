package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isuncoin/isuncoin/worker/accel"
)

const card = `{"id":"card0","kind":"asic","vendor":"acme","model":"Tensor 9","memory_mib":8192,"status":{},"attach":{"nodes":["/dev/null"]}}`

const answer = `{"version":1,"memory_mib":8192,"memory_bandwidth_mbs":400000,"fp32_gflops":9000,"measurements":[` +
	`{"name":"accelerator.fp32","value":9000.5,"delivered":8000,"unit":"GFLOP/s","spread":0.01,"samples":300,"disturbed":false,"seed":7}]}`

// shell is a plugin written in a line of shell; $1 and so on are its arguments.
func shell(script string) *Source {
	return &Source{SourceName: "acme", Command: []string{"/bin/sh", "-c", script, "plugin"}}
}

func says(text string) *Source { return shell("cat <<'END'\n" + text + "\nEND") }

func TestInventory(t *testing.T) {
	inv, err := says(`{"version":1,"devices":[` + card + `],"notes":["one slot is empty"]}`).Inventory(context.Background())
	require.NoError(t, err)
	require.Equal(t, []string{"one slot is empty"}, inv.Notes)
	require.Equal(t, []accel.Device{{
		ID: "card0", Kind: accel.KindASIC, Vendor: "acme", Model: "Tensor 9", MemoryMiB: 8192,
		Attach: accel.Attach{Nodes: []string{"/dev/null"}}, Sources: []string{"acme"},
	}}, inv.Devices)

	none, err := says(`{"version":1,"devices":[]}`).Inventory(context.Background())
	require.NoError(t, err)
	require.Empty(t, none.Devices)
}

func TestBenchPassesWhatItIsAskedFor(t *testing.T) {
	s := shell(`test "$*" = "bench --device card0 --seed 7 --duration 1.5s" || exit 9; echo '` + answer + `'`)
	got, err := s.Bench(context.Background(), "card0", accel.BenchOptions{Seed: 7, Duration: 1500 * time.Millisecond})
	require.NoError(t, err)
	require.EqualValues(t, 9000, got.Fp32Gflops)
	require.Equal(t, "card0", got.Measurements[0].Device)

	_, err = s.Bench(context.Background(), "--seed", accel.BenchOptions{})
	require.ErrorIs(t, err, accel.ErrNoDevice, "an id is never taken for a flag")
	_, err = s.Bench(context.Background(), "card0", accel.BenchOptions{Duration: -1})
	require.ErrorContains(t, err, "want 0 to 1h")
}

func TestExitCodes(t *testing.T) {
	for code, want := range map[int]string{
		1: "it failed (exit status 1); it said: the driver is sad", 2: "exit status 2",
		3: accel.ErrNoDevice.Error(), 4: accel.ErrCannotMeasure.Error(), 127: "exit status 127",
	} {
		_, err := shell(fmt.Sprintf(`echo 'the driver
		is sad' >&2; echo '{"version":1}'; exit %d`, code)).Bench(context.Background(), "card0", accel.BenchOptions{})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "the driver is sad")
		require.Equal(t, code == 3, errors.Is(err, accel.ErrNoDevice))
		require.Equal(t, code == 4, errors.Is(err, accel.ErrCannotMeasure))
	}
	_, err := shell("kill -SEGV $$").Inventory(context.Background())
	require.ErrorContains(t, err, "segmentation fault")
}

func TestHostileInventories(t *testing.T) {
	with := func(old, changed string) string {
		require.Contains(t, card, old)
		return `{"version":1,"devices":[` + strings.Replace(card, old, changed, 1) + `]}`
	}
	for name, tc := range map[string]struct{ says, want string }{
		"nothing":            {"", "it is empty"},
		"garbage":            {"Segmentation fault", "not the JSON"},
		"a list":             {"[]", "not the JSON"},
		"half a document":    {`{"version":1,"devices":[`, "not the JSON"},
		"two documents":      {`{"version":1,"devices":[]} {"version":1,"devices":[]}`, "something follows"},
		"words after it":     {`{"version":1,"devices":[]} done`, "something follows"},
		"no version":         {`{"devices":[]}`, "no version"},
		"a later version":    {`{"version":2,"devices":[],"novelty":1}`, "of version 2"},
		"version 0":          {`{"version":0,"devices":[]}`, "of version 0"},
		"a misspelt key":     {`{"version":1,"device":[]}`, `unknown field "device"`},
		"no UTF-8":           {"{\"version\":1,\"notes\":[\"\xff\"]}", "not UTF-8"},
		"ids twice":          {`{"version":1,"devices":[` + card + "," + card + `]}`, `two devices have the id "card0"`},
		"no id":              {with(`"card0"`, `""`), "id: want"},
		"id is a flag":       {with(`"card0"`, `"-rf"`), "id: want"},
		"id is a path up":    {with(`"card0"`, `"../../x"`), "id: want"},
		"long id":            {with(`"card0"`, `"`+strings.Repeat("a", 65)+`"`), "id: want"},
		"unknown kind":       {with(`"asic"`, `"toaster"`), "kind"},
		"shouting vendor":    {with(`"acme"`, `"ACME"`), "vendor"},
		"escape in model":    {with(`Tensor 9`, `\u001b[2J`), "model"},
		"break in model":     {with(`Tensor 9`, `a\nb`), "model"},
		"no model":           {with(`"Tensor 9"`, `""`), "model"},
		"negative memory":    {with("8192", "-1"), "not the JSON"},
		"fraction of memory": {with("8192", "1.5"), "not the JSON"},
		"absurd memory":      {with("8192", "18446744073709551615"), "memory_mib"},
		"too much for words": {with("8192", "1e400"), "not the JSON"},
		"memory as text":     {with("8192", `"8192"`), "not the JSON"},
		"bad place":          {with(`"status"`, `"pci":"01:00.0","status"`), "pci"},
		"own parent":         {with(`"status"`, `"parent":"card0","status"`), "parent"},
		"bad driver":         {with(`"status"`, `"driver":"\u0007","status"`), "driver"},
		"bad reason":         {with(`"status"`, `"unusable":"\u202ebroken","status"`), "unusable"},
		"120 percent busy":   {with(`{}`, `{"utilisation_percent":120}`), "utilisation_percent"},
		"hot as the sun":     {with(`{}`, `{"temperature_celsius":5500}`), "temperature_celsius"},
		"node outside /dev":  {with(`/dev/null`, `/etc/shadow`), "under /dev"},
		"node with ..":       {with(`/dev/null`, `/dev/../etc/shadow`), "under /dev"},
		"node of no name":    {with(`/dev/null`, `/dev/`), "under /dev"},
		"relative node":      {with(`/dev/null`, `dev/null`), "under /dev"},
		"node is memory":     {with(`/dev/null`, `/dev/mem`), "the machine's own"},
		"node is a folder":   {with(`/dev/null`, `/dev/pts`), "not a character device"},
		"node twice":         {with(`"/dev/null"`, `"/dev/null","/dev/null"`), "twice"},
		"bad variable":       {with(`{"nodes"`, `{"env":["a b=c"],"nodes"`), "NAME=value"},
		"bad UUID":           {with(`{"nodes"`, `{"nvidia":"all","nodes"`), "UUID"},
		"escape in a note":   {`{"version":1,"devices":[],"notes":["\u001b[31m"]}`, "note"},
		"too many devices":   {`{"version":1,"devices":[` + strings.Repeat(card+",", 256) + card + `]}`, "more than 256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := says(tc.says).Inventory(context.Background())
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "acme: the answer to inventory")
			require.NotContains(t, err.Error(), "\x1b")
		})
	}
}

func TestHostileResults(t *testing.T) {
	with := func(old, changed string) string {
		require.Contains(t, answer, old)
		return strings.Replace(answer, old, changed, 1)
	}
	for name, tc := range map[string]struct{ says, want string }{
		"absurd bandwidth":     {with("400000", "1000000001"), "memory_bandwidth_mbs"},
		"absurd throughput":    {with(":9000,", ":1000000001,"), "fp32_gflops"},
		"negative":             {with(":9000,", ":-9000,"), "not the JSON"},
		"value 0":              {with("9000.5", "0"), "value"},
		"negative value":       {with("9000.5", "-1"), "value"},
		"absurd value":         {with("9000.5", "1e300"), "value"},
		"delivered above best": {with("8000", "20000"), "far above"},
		"negative spread":      {with("0.01", "-0.01"), "spread"},
		"no samples":           {with(":300", ":0"), "samples"},
		"another seed":         {with(`"seed":7`, `"seed":8`), "seed"},
		"bad digest":           {with(`"seed":7`, `"digest":"abc"`), "digest"},
		"bad name":             {with("accelerator.fp32", "cpu.integer"), "name"},
		"bad unit":             {with("GFLOP/s", "\\n"), "unit"},
		"another device":       {with(`"unit"`, `"device":"card1","unit"`), "card1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := says(tc.says).Bench(context.Background(), "card0", accel.BenchOptions{Seed: 7})
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestEndlessOutputIsCutOff(t *testing.T) {
	_, err := shell("trap '' PIPE TERM; yes 2>/dev/null; sleep 1000").Inventory(context.Background())
	require.ErrorContains(t, err, "said more than 1024 KiB")
	_, err = shell("yes trouble | head -c 5000000 >&2; exit 1").Inventory(context.Background())
	require.ErrorContains(t, err, "trouble trouble")
	require.Less(t, len(err.Error()), maxWords+200, "only the end of what it said is kept")
}

// waitGone waits until nothing of a process is left but perhaps a zombie.
func waitGone(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 10*time.Second, 5*time.Millisecond)
}

func TestHangingPluginIsEndedWithItsChildren(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	s := shell("trap '' TERM INT; sleep 1000 & echo $! >" + file + "; wait")
	s.InventoryTimeout = 300 * time.Millisecond
	_, err := s.Inventory(context.Background())
	require.ErrorIs(t, err, errTooLong)
	require.ErrorContains(t, err, "no answer within 300ms")
	waitGone(t, file)
}

func TestWhatAPluginLeavesRunningIsEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	inv, err := shell("sleep 1000 & echo $! >" + file + `; echo '{"version":1,"devices":[]}'`).Inventory(context.Background())
	require.NoError(t, err)
	require.Empty(t, inv.Devices)
	waitGone(t, file)
}

func TestProcessThatLeavesItsGroupCannotHoldTheAnswerUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	_, err := shell("setsid sh -c 'echo $$ >" + file + "; exec sleep 1000' & while ! test -s " + file +
		`; do :; done; echo '{"version":1,"devices":[]}'`).Inventory(context.Background())
	require.ErrorContains(t, err, "keeps its output open")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	file := filepath.Join(t.TempDir(), "child")
	go func() {
		for { // cancel once it runs
			if raw, err := os.ReadFile(file); err == nil && len(raw) > 0 {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := shell("echo $$ >" + file + "; exec sleep 1000").Inventory(ctx)
	require.ErrorIs(t, err, context.Canceled)
	waitGone(t, file)
}

func TestPluginsRunNoPlugins(t *testing.T) {
	t.Setenv(contractEnv, "1")
	_, err := says(`{"version":1,"devices":[]}`).Inventory(context.Background())
	require.ErrorContains(t, err, "a plugin runs no plugins")
}

func TestFileMustBeTheOwners(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "acme")
	write := func() {
		require.NoError(t, os.RemoveAll(file))
		require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\necho '{\"version\":1,\"devices\":["+card+"]}'\n"), 0o755))
	}
	write()
	s := File(file)
	require.Equal(t, "acme", s.Name())
	inv, err := s.Inventory(context.Background())
	require.NoError(t, err)
	require.Len(t, inv.Devices, 1)

	for name, tc := range map[string]struct {
		spoil func() error
		want  string
	}{
		"not executable":          {func() error { return os.Chmod(file, 0o644) }, "chmod 755"},
		"writable by the group":   {func() error { return os.Chmod(file, 0o775) }, "writable by others"},
		"writable by all":         {func() error { return os.Chmod(file, 0o757) }, "chmod go-w"},
		"folder writable by all":  {func() error { return os.Chmod(dir, 0o777) }, "writable by others"},
		"gone":                    {func() error { return os.Remove(file) }, "no such file"},
		"another user's":          {func() error { return os.Lchown(file, 12345, -1) }, "belongs to user 12345"},
		"in another user's place": {func() error { return os.Lchown(dir, 12345, -1) }, "belongs to user 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.spoil(); os.Getuid() != 0 && errors.Is(err, os.ErrPermission) {
				t.Skip("only root can give a file away")
			}
			_, err := s.Inventory(context.Background())
			require.ErrorContains(t, err, tc.want, "it is looked at before each call")
			require.NoError(t, os.Lchown(dir, os.Getuid(), -1))
			require.NoError(t, os.Chmod(dir, 0o755))
			write()
		})
	}
	_, err = File(dir).Inventory(context.Background())
	require.ErrorContains(t, err, "not an executable file")
	_, err = File("acme").Bench(context.Background(), "card0", accel.BenchOptions{})
	require.ErrorContains(t, err, "whole path")
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"version":1,"devices":[` + card + `]}`))
	f.Add([]byte(answer))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if inv, err := readInventory(raw); err == nil {
			again, err := json.Marshal(inv)
			require.NoError(t, err)
			_, err = readInventory(again)
			require.NoError(t, err)
		}
		if result, err := readResult(raw, "card0", 7); err == nil {
			_, err := json.Marshal(result)
			require.NoError(t, err)
		}
	})
}
