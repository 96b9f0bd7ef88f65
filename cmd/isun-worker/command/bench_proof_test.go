package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProofIsMadeAndChecked(t *testing.T) {
	o := newOwner(t)
	file := filepath.Join(t.TempDir(), "proof.bin")
	var made, checked map[string]any
	require.NoError(t, json.Unmarshal([]byte(o.ok("bench", "proof", "prove", "--size", "64", "--seed", "s", "--context", "c",
		"--beacon", "b", "--rows", "8", "--threads", "2", "--out", file, "-o", "json")), &made))
	require.NoError(t, json.Unmarshal([]byte(o.ok("bench", "proof", "verify", file, "--size", "64", "--seed", "s",
		"--context", "c", "--beacon", "b", "--rows", "8", "--rounds", "2", "-o", "json")), &checked))
	for _, field := range []string{"size", "seed", "context", "root", "beacon", "rounds", "rows", "proof_bytes", "soundness"} {
		require.Equal(t, made[field], checked[field], field)
	}
	require.Positive(t, made["product_ms"])
	require.Equal(t, "processor, 2 threads", made["by"])
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, info.Size(), made["proof_bytes"])

	require.Contains(t, o.ok("bench", "proof", "verify", file), "holds")
	for _, flag := range []string{"--seed=t", "--context=d", "--beacon=a", "--size=65", "--rows=7", "--rounds=1"} {
		_, err := o.run("bench", "proof", "verify", file, flag)
		require.ErrorContains(t, err, "proof of something else", flag)
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	_, err = o.run("bench", "proof", "verify", file)
	require.ErrorContains(t, err, "not what was committed to")
}

func TestProofRefuses(t *testing.T) {
	o := newOwner(t)
	for want, args := range map[string][]string{
		"size 0 is not":        {"prove", "--size", "0"},
		"size 16385 is not":    {"prove", "--size", "16385"},
		"9 rows are not":       {"prove", "--size", "8", "--rows", "9"},
		"0 rounds are not":     {"prove", "--size", "8", "--rows", "8", "--rounds", "0"},
		"--threads -1":         {"prove", "--threads", "-1"},
		"none of the others":   {"prove", "--threads", "1", "--device", "x"},
		"no such device":       {"prove", "--size", "2", "--rows", "1", "--device", "nowhere"},
		"no such file":         {"verify", "/nonexistent/proof"},
		"no valid proof":       {"verify", "bench_proof_test.go"},
		"context has 257 byte": {"prove", "--context", string(make([]byte, 257))},
	} {
		_, err := o.run(append([]string{"bench", "proof"}, args...)...)
		require.ErrorContains(t, err, want)
	}
}
