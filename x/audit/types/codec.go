package types

import (
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
)

// RegisterLegacyAminoCodec registers the messages for signing as amino JSON, which hardware wallets need. The names are the
// ones the schema states.
func RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	cdc.RegisterConcrete(Params{}, "isun/x/audit/Params", nil)
	legacy.RegisterAminoMsg(cdc, &MsgAttestUsage{}, "isun/audit/MsgAttestUsage")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateParams{}, "isun/x/audit/MsgUpdateParams")
	legacy.RegisterAminoMsg(cdc, &MsgRetryQuarantined{}, "isun/x/audit/MsgRetryQuarantined")
}

// RegisterInterfaces registers the messages so that they can be packed into transactions.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil),
		&MsgAttestUsage{},
		&MsgUpdateParams{},
		&MsgRetryQuarantined{},
	)
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}
