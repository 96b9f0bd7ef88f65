package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	"github.com/cosmos/cosmos-sdk/crypto/hd"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/tenant/tenanttest"
	"github.com/isuncoin/isuncoin/cmd/isun/command"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// A library of the SDK has a flag of this name already.
func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write golden files anew")
	}
}

func updating() bool { return flag.Lookup("update").Value.String() == "true" }

const mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

// bench is a market, a home with the key "tenant", and a service that the leases' containers would be.
type bench struct {
	t       *testing.T
	market  *tenanttest.Market
	home    string
	tenant  sdk.AccAddress
	service *httptest.Server
	// in is what a person types; empty means that nobody is there.
	in string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, market: tenanttest.New(t), home: t.TempDir()}
	b.tenant = b.addKey("tenant", 0)
	b.market.Chain.AddAccount(b.tenant, 0)

	b.service = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(b.service.Close)
	b.market.SetEndpoints(leasetypes.Endpoint{
		Name: "web", Protocol: "http", Address: b.service.Listener.Addr().String(), ContainerPort: 8080,
	})
	operator := sdk.AccAddress(bytes.Repeat([]byte{7}, 20))
	b.market.AddNode(sunstypes.NodeInfo{
		Node: sunstypes.Node{
			ID: sunstypes.NewNodeID(operator, 1), Moniker: "desk", Architecture: "amd64", MilliSuns: 34_000, GeneralMilliSuns: 4_000,
			AskPrice: 500_000, Country: "TW", Zone: "taipei", Status: sunstypes.NODE_STATUS_ACTIVE, Bond: math.ZeroInt(),
			Accelerators: []sunstypes.NodeAccelerator{{
				Accelerator: sunstypes.Accelerator{DeviceID: "gpu-0", Kind: "gpu", Vendor: "nvidia", Model: "RTX 4090", MemoryMiB: 24_576},
				MilliSuns:   30_000,
			}},
		},
		LastCheckInMs: tenanttest.NowMs - 90_000, FreeGeneralMilliSuns: 3_500,
	})
	b.market.Publish(uaitypes.Image{
		Publisher: b.tenant.String(), Name: "hello", Tag: "1", Owner: b.tenant.String(), Digest: "sha256:" + strings.Repeat("ab", 32),
		SizeBytes: 2 << 20, Platforms: []string{"linux/amd64"}, Demand: sunstypes.Demand{GeneralMilliSuns: 500},
		Ports:  []uaitypes.Port{{Name: "web", Protocol: "http", ContainerPort: 8080}},
		Health: &uaitypes.HealthCheck{Kind: "http", Port: "web", Path: "/healthz", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3},
		Status: uaitypes.IMAGE_STATUS_PUBLISHED, PublishedHeight: 1,
	})
	return b
}

// addKey makes a key in the home's keyring.
func (b *bench) addKey(name string, index uint32) sdk.AccAddress {
	b.t.Helper()
	encoding, err := chain.NewEncoding()
	require.NoError(b.t, err)
	ring, err := chain.OpenKeyring(chain.KeyringConfig{Home: b.home, Input: strings.NewReader("")}, encoding.Codec)
	require.NoError(b.t, err)
	record, err := ring.NewAccount(name, mnemonic, "", hd.CreateHDPath(118, 0, index).String(), hd.Secp256k1)
	require.NoError(b.t, err)
	address, err := record.GetAddress()
	require.NoError(b.t, err)
	return address
}

// ran is what a command did.
type ran struct {
	t        *testing.T
	code     int
	out, err string
}

// run carries out a command line against the market.
func (b *bench) run(args ...string) ran { return b.runContext(b.t.Context(), args...) }

func (b *bench) runContext(ctx context.Context, args ...string) ran {
	b.t.Helper()
	var out, errOut bytes.Buffer
	streams := command.Streams{
		In: strings.NewReader(b.in), Out: &out, Err: &errOut, InTerminal: b.in != "",
		Now: func() time.Time { return time.Unix(0, 0) }, Poll: 5 * time.Millisecond,
	}
	code := command.Run(ctx, streams, append([]string{"--node", b.market.Node.URL(), "--home", b.home}, args...))
	return ran{t: b.t, code: code, out: b.mask(out.String()), err: b.mask(errOut.String())}
}

// mask replaces what differs from run to run.
func (b *bench) mask(s string) string {
	s = strings.ReplaceAll(s, b.service.Listener.Addr().String(), "SERVICE")
	s = strings.ReplaceAll(s, b.market.Node.URL(), "NODE")
	return strings.ReplaceAll(s, b.home, "HOME")
}

func (r ran) ok() ran {
	r.t.Helper()
	require.Zero(r.t, r.code, "%s%s", r.out, r.err)
	return r
}

func (r ran) fails(with ...string) ran {
	r.t.Helper()
	require.Equal(r.t, 1, r.code, "%s%s", r.out, r.err)
	for _, text := range with {
		require.Contains(r.t, r.err, text)
	}
	return r
}

// json reads the output.
func (r ran) json(into any) {
	r.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(r.out))
	decoder.DisallowUnknownFields()
	require.NoError(r.t, decoder.Decode(into), r.out)
	require.False(r.t, decoder.More(), "one document only")
}

// golden compares with a file of testdata; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if updating() {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to write it")
	require.Equal(t, string(want), got)
}
