package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	chainclient "github.com/isuncoin/isuncoin/client/chain"
	"github.com/isuncoin/isuncoin/client/format"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

// Node is what the chain knows of a node, and what placements hold of it.
func Node(ctx context.Context, conn *chainclient.Conn, id sunstypes.NodeID) (sunstypes.NodeInfo, error) {
	res, err := conn.Suns().Node(ctx, &sunstypes.QueryNodeRequest{Operator: id.Operator, Number: id.Number})
	if err != nil {
		return sunstypes.NodeInfo{}, fmt.Errorf("node %s: %w", id, err)
	}
	return res.Node, nil
}

// Busy are the devices that placements hold, as the chain has them.
func Busy(info sunstypes.NodeInfo) []sunstypes.Accelerator {
	var busy []sunstypes.Accelerator
	for _, id := range info.Load.BusyDevices {
		if device, ok := info.Node.Device(id); ok {
			busy = append(busy, device.Accelerator)
		}
	}
	return busy
}

// CheckUpdate says what the chain would refuse of a new report, and what an
// owner can do about it. Errors: sunstypes.ErrBelowReserved and those of
// BenchmarkReport.Measure.
func CheckUpdate(params sunstypes.Params, info sunstypes.NodeInfo, report sunstypes.BenchmarkReport) error {
	measured, err := report.Measure(params)
	if err != nil {
		return err
	}
	if info.Load.Placements > 0 && info.Node.Architecture != report.Architecture {
		return fmt.Errorf("%w: the node is registered as %s and has placements, this machine is %s: join this machine as a node of its own",
			sunstypes.ErrBelowReserved, info.Node.Architecture, report.Architecture)
	}
	if held := info.Load.ReservedGeneralMilliSuns; measured.GeneralMilliSuns < held {
		return fmt.Errorf("%w: they hold %s SUNS of it and %s would be left; offer more of what is scarce, or empty the node first "+
			"(`isun-worker drain --operator-key NAME`, wait until `isun-worker status` shows no placements, measure again, `resume`)",
			sunstypes.ErrBelowReserved, format.SUNS(held), format.SUNS(measured.GeneralMilliSuns))
	}
	for _, id := range info.Load.BusyDevices {
		was, _ := info.Node.Device(id)
		if is := device(measured, id); is.MilliSuns < was.MilliSuns || is.Accelerator.Model != was.Accelerator.Model {
			return fmt.Errorf("%w: a placement holds accelerator %s (%s), which is not found any more or not offered; "+
				"look at `isun-worker doctor`, or drain the node first and measure again", sunstypes.ErrBelowReserved, id, was.Accelerator.Model)
		}
	}
	return nil
}

func device(measured sunstypes.Measured, id string) sunstypes.NodeAccelerator {
	for _, d := range measured.Accelerators {
		if d.Accelerator.DeviceID == id {
			return d
		}
	}
	return sunstypes.NodeAccelerator{}
}

// Update gives the node a new report. An answer that was lost on its way is
// asked for again.
func (o *Operator) Update(ctx context.Context, id sunstypes.NodeID, report sunstypes.BenchmarkReport) (string, error) {
	hash, err := o.send(ctx, id, &sunstypes.MsgUpdateNode{Operator: id.Operator, Number: id.Number, Report: &report})
	var refused *chainclient.TxError
	if err == nil || errors.As(err, &refused) || id.Operator != o.Address() {
		return hash, err
	}
	info, findErr := Node(ctx, o.conn, id)
	if findErr != nil {
		return hash, errors.Join(err, findErr)
	}
	if bytes.Equal(info.Node.ReportDigest, report.Digest) {
		return hash, nil
	}
	return hash, err
}
