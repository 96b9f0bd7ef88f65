package scale

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"cosmossdk.io/collections"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/tests/bench/report"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

const (
	// manyImages are on the chain that is compared with one that has a single image.
	manyImages = 10_000
	// imageHolders hold each of them.
	imageHolders = 3
	// imageNodes is the size of both markets.
	imageNodes = 10
	// announcedAtOnce is what a message may announce at most.
	announcedAtOnce = 64
)

// BenchmarkImages is a block with nothing due, and a whole idle one, of a chain with many images, each on several nodes, over those of
// one with a single image; and the gas of a node's announcement.
func BenchmarkImages(b *testing.B) {
	few, many := newMarket(b), newMarket(b)
	gas := many.loadImages(manyImages)
	all := []*market{few, many}
	commits := samples{}
	work := takeTurns(b, 20, 10, all, func(m *market) float64 {
		commits[m] = append(commits[m], microseconds(b, func() error { m.block(nil); return nil }))
		ctx := m.next()
		return microseconds(b, func() error { return m.blockWork(ctx) })
	})
	for name, s := range map[string]samples{"idle_block": work, "idle_commit": commits} {
		report.Figure(b, name+"_images_1e4_us", s.best(many))
		report.Figure(b, name+"_images_1e4_vs_1", s.best(many)/s.best(few))
	}
	report.Figure(b, "announce_64_gas", gas)
}

// newMarket is a small one that nobody shares.
func newMarket(tb testing.TB) *market {
	tb.Helper()
	s := spec{nodes: imageNodes}
	shared, kept := markets[s]
	delete(markets, s)
	m := marketOf(tb, s)
	if delete(markets, s); kept {
		markets[s] = shared
	}
	return m
}

// loadImages publishes images and has nodes announce them, and gives the gas of announcing announcedAtOnce of them, at most.
func (m *market) loadImages(count int) (gas float64) {
	m.tb.Helper()
	for from := 0; from < count; from += announcedAtOnce {
		m.block(func(ctx sdk.Context) error {
			var digests []string
			for i := from; i < min(from+announcedAtOnce, count); i++ {
				image := m.manyImage(i)
				if err := m.app.UAIKeeper.Publish(ctx, image); err != nil {
					return err
				}
				digests = append(digests, image.Digest)
			}
			for i := range imageHolders {
				metered := ctx.WithGasMeter(storetypes.NewInfiniteGasMeter())
				agent := address("agent", (from/announcedAtOnce+i)%imageNodes)
				if err := m.app.UAIKeeper.AnnounceHolding(metered, agent, digests); err != nil {
					return err
				}
				gas = max(gas, float64(metered.GasMeter().GasConsumed()))
			}
			return nil
		})
	}
	return gas
}

func (m *market) manyImage(i int) uaitypes.Image {
	name := fmt.Sprintf("image-%d", i)
	return uaitypes.NewImage(&uaitypes.MsgPublishImage{
		Publisher: address("publisher", i%100).String(), Name: name, Tag: "1",
		Digest: fmt.Sprintf("sha256:%x", testkit.Digest(name)), SizeBytes: 1, Platforms: []string{"linux/amd64"},
		Demand: sunstypes.Demand{GeneralMilliSuns: 1_000}, Licence: "MIT",
	}, 1)
}

// Images and their holders leave a block nothing to do, and the chain's invariants hold.
func TestImagesCostABlockNothing(t *testing.T) {
	m := newMarket(t)
	steps := func() uint64 {
		ctx := m.next().WithGasMeter(storetypes.NewInfiniteGasMeter())
		require.NoError(t, m.blockWork(ctx))
		return ctx.GasMeter().GasConsumed()
	}
	before := steps()
	m.loadImages(2 * announcedAtOnce)
	require.Equal(t, before, steps(), "reads and writes of a block's work")
	require.NoError(t, m.app.CheckInvariants(m.next()))
	digest, err := uaitypes.ParseDigest(m.manyImage(0).Digest)
	require.NoError(t, err)
	node, err := sunstypes.NewNodeID(m.operator(0), 1).Key()
	require.NoError(t, err)
	held, err := m.app.UAIKeeper.Holdings.Has(m.next(), collections.Join(digest, node))
	require.NoError(t, err)
	require.True(t, held)
}
