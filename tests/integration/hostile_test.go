package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"
	errorsmod "cosmossdk.io/errors"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/isuncoin/isuncoin/app"
	"github.com/isuncoin/isuncoin/tests/integration/chain"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	"github.com/isuncoin/isuncoin/x/duequeue"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// busy is a chain in the middle of its work: the target of every attack in these tests. It has
//
//	operator/1   active, agent "agent"      tenant/1 and tenant/3 run there, tenant/4 is assigned there
//	operator/2   draining, agent "agent3"
//	operator2/1  active, agent "agent2"     tenant2/1 runs there
//	tenant/2     waits: no node is big enough
//	publisher    images web:1 (with a royalty) and api:1
type busy struct {
	*chain.Chain
	// signed is each message of the chain as its rightful signer sends it, by type.
	signed map[string]signedMsg
}

// signedMsg is a message with the account that may sign it; authority's have none.
type signedMsg struct {
	msg    sdk.Msg
	signer string
}

const (
	// noSigner stands for governance, which signs nothing itself.
	noSigner = ""
	// stranger has money and nothing else.
	stranger = "stranger"
)

func newBusy(t testing.TB, opts ...chain.Option) *busy {
	t.Helper()
	opts = append([]chain.Option{
		chain.WithAccounts("agent", "agent2", "agent3", "agent4", "agent5", stranger),
		chain.WithGenesis(shortHours), chain.WithFixedKeys(),
	}, opts...)
	b := &busy{Chain: chain.New(t, opts...)}
	b.Do("operator", registration(b.Chain, "operator", "agent", 1, 8, exampleAsk))
	b.Do("operator", registration(b.Chain, "operator", "agent3", 2, 4, exampleAsk))
	b.Do("operator2", registration(b.Chain, "operator2", "agent2", 1, 4, exampleAsk))
	b.Do("agent", &sunstypes.MsgSetContact{
		Agent: b.addr("agent"), EncryptionKey: bytes.Repeat([]byte{9}, sunstypes.EncryptionKeyBytes),
	})
	b.Do("publisher", &uaitypes.MsgPutObject{
		Owner: b.addr("publisher"), Name: "kept", Digest: "sha256:" + strings.Repeat("0c", 32), SizeBytes: 1,
	})
	b.Do("operator", &sunstypes.MsgDrainNode{Operator: b.addr("operator"), Number: 2})
	b.Do("publisher", publication(b.Chain, "publisher", "web", exampleRoyalty))
	b.Do("publisher", publication(b.Chain, "publisher", "api", 0))
	b.rentBeside("operator2", "tenant", 1_000)
	b.rentBeside("operator2", "tenant", 64_000) // none is so big
	b.rentBeside("operator2", "tenant", 1_000)
	b.rentBeside("operator", "tenant2", 1_000)
	b.NextBlock()
	b.startAll()
	b.Do("agent", b.snapshot("agent", b.placement("tenant", 1)))
	b.Do("agent", b.snapshot("agent", b.placement("tenant", 1)))
	b.rentBeside("operator2", "tenant", 1_000)
	b.NextBlock()
	for range 4 {
		b.BlockAfter(0) // until no queue holds anything that is due
	}
	b.setAside()
	b.signed = b.rightful()
	return b
}

// snapshot is what an agent says that it saved of a placement.
func (b *busy) snapshot(agent string, p leasetypes.Placement) *leasetypes.MsgRecordSnapshot {
	return &leasetypes.MsgRecordSnapshot{
		Agent: b.addr(agent), Placement: p.ID, Digest: "sha256:" + strings.Repeat("0d", 32), SizeBytes: 1, TakenMs: p.StartedMs,
	}
}

func (b *busy) addr(name string) string { return b.Address(name).String() }

func (b *busy) image(name string) string { return b.addr("publisher") + "/" + name + ":1" }

// rentBeside orders a replica anywhere but on the first node of an operator.
func (b *busy) rentBeside(operator, tenant string, milliSuns uint64) {
	b.T.Helper()
	b.Do(tenant, &leasetypes.MsgCreateLease{
		Tenant: b.addr(tenant), Image: b.image("web"), Replicas: 1, Demand: &sunstypes.Demand{GeneralMilliSuns: milliSuns},
		Rules:    leasetypes.PlacementRules{Avoid: []sunstypes.NodeID{sunstypes.NewNodeID(b.Address(operator), 1)}},
		MaxPrice: 1_000_000, Deposit: chain.Coins(1_000_000)[0],
	})
}

// setAside puts an item into the quarantine of each module, as if its block work had failed.
func (b *busy) setAside() {
	b.T.Helper()
	node, err := sunstypes.NewNodeID(b.Address("operator"), 1).Key()
	require.NoError(b.T, err)
	placement, err := b.placement("tenant", 1).ID.Key()
	require.NoError(b.T, err)
	nodeKey, err := collections.EncodeKeyWithPrefix(nil, sunstypes.NodeKeyCodec, node)
	require.NoError(b.T, err)
	placementKey, err := collections.EncodeKeyWithPrefix(nil, leasetypes.PlacementKeyCodec, placement)
	require.NoError(b.T, err)
	keepers := b.App.Keepers
	b.between(func(ctx sdk.Context) {
		for _, set := range []struct {
			quarantine duequeue.Quarantine
			item       duequeue.QuarantinedItem
		}{
			{keepers.SunsKeeper.Quarantine, duequeue.QuarantinedItem{Queue: keepers.SunsKeeper.PayoutQueue.Name(), Key: nodeKey}},
			{keepers.LeaseKeeper.Quarantine, duequeue.QuarantinedItem{Queue: keepers.LeaseKeeper.PlacementDueQueue.Name(), Key: placementKey}},
			{keepers.AuditKeeper.Quarantine, duequeue.QuarantinedItem{Queue: keepers.AuditKeeper.PayoutQueue.Name(), Key: nodeKey}},
		} {
			set.item.Item, set.item.Error, set.item.Height, set.item.DueMs = "an item", "it failed", 2, 1_000
			_, err := set.quarantine.Add(ctx, set.item)
			require.NoError(b.T, err)
		}
	})
}

// between changes the state between two blocks, as no transaction could.
func (b *busy) between(change func(ctx sdk.Context)) {
	b.T.Helper()
	change(b.Uncached())
	b.BlockAfter(0)
}

func (b *busy) placements() (all []leasetypes.Placement) {
	b.T.Helper()
	err := b.App.LeaseKeeper.Placements.Walk(b.Ctx(), nil, func(_ leasetypes.PlacementKey, p leasetypes.Placement) (bool, error) {
		all = append(all, p)
		return false, nil
	})
	require.NoError(b.T, err)
	return all
}

// placement is the one of a tenant's lease.
func (b *busy) placement(tenant string, number uint64) leasetypes.Placement {
	b.T.Helper()
	for _, p := range b.placements() {
		if p.ID.Tenant == b.addr(tenant) && p.ID.Number == number {
			return p
		}
	}
	require.FailNow(b.T, "no such placement", "%s/%d", tenant, number)
	return leasetypes.Placement{}
}

// startAll starts every assigned placement and attests its first moment.
func (b *busy) startAll() {
	b.T.Helper()
	entries := map[string][]audittypes.UsageEntry{}
	for _, p := range b.placements() {
		node, err := b.App.SunsKeeper.GetNode(b.Ctx(), p.Node)
		require.NoError(b.T, err)
		b.Do(node.Moniker, &leasetypes.MsgStartPlacement{Agent: node.Agent, ID: p.ID}) // its moniker is its agent's key
		entries[node.Moniker] = append(entries[node.Moniker], audittypes.UsageEntry{ID: p.ID, ServedMs: 500, CpuMs: 100})
	}
	for _, agent := range []string{"agent", "agent2"} {
		b.Do(agent, &audittypes.MsgAttestUsage{Agent: b.addr(agent), Version: 1, Sequence: 10, Entries: entries[agent]})
	}
}

// device is an accelerator of about 30 SUNS.
func device(id string) sunstypes.Accelerator {
	return sunstypes.Accelerator{
		DeviceID: id, Kind: sunstypes.KindGPU, Vendor: "nvidia", Model: "RTX 4090",
		MemoryMiB: 24_576, MemoryBandwidthMbs: 1_008_000, Fp32Gflops: 82_580,
	}
}

// rightful lists every message with all its fields set, each valid as it stands.
func (b *busy) rightful() map[string]signedMsg {
	b.T.Helper()
	running, assigned := b.placement("tenant", 1), b.placement("tenant", 4)
	all := map[string]signedMsg{}
	for _, s := range slices.Concat(b.nodeMessages(), b.imageMessages(), b.leaseMessages(assigned), []signedMsg{
		{&audittypes.MsgAttestUsage{
			Agent: b.addr("agent"), Version: 1, Sequence: 11, Entries: []audittypes.UsageEntry{{
				ID: running.ID, ServedMs: 1_000, CpuMs: 200, AcceleratorMs: 1, MemoryMiBSeconds: 1, BytesIn: 1, BytesOut: 1,
			}},
		}, "agent"},
	}, b.authorityMessages()) {
		all[sdk.MsgTypeURL(s.msg)] = s
	}
	return all
}

func (b *busy) nodeMessages() []signedMsg {
	register := registration(b.Chain, "operator", "agent4", 3, 4, exampleAsk)
	register.Zone, register.Gateways = "north-1", []string{"gw.example:443"}
	register.Report.Accelerators = []sunstypes.Accelerator{device("gpu-0")}
	register.Report.MilliSuns += sunstypes.AcceleratorMilliSuns(sunstypes.DefaultParams().AcceleratorBundle, device("gpu-0"))
	report, bond := registration(b.Chain, "operator", "agent", 1, 8, exampleAsk).Report, chain.Coins(5)[0]
	report.Accelerators = register.Report.Accelerators
	report.MilliSuns += register.Report.MilliSuns - 4_000
	replaced := registration(b.Chain, "operator", "agent5", 1, 8, exampleAsk)
	operator := b.addr("operator")
	return []signedMsg{
		{register, "operator"},
		{&sunstypes.MsgUpdateNode{
			Operator: operator, Number: 1, Moniker: "attic", AskPrice: 4_000, Country: "TW", Zone: "south-1",
			Gateways: []string{"gw.example:444"}, Report: &report, AddBond: &bond,
			AgentPubKey: replaced.AgentPubKey, AgentSignature: replaced.AgentSignature,
		}, "operator"},
		{&sunstypes.MsgCheckIn{Agent: b.addr("agent")}, "agent"},
		{&sunstypes.MsgSetContact{
			Agent: b.addr("agent"), EncryptionKey: bytes.Repeat([]byte{9}, sunstypes.EncryptionKeyBytes),
			Addresses: []string{"/ip4/203.0.113.7/tcp/8444"},
		}, "agent"},
		{&sunstypes.MsgDrainNode{Operator: operator, Number: 1}, "operator"},
		{&sunstypes.MsgResumeNode{Operator: operator, Number: 2}, "operator"},
		{&sunstypes.MsgRetireNode{Operator: operator, Number: 1}, "operator"},
		{&sunstypes.MsgWithdrawRewards{Operator: operator, Number: 1}, "operator"},
	}
}

func (b *busy) imageMessages() []signedMsg {
	publish := publication(b.Chain, "publisher", "new", 7)
	publish.Ports = []uaitypes.Port{{Name: "http", ContainerPort: 80, Protocol: "http"}}
	publish.Volumes = []uaitypes.Volume{{Name: "data", Path: "/data", SizeMiB: 1}}
	publish.Health = &uaitypes.HealthCheck{
		Kind: "http", Port: "http", Path: "/", IntervalSeconds: 10, TimeoutSeconds: 5, Retries: 3, StartPeriodSeconds: 1,
	}
	publish.Demand.Accelerator = &sunstypes.AcceleratorDemand{Kind: sunstypes.KindGPU, Model: "RTX 4090", Count: 1, MilliSuns: 1}
	publish.Reference = "docker.io/library/nginx"
	owner := b.addr("publisher")
	return []signedMsg{
		{publish, "publisher"},
		{&uaitypes.MsgDeprecateImage{Owner: owner, Image: b.image("api")}, "publisher"},
		{&uaitypes.MsgTransferImage{Owner: owner, Image: b.image("api"), NewOwner: b.addr("tenant2")}, "publisher"},
		{&uaitypes.MsgSetAccess{
			Owner: owner, Image: b.image("api"), Restricted: true, Grant: []string{b.addr("tenant2")}, Revoke: []string{b.addr("tenant")},
		}, "publisher"},
		{&uaitypes.MsgAnnounceHolding{Agent: b.addr("agent"), Digests: []string{publish.Digest}}, "agent"},
		{&uaitypes.MsgDropHolding{
			Agent: b.addr("agent"), Digests: []string{publish.Digest}, Node: &sunstypes.NodeID{Operator: owner, Number: 1},
		}, "agent"},
		{&uaitypes.MsgPutObject{Owner: owner, Name: "backups/db", Digest: publish.Digest, SizeBytes: 1}, "publisher"},
		{&uaitypes.MsgRemoveObject{Owner: owner, Name: "kept"}, "publisher"},
		{keyHolders(owner, "image/"+b.image("api"), sunstypes.NewNodeID(b.Address("operator"), 1)), "publisher"},
	}
}

func (b *busy) leaseMessages(assigned leasetypes.Placement) []signedMsg {
	tenant, agent := b.addr("tenant"), b.addr("agent")
	node := sunstypes.NewNodeID(b.Address("operator"), 1)
	demand := sunstypes.Demand{GeneralMilliSuns: 1_000, Accelerator: &sunstypes.AcceleratorDemand{
		Kind: sunstypes.KindGPU, Model: "RTX 4090", Count: 1, MilliSuns: 1_000,
	}}
	return []signedMsg{
		{&leasetypes.MsgCreateLease{
			Tenant: tenant, Image: b.image("web"), Demand: &demand, Replicas: 1,
			Rules: leasetypes.PlacementRules{
				Countries: []string{"DE"}, Zones: []string{"north-1"}, Architectures: []string{"amd64"}, SpreadOperators: true,
				Avoid: []sunstypes.NodeID{sunstypes.NewNodeID(b.Address("operator2"), 1)}, Node: &node,
			},
			MaxPrice: 1_000_000, Args: []string{"--serve"}, Env: []leasetypes.EnvVar{{Name: "A", Value: "1"}},
			SnapshotEverySeconds: 60, SnapshotKeep: 2, Deposit: chain.Coins(1_000_000)[0],
		}, "tenant"},
		{&leasetypes.MsgFundLease{Funder: tenant, Tenant: tenant, Number: 1, Amount: chain.Coins(1_000)[0]}, "tenant"},
		{&leasetypes.MsgUpdateLease{
			Tenant: tenant, Number: 3, Replicas: 2, Demand: &demand, Image: b.image("api"), MaxPrice: 2_000_000,
			SnapshotEverySeconds: 60, SnapshotKeep: 2,
		}, "tenant"},
		{&leasetypes.MsgCloseLease{Tenant: tenant, Number: 3}, "tenant"},
		{&leasetypes.MsgStartPlacement{Agent: agent, ID: assigned.ID, Endpoints: []leasetypes.Endpoint{
			{Name: "http", Protocol: "http", Address: "127.0.0.1:8080", ContainerPort: 80},
		}}, "agent"},
		{&leasetypes.MsgRejectPlacement{Agent: agent, ID: assigned.ID, Reason: "no disk"}, "agent"},
		{&leasetypes.MsgMigratePlacement{Tenant: tenant, Number: 1}, "tenant"},
		{&leasetypes.MsgRequestSnapshot{Tenant: tenant, Number: 3}, "tenant"},
		{b.snapshot("agent", b.placement("tenant", 1)), "agent"},
		{&leasetypes.MsgRemoveSnapshot{Tenant: tenant, Number: 1, Sequence: 1}, "tenant"},
		{&leasetypes.MsgRestoreSnapshot{Tenant: tenant, Number: 1, Sequence: 2}, "tenant"},
	}
}

func (b *busy) authorityMessages() []signedMsg {
	by := app.Authority().String()
	return []signedMsg{
		{&sunstypes.MsgUpdateParams{Authority: by, Params: sunstypes.DefaultParams()}, noSigner},
		{&uaitypes.MsgUpdateParams{Authority: by, Params: uaitypes.DefaultParams()}, noSigner},
		{&leasetypes.MsgUpdateParams{Authority: by, Params: leasetypes.DefaultParams()}, noSigner},
		{&audittypes.MsgUpdateParams{Authority: by, Params: audittypes.DefaultParams()}, noSigner},
		{&sunstypes.MsgRetryQuarantined{Authority: by, Number: 1}, noSigner},
		{&leasetypes.MsgRetryQuarantined{Authority: by, Number: 1}, noSigner},
		{&audittypes.MsgRetryQuarantined{Authority: by, Number: 1}, noSigner},
	}
}

// ours are the types of all our messages, as the application knows them: one that is added is attacked too.
func (b *busy) ours() (urls []string) {
	b.T.Helper()
	for _, url := range b.App.InterfaceRegistry().ListImplementations(sdk.MsgInterfaceProtoName) {
		if strings.HasPrefix(url, "/isun.") {
			urls = append(urls, url)
		}
	}
	slices.Sort(urls)
	require.NotEmpty(b.T, urls)
	return urls
}

// attackable gives a message's rightful form, so that a new message without one does not go untested.
func (b *busy) attackable(url string) signedMsg {
	b.T.Helper()
	s, found := b.signed[url]
	require.True(b.T, found, "%s is a new message: add a valid one to busy.rightful", url)
	return s
}

// execute runs a message's handler over the last block's state, writes nothing and gives its error. A panic is an error of
// the test.
func (b *busy) execute(msg sdk.Msg) (ctx sdk.Context, err error) {
	b.T.Helper()
	defer func() {
		if r := recover(); r != nil {
			assert.Fail(b.T, "panic", "%T: %v", msg, r)
			err = errPanic
		}
	}()
	ctx, _ = b.Ctx().CacheContext()
	_, err = b.App.MsgServiceRouter().Handler(msg)(ctx, msg)
	return ctx, err
}

var errPanic = errors.New("panic")

// tooPoor is what bank says of who cannot pay: the one error of a handler that is not ours.
var tooPoor = sdkerrors.ErrInsufficientFunds

// checkRegistered demands an error that the message's module, or one below it, has registered.
func checkRegistered(t testing.TB, msg sdk.Msg, err error, what string) {
	t.Helper()
	space, code, log := errorsmod.ABCIInfo(err, false)
	checkKnown(t, msg, space, code, log, what)
}

func checkKnown(t testing.TB, msg sdk.Msg, space string, code uint32, log, what string) {
	t.Helper()
	below := map[string][]string{
		"suns": {"suns", "audit", "duequeue"}, "uai": {"uai", "suns"}, "lease": {"lease", "suns", "uai", "duequeue"},
		"audit": {"audit", "lease", "suns", "duequeue"},
	}
	module := strings.Split(sdk.MsgTypeURL(msg), ".")[1]
	known := slices.Contains(below[module], space) && code > 1 ||
		space == tooPoor.Codespace() && code == tooPoor.ABCICode()
	assert.True(t, known, "%s of %T is refused with %s/%d, which says nothing: %s", what, msg, space, code, log)
	assert.LessOrEqual(t, len(log), 2_000, "%s of %T: the error repeats what was sent", what, msg)
}

// requireCode demands one certain error of a transaction.
func requireCode(t testing.TB, want *errorsmod.Error, result *abci.ExecTxResult) {
	t.Helper()
	require.Equal(t, fmt.Sprintf("%s/%d", want.Codespace(), want.ABCICode()),
		fmt.Sprintf("%s/%d", result.Codespace, result.Code), result.Log)
}

// ourState is the state of our modules, to be compared.
func (b *busy) ourState() map[string]string {
	b.T.Helper()
	ctx, _ := b.Ctx().CacheContext()
	raw, err := b.App.ExportModules(ctx, ourModules)
	require.NoError(b.T, err)
	state := map[string]string{}
	for name, module := range raw {
		state[name] = string(module)
	}
	return state
}

// Each message as its rightful signer sends it works: what is refused in the other tests is refused for what was changed.
func TestRightfulMessagesWork(t *testing.T) {
	b := newBusy(t)
	for _, url := range b.ours() {
		s := b.attackable(url)
		_, err := b.execute(s.msg)
		require.NoError(t, err, url)
	}
}
