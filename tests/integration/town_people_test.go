package integration_test

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/isuncoin/isuncoin/tests/integration/chain"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// rentSomething is what a tenant does.
func (v *town) rentSomething() {
	v.T.Helper()
	tenant := v.tenant()
	leases := v.openLeases(v.Address(tenant))
	if len(leases) < 3 {
		v.order(tenant, uint32(1+v.rand.Intn(3)), int64(100+v.rand.Intn(900)))
		return
	}
	lease, address := leases[v.rand.Intn(len(leases))], v.Address(tenant).String()
	switch v.rand.Intn(10) {
	case 0, 1, 2, 3:
		v.queue(v.tenant(), &leasetypes.MsgFundLease{
			Funder: address, Tenant: address, Number: lease.ID.Number, Amount: chain.Coins(int64(1 + v.rand.Intn(400)))[0],
		})
	case 4, 5:
		v.queue(tenant, &leasetypes.MsgUpdateLease{Tenant: address, Number: lease.ID.Number, Replicas: uint32(1 + v.rand.Intn(4))})
	case 6:
		v.queue(tenant, &leasetypes.MsgUpdateLease{
			Tenant: address, Number: lease.ID.Number, Image: v.images[v.rand.Intn(len(v.images))],
		})
	case 7, 8:
		v.queue(tenant, &leasetypes.MsgCloseLease{Tenant: address, Number: lease.ID.Number})
	default:
		v.queue(tenant, &leasetypes.MsgMigratePlacement{Tenant: address, Number: lease.ID.Number})
	}
}

// order makes a lease; its money lasts for some hours, or for less than one.
func (v *town) order(tenant string, replicas uint32, seconds int64) {
	v.T.Helper()
	price := int64(5_400)
	v.queue(tenant, &leasetypes.MsgCreateLease{
		Tenant: v.Address(tenant).String(), Image: v.images[v.rand.Intn(len(v.images))], Replicas: replicas,
		MaxPrice: uint64(price), Deposit: chain.Coins(price*seconds*int64(replicas)/3_600 + price/100)[0],
		Rules: leasetypes.PlacementRules{SpreadOperators: v.chance(4)},
	})
}

// openLeases are a tenant's that have not ended.
func (v *town) openLeases(tenant sdk.AccAddress) (open []leasetypes.Lease) {
	v.T.Helper()
	err := v.App.LeaseKeeper.Leases.Walk(v.Ctx(), nil, func(key leasetypes.LeaseKey, lease leasetypes.Lease) (bool, error) {
		if lease.Open() && key.K1().Equals(tenant) {
			open = append(open, lease)
		}
		return false, nil
	})
	require.NoError(v.T, err)
	return open
}

// operate is what an operator does with a node.
func (v *town) operate(node *townNode) {
	v.T.Helper()
	operator := v.Address(node.operator).String()
	switch v.rand.Intn(9) {
	case 0, 1:
		v.queue(node.operator, &sunstypes.MsgDrainNode{Operator: operator, Number: node.number})
	case 2, 3, 4:
		v.queue(node.operator, &sunstypes.MsgResumeNode{Operator: operator, Number: node.number})
	case 5:
		v.queue(node.operator, &sunstypes.MsgUpdateNode{
			Operator: operator, Number: node.number, AskPrice: 3_000 + uint64(v.rand.Intn(8))*300,
		})
	case 6:
		node.retired = true
		v.queue(node.operator, &sunstypes.MsgRetireNode{Operator: operator, Number: node.number})
	default:
		v.queue(node.operator, &sunstypes.MsgWithdrawRewards{Operator: operator, Number: node.number})
	}
}

// stake moves stake between validators, in and out, and publishes or deprecates an image.
func (v *town) stake() {
	v.T.Helper()
	who := v.tenant()
	from, to := v.rand.Intn(townValidators-1), v.rand.Intn(townValidators-1)
	address, amount := v.Address(who).String(), chain.Coins(int64(1_000_000 + v.rand.Intn(50)*1_000_000))[0]
	validator := func(i int) string { return sdk.ValAddress(v.Address(fmt.Sprintf("validator%d", i))).String() }
	switch v.rand.Intn(5) {
	case 0, 1:
		v.queue(who, stakingtypes.NewMsgDelegate(address, validator(from), amount))
	case 2:
		v.queue(who, stakingtypes.NewMsgUndelegate(address, validator(from), amount))
	case 3:
		v.queue(who, stakingtypes.NewMsgBeginRedelegate(address, validator(from), validator(to), amount))
	default:
		image := publication(v.Chain, "publisher", fmt.Sprintf("more%d", v.App.LastBlockHeight()), 900)
		v.queue("publisher", image, &uaitypes.MsgDeprecateImage{
			Owner: image.Publisher, Image: image.Publisher + "/" + image.Name + ":1",
		})
	}
}

// govern proposes other params now and then, and has the validators vote.
func (v *town) govern() {
	v.T.Helper()
	if v.proposals > v.voted {
		v.voted = v.proposals
		for i := range townValidators - 1 {
			name := fmt.Sprintf("validator%d", i)
			v.queue(name, govv1.NewMsgVote(v.Address(name), v.proposals, govv1.OptionYes, ""))
		}
		return
	}
	if !v.chance(200) {
		return
	}
	params, err := v.App.LeaseKeeper.Params.Get(v.Ctx())
	require.NoError(v.T, err)
	params.BillingPeriod = time.Duration(15+v.rand.Intn(15)) * time.Second
	params.RetryFee = uint64(v.rand.Intn(10))
	v.propose(&leasetypes.MsgUpdateParams{Authority: govAuthority(), Params: params})
}

func govAuthority() string { return authtypes.NewModuleAddress(govtypes.ModuleName).String() }

// propose puts messages before governance; they are voted on in the next block.
func (v *town) propose(msgs ...sdk.Msg) {
	v.T.Helper()
	proposal, err := govv1.NewMsgSubmitProposal(msgs, chain.Coins(500*sunstypes.BaseUnitsPerCoin),
		v.Address("tenant").String(), "", "a change", "for the town", false)
	require.NoError(v.T, err)
	v.queue("tenant", proposal)
	v.proposals++
}
