package chain_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	grpctypes "github.com/cosmos/cosmos-sdk/types/grpc"

	"github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/chain/chaintest"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// sunsService serves the clock of the chain's height.
type sunsService struct {
	sunstypes.UnimplementedQueryServer
	chain *chaintest.Chain
}

func (s *sunsService) Clock(context.Context, *sunstypes.QueryClockRequest) (*sunstypes.QueryClockResponse, error) {
	return &sunstypes.QueryClockResponse{Clock: sunstypes.ChainClock{NowMs: uint64(s.chain.Height()) * 1000}}, nil
}

// leaseService knows no lease.
type leaseService struct {
	leasetypes.UnimplementedQueryServer
	asStatus bool
}

func (s *leaseService) Lease(_ context.Context, req *leasetypes.QueryLeaseRequest) (*leasetypes.QueryLeaseResponse, error) {
	err := leasetypes.ErrLeaseNotFound.Wrapf("%s/%d", req.Tenant, req.Number)
	if s.asStatus {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return nil, err
}

func newChain() *chaintest.Chain {
	c := chaintest.NewChain("isun-test")
	sunstypes.RegisterQueryServer(c, &sunsService{chain: c})
	return c
}

// config reaches nodes with timings that suit tests.
func config(nodes ...*chaintest.Node) chain.Config {
	cfg := chain.Config{Timeout: time.Second, PollInterval: time.Millisecond}
	for _, n := range nodes {
		cfg.Endpoints = append(cfg.Endpoints, n.URL())
	}
	return cfg
}

func dial(t *testing.T, cfg chain.Config) *chain.Conn {
	t.Helper()
	conn, err := chain.Dial(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func askClock(t *testing.T, conn *chain.Conn) uint64 {
	t.Helper()
	res, err := conn.Suns().Clock(t.Context(), &sunstypes.QueryClockRequest{})
	require.NoError(t, err)
	return res.Clock.NowMs
}

func TestDialTakesTheNodesChainID(t *testing.T) {
	conn := dial(t, config(chaintest.NewNode(t, newChain())))
	require.Equal(t, "isun-test", conn.ChainID())
}

func TestDialRefusesAnotherChain(t *testing.T) {
	cfg := config(chaintest.NewNode(t, newChain()))
	cfg.ChainID = "isun-1"
	_, err := chain.Dial(t.Context(), cfg)
	require.ErrorIs(t, err, chain.ErrWrongChain)
	require.ErrorContains(t, err, `on "isun-test", not on "isun-1"`)
	require.False(t, chain.IsUnreachable(err))
}

func TestDialPassesOverNodesOfAnotherChain(t *testing.T) {
	other := chaintest.NewNode(t, chaintest.NewChain("other"))
	right := chaintest.NewNode(t, newChain())
	cfg := config(other, right)
	cfg.ChainID = "isun-test"
	require.Equal(t, right.URL(), dial(t, cfg).Endpoint())
}

func TestDialSaysThatNothingAnswers(t *testing.T) {
	node := chaintest.NewNode(t, newChain())
	node.Stop()
	_, err := chain.Dial(t.Context(), config(node))
	require.True(t, chain.IsUnreachable(err))
	require.ErrorContains(t, err, node.URL())
	require.ErrorContains(t, err, "no node answers")
}

func TestDialRefusesBadConfig(t *testing.T) {
	for name, cfg := range map[string]chain.Config{
		"gas prices":     {GasPrices: "cheap"},
		"gas adjustment": {GasAdjustment: 0.5},
		"endpoint":       {Endpoints: []string{" "}},
		"url":            {Endpoints: []string{"ftp://\x7f"}},
		"timeout":        {Timeout: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chain.Dial(t.Context(), cfg)
			require.Error(t, err)
		})
	}
}

func TestQueriesGoOnAtTheNextNode(t *testing.T) {
	for name, fault := range map[string]chaintest.Fault{
		"connection breaks":       chaintest.Breaks,
		"answer never comes":      chaintest.Hangs,
		"proxy answers":           chaintest.Unavailable,
		"breaks after the answer": chaintest.BreaksAfter,
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain()
			first, second := chaintest.NewNode(t, c), chaintest.NewNode(t, c)
			cfg := config(first, second)
			cfg.Timeout = 200 * time.Millisecond
			conn := dial(t, cfg)
			require.Equal(t, first.URL(), conn.Endpoint())

			first.Fail(fault)
			require.EqualValues(t, 1000, askClock(t, conn))
			require.Equal(t, second.URL(), conn.Endpoint())
			asked := first.Calls("abci_query")
			askClock(t, conn)
			require.Equal(t, asked, first.Calls("abci_query"), "a node that failed is left alone")
		})
	}
}

func TestDialDoesNotWaitForANodeThatHangs(t *testing.T) {
	c := newChain()
	hanging, good := chaintest.NewNode(t, c), chaintest.NewNode(t, c)
	hanging.Fail(chaintest.Hangs)
	cfg := config(hanging, good)
	cfg.Timeout = time.Minute
	require.Equal(t, good.URL(), dial(t, cfg).Endpoint())
}

func TestQueriesComeBackWhenANodeDoes(t *testing.T) {
	node := chaintest.NewNode(t, newChain())
	conn := dial(t, config(node))
	node.Fail(chaintest.Breaks)
	_, err := conn.Suns().Clock(t.Context(), &sunstypes.QueryClockRequest{})
	require.True(t, chain.IsUnreachable(err))

	node.Fail(chaintest.Works)
	require.EqualValues(t, 1000, askClock(t, conn))
}

func TestNodesThatAreBehindComeLast(t *testing.T) {
	c := newChain()
	for range 20 {
		c.NextBlock()
	}
	catching, lagging, good := chaintest.NewNode(t, c), chaintest.NewNode(t, c), chaintest.NewNode(t, c)
	catching.SetCatchingUp(true)
	lagging.SetLag(15)
	conn := dial(t, config(catching, lagging, good))
	require.Equal(t, good.URL(), conn.Endpoint())

	good.Fail(chaintest.Breaks)
	askClock(t, conn)
	require.Equal(t, catching.URL(), conn.Endpoint(), "one that is behind is better than none")
}

func TestQueryErrorsKeepTheirMeaning(t *testing.T) {
	for name, asStatus := range map[string]bool{"registered error": false, "gRPC status": true} {
		t.Run(name, func(t *testing.T) {
			c := newChain()
			leasetypes.RegisterQueryServer(c, &leaseService{asStatus: asStatus})
			first, second := chaintest.NewNode(t, c), chaintest.NewNode(t, c)
			conn := dial(t, config(first, second))

			_, err := conn.Lease().Lease(t.Context(), &leasetypes.QueryLeaseRequest{Tenant: "isun1x", Number: 7})
			require.True(t, chain.IsNotFound(err))
			require.ErrorIs(t, err, leasetypes.ErrLeaseNotFound)
			require.Equal(t, "isun1x/7: lease not found", err.Error()[:25])
			require.Zero(t, second.Calls("abci_query"), "an answer is final")
		})
	}
}

func TestQueryTellsTheHeight(t *testing.T) {
	c := newChain()
	c.NextBlock()
	conn := dial(t, config(chaintest.NewNode(t, c)))
	var header metadata.MD
	_, err := conn.Suns().Clock(t.Context(), &sunstypes.QueryClockRequest{}, grpc.Header(&header))
	require.NoError(t, err)
	require.Equal(t, []string{"2"}, header.Get(grpctypes.GRPCBlockHeightHeader))

	bad := metadata.AppendToOutgoingContext(t.Context(), grpctypes.GRPCBlockHeightHeader, "-1")
	_, err = conn.Suns().Clock(bad, &sunstypes.QueryClockRequest{})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestQueryOfAnUnknownServiceIsAnError(t *testing.T) {
	conn := dial(t, config(chaintest.NewNode(t, newChain())))
	_, err := conn.Lease().Lease(t.Context(), &leasetypes.QueryLeaseRequest{})
	require.ErrorContains(t, err, "unknown query path")
	require.False(t, chain.IsNotFound(err))
}

func TestWaitHeight(t *testing.T) {
	c := newChain()
	node := chaintest.NewNode(t, c)
	conn := dial(t, config(node))
	done := make(chan chain.Block, 1)
	go func() {
		block, err := conn.WaitHeight(t.Context(), 3)
		if err == nil {
			done <- block
		}
		close(done)
	}()
	for range 2 {
		c.NextBlock()
	}
	block := <-done
	require.EqualValues(t, 3, block.Height)
	require.Equal(t, 2026, block.Time.Year())

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := conn.WaitHeight(ctx, 100)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "the chain is at height 3")
}

func TestConnIsSafeForConcurrentUse(t *testing.T) {
	c := newChain()
	first, second := chaintest.NewNode(t, c), chaintest.NewNode(t, c)
	conn := dial(t, config(first, second))
	done := make(chan error)
	for i := range 8 {
		go func() {
			for j := range 20 {
				if i == 0 && j == 10 {
					first.Fail(chaintest.Breaks)
				}
				if _, err := conn.Suns().Clock(t.Context(), &sunstypes.QueryClockRequest{}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
}
