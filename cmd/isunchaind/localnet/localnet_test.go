package localnet

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	dbm "github.com/cosmos/cosmos-db"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/log/v2"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/isuncoin/isuncoin/app"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func newApp() *app.App { return app.New(log.NewNopLogger(), dbm.NewMemDB(), app.NoOptions{}) }

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		ok     bool
	}{
		"defaults":                 {change: func(*Options) {}, ok: true},
		"no home":                  {change: func(o *Options) { o.Home = "" }},
		"no chain id":              {change: func(o *Options) { o.ChainID = "" }},
		"no validator":             {change: func(o *Options) { o.Validators = 0 }},
		"most validators":          {change: func(o *Options) { o.Validators = maxValidators }, ok: true},
		"too many validators":      {change: func(o *Options) { o.Validators = maxValidators + 1 }},
		"shortest block time":      {change: func(o *Options) { o.BlockTime = minBlockTime }, ok: true},
		"too short a block time":   {change: func(o *Options) { o.BlockTime = minBlockTime - 1 }},
		"no replicas":              {change: func(o *Options) { o.Replicas = 0 }},
		"too many replicas":        {change: func(o *Options) { o.Replicas = 17 }},
		"an executor nobody knows": {change: func(o *Options) { o.BlockExecutor = "quantum" }},
	} {
		t.Run(name, func(t *testing.T) {
			options := DefaultOptions()
			c.change(&options)
			if c.ok {
				require.NoError(t, options.Validate())
			} else {
				require.Error(t, options.Validate())
			}
		})
	}
}

func TestPortsNeverMeet(t *testing.T) {
	options := DefaultOptions()
	options.Validators = maxValidators
	for _, free := range []bool{false, true} {
		options.FreePorts = free
		nodes, err := options.nodePorts()
		require.NoError(t, err)
		seen := map[int]bool{}
		for _, ports := range nodes {
			for _, port := range []int{ports.RPC, ports.P2P, ports.API, ports.GRPC} {
				require.False(t, seen[port], "port %d is given twice", port)
				seen[port] = true
			}
		}
	}
}

// Whatever the length of an hour, what follows from it must satisfy the modules.
func TestPeriodsGiveValidParams(t *testing.T) {
	a := newApp()
	for _, billing := range []time.Duration{
		0, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, time.Minute, 59 * time.Minute, time.Hour, 24 * time.Hour,
	} {
		t.Run(billing.String(), func(t *testing.T) {
			state, err := a.DefaultGenesis()
			require.NoError(t, err)
			require.NoError(t, Periods{Billing: billing}.apply(a.AppCodec(), state))
			var lease leasetypes.GenesisState
			var audit audittypes.GenesisState
			a.AppCodec().MustUnmarshalJSON(state[leasetypes.ModuleName], &lease)
			a.AppCodec().MustUnmarshalJSON(state[audittypes.ModuleName], &audit)
			require.NoError(t, lease.Params.Validate())
			require.NoError(t, audit.Params.Validate())
			if billing >= 10*time.Second {
				require.Greater(t, lease.Params.SettleGrace, audit.Params.AttestInterval,
					"the last attestation of an hour must come within the grace")
			}
		})
	}
}

// Params of two modules that do not fit each other are found before any node starts.
func TestPeriodsThatDoNotFitAreRefused(t *testing.T) {
	options := DefaultOptions()
	options.Home = filepath.Join(t.TempDir(), "net")
	options.Periods = Periods{SilenceLimit: 10 * time.Second, AttestInterval: 20 * time.Second}
	_, err := prepare(context.Background(), newApp(), options)
	require.ErrorContains(t, err, "attest_interval")

	options.Periods.AttestInterval = 0
	_, err = prepare(context.Background(), newApp(), options)
	require.NoError(t, err)
}

func TestGivenPeriodsAreTaken(t *testing.T) {
	a := newApp()
	state, err := a.DefaultGenesis()
	require.NoError(t, err)
	periods := Periods{
		Billing: 20 * time.Second, SettleGrace: 7 * time.Second, StartDeadline: 8 * time.Second, AttestInterval: 3 * time.Second,
		Epoch: 30 * time.Second, SilenceLimit: 9 * time.Second, Unbonding: time.Minute,
	}
	require.NoError(t, periods.apply(a.AppCodec(), state))
	var suns sunstypes.GenesisState
	var lease leasetypes.GenesisState
	var audit audittypes.GenesisState
	a.AppCodec().MustUnmarshalJSON(state[sunstypes.ModuleName], &suns)
	a.AppCodec().MustUnmarshalJSON(state[leasetypes.ModuleName], &lease)
	a.AppCodec().MustUnmarshalJSON(state[audittypes.ModuleName], &audit)
	require.Equal(t, periods, Periods{
		Billing: lease.Params.BillingPeriod, SettleGrace: lease.Params.SettleGrace, StartDeadline: lease.Params.StartDeadline,
		AttestInterval: audit.Params.AttestInterval, Epoch: suns.Params.EpochDuration,
		SilenceLimit: suns.Params.SilenceLimit, Unbonding: suns.Params.UnbondingPeriod,
	})
}

func TestSetUp(t *testing.T) {
	options := DefaultOptions()
	options.Home = filepath.Join(t.TempDir(), "net")
	options.Validators = 2
	network, err := prepare(context.Background(), newApp(), options)
	require.NoError(t, err)
	require.Len(t, network.Nodes, 2)
	require.Len(t, network.Accounts, 2+len(testAccounts))

	first, err := os.ReadFile(filepath.Join(network.Nodes[0].Home, "config", "genesis.json"))
	require.NoError(t, err)
	second, err := os.ReadFile(filepath.Join(network.Nodes[1].Home, "config", "genesis.json"))
	require.NoError(t, err)
	require.Equal(t, string(first), string(second))
	genesis, err := genutiltypes.AppGenesisFromFile(filepath.Join(network.Home, "config", "genesis.json"))
	require.NoError(t, err)
	require.Equal(t, options.ChainID, genesis.ChainID)

	var state app.GenesisState
	require.NoError(t, json.Unmarshal(genesis.AppState, &state))
	require.Contains(t, string(state[uaitypes.ModuleName]), `"replicas": 1,`)

	// The same network is found again.
	again, err := prepare(context.Background(), newApp(), options)
	require.NoError(t, err)
	require.Equal(t, network, again)

	// What only a new one could follow is refused, and done after a reset.
	options.ShapeFlags = []string{"validators"}
	_, err = prepare(context.Background(), newApp(), options)
	require.ErrorContains(t, err, "--reset")
	options.Reset, options.Validators = true, 1
	fresh, err := prepare(context.Background(), newApp(), options)
	require.NoError(t, err)
	require.Len(t, fresh.Nodes, 1)
	require.NotEqual(t, network.Accounts, fresh.Accounts)
}

func TestResetLeavesOtherFoldersAlone(t *testing.T) {
	options := DefaultOptions()
	options.Home, options.Reset = t.TempDir(), true
	precious := filepath.Join(options.Home, "priv_validator_key.json")
	require.NoError(t, os.WriteFile(precious, nil, 0o600))
	_, err := prepare(context.Background(), newApp(), options)
	require.ErrorContains(t, err, "holds no local network")
	require.FileExists(t, precious)
}

// A set-up that failed half-way does not stand in the way of the next.
func TestHalfSetUpNetworkIsSetUpAnew(t *testing.T) {
	options := DefaultOptions()
	options.Home = filepath.Join(t.TempDir(), "net")
	require.NoError(t, mark(options.Home))
	require.NoError(t, os.WriteFile(filepath.Join(options.Home, "rest"), nil, 0o600))
	_, err := prepare(context.Background(), newApp(), options)
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(options.Home, "rest"))
}
