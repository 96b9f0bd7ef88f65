package chain

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

func TestCleanQueryLog(t *testing.T) {
	for log, want := range map[string]string{
		"rpc error: code = NotFound desc = isun1x/7: lease not found: key not found":                                                  "isun1x/7: lease not found",
		"1uisc is smaller than 2uisc: insufficient funds [cosmos/cosmos-sdk@v0.54.4/x/bank/keeper/send.go:278] with gas used: '4711'": "1uisc is smaller than 2uisc: insufficient funds",
		"rpc error: code = Unknown desc = x: lease is closing or closed with gas used: '9': unknown request":                          "x: lease is closing or closed",
		"the memo: invalid request": "the memo",
		"":                          "",
	} {
		require.Equal(t, want, cleanQueryLog(log))
	}
}

func TestRegisteredIn(t *testing.T) {
	for log, want := range map[string]error{
		"isun1x/7: lease not found: key not found":                                   leasetypes.ErrLeaseNotFound,
		"a/b:1: image not found: invalid id: invalid request":                        leasetypes.ErrInvalidID,
		"a/b:1: image not found":                                                     uaitypes.ErrImageNotFound,
		"spendable balance 1uisc is smaller than 5uisc: insufficient funds":          sdkerrors.ErrInsufficientFunds,
		"failed to execute message; message index: 0: x: lease is closing or closed": leasetypes.ErrLeaseEnded,
	} {
		require.ErrorIs(t, registeredIn(cleanQueryLog(log)), want, log)
	}
	require.NoError(t, registeredIn("the dog ate it"))
}

func TestRegisteredKnowsEveryModulesCodes(t *testing.T) {
	require.ErrorIs(t, registered("lease", leasetypes.ErrLeaseNotFound.ABCICode()), leasetypes.ErrLeaseNotFound)
	require.ErrorIs(t, registered("sdk", 32), sdkerrors.ErrWrongSequence)
	require.NoError(t, registered("lease", maxErrorCode))
	require.NoError(t, registered("nobody", 2))
}

func TestIsNotFound(t *testing.T) {
	require.False(t, IsNotFound(nil))
	require.False(t, IsNotFound(errors.New("lease not found")), "only what a chain said")
	require.True(t, IsNotFound(status.Error(codes.NotFound, "x")))
}

func TestMessageHasNoSourceLines(t *testing.T) {
	err := errors.New("image: retries 0 is not in 1..100: invalid image [/go/pkg/mod/cosmossdk.io/errors@v1.1.0/errors.go:165]")
	require.Equal(t, "image: retries 0 is not in 1..100: invalid image", Message(err))
}

func TestTxErrorNamesTheMessageAtFault(t *testing.T) {
	log := "failed to execute message; message index: 1: isun1x/7: lease not found"
	err := newTxError("AB", 9, "lease", leasetypes.ErrLeaseNotFound.ABCICode(), log)
	require.Equal(t, 1, err.Message)
	require.Equal(t, "isun1x/7: lease not found", err.Log)
	require.ErrorIs(t, err, leasetypes.ErrLeaseNotFound)
	require.Equal(t, "transaction AB failed in block 9: isun1x/7: lease not found (message 2) (`isun ps --all` lists your leases)",
		err.Error())
	require.Equal(t, -1, newTxError("", 0, "sdk", 13, "got: 1 required: 2: insufficient fee").Message)
}
