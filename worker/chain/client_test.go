package chain_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/identity"
	"github.com/isuncoin/isuncoin/worker/journal"
	"github.com/isuncoin/isuncoin/worker/operator"
	"github.com/isuncoin/isuncoin/worker/operator/operatortest"
	"github.com/isuncoin/isuncoin/worker/sender"
	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// fixture is a node's window on a chain with two endpoints.
type fixture struct {
	*testing.T
	market *operatortest.Market
	second *chaintest.Node
	client *chain.Client
	agent  identity.Key
	owner  sdk.AccAddress
	now    time.Duration
}

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, market: operatortest.New(t), agent: identity.NewKey(), owner: identity.NewKey().Address(), now: time.Hour}
	f.second = chaintest.NewNode(t, f.market.Chain)
	f.market.Chain.AddAccount(f.agent.Address(), 0)
	f.market.Add(sunstypes.Node{ID: sunstypes.NewNodeID(f.owner, 1), Agent: f.agent.Address().String(), MilliSuns: 1000})
	signer, err := chainclient.NewKeySigner(f.agent.Private().Key)
	require.NoError(t, err)
	f.client, err = chain.NewClient(chainclient.Config{
		Endpoints: []string{f.market.Node.URL(), f.second.URL()}, PollInterval: time.Millisecond, GasPrices: "0.001uisc",
	}, signer, sunstypes.NewNodeID(f.owner, 1), func() time.Duration { return f.now })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.client.Close()) })
	return f
}

var id = leasetypes.PlacementID{Tenant: identity.NewKey().Address().String(), Number: 1, Generation: 3}

func TestView(t *testing.T) {
	f := setup(t)
	require.Empty(t, f.client.Endpoint(), "it connects when it is first used")
	f.market.Place(operatortest.Placement(id))
	view, err := f.client.View(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1000, view.Node.Node.MilliSuns)
	require.EqualValues(t, operatortest.NowMs, view.NowMs)
	require.Equal(t, chain.Epoch{Number: 2, StartMs: 4000, EndsMs: 9000}, view.Epoch)
	require.Equal(t, operatortest.Params(), view.Params.Suns)
	require.Len(t, view.Placements, 1)
	require.Equal(t, f.now, view.Seen)
	require.EqualValues(t, operatortest.NowMs+1500, view.ClockMs(f.now+1500*time.Millisecond))
	require.EqualValues(t, operatortest.NowMs, view.ClockMs(0), "never back in time")
	require.NotEmpty(t, f.client.Endpoint())
}

func TestImagesOfPlacementsAreKnownByTheirDigests(t *testing.T) {
	f := setup(t)
	images, err := f.client.PlacedImages(t.Context())
	require.NoError(t, err)
	require.Empty(t, images)
	image := uaitypes.Image{Publisher: f.owner.String(), Name: "web", Tag: "1", Digest: "sha256:ab"}
	f.market.Publish(image)
	for _, generation := range []uint64{3, 4} {
		p := operatortest.Placement(leasetypes.PlacementID{Tenant: id.Tenant, Number: 1, Generation: generation})
		p.Placement.Image = image.Ref()
		f.market.Place(p)
	}
	images, err = f.client.PlacedImages(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"sha256:ab": true}, images)

	p := operatortest.Placement(id)
	p.Placement.Image = f.owner.String() + "/gone:1"
	f.market.Place(p)
	_, err = f.client.PlacedImages(t.Context())
	require.Error(t, err, "what is not known for sure is not taken for unneeded")
}

func TestViewFailsOver(t *testing.T) {
	f := setup(t)
	_, err := f.client.View(t.Context())
	require.NoError(t, err)
	f.market.Node.Fail(chaintest.Breaks)
	view, err := f.client.View(t.Context())
	require.NoError(t, err, "the other endpoint answers")
	require.EqualValues(t, operatortest.NowMs, view.NowMs)
	f.second.Fail(chaintest.Breaks)
	_, err = f.client.View(t.Context())
	require.True(t, chainclient.IsUnreachable(err), "%v", err)
}

func TestBroadcastTellsRefusedFromUnreachable(t *testing.T) {
	f := setup(t)
	msg := &sunstypes.MsgCheckIn{Agent: f.agent.Address().String()}
	require.NoError(t, f.client.Broadcast(t.Context(), []sdk.Msg{msg, msg}))
	require.Equal(t, 1, f.market.Chain.TxCount())

	f.market.Refuse(sunstypes.ErrNodeStatus.Wrap("retired"))
	err := f.client.Broadcast(t.Context(), []sdk.Msg{msg})
	require.ErrorIs(t, err, sender.ErrRefused)
	require.ErrorIs(t, err, sunstypes.ErrNodeStatus)

	f.market.Refuse(nil)
	f.market.Node.Fail(chaintest.Breaks)
	f.second.Fail(chaintest.Breaks)
	err = f.client.Broadcast(t.Context(), []sdk.Msg{msg})
	require.Error(t, err)
	require.NotErrorIs(t, err, sender.ErrRefused, "worth trying again")
}

func TestUsageAndAttestation(t *testing.T) {
	f := setup(t)
	usage, err := f.client.Usage(t.Context(), id)
	require.NoError(t, err)
	require.Zero(t, usage, "nothing was attested yet")
	require.NoError(t, f.client.Broadcast(t.Context(), []sdk.Msg{&audittypes.MsgAttestUsage{
		Agent: f.agent.Address().String(), Version: 1, Sequence: 8, Entries: []audittypes.UsageEntry{{ID: id, ServedMs: 5}},
	}}))
	usage, err = f.client.Usage(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, journal.Usage{ServedMs: 5}, usage)
	at, err := f.client.Attestation(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, at.Sequence)
}

func TestImage(t *testing.T) {
	f := setup(t)
	image := uaitypes.Image{Publisher: id.Tenant, Name: "app", Tag: "v1", Digest: "sha256:aa"}
	f.market.Publish(image)
	found, err := f.client.Image(t.Context(), id.Tenant+"/app:v1")
	require.NoError(t, err)
	require.Equal(t, "sha256:aa", found.Digest)
	_, err = f.client.Image(t.Context(), id.Tenant+"/app:v2")
	require.ErrorIs(t, err, uaitypes.ErrImageNotFound)
	_, err = f.client.Image(t.Context(), "nonsense")
	require.Error(t, err)
}

func TestFindTellsUnknownFromUnreachable(t *testing.T) {
	f := setup(t)
	conn, err := f.client.Connect(t.Context())
	require.NoError(t, err)
	node, ok, err := operator.Find(t.Context(), conn, f.agent.Address())
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, node.ID.Number)
	_, ok, err = operator.Find(t.Context(), conn, f.owner)
	require.NoError(t, err)
	require.False(t, ok)
}
