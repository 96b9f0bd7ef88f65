package keeper_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	"github.com/isuncoin/isuncoin/x/testkit"
)

func attestMsg(node sunstypes.Node, sequence uint64, entries ...types.UsageEntry) *types.MsgAttestUsage {
	return &types.MsgAttestUsage{Agent: node.Agent, Version: types.AttestationVersion, Sequence: sequence, Entries: entries}
}

func usage(number, figure uint64) types.UsageEntry {
	return types.UsageEntry{
		ID: placement(number), ServedMs: figure, CpuMs: figure + 1, AcceleratorMs: figure + 2,
		MemoryMiBSeconds: figure + 3, BytesIn: figure + 4, BytesOut: figure + 5,
	}
}

// attest delivers an attestation as one transaction.
func (f *fixture) attest(msg *types.MsgAttestUsage) (response *types.MsgAttestUsageResponse, events sdk.Events, err error) {
	events, err = f.Deliver(func(ctx sdk.Context) error {
		response, err = f.msg.AttestUsage(ctx, msg)
		return err
	})
	return response, events, err
}

func (f *fixture) usage(number uint64) (types.UsageEntry, error) {
	id := placement(number)
	response, err := f.query.Usage(f.Ctx, &types.QueryUsageRequest{
		Tenant: id.Tenant, Number: id.Number, Replica: id.Replica, Generation: id.Generation,
	})
	if err != nil {
		return types.UsageEntry{}, err
	}
	return response.Usage, nil
}

func TestAttestUsage(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")

	response, events, err := f.attest(attestMsg(node, 7, usage(1, 100), usage(2, 30)))
	require.NoError(t, err)
	require.Equal(t, &types.MsgAttestUsageResponse{CreditedMs: 130}, response)
	require.Equal(t, []types.EventUsageAttested{{
		Operator: node.ID.Operator, Node: 1, Sequence: 7, Entries: 2, CreditedMs: 130,
	}}, testkit.EventsOf[types.EventUsageAttested](t, events))
	require.Equal(t, []credit{{node.ID, placement(1), 100}, {node.ID, placement(2), 30}}, f.leases.calls)
	require.Equal(t, 1, f.suns.checkIns[node.ID])

	for number, want := range map[uint64]types.UsageEntry{1: usage(1, 100), 2: usage(2, 30)} {
		got, err := f.usage(number)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	attestation, err := f.query.Attestation(f.Ctx, &types.QueryAttestationRequest{Operator: node.ID.Operator, Node: 1})
	require.NoError(t, err)
	require.Equal(t, types.NodeAttestation{Sequence: 7, AttestedMs: 1_000}, attestation.Attestation)

	response, _, err = f.attest(attestMsg(node, 8, usage(1, 100), usage(2, 31)))
	require.NoError(t, err, "a figure may stand still")
	require.EqualValues(t, 1, response.CreditedMs)
	require.Equal(t, 2, f.suns.checkIns[node.ID])
}

// A node with nothing to run says that it is alive.
func TestAttestNothing(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	response, _, err := f.attest(attestMsg(node, 1))
	require.NoError(t, err)
	require.Equal(t, &types.MsgAttestUsageResponse{}, response)
	require.Equal(t, 1, f.suns.checkIns[node.ID])
}

// Placements that have ended and settled are passed over, whatever is said of them; the rest counts.
func TestAttestSettledPlacement(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	_, _, err := f.attest(attestMsg(node, 1, usage(1, 100), usage(2, 100)))
	require.NoError(t, err)

	f.leases.errors[placement(1)] = leasetypes.ErrPlacementSettled.Wrap("placement")
	key, err := placement(1).Key()
	require.NoError(t, err)
	require.NoError(t, f.hooks.AfterPlacementSettled(f.Ctx, key, node.ID))
	response, events, err := f.attest(attestMsg(node, 2, usage(1, 50), usage(2, 120)))
	require.NoError(t, err)
	require.Equal(t, &types.MsgAttestUsageResponse{CreditedMs: 20, Skipped: 1}, response)
	id := placement(1)
	require.Equal(t, []types.EventEntrySkipped{{Tenant: id.Tenant, Number: 1, Replica: 0, Generation: 1}},
		testkit.EventsOf[types.EventEntrySkipped](t, events))
	kept, err := f.usage(1)
	require.NoError(t, err)
	require.Equal(t, usage(1, 100), kept)
}

func TestAttestRefused(t *testing.T) {
	upper := placement(1)
	upper.Tenant = strings.ToUpper(upper.Tenant)
	failure := errors.New("no")
	cases := []struct {
		name   string
		change func(f *fixture, m *types.MsgAttestUsage)
		err    error
	}{
		{"as it is", func(*fixture, *types.MsgAttestUsage) {}, nil},
		{"version 0", func(_ *fixture, m *types.MsgAttestUsage) { m.Version = 0 }, types.ErrUnsupportedVersion},
		{"version 2", func(_ *fixture, m *types.MsgAttestUsage) { m.Version = 2 }, types.ErrUnsupportedVersion},
		{"no agent", func(_ *fixture, m *types.MsgAttestUsage) { m.Agent = "" }, types.ErrInvalidRequest},
		{"agent of no node", func(_ *fixture, m *types.MsgAttestUsage) { m.Agent = testkit.Addr("x").String() }, sunstypes.ErrAgentUnknown},
		{"sequence 0", func(_ *fixture, m *types.MsgAttestUsage) { m.Sequence = 0 }, types.ErrStaleSequence},
		{"sequence again", func(_ *fixture, m *types.MsgAttestUsage) { m.Sequence = 5 }, types.ErrStaleSequence},
		{"sequence far ahead", func(_ *fixture, m *types.MsgAttestUsage) { m.Sequence = types.MaxSequence }, nil},
		{"sequence above", func(_ *fixture, m *types.MsgAttestUsage) { m.Sequence = types.MaxSequence + 1 }, types.ErrOutOfBounds},
		{"entry twice", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries = append(m.Entries, usage(1, 300)) }, types.ErrDuplicateEntry},
		{"entry twice in another spelling", func(_ *fixture, m *types.MsgAttestUsage) {
			m.Entries = append(m.Entries, types.UsageEntry{ID: upper, ServedMs: 300})
		}, leasetypes.ErrInvalidID},
		{"entry of nothing", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries = []types.UsageEntry{{}} }, leasetypes.ErrInvalidID},
		{"served went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].ServedMs = 99 }, types.ErrUsageWentBackwards},
		{"CPU went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].CpuMs = 100 }, types.ErrUsageWentBackwards},
		{"accelerator went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].AcceleratorMs = 101 }, types.ErrUsageWentBackwards},
		{"memory went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].MemoryMiBSeconds = 102 }, types.ErrUsageWentBackwards},
		{"bytes in went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].BytesIn = 103 }, types.ErrUsageWentBackwards},
		{"bytes out went back", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].BytesOut = 104 }, types.ErrUsageWentBackwards},
		{"all figures at their most", func(_ *fixture, m *types.MsgAttestUsage) {
			m.Entries[0] = types.UsageEntry{
				ID: placement(1), ServedMs: types.MaxServedMs, CpuMs: types.MaxComputeMs, AcceleratorMs: types.MaxComputeMs,
				MemoryMiBSeconds: types.MaxMemoryMiBSeconds, BytesIn: types.MaxBytes, BytesOut: types.MaxBytes,
			}
		}, nil},
		{"served above", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].ServedMs = types.MaxServedMs + 1 }, types.ErrOutOfBounds},
		{"CPU above", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].CpuMs = types.MaxComputeMs + 1 }, types.ErrOutOfBounds},
		{"accelerator above", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].AcceleratorMs = types.MaxComputeMs + 1 }, types.ErrOutOfBounds},
		{"memory above", func(_ *fixture, m *types.MsgAttestUsage) {
			m.Entries[0].MemoryMiBSeconds = types.MaxMemoryMiBSeconds + 1
		}, types.ErrOutOfBounds},
		{"bytes in above", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].BytesIn = types.MaxBytes + 1 }, types.ErrOutOfBounds},
		{"bytes out above", func(_ *fixture, m *types.MsgAttestUsage) { m.Entries[0].BytesOut = ^uint64(0) }, types.ErrOutOfBounds},
		{"placement of another node", func(f *fixture, m *types.MsgAttestUsage) {
			f.leases.errors[placement(2)] = leasetypes.ErrNotThisNode
			m.Entries = append(m.Entries, usage(2, 1))
		}, leasetypes.ErrNotThisNode},
		{"placement of nobody", func(f *fixture, m *types.MsgAttestUsage) {
			f.leases.errors[placement(2)] = leasetypes.ErrPlacementNotFound
			m.Entries = append(m.Entries, usage(2, 1))
		}, leasetypes.ErrPlacementNotFound},
		{"check-in refused", func(f *fixture, _ *types.MsgAttestUsage) { f.suns.refuse = failure }, failure},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			node := f.addNode("operator")
			_, _, err := f.attest(attestMsg(node, 5, usage(1, 100)))
			require.NoError(t, err)
			before, err := f.keeper.ExportGenesis(f.Ctx)
			require.NoError(t, err)

			msg := attestMsg(node, 6, usage(1, 200))
			c.change(f, msg)
			_, _, err = f.attest(msg)
			if c.err == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.err)
			after, err := f.keeper.ExportGenesis(f.Ctx)
			require.NoError(t, err)
			require.Equal(t, before, after, "one bad entry fails all")
		})
	}
}

func TestAttestMostEntries(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	var entries []types.UsageEntry
	for number := uint64(1); number <= types.MaxEntries; number++ {
		entries = append(entries, usage(number, types.MaxServedMs/2))
	}
	response, _, err := f.attest(attestMsg(node, 1, entries...))
	require.NoError(t, err)
	require.Equal(t, types.MaxEntries*types.MaxServedMs/2, response.CreditedMs)

	_, _, err = f.attest(attestMsg(node, 2, append(entries, usage(types.MaxEntries+1, 1))...))
	require.ErrorIs(t, err, types.ErrTooManyEntries)
}

func TestUsageIsPrunedWithItsPlacement(t *testing.T) {
	f := newFixture(t)
	node := f.addNode("operator")
	_, _, err := f.attest(attestMsg(node, 1, usage(1, 10), usage(2, 10)))
	require.NoError(t, err)
	key, err := placement(1).Key()
	require.NoError(t, err)
	require.NoError(t, f.hooks.AfterPlacementSettled(f.Ctx, key, node.ID))
	_, err = f.usage(1)
	require.NoError(t, err, "what it used is known until it is forgotten")
	require.NoError(t, f.hooks.AfterPlacementPruned(f.Ctx, placement(1)))
	_, err = f.usage(1)
	require.ErrorIs(t, err, types.ErrUsageNotFound)
	_, err = f.usage(2)
	require.NoError(t, err)
	require.NoError(t, f.hooks.AfterPlacementPruned(f.Ctx, placement(9)), "it may never have been attested")
	require.ErrorIs(t, f.hooks.AfterPlacementPruned(f.Ctx, leasetypes.PlacementID{}), leasetypes.ErrInvalidID)
}
