package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/format"
	"github.com/isuncoin/isuncoin/worker/bench"
	"github.com/isuncoin/isuncoin/worker/chain"
	"github.com/isuncoin/isuncoin/worker/operator"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// errPartial: a report without its accelerators would take them off the market.
var errPartial = errors.New("--submit needs the whole machine measured: leave out --only, or name at least cpu and accelerators")

// submit measures and replaces the report of this worker's node.
func (m *measuring) submit(cmd *cobra.Command, o *options, keys *keyFlags) (measured, error) {
	ctx := cmd.Context()
	if len(m.only) > 0 && (!slices.Contains(m.only, bench.ResourceCPU) || !slices.Contains(m.only, bench.ResourceAccelerators)) {
		return measured{}, errPartial
	}
	cfg, err := o.load(nil)
	if err != nil {
		return measured{}, err
	}
	node, err := o.node()
	if err != nil {
		return measured{}, err
	}
	conn, err := dial(ctx, cfg, node.ChainID)
	if err != nil {
		return measured{}, err
	}
	defer conn.Close()
	owner, err := keys.open(conn, cmd.InOrStdin())
	if err != nil {
		return measured{}, err
	}
	params, err := chain.ReadParams(ctx, conn)
	if err != nil {
		return measured{}, err
	}
	info, err := operator.Node(ctx, conn, node.ID())
	if err != nil {
		return measured{}, err
	}
	if err := bench.Settle(o.dir().Report(), info.Node.ReportDigest); err != nil {
		return measured{}, err
	}
	m.busy = operator.Busy(info)
	one := bench.BundleOf(params.Suns)
	report, err := m.run(ctx, cmd, o, cfg, one)
	if err != nil {
		return measured{}, err
	}
	report.Hold(info.Node, info.Load.ReservedGeneralMilliSuns)
	result, err := newMeasured(report, one, true)
	if err != nil {
		return measured{}, err
	}
	result.TxHash, err = send(ctx, cmd, o, conn, owner, keys, params.Suns, report)
	return result, err
}

// send puts a report on the chain and keeps it. The one that is there stays
// until the chain has taken the new one; a crash between the two is mended by
// Settle, here or at the next start.
func send(
	ctx context.Context, cmd *cobra.Command, o *options, conn *chainclient.Conn, owner *operator.Operator, keys *keyFlags,
	params sunstypes.Params, report bench.Report,
) (string, error) {
	node, err := o.node()
	if err != nil {
		return "", err
	}
	onChain, err := report.OnChain(bench.BundleOf(params))
	if err != nil {
		return "", err
	}
	// What placements hold may have changed while the machine was measured.
	info, err := operator.Node(ctx, conn, node.ID())
	if err != nil {
		return "", err
	}
	if err := operator.CheckUpdate(params, info, onChain); err != nil {
		return "", err
	}
	question := fmt.Sprintf("replace the report of node %s: %s SUNS (bound by %s) instead of %s", node.ID(),
		format.SUNS(onChain.MilliSuns), report.Suns(bench.BundleOf(params)).Bottleneck, format.SUNS(info.Node.MilliSuns))
	if err := keys.confirm(cmd, question); err != nil {
		return "", err
	}
	path := o.dir().Report()
	if err := report.SaveSent(path); err != nil {
		return "", err
	}
	hash, err := owner.Update(ctx, node.ID(), onChain)
	if err != nil {
		return "", errors.Join(err, settle(ctx, o, conn, node.ID()))
	}
	return hash, bench.Settle(path, onChain.Digest)
}

// settle asks the chain which report it has. Without an answer both stay, for
// the next time.
func settle(ctx context.Context, o *options, conn *chainclient.Conn, id sunstypes.NodeID) error {
	info, err := operator.Node(context.WithoutCancel(ctx), conn, id)
	if err != nil {
		return nil //nolint:nilerr // the error that is told is why the report was not taken
	}
	return bench.Settle(o.dir().Report(), bytes.Clone(info.Node.ReportDigest))
}
