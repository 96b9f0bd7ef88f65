package market

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	auditkeeper "github.com/isuncoin/isuncoin/x/audit/keeper"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// sequenceTB lets the fixture fail a rapid sequence as it would a test.
type sequenceTB struct {
	testing.TB
	rt *rapid.T
}

func (s sequenceTB) Helper()                           {}
func (s sequenceTB) Errorf(format string, args ...any) { s.rt.Errorf(format, args...) }
func (s sequenceTB) FailNow()                          { s.rt.FailNow() }

// chain is the four modules with their blockers in the app's order. Every block ends with all invariants.
type chain struct {
	*testkit.Fixture
	sunsKeeper  *sunskeeper.Keeper
	imageKeeper uaikeeper.Keeper
	leaseKeeper *leasekeeper.Keeper
	auditKeeper auditkeeper.Keeper

	nodeMsgs  sunstypes.MsgServer
	imageMsgs uaitypes.MsgServer
	leaseMsgs leasetypes.MsgServer
	usageMsgs audittypes.MsgServer
}

func newChain(t testing.TB, params paramSet) *chain {
	base := testkit.New(t, testkit.Options{
		StoreKeys: []string{sunstypes.StoreKey, uaitypes.StoreKey, leasetypes.StoreKey, audittypes.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){
			sunstypes.RegisterInterfaces, uaitypes.RegisterInterfaces, leasetypes.RegisterInterfaces,
			audittypes.RegisterInterfaces,
		},
	})
	c := &chain{Fixture: base}
	authority := base.Authority.String()
	c.sunsKeeper = sunskeeper.NewKeeper(base.Codec, base.Store(sunstypes.StoreKey), base.Accounts, base.Bank, authority)
	c.imageKeeper = uaikeeper.NewKeeper(base.Codec, base.Store(uaitypes.StoreKey), base.Bank, c.sunsKeeper, authority)
	c.leaseKeeper = leasekeeper.NewKeeper(
		base.Codec, base.Store(leasetypes.StoreKey), authority, c.sunsKeeper, c.imageKeeper, base.Bank, base.Accounts)
	c.auditKeeper = auditkeeper.NewKeeper(
		base.Codec, base.Store(audittypes.StoreKey), base.Accounts, base.Bank, c.sunsKeeper, c.leaseKeeper, authority)
	c.leaseKeeper.SetHooks(c.auditKeeper.Hooks())
	c.sunsKeeper.SetHooks(sunstypes.MultiHooks{c.leaseKeeper.SunsHooks(), c.auditKeeper.Hooks()})
	c.nodeMsgs, c.imageMsgs = sunskeeper.NewMsgServer(c.sunsKeeper), uaikeeper.NewMsgServer(c.imageKeeper)
	c.leaseMsgs, c.usageMsgs = leasekeeper.NewMsgServer(c.leaseKeeper), auditkeeper.NewMsgServer(c.auditKeeper)

	base.OnBeginBlock(c.sunsKeeper.BeginBlock)
	base.OnEndBlock(c.leaseKeeper.EndBlocker, c.auditKeeper.EndBlock, c.sunsKeeper.EndBlock)
	base.OnBlockDone(c.sunsKeeper.AllInvariants, c.imageKeeper.AllInvariants, c.leaseKeeper.AllInvariants, c.auditKeeper.AllInvariants,
		c.nothingQuarantined)
	c.begin(params)
	return c
}

func (c *chain) begin(params paramSet) {
	suns := sunstypes.DefaultGenesis()
	suns.Params = params.suns
	require.NoError(c.T, c.sunsKeeper.InitGenesis(c.Ctx, suns))
	require.NoError(c.T, c.imageKeeper.InitGenesis(c.Ctx, uaitypes.GenesisState{Params: params.uai}))
	require.NoError(c.T, c.leaseKeeper.InitGenesis(c.Ctx, leasetypes.GenesisState{Params: params.lease}))
	audit := audittypes.DefaultGenesis()
	audit.Params = params.audit
	require.NoError(c.T, c.auditKeeper.InitGenesis(c.Ctx, *audit))
	c.BeginBlock()
}

func (c *chain) nothingQuarantined(ctx context.Context) error {
	for _, quarantine := range []duequeue.Quarantine{c.sunsKeeper.Quarantine, c.leaseKeeper.Quarantine, c.auditKeeper.Quarantine} {
		items, _, err := quarantine.Export(ctx)
		if err == nil && len(items) > 0 {
			err = fmt.Errorf("quarantined: %v", items)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// paramSet is what governance may change.
type paramSet struct {
	suns  sunstypes.Params
	uai   uaitypes.Params
	lease leasetypes.Params
	audit audittypes.Params
}

// firstParams have hours of a minute, so that a few blocks hold a placement's whole life.
func firstParams() paramSet {
	p := paramSet{
		suns: sunstypes.DefaultParams(), uai: uaitypes.DefaultParams(), lease: leasetypes.DefaultParams(),
		audit: audittypes.DefaultParams(),
	}
	p.suns.EpochDuration, p.suns.SilenceLimit, p.suns.UnbondingPeriod = time.Minute, 45*time.Second, 30*time.Second
	p.suns.ClaimEpochs = 3
	p.audit.AttestInterval, p.audit.ClaimEpochs, p.audit.AuditBond = 5*time.Second, 3, math.NewInt(2_000_000)
	p.lease.BillingPeriod, p.lease.SettleGrace = time.Minute, 10*time.Second
	p.lease.StartDeadline, p.lease.DrainGrace, p.lease.TrialPeriod = 20*time.Second, 40*time.Second, 5*time.Second
	p.lease.MaxWait, p.lease.Retention = 5*time.Minute, 2*time.Minute
	p.lease.RetryBackoffMin, p.lease.RetryBackoffMax = 2*time.Second, 16*time.Second
	p.lease.NodeBackoffMin, p.lease.NodeBackoffMax = 10*time.Second, time.Minute
	return p
}

// knownCodespaces are those whose errors a message may fail with: sdk's is for a sender without the money.
var knownCodespaces = map[string]bool{
	sunstypes.ModuleName: true, uaitypes.ModuleName: true, leasetypes.ModuleName: true, audittypes.ModuleName: true, "sdk": true,
}

// registered gives an error's name, or false for one that nobody registered.
func registered(err error) (string, bool) {
	codespace, code, _ := errorsmod.ABCIInfo(err, false)
	return fmt.Sprintf("%s %d", codespace, code), knownCodespaces[codespace] && (codespace != "sdk" || code == 5)
}

func moduleAddr(name string) string { return authtypes.NewModuleAddress(name).String() }

// parseEvents gives the modules' own events.
func parseEvents(events sdk.Events) ([]sdk.Msg, error) {
	var parsed []sdk.Msg
	for _, event := range events.ToABCIEvents() {
		if len(event.Type) < 5 || event.Type[:5] != "isun." {
			continue
		}
		typed, err := sdk.ParseTypedEvent(event)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, typed)
	}
	return parsed, nil
}
