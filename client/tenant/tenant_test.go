package tenant_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	"github.com/isuncoin/isuncoin/client/tenant"
	"github.com/isuncoin/isuncoin/client/tenant/tenanttest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// prober answers for endpoints by their address.
type prober struct {
	mu    sync.Mutex
	paths []string
	// silent endpoints fail that often before they answer.
	silent map[string]int
}

func (p *prober) Probe(_ context.Context, e leasetypes.Endpoint, path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paths = append(p.paths, path)
	if p.silent[e.Address] > 0 {
		p.silent[e.Address]--
		return errors.New("connection refused")
	}
	return nil
}

type bench struct {
	market *tenanttest.Market
	client *tenant.Client
	prober *prober
	image  string
}

func newBench(t *testing.T, asks ...uint64) *bench {
	t.Helper()
	b := &bench{market: tenanttest.New(t), prober: &prober{silent: map[string]int{}}}
	signer, err := chain.NewKeySigner(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	b.market.Chain.AddAccount(signer.Address(), 0)
	conn, err := chain.Dial(t.Context(), chain.Config{Endpoints: []string{b.market.Node.URL()}, PollInterval: time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	b.client = tenant.New(conn, signer, tenant.WithPoll(time.Millisecond), tenant.WithProber(b.prober))
	for i, ask := range asks {
		operator := sdk.AccAddress(bytes.Repeat([]byte{byte(i + 1)}, 20))
		b.market.AddNode(sunstypes.NodeInfo{Node: sunstypes.Node{ID: sunstypes.NewNodeID(operator, 1), AskPrice: ask, Bond: math.ZeroInt()}})
	}
	image := uaitypes.Image{
		Publisher: signer.Address().String(), Name: "hello", Tag: "1", Demand: sunstypes.Demand{GeneralMilliSuns: 1000},
		Health: &uaitypes.HealthCheck{Kind: "http", Port: "web", Path: "/ready"},
	}
	b.market.Publish(image)
	b.image = image.Ref()
	b.market.SetEndpoints(leasetypes.Endpoint{Name: "web", Protocol: "http", Address: "203.0.113.7:31000"})
	return b
}

func (b *bench) order(t *testing.T, replicas uint32) leasetypes.LeaseID {
	t.Helper()
	plan, err := b.client.Plan(t.Context(), tenant.Order{Image: b.image, Replicas: replicas})
	require.NoError(t, err)
	created, err := b.client.Create(t.Context(), plan)
	require.NoError(t, err)
	return created.ID
}

func ignore(tenant.Progress) {}

func TestPlanTakesTheDearestOfWhatIsNeeded(t *testing.T) {
	b := newBench(t, 100, 200, 400)
	for replicas, price := range map[uint32]uint64{1: 120, 2: 240, 3: 480, 9: 480} {
		plan, err := b.client.Plan(t.Context(), tenant.Order{Image: b.image, Replicas: replicas})
		require.NoError(t, err)
		require.Equal(t, price, plan.Msg.MaxPrice)
		require.True(t, plan.QuotedCap)
		require.Equal(t, math.NewIntFromUint64(price*24*uint64(replicas)), plan.Msg.Deposit.Amount)
		require.Equal(t, 24*time.Hour, plan.DepositTime)
	}
	plan, err := b.client.Plan(t.Context(), tenant.Order{Image: b.image, Replicas: 1, MaxPrice: 50, Deposit: math.NewInt(100)})
	require.NoError(t, err, "with a cap an order may wait")
	require.Empty(t, plan.Offers)
	require.Equal(t, 2*time.Hour, plan.DepositTime)
}

func TestPlanRoundsTheCapUp(t *testing.T) {
	b := newBench(t, 1)
	plan, err := b.client.Plan(t.Context(), tenant.Order{Image: b.image, Replicas: 1})
	require.NoError(t, err)
	require.EqualValues(t, 2, plan.Msg.MaxPrice, "1.2 uisc")
}

func TestPlanFindsNothing(t *testing.T) {
	b := newBench(t)
	_, err := b.client.Plan(t.Context(), tenant.Order{Image: b.image, Replicas: 1})
	require.ErrorIs(t, err, tenant.ErrNoOffer)
	_, err = b.client.Plan(t.Context(), tenant.Order{Image: strings.Replace(b.image, "hello", "bye", 1), Replicas: 1})
	require.ErrorIs(t, err, uaitypes.ErrImageNotFound)
}

func TestWaitAnsweringTriesUntilEachAnswers(t *testing.T) {
	b := newBench(t, 100)
	b.prober.silent["203.0.113.7:31000"] = 3
	id := b.order(t, 1)
	var seen []string
	lease, err := b.client.WaitAnswering(t.Context(), id, func(p tenant.Progress) { seen = append(seen, p.Detail) })
	require.NoError(t, err)
	require.EqualValues(t, 1, lease.Running)
	require.Len(t, b.prober.paths, 4)
	require.Equal(t, "/ready", b.prober.paths[0], "the image's health check says where")
	require.Contains(t, seen[2], "http://203.0.113.7:31000/ does not answer yet")
	require.Equal(t, "1 of 1 replicas run, 1 answer", seen[len(seen)-1])
}

func TestWaitAnsweringGoesOnWhenTheChainIsAwayForAWhile(t *testing.T) {
	b := newBench(t, 100)
	id := b.order(t, 1)
	b.market.Node.Fail(chaintest.Breaks, "abci_query")
	var away bool
	_, err := b.client.WaitAnswering(t.Context(), id, func(p tenant.Progress) {
		if p.Detail == "waiting for a node of the chain" {
			away = true
			b.market.Node.Fail(chaintest.Works, "abci_query")
		}
	})
	require.NoError(t, err)
	require.True(t, away)
}

func TestWaitAnsweringEndsWhenTheLeaseDoes(t *testing.T) {
	for status, want := range map[leasetypes.LeaseStatus]error{
		leasetypes.LEASE_STATUS_UNFUNDED:  tenant.ErrLeaseUnfunded,
		leasetypes.LEASE_STATUS_SUSPENDED: tenant.ErrLeaseSuspended,
		leasetypes.LEASE_STATUS_CLOSING:   tenant.ErrLeaseEnded,
	} {
		b := newBench(t, 100)
		b.market.EndIn(status, "")
		_, err := b.client.WaitAnswering(t.Context(), b.order(t, 1), ignore)
		require.ErrorIs(t, err, want)
	}
	b := newBench(t, 100)
	_, err := b.client.WaitAnswering(t.Context(), leasetypes.LeaseID{Tenant: "isun1x", Number: 1}, ignore)
	require.True(t, chain.IsNotFound(err))
}

func TestBillAddsUpThroughALeasesLife(t *testing.T) {
	b := newBench(t, 1_000_000)
	id := b.order(t, 2)
	for range 3 {
		lease, err := b.client.Lease(t.Context(), id)
		require.NoError(t, err)
		require.True(t, lease.Bill.AddsUp, "%+v", lease.Bill)
	}
	_, balance, err := b.client.Fund(t.Context(), id, math.NewInt(5))
	require.NoError(t, err)
	require.Equal(t, "55600005", balance.String(), "2 · 24 · 1.2 ISC and 5 uisc, less two reserved hours")
	_, err = b.client.Close(t.Context(), id)
	require.NoError(t, err)
	lease, err := b.client.WaitClosed(t.Context(), id, ignore)
	require.NoError(t, err)
	require.True(t, lease.Bill.AddsUp, "%+v", lease.Bill)
	_, err = b.client.Close(t.Context(), id)
	require.ErrorIs(t, err, leasetypes.ErrLeaseEnded)
}

func TestLeasesListsWhatIsOpen(t *testing.T) {
	b := newBench(t, 100)
	first, second := b.order(t, 1), b.order(t, 2)
	_, err := b.client.Close(t.Context(), first)
	require.NoError(t, err)
	_, err = b.client.WaitClosed(t.Context(), first, ignore)
	require.NoError(t, err)
	open, err := b.client.Leases(t.Context(), second.Tenant, false)
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.EqualValues(t, 2, open[0].Number)
	all, err := b.client.Leases(t.Context(), second.Tenant, true)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "closed", all[0].Status)
}

func TestNamesAreCompleted(t *testing.T) {
	b := newBench(t)
	id, err := b.client.LeaseID("7")
	require.NoError(t, err)
	require.EqualValues(t, 7, id.Number)
	same, err := b.client.LeaseID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, same)
	ref, err := b.client.ImageRef("hello:1")
	require.NoError(t, err)
	require.Equal(t, b.image, ref)
	for _, bad := range []string{"", "0", "-1", "x", "isun1x/1"} {
		_, err := b.client.LeaseID(bad)
		require.Error(t, err, bad)
	}

	nobody := tenant.New(nil, nil)
	_, err = nobody.LeaseID("7")
	require.ErrorIs(t, err, tenant.ErrNoSigner)
	_, err = nobody.ImageRef("hello:1")
	require.ErrorIs(t, err, tenant.ErrNoSigner)
}

func TestProber(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/moved":
			http.Redirect(w, r, "http://203.0.113.1/", http.StatusFound)
		case "/broken":
			http.Error(w, "no", http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())

	open, gone := server.Listener.Addr().String(), closed.Addr().String()
	for _, c := range []struct {
		protocol, address, path string
		answers                 bool
	}{
		{"http", open, "/", true},
		{"http", open, "", true},
		{"http", open, "/missing", true},
		{"http", open, "/moved", true},
		{"http", open, "/broken", false},
		{"http", gone, "/", false},
		{"tcp", open, "", true},
		{"tcp", gone, "", false},
		{"udp", gone, "", true},
	} {
		err := tenant.NewProber().Probe(t.Context(), leasetypes.Endpoint{Protocol: c.protocol, Address: c.address}, c.path)
		require.Equal(t, c.answers, err == nil, "%+v: %v", c, err)
	}
}

func TestURL(t *testing.T) {
	require.Equal(t, "http://203.0.113.7:31000/", tenant.URL(leasetypes.Endpoint{Protocol: "http", Address: "203.0.113.7:31000"}))
	require.Equal(t, "tcp://[2001:db8::1]:22", tenant.URL(leasetypes.Endpoint{Protocol: "tcp", Address: "[2001:db8::1]:22"}))
}
