//go:build sims

package sim

import (
	"github.com/stretchr/testify/require"

	clienttx "github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/testutil/simsx"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/cosmos-sdk/x/feegrant"

	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
)

const (
	simGas    = 5_000_000
	maxSimFee = 20_000
	// maxGrantedFee is small because the SDK's factories grant a hundred.
	maxGrantedFee = 20
	hugeFee       = 1 << 60
)

// signer signs the transactions of one block; several of one account follow each other.
type signer struct {
	w         *world
	sequences map[string]uint64
	// granters are, for each account, who would pay its fees.
	granters map[string][]string
}

func newSigner(w *world) *signer {
	w.t.Helper()
	s := &signer{w: w, sequences: map[string]uint64{}, granters: map[string][]string{}}
	err := w.chains[0].FeeGrantKeeper.IterateAllFeeAllowances(w.ctx(), func(grant feegrant.Grant) bool {
		s.granters[grant.Grantee] = append(s.granters[grant.Grantee], grant.Granter)
		return false
	})
	require.NoError(w.t, err)
	return s
}

// order is what a transaction asks for beside its message.
type order struct {
	gas      uint64
	fee      int64
	granter  sdk.AccAddress
	sequence uint64
	unsigned bool
}

// refused says that the transaction will not count: the next one has the same sequence.
func (o order) refused() bool { return o.sequence > 0 || o.fee == hugeFee || o.unsigned }

// draw decides who pays and, for one in ten, what is wrong.
func (s *signer) draw(sender string) order {
	r := s.w.r
	drawn := order{gas: simGas, fee: r.Int63n(maxSimFee)}
	if granters := s.granters[sender]; len(granters) > 0 && r.Intn(4) == 0 {
		drawn.fee = r.Int63n(maxGrantedFee)
		drawn.granter = sdk.MustAccAddressFromBech32(granters[r.Intn(len(granters))])
	}
	switch r.Intn(40) {
	case 0:
		drawn.gas = uint64(20_000 + r.Intn(200_000))
	case 1:
		drawn.sequence = uint64(1 + r.Intn(3))
	case 2:
		drawn.fee = hugeFee
	case 3:
		drawn.unsigned = true
	}
	return drawn
}

// sign builds a transaction of one message.
func (s *signer) sign(senders []simsx.SimAccount, msg sdk.Msg) []byte {
	t, first := s.w.t, s.w.chains[0]
	t.Helper()
	drawn := s.draw(senders[0].AddressBech32)
	builder := first.TxConfig().NewTxBuilder()
	require.NoError(t, builder.SetMsgs(msg))
	builder.SetGasLimit(drawn.gas)
	builder.SetFeeAmount(sdk.NewCoins(sdk.NewInt64Coin(sunstypes.BaseDenom, drawn.fee)))
	if drawn.granter != nil {
		builder.SetFeeGranter(drawn.granter)
	}
	mode := signing.SignMode_SIGN_MODE_DIRECT
	data := make([]authsigning.SignerData, len(senders))
	signatures := make([]signing.SignatureV2, len(senders))
	for i, sender := range senders {
		account := first.AccountKeeper.GetAccount(s.w.ctx(), sender.Address)
		data[i] = authsigning.SignerData{
			ChainID: simsx.SimAppChainID, Address: sender.AddressBech32, PubKey: sender.PubKey,
			AccountNumber: account.GetAccountNumber(),
			Sequence:      account.GetSequence() + s.sequences[sender.AddressBech32] + drawn.sequence,
		}
		if !drawn.refused() {
			s.sequences[sender.AddressBech32]++
		}
		signatures[i] = signing.SignatureV2{
			PubKey: sender.PubKey, Data: &signing.SingleSignatureData{SignMode: mode}, Sequence: data[i].Sequence,
		}
	}
	require.NoError(t, builder.SetSignatures(signatures...))
	if !drawn.unsigned {
		for i, sender := range senders {
			signed, err := clienttx.SignWithPrivKey(
				s.w.ctx(), mode, data[i], builder, sender.PrivKey, first.TxConfig(), data[i].Sequence)
			require.NoError(t, err)
			signatures[i] = signed
		}
		require.NoError(t, builder.SetSignatures(signatures...))
	}
	bytes, err := first.TxConfig().TxEncoder()(builder.GetTx())
	require.NoError(t, err)
	return bytes
}
