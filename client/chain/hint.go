package chain

import (
	"errors"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
)

// hints say what to do about errors that come from outside the modules' own words. The modules' errors mostly say it
// themselves.
var hints = []struct {
	err  error
	hint string
}{
	{sdkerrors.ErrInsufficientFunds, "the account has too little ISC for the amount and the fee: send some to it, or lower the amount"},
	{sdkerrors.ErrInsufficientFee, "the node wants a higher fee: set --gas-prices, such as 0.025uisc"},
	{sdkerrors.ErrOutOfGas, "the block did more than the simulation: send it again with a higher gas limit"},
	{sdkerrors.ErrUnknownAddress, "the account is not on the chain yet: send it some ISC first"},
	{sdkerrors.ErrMempoolIsFull, "the node is busy: try again in a few seconds"},
	{sdkerrors.ErrTxTimeoutHeight, "it came too late: send it again"},
	{sdkerrors.ErrWrongSequence, "another program sends with the same key: try again"},
	{feegrant.ErrFeeLimitExceeded, "the fee grant is used up for now: wait for its next period or ask the granter for more"},
	{feegrant.ErrFeeLimitExpired, "the fee grant has expired: ask the granter for a new one"},
	{feegrant.ErrNoAllowance, "there is no fee grant from that account: ask it for one, or pay the fee yourself"},
	{feegrant.ErrMessageNotAllowed, "the fee grant does not cover this message: pay the fee yourself"},
	{leasetypes.ErrLeaseNotFound, "`isun ps --all` lists your leases"},
}

func hintFor(cause error) string {
	if cause == nil {
		return ""
	}
	for _, h := range hints {
		if errors.Is(cause, h.err) {
			return h.hint
		}
	}
	return ""
}
