package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	leasekeeper "github.com/isuncoin/isuncoin/x/lease/keeper"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunskeeper "github.com/isuncoin/isuncoin/x/suns/keeper"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaikeeper "github.com/isuncoin/isuncoin/x/uai/keeper"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// nodesPerOperator keeps one operator from owning the market.
const nodesPerOperator = 100

// market is x/suns, x/uai and x/lease with many nodes of 4 SUNS.
type market struct {
	*testkit.Fixture
	lease  *leasekeeper.Keeper
	suns   *sunskeeper.Keeper
	msgs   leasetypes.MsgServer
	image  string
	tenant sdk.AccAddress
}

// newMarket registers nodes; all but one in ten are then filled, so that a match must pass them over.
func newMarket(b *testing.B, nodes int) *market {
	b.Helper()
	base := testkit.New(b, testkit.Options{
		StoreKeys: []string{sunstypes.StoreKey, uaitypes.StoreKey, leasetypes.StoreKey},
		Interfaces: []func(codectypes.InterfaceRegistry){
			sunstypes.RegisterInterfaces, uaitypes.RegisterInterfaces, leasetypes.RegisterInterfaces,
		},
	})
	authority := base.Authority.String()
	m := &market{Fixture: base, tenant: testkit.Addr("tenant")}
	m.suns = sunskeeper.NewKeeper(base.Codec, base.Store(sunstypes.StoreKey), base.Accounts, base.Bank, authority)
	images := uaikeeper.NewKeeper(base.Codec, base.Store(uaitypes.StoreKey), base.Bank, authority)
	m.lease = leasekeeper.NewKeeper(
		base.Codec, base.Store(leasetypes.StoreKey), authority, m.suns, images, base.Bank, base.Accounts)
	m.suns.SetHooks(m.lease.SunsHooks())
	m.msgs = leasekeeper.NewMsgServer(m.lease)
	require.NoError(b, m.suns.InitGenesis(m.Ctx, sunstypes.DefaultGenesis()))
	require.NoError(b, images.InitGenesis(m.Ctx, *uaitypes.DefaultGenesis()))
	params := leasetypes.DefaultParams()
	params.Budgets.Reindexes = leasetypes.MaxBudget
	require.NoError(b, m.lease.InitGenesis(m.Ctx, leasetypes.GenesisState{Params: params}))
	m.OnBeginBlock(m.suns.BeginBlock)
	m.OnEndBlock(m.lease.EndBlocker, m.suns.EndBlock)
	image := uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: testkit.Addr("publisher").String(), Name: "web", Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", testkit.Digest("web")), SizeBytes: 1, Platforms: []string{"linux/amd64"},
		Demand: sunstypes.Demand{GeneralMilliSuns: 1_000}, Licence: "MIT",
	}, 1)
	require.NoError(b, images.Publish(m.Ctx, image))
	m.image = image.Ref()
	m.Fund(m.tenant, 1_000_000_000_000_000)
	m.BeginBlock()
	for i := range nodes {
		m.register(b, i)
		if i%1_000 == 999 {
			m.NextBlock(time.Millisecond)
		}
	}
	m.NextBlock(time.Millisecond)
	for i := range nodes {
		if i%10 != 0 {
			id := sunstypes.NewNodeID(testkit.Addr(operatorName(i)), uint64(i%nodesPerOperator+1))
			require.NoError(b, m.suns.Reserve(m.Ctx, id, 4_000, nil))
			require.NoError(b, m.lease.SunsHooks().AfterNodeChanged(m.Ctx, id))
		}
		if i%1_000 == 999 {
			m.NextBlock(time.Millisecond)
		}
	}
	m.NextBlock(time.Millisecond)
	return m
}

func operatorName(i int) string { return fmt.Sprintf("operator %d", i/nodesPerOperator) }

func (m *market) register(b *testing.B, i int) {
	b.Helper()
	operator := testkit.Addr(operatorName(i))
	number := uint64(i%nodesPerOperator + 1)
	if number == 1 {
		m.Fund(operator, 1_000_000_000)
	}
	agent := testkit.Key(fmt.Sprintf("agent %d", i))
	signature, err := agent.Sign(sunstypes.AgentSignBytes(testkit.ChainID, operator.String(), number))
	require.NoError(b, err)
	params := sunstypes.DefaultParams()
	_, err = m.Deliver(func(ctx sdk.Context) error {
		_, err := sunskeeper.NewMsgServer(m.suns).RegisterNode(ctx, &sunstypes.MsgRegisterNode{
			Operator: operator.String(), Number: number, Moniker: "node", AskPrice: 3_600 + uint64(i%1_000), Country: "TW",
			Bond: testkit.Coin(1_000_000), AgentPubKey: agent.PubKey().Bytes(), AgentSignature: signature,
			Report: sunstypes.BenchmarkReport{
				Version: 1, Digest: testkit.Digest("report"), Architecture: "amd64",
				Capacity: sunstypes.ResourcesOf(params.Bundle, 4_000), MilliSuns: 4_000,
			},
		})
		return err
	})
	require.NoError(b, err)
}

// order creates a lease of one replica; the block's end matches it.
func (m *market) order(b *testing.B) {
	b.Helper()
	_, err := m.Deliver(func(ctx sdk.Context) error {
		_, err := m.msgs.CreateLease(ctx, &leasetypes.MsgCreateLease{
			Tenant: m.tenant.String(), Image: m.image, Replicas: 1, MaxPrice: 1_000_000, Deposit: testkit.Coin(10_000_000),
		})
		return err
	})
	require.NoError(b, err)
}

var sizes = []int{100, 1_000, 10_000}

// BenchmarkMatch is the end of a block in which one replica is matched, among nodes of which nine in ten are full.
func BenchmarkMatch(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			m := newMarket(b, nodes)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				cache, _ := m.Ctx.CacheContext()
				base := m.Ctx
				m.Ctx = cache
				m.order(b)
				b.StartTimer()
				require.NoError(b, m.lease.EndBlocker(m.Ctx))
				b.StopTimer()
				m.Ctx = base
			}
		})
	}
}

// BenchmarkIdleBlock is the end of a block in which nothing is due.
func BenchmarkIdleBlock(b *testing.B) {
	for _, nodes := range sizes {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			m := newMarket(b, nodes)
			steps := []func(context.Context) error{m.lease.EndBlocker, m.suns.EndBlock}
			b.ResetTimer()
			for range b.N {
				cache, _ := m.Ctx.CacheContext()
				for _, step := range steps {
					if err := step(cache); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkCharge is the arithmetic of one settlement.
func BenchmarkCharge(b *testing.B) {
	rate := leasetypes.Rate{Price: 1_000_003, MilliSuns: 2_500, Royalty: 70}
	span := rate.Reserve(0, 3_600_000)
	span.AttestedMs = 3_599_999
	for range b.N {
		rate.Settle(span, 9_000)
	}
}
