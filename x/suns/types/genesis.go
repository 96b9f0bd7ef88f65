package types

import (
	"bytes"
	"context"
	"fmt"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/isuncoin/isuncoin/x/duequeue"
)

// DefaultGenesis is a chain without nodes, in its first epoch.
func DefaultGenesis() *GenesisState {
	return &GenesisState{
		Params:           DefaultParams(),
		EmissionSchedule: DefaultEmissionSchedule(),
		Emission:         NewEmissionState(),
		Epoch:            Epoch{Number: 1, TotalWeight: math.ZeroInt()},
	}
}

// Validate says whether a genesis can be imported: every number within its bounds, every list in the order of its keys, and
// every record in agreement with the others. What the accounts hold is checked at import.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	if err := g.EmissionSchedule.Validate(); err != nil {
		return err
	}
	if g.Clock.NowMs > MaxClockMs {
		return ErrInvalidGenesis.Wrapf("clock.now_ms %d is above %d", g.Clock.NowMs, MaxClockMs)
	}
	if err := g.Emission.Validate(); err != nil {
		return err
	}
	if err := g.validateOperators(); err != nil {
		return err
	}
	if err := g.validateNodes(); err != nil {
		return err
	}
	if err := g.validateContacts(); err != nil {
		return err
	}
	if err := g.validateEpochs(); err != nil {
		return err
	}
	if err := ValidatePayouts(g.Payouts); err != nil {
		return ErrInvalidGenesis.Wrap(err.Error())
	}
	return g.validateQuarantine()
}

// ValidatePayouts says whether queued payouts stand in the order of their queue, each once. Nodes may be gone since.
func ValidatePayouts(payouts []QueuedPayout) error {
	codec := collections.PairKeyCodec(collections.Uint64Key, NodeKeyCodec)
	var previous []byte
	for i, payout := range payouts {
		node, err := payout.Node.Key()
		if err != nil {
			return fmt.Errorf("payouts[%d]: %w", i, err)
		}
		if NodeIDFromKey(node) != payout.Node {
			return fmt.Errorf("payouts[%d]: %s: addresses are written in lower case", i, payout.Node)
		}
		if payout.DueMs > MaxClockMs {
			return fmt.Errorf("payouts[%d]: due_ms %d is above %d", i, payout.DueMs, MaxClockMs)
		}
		encoded, err := collections.EncodeKeyWithPrefix(nil, codec, collections.Join(payout.DueMs, node))
		if err != nil {
			return fmt.Errorf("payouts[%d]: %w", i, err)
		}
		if bytes.Compare(previous, encoded) >= 0 {
			return fmt.Errorf("payouts[%d]: %s is there twice or out of order", i, payout.Node)
		}
		previous = encoded
	}
	return nil
}

// ImportPayouts queues the payouts of a genesis.
func ImportPayouts(ctx context.Context, queue duequeue.Queue[NodeKey], payouts []QueuedPayout) error {
	for _, payout := range payouts {
		node, err := payout.Node.Key()
		if err != nil {
			return err
		}
		if err := queue.Push(ctx, payout.DueMs, node); err != nil {
			return err
		}
	}
	return nil
}

// ExportPayouts lists a queue of payouts.
func ExportPayouts(ctx context.Context, queue duequeue.Queue[NodeKey]) (payouts []QueuedPayout, err error) {
	err = queue.Entries.Walk(ctx, nil, func(entry collections.Pair[uint64, NodeKey]) (bool, error) {
		payouts = append(payouts, QueuedPayout{Node: NodeIDFromKey(entry.K2()), DueMs: entry.K1()})
		return false, nil
	})
	return payouts, err
}

func (g GenesisState) validateOperators() error {
	var previous sdk.AccAddress
	for i, operator := range g.Operators {
		id, err := NodeID{Operator: operator.Operator, Number: operator.Number}.Canonical()
		if err != nil {
			return fmt.Errorf("operators[%d]: %w", i, err)
		}
		if bytes.Compare(previous, id.K1()) >= 0 {
			return ErrInvalidGenesis.Wrapf("operators[%d]: %s is not in order", i, operator.Operator)
		}
		previous = id.K1()
	}
	return nil
}

func (g GenesisState) validateNodes() error {
	sequences := make(map[string]uint64, len(g.Operators))
	for _, operator := range g.Operators {
		sequences[operator.Operator] = operator.Number
	}
	agents := make(map[string]bool, len(g.Nodes))
	var previous []byte
	for i, node := range g.Nodes {
		key, err := node.Node.ID.Canonical()
		if err != nil {
			return fmt.Errorf("nodes[%d]: %w", i, err)
		}
		encoded := make([]byte, NodeKeyCodec.Size(key))
		if _, err := NodeKeyCodec.Encode(encoded, key); err != nil {
			return err
		}
		if bytes.Compare(previous, encoded) >= 0 {
			return ErrInvalidGenesis.Wrapf("nodes[%d]: %s is not in order", i, node.Node.ID)
		}
		previous = encoded
		if sequences[node.Node.ID.Operator] < node.Node.ID.Number {
			return ErrInvalidGenesis.Wrapf("nodes[%d]: %s is above its operator's number", i, node.Node.ID)
		}
		if err := node.validate(g); err != nil {
			return fmt.Errorf("nodes[%d] %s: %w", i, node.Node.ID, err)
		}
		if agent := node.Node.Agent; agent != "" {
			if agents[agent] {
				return ErrInvalidGenesis.Wrapf("nodes[%d]: agent %s serves another node", i, agent)
			}
			agents[agent] = true
		}
	}
	return nil
}

func (n GenesisNode) validate(g GenesisState) error {
	if err := n.Node.validate(g); err != nil {
		return err
	}
	if err := n.Load.validate(n.Node, g.Clock.NowMs); err != nil {
		return err
	}
	if err := n.Reward.validate(g.Epoch.Number); err != nil {
		return err
	}
	if n.LastCheckInMs > g.Clock.NowMs {
		return ErrInvalidGenesis.Wrapf("last_check_in_ms %d is in the future", n.LastCheckInMs)
	}
	if n.DeadlineMs > MaxClockMs || n.UnbondingMs > MaxClockMs {
		return ErrInvalidGenesis.Wrapf("deadline_ms or unbonding_ms is above %d", MaxClockMs)
	}
	if watched := n.Node.Watched(); watched != (n.DeadlineMs > 0) {
		return ErrInvalidGenesis.Wrapf("deadline_ms %d does not go with status %s", n.DeadlineMs, n.Node.Status)
	}
	if n.UnbondingMs > 0 && n.Node.Live() {
		return ErrInvalidGenesis.Wrap("unbonding_ms is set on a node that is not retired")
	}
	return nil
}

// Watched says whether a node's liveness has a deadline.
func (n Node) Watched() bool {
	return n.Status == NODE_STATUS_ACTIVE || n.Status == NODE_STATUS_DRAINING
}

func (n Node) validate(g GenesisState) error {
	if _, known := NodeStatus_name[int32(n.Status)]; !known || n.Status == NODE_STATUS_UNSPECIFIED {
		return ErrInvalidGenesis.Wrapf("status %d is unknown", n.Status)
	}
	if err := n.validateAgent(); err != nil {
		return err
	}
	for _, err := range []error{
		ValidateMoniker(n.Moniker), ValidateCountry(n.Country), ValidateZone(n.Zone), ValidateGateways(n.Gateways),
	} {
		if err != nil {
			return err
		}
	}
	if n.AskPrice == 0 || n.AskPrice > MaxAskPrice {
		return ErrInvalidAsk.Wrapf("%d", n.AskPrice)
	}
	if err := checkUisc(n.Bond); err != nil {
		return fmt.Errorf("bond: %w", err)
	}
	if n.RegisteredMs > g.Clock.NowMs || n.RetiredMs > g.Clock.NowMs || n.RegisteredEpoch > g.Epoch.Number {
		return ErrInvalidGenesis.Wrap("it was registered or retired in the future")
	}
	if n.RetiredMs > 0 && n.Live() {
		return ErrInvalidGenesis.Wrap("retired_ms is set on a node that is not retired")
	}
	return n.validateVector()
}

func (n Node) validateAgent() error {
	if !n.Live() && n.Agent == "" {
		return nil // one that retired with placements keeps its agent for their last attestation
	}
	agent, err := sdk.AccAddressFromBech32(n.Agent)
	if err != nil || agent.String() != n.Agent || n.Agent == n.ID.Operator {
		return ErrInvalidGenesis.Wrapf("agent %.100q is not the address of an agent", n.Agent)
	}
	return nil
}

// validateVector checks the sum and the report, but not the parts: they were computed under the params of their time.
func (n Node) validateVector() error {
	devices := make([]Accelerator, len(n.Accelerators))
	sum := n.GeneralMilliSuns
	for i, device := range n.Accelerators {
		if device.MilliSuns == 0 || device.MilliSuns > MaxNodeMilliSuns {
			return ErrInvalidGenesis.Wrapf("accelerators[%d].milli_suns %d is out of bounds", i, device.MilliSuns)
		}
		devices[i] = device.Accelerator
		sum += device.MilliSuns
	}
	report := BenchmarkReport{
		Version: n.ReportVersion, Digest: n.ReportDigest, Architecture: n.Architecture,
		Capacity: n.Capacity, Accelerators: devices,
	}
	if err := report.Validate(); err != nil {
		return err
	}
	if n.GeneralMilliSuns > MaxNodeMilliSuns || n.MilliSuns > MaxNodeMilliSuns || sum != n.MilliSuns {
		return ErrInvalidGenesis.Wrapf("milli_suns %d is not the sum of its parts, %d, or out of bounds", n.MilliSuns, sum)
	}
	return nil
}

func (l NodeLoad) validate(node Node, nowMs uint64) error {
	if l.ReservedGeneralMilliSuns > node.GeneralMilliSuns {
		return ErrInvalidGenesis.Wrapf("%d milli-SUNS are reserved of %d", l.ReservedGeneralMilliSuns, node.GeneralMilliSuns)
	}
	if l.Placements == 0 && (l.ReservedGeneralMilliSuns > 0 || len(l.BusyDevices) > 0) {
		return ErrInvalidGenesis.Wrap("something is reserved for no placement")
	}
	if l.BusySinceMs > nowMs {
		return ErrInvalidGenesis.Wrapf("busy_since_ms %d is in the future", l.BusySinceMs)
	}
	for i, id := range l.BusyDevices {
		if _, found := node.Device(id); !found {
			return ErrInvalidGenesis.Wrapf("busy device %.80q is none of the node's", id)
		}
		if i > 0 && l.BusyDevices[i-1] >= id {
			return ErrInvalidGenesis.Wrapf("busy device %.80q is not in order", id)
		}
	}
	return nil
}

func (r NodeReward) validate(epoch uint64) error {
	if err := checkUisc(r.Accrued); err != nil {
		return fmt.Errorf("reward.accrued: %w", err)
	}
	if r.Epoch > epoch || r.Weight > MaxNodeMilliSuns || (r.Epoch == 0 && r.Weight > 0) {
		return ErrInvalidGenesis.Wrapf("reward of epoch %d with weight %d is out of bounds", r.Epoch, r.Weight)
	}
	return nil
}

// validateEpochs checks that the running epoch's weight is its nodes', and that closed epochs can pay those who have not
// settled.
func (g GenesisState) validateEpochs() error {
	if g.Epoch.Number == 0 || g.Epoch.Number > MaxClockMs || g.Epoch.StartMs > g.Clock.NowMs {
		return ErrInvalidGenesis.Wrapf("epoch %d beginning at %d is out of bounds", g.Epoch.Number, g.Epoch.StartMs)
	}
	if err := checkUisc(g.Epoch.TotalWeight); err != nil {
		return fmt.Errorf("epoch.total_weight: %w", err)
	}
	owed, rates, err := g.openRewards()
	if err != nil {
		return err
	}
	weight, nodes := math.ZeroInt(), uint64(0)
	for _, node := range g.Nodes {
		switch epoch := node.Reward.Epoch; {
		case epoch == g.Epoch.Number && node.Reward.Weight > 0:
			weight, nodes = weight.Add(math.NewIntFromUint64(node.Reward.Weight)), nodes+1
		case epoch > 0 && epoch < g.Epoch.Number:
			if left, open := owed[epoch]; open {
				owed[epoch] = left.Sub(RewardOf(node.Reward.Weight, rates[epoch]))
			}
		}
	}
	if !weight.Equal(g.Epoch.TotalWeight) || nodes != g.Epoch.Nodes {
		return ErrInvalidGenesis.Wrapf("epoch has weight %s of %d nodes, its nodes have %s of %d",
			g.Epoch.TotalWeight, g.Epoch.Nodes, weight, nodes)
	}
	for _, reward := range g.EpochRewards {
		if owed[reward.Epoch].IsNegative() {
			return ErrInvalidGenesis.Wrapf("epoch %d owes its nodes more than it has left", reward.Epoch)
		}
	}
	return nil
}

func (g GenesisState) openRewards() (owed, rates map[uint64]math.Int, err error) {
	owed, rates = make(map[uint64]math.Int), make(map[uint64]math.Int)
	var previous uint64
	for i, reward := range g.EpochRewards {
		if reward.Epoch <= previous || reward.Epoch >= g.Epoch.Number {
			return nil, nil, ErrInvalidGenesis.Wrapf("epoch_rewards[%d]: epoch %d is not in order or not closed", i, reward.Epoch)
		}
		previous = reward.Epoch
		for _, amount := range []math.Int{reward.Amount, reward.Claimed} {
			if err := checkUisc(amount); err != nil {
				return nil, nil, fmt.Errorf("epoch_rewards[%d]: %w", i, err)
			}
		}
		if reward.Claimed.GT(reward.Amount) {
			return nil, nil, ErrInvalidGenesis.Wrapf("epoch_rewards[%d]: more is claimed than there was", i)
		}
		rate := reward.RewardPerWeight
		if rate.IsNil() || rate.IsNegative() || rate.GT(reward.Amount.Mul(rewardScale)) {
			return nil, nil, ErrInvalidGenesis.Wrapf("epoch_rewards[%d]: reward_per_weight is out of bounds", i)
		}
		owed[reward.Epoch], rates[reward.Epoch] = reward.Amount.Sub(reward.Claimed), rate
	}
	return owed, rates, nil
}

func (g GenesisState) validateQuarantine() error {
	var previous uint64
	for i, item := range g.Quarantine {
		if item.Number <= previous || item.Number > g.Quarantined {
			return ErrInvalidGenesis.Wrapf("quarantine[%d]: number %d is not in order or above %d", i, item.Number, g.Quarantined)
		}
		previous = item.Number
	}
	return nil
}
