package chaintest

import (
	"context"

	abci "github.com/cometbft/cometbft/abci/types"

	errorsmod "cosmossdk.io/errors"
	"cosmossdk.io/math"

	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

// check takes a transaction into the mempool, or says why not.
func (c *Chain) check(bytes []byte) abci.ResponseCheckTx {
	c.mu.Lock()
	err := c.checkTx(bytes)
	var hook func(int64)
	if err == nil && !c.manual {
		hook = c.nextBlock()
	}
	height := c.height
	c.mu.Unlock()
	if hook != nil {
		hook(height)
	}
	if err != nil {
		codespace, code, log := errorsmod.ABCIInfo(err, false)
		return abci.ResponseCheckTx{Codespace: codespace, Code: code, Log: log}
	}
	return abci.ResponseCheckTx{}
}

func (c *Chain) checkTx(bytes []byte) error {
	tx, err := c.decode(bytes)
	if err != nil {
		return err
	}
	if timeout := tx.GetTimeoutHeight(); timeout > 0 && uint64(c.height) >= timeout {
		return sdkerrors.ErrTxTimeoutHeight
	}
	if err := c.checkFee(tx); err != nil {
		return err
	}
	acc, err := c.checkSequence(tx)
	if err != nil {
		return err
	}
	if err := c.verify(tx, acc); err != nil {
		return err
	}
	acc.checked++
	c.mempool = append(c.mempool, bytes)
	c.seen[txHash(bytes)] = true
	return nil
}

func (c *Chain) decode(bytes []byte) (authsigning.Tx, error) {
	decoded, err := c.encoding.TxConfig.TxDecoder()(bytes)
	if err != nil {
		return nil, sdkerrors.ErrTxDecode.Wrap(err.Error())
	}
	tx, ok := decoded.(authsigning.Tx)
	if !ok {
		return nil, sdkerrors.ErrTxDecode.Wrapf("%T", decoded)
	}
	return tx, nil
}

func (c *Chain) checkFee(tx authsigning.Tx) error {
	prices, err := sdk.ParseDecCoins(c.minGasPrice)
	if err != nil {
		return err
	}
	for _, price := range prices {
		need := price.Amount.MulInt(math.NewIntFromUint64(tx.GetGas())).Ceil().TruncateInt()
		if tx.GetFee().AmountOf(price.Denom).LT(need) {
			return sdkerrors.ErrInsufficientFee.Wrapf("got: %s required: %s%s", tx.GetFee(), need, price.Denom)
		}
	}
	return nil
}

// checkSequence gives the only signer's account.
func (c *Chain) checkSequence(tx authsigning.Tx) (*account, error) {
	signers, err := tx.GetSigners()
	if err != nil {
		return nil, sdkerrors.ErrUnauthorized.Wrap(err.Error())
	}
	signatures, err := tx.GetSignaturesV2()
	if err != nil || len(signatures) != 1 || len(signers) != 1 {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("%d signatures for %d signers", len(signatures), len(signers))
	}
	acc, ok := c.accounts[sdk.AccAddress(signers[0]).String()]
	if !ok {
		return nil, sdkerrors.ErrUnknownAddress.Wrapf("account %s does not exist", sdk.AccAddress(signers[0]))
	}
	if signatures[0].Sequence != acc.checked {
		return nil, sdkerrors.ErrWrongSequence.Wrapf("account sequence mismatch, expected %d, got %d",
			acc.checked, signatures[0].Sequence)
	}
	return acc, nil
}

func (c *Chain) verify(tx authsigning.Tx, acc *account) error {
	adaptable, ok := tx.(authsigning.V2AdaptableTx)
	if !ok {
		return sdkerrors.ErrTxDecode.Wrapf("%T", tx)
	}
	signature := must(tx.GetSignaturesV2())[0]
	data, err := signerData(c.ID, acc, signature.PubKey)
	if err != nil {
		return err
	}
	err = authsigning.VerifySignature(context.Background(), signature.PubKey, data, signature.Data,
		c.encoding.TxConfig.SignModeHandler(), adaptable.GetSigningTxData())
	if err != nil {
		return sdkerrors.ErrUnauthorized.Wrap(err.Error())
	}
	return nil
}

func (c *Chain) registerOwnServices() {
	authtypes.RegisterQueryServer(c, &authService{chain: c})
	txtypes.RegisterServiceServer(c, &txService{chain: c})
	nodeservice.RegisterServiceServer(c, &nodeService{chain: c})
}

type authService struct {
	authtypes.UnimplementedQueryServer
	chain *Chain
}

// AccountInfo gives number and sequence of an account.
func (s *authService) AccountInfo(
	_ context.Context, req *authtypes.QueryAccountInfoRequest,
) (*authtypes.QueryAccountInfoResponse, error) {
	s.chain.mu.Lock()
	defer s.chain.mu.Unlock()
	acc, ok := s.chain.accounts[req.Address]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "account %s not found", req.Address)
	}
	return &authtypes.QueryAccountInfoResponse{Info: &authtypes.BaseAccount{
		Address: req.Address, AccountNumber: acc.number, Sequence: acc.committed,
	}}, nil
}

type txService struct {
	txtypes.UnimplementedServiceServer
	chain *Chain
}

// Simulate checks the sequence and counts messages; it carries nothing out.
func (s *txService) Simulate(_ context.Context, req *txtypes.SimulateRequest) (*txtypes.SimulateResponse, error) {
	s.chain.mu.Lock()
	defer s.chain.mu.Unlock()
	tx, err := s.chain.decode(req.TxBytes)
	if err == nil {
		_, err = s.chain.checkSequence(tx)
	}
	if err != nil {
		return nil, status.Errorf(codes.Unknown, "%v with gas used: '%d'", err, GasPerMsg)
	}
	gas := uint64(GasPerMsg * len(tx.GetMsgs()))
	return &txtypes.SimulateResponse{GasInfo: &sdk.GasInfo{GasUsed: gas}, Result: &sdk.Result{}}, nil
}

type nodeService struct {
	nodeservice.UnimplementedServiceServer
	chain *Chain
}

// Config gives the node's least gas price.
func (s *nodeService) Config(context.Context, *nodeservice.ConfigRequest) (*nodeservice.ConfigResponse, error) {
	s.chain.mu.Lock()
	defer s.chain.mu.Unlock()
	return &nodeservice.ConfigResponse{MinimumGasPrice: s.chain.minGasPrice}, nil
}
