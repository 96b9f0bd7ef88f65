package chain_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/cloud/vault"
	"github.com/isuncoin/isuncoin/worker/identity"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// vaultChain answers what releasing a key asks.
type vaultChain struct {
	suns  sunsAnswers
	lease leaseAnswers
	uai   uaiAnswers
	*chain.Cloud
}

type sunsAnswers struct {
	sunstypes.UnimplementedQueryServer
	node    sunstypes.Node
	contact sunstypes.Contact
}

func (a *sunsAnswers) NodeByAgent(context.Context, *sunstypes.QueryNodeByAgentRequest) (*sunstypes.QueryNodeResponse, error) {
	return &sunstypes.QueryNodeResponse{Node: sunstypes.NodeInfo{Node: a.node}}, nil
}

func (a *sunsAnswers) Node(context.Context, *sunstypes.QueryNodeRequest) (*sunstypes.QueryNodeResponse, error) {
	return &sunstypes.QueryNodeResponse{Node: sunstypes.NodeInfo{Node: a.node}}, nil
}

func (a *sunsAnswers) Contact(context.Context, *sunstypes.QueryContactRequest) (*sunstypes.QueryContactResponse, error) {
	return &sunstypes.QueryContactResponse{Contact: a.contact}, nil
}

type leaseAnswers struct {
	leasetypes.UnimplementedQueryServer
	placements []leasetypes.Placement
	// here are those of them that are on the node that is asked about.
	here  int
	asked int
}

func (a *leaseAnswers) NodePlacements(context.Context, *leasetypes.QueryNodePlacementsRequest) (*leasetypes.QueryNodePlacementsResponse, error) {
	res := &leasetypes.QueryNodePlacementsResponse{}
	for _, p := range a.placements[:a.here] {
		res.Placements = append(res.Placements, leasetypes.NodePlacement{Placement: p, Billing: noBilling()})
	}
	return res, nil
}

func (a *leaseAnswers) Lease(_ context.Context, r *leasetypes.QueryLeaseRequest) (*leasetypes.QueryLeaseResponse, error) {
	a.asked++
	res := &leasetypes.QueryLeaseResponse{
		Lease: leasetypes.LeaseInfo{Money: leasetypes.NewMoney(math.ZeroInt())}, Reserved: math.ZeroInt(),
	}
	for _, p := range a.placements {
		if p.ID.Tenant == r.Tenant && p.ID.Number == r.Number {
			res.Placements = append(res.Placements, leasetypes.PlacementInfo{Placement: p, Billing: noBilling()})
		}
	}
	return res, nil
}

func noBilling() leasetypes.PlacementBilling {
	return leasetypes.PlacementBilling{PaidOperator: math.ZeroInt(), PaidAudit: math.ZeroInt(), PaidRoyalty: math.ZeroInt()}
}

type uaiAnswers struct {
	uaitypes.UnimplementedQueryServer
	image    uaitypes.Image
	grantees []string
	holders  uaitypes.KeyHolders
}

func (a *uaiAnswers) Image(context.Context, *uaitypes.QueryImageRequest) (*uaitypes.QueryImageResponse, error) {
	return &uaitypes.QueryImageResponse{Image: a.image}, nil
}

// Access gives one grantee a page.
func (a *uaiAnswers) Access(_ context.Context, r *uaitypes.QueryAccessRequest) (*uaitypes.QueryAccessResponse, error) {
	at := 0
	if len(r.Pagination.Key) > 0 {
		at = int(r.Pagination.Key[0])
	}
	res := &uaitypes.QueryAccessResponse{Restricted: true, Pagination: &query.PageResponse{}}
	if at < len(a.grantees) {
		res.Grantees = a.grantees[at : at+1]
		if at+1 < len(a.grantees) {
			res.Pagination.NextKey = []byte{byte(at + 1)}
		}
	}
	return res, nil
}

func (a *uaiAnswers) KeyHolders(context.Context, *uaitypes.QueryKeyHoldersRequest) (*uaitypes.QueryKeyHoldersResponse, error) {
	return &uaitypes.QueryKeyHoldersResponse{KeyHolders: a.holders}, nil
}

func newVaultChain(t *testing.T) *vaultChain {
	t.Helper()
	v := &vaultChain{}
	c := chaintest.NewChain("isun-test")
	sunstypes.RegisterQueryServer(c, &v.suns)
	leasetypes.RegisterQueryServer(c, &v.lease)
	uaitypes.RegisterQueryServer(c, &v.uai)
	agent := identity.NewKey()
	signer, err := chainclient.NewKeySigner(agent.Private().Key)
	require.NoError(t, err)
	v.suns.node = sunstypes.Node{ID: sunstypes.NewNodeID(somebody(1), 3), Agent: agent.Address().String(), Bond: math.ZeroInt()}
	client, err := chain.NewClient(chainclient.Config{Endpoints: []string{chaintest.NewNode(t, c).URL()}}, signer, v.suns.node.ID,
		func() time.Duration { return time.Hour })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	v.Cloud = chain.NewCloud(client, nil, agent.Address().String())
	return v
}

func somebody(n byte) sdk.AccAddress { return bytes.Repeat([]byte{n}, 20) }

func TestARecordComesAsTheChainHasIt(t *testing.T) {
	v := newVaultChain(t)
	v.uai.holders = uaitypes.KeyHolders{
		Subject: "lease/isun1tenant/7", Recipient: "age1x", Threshold: 2, Commitments: [][]byte{{1}, {2}},
		Shares: []uaitypes.KeyShare{{Node: v.suns.node.ID, Index: 5, Sealed: []byte("sealed")}},
	}
	record, err := v.KeyHolders(t.Context(), "lease/isun1tenant/7")
	require.NoError(t, err)
	require.Equal(t, vault.Record{
		Subject: "lease/isun1tenant/7", Recipient: "age1x", Threshold: 2, Commitments: [][]byte{{1}, {2}},
		Shares: []vault.SealedShare{{Node: v.suns.node.ID.String(), Index: 5, Sealed: []byte("sealed")}},
	}, record)
}

func TestAnAgentSpeaksForItsNodeAlone(t *testing.T) {
	v := newVaultChain(t)
	node, err := v.NodeByAgent(t.Context(), v.suns.node.Agent)
	require.NoError(t, err)
	require.Equal(t, v.suns.node.ID.String(), node)
	_, err = v.NodeByAgent(t.Context(), somebody(9).String())
	require.ErrorContains(t, err, "has the agent", "one that it had before")
	v.suns.contact = sunstypes.Contact{Node: v.suns.node.ID, Addresses: []string{"/ip4/127.0.0.1/tcp/1"}}
	contact, err := v.KeyContact(t.Context(), node)
	require.NoError(t, err)
	require.Equal(t, v.suns.node.Agent, contact.Agent)
	require.Equal(t, v.suns.contact.Addresses, contact.Addresses)
	_, err = v.KeyContact(t.Context(), "../3")
	require.Error(t, err)
}

func TestPlacementsSayWhetherTheyAreTheNewest(t *testing.T) {
	v := newVaultChain(t)
	tenant, image := somebody(5).String(), somebody(6).String()+"/web:1"
	placed := func(number uint64, replica uint32, generation uint64, change func(*leasetypes.Placement)) leasetypes.Placement {
		p := leasetypes.Placement{
			ID:   leasetypes.PlacementID{Tenant: tenant, Number: number, Replica: replica, Generation: generation},
			Node: v.suns.node.ID, Status: leasetypes.PLACEMENT_STATUS_RUNNING, Image: image,
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	v.lease.placements = []leasetypes.Placement{
		placed(7, 0, 1, nil),
		placed(7, 1, 2, func(p *leasetypes.Placement) { p.Status = leasetypes.PLACEMENT_STATUS_ASSIGNED }),
		placed(7, 2, 3, func(p *leasetypes.Placement) { p.EndReason = leasetypes.END_REASON_CLOSED }), // in this block
		placed(7, 3, 4, func(p *leasetypes.Placement) { p.Status = leasetypes.PLACEMENT_STATUS_ENDED }),
		placed(8, 0, 1, func(p *leasetypes.Placement) { p.Image = somebody(6).String() + "/web:2" }),
		placed(7, 0, 5, func(p *leasetypes.Placement) { p.Node.Number = 9 }), // elsewhere
	}
	v.lease.here = 5
	node := v.suns.node.ID.String()
	want := func(replica uint32, generation, newest uint64, live bool) vault.Placement {
		return vault.Placement{
			Tenant: tenant, Number: 7, Replica: replica, Generation: generation, Newest: newest, Node: node, Live: live, Image: image,
		}
	}
	for _, subject := range []vault.Subject{vault.LeaseSubject(tenant, 7), vault.ImageSubject(image)} {
		v.lease.asked = 0
		got, err := v.NodePlacements(t.Context(), node, subject)
		require.NoError(t, err)
		require.Equal(t, []vault.Placement{want(0, 1, 5, true), want(1, 2, 2, true), want(2, 3, 3, false), want(3, 4, 4, false)}, got)
		require.Equal(t, 1, v.lease.asked, "a lease is asked for once")
	}
	got, err := v.NodePlacements(t.Context(), node, vault.LeaseSubject(tenant, 9))
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = v.NodePlacements(t.Context(), "nonsense", vault.LeaseSubject(tenant, 7))
	require.Error(t, err)
}

func TestWhoMayRunAnImage(t *testing.T) {
	v := newVaultChain(t)
	owner, stranger := somebody(5).String(), somebody(9).String()
	v.uai.image = uaitypes.Image{Publisher: owner, Name: "web", Tag: "1", Owner: owner}
	ref := v.uai.image.Ref()
	require.NoError(t, v.MayRun(t.Context(), ref, stranger), "it is open")
	v.uai.image.Restricted = true
	require.NoError(t, v.MayRun(t.Context(), ref, owner))
	v.uai.grantees = []string{somebody(7).String(), somebody(8).String()}
	for _, grantee := range v.uai.grantees {
		require.NoError(t, v.MayRun(t.Context(), ref, grantee), "on whichever page")
	}
	require.ErrorIs(t, v.MayRun(t.Context(), ref, stranger), uaitypes.ErrNotAllowed)
	require.Error(t, v.MayRun(t.Context(), "nonsense", stranger))
}
