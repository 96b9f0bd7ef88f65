package types

import (
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
)

// RegisterLegacyAminoCodec registers the messages for amino JSON, which hardware wallets sign.
func RegisterLegacyAminoCodec(cdc *codec.LegacyAmino) {
	legacy.RegisterAminoMsg(cdc, &MsgRegisterNode{}, "isun/suns/MsgRegisterNode")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateNode{}, "isun/suns/MsgUpdateNode")
	legacy.RegisterAminoMsg(cdc, &MsgCheckIn{}, "isun/suns/MsgCheckIn")
	legacy.RegisterAminoMsg(cdc, &MsgSetContact{}, "isun/suns/MsgSetContact")
	legacy.RegisterAminoMsg(cdc, &MsgDrainNode{}, "isun/suns/MsgDrainNode")
	legacy.RegisterAminoMsg(cdc, &MsgResumeNode{}, "isun/suns/MsgResumeNode")
	legacy.RegisterAminoMsg(cdc, &MsgRetireNode{}, "isun/suns/MsgRetireNode")
	legacy.RegisterAminoMsg(cdc, &MsgWithdrawRewards{}, "isun/suns/MsgWithdrawRewards")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateParams{}, "isun/x/suns/MsgUpdateParams")
	legacy.RegisterAminoMsg(cdc, &MsgRetryQuarantined{}, "isun/x/suns/MsgRetryQuarantined")
	cdc.RegisterConcrete(Params{}, "isun/x/suns/Params", nil)
}

// RegisterInterfaces registers the messages.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil),
		&MsgRegisterNode{}, &MsgUpdateNode{}, &MsgCheckIn{}, &MsgSetContact{}, &MsgDrainNode{},
		&MsgResumeNode{}, &MsgRetireNode{}, &MsgWithdrawRewards{}, &MsgUpdateParams{},
		&MsgRetryQuarantined{},
	)
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}
