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
	legacy.RegisterAminoMsg(cdc, &MsgCreateLease{}, "isun/lease/MsgCreateLease")
	legacy.RegisterAminoMsg(cdc, &MsgFundLease{}, "isun/lease/MsgFundLease")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateLease{}, "isun/lease/MsgUpdateLease")
	legacy.RegisterAminoMsg(cdc, &MsgCloseLease{}, "isun/lease/MsgCloseLease")
	legacy.RegisterAminoMsg(cdc, &MsgStartPlacement{}, "isun/lease/MsgStartPlacement")
	legacy.RegisterAminoMsg(cdc, &MsgRejectPlacement{}, "isun/lease/MsgRejectPlacement")
	legacy.RegisterAminoMsg(cdc, &MsgMigratePlacement{}, "isun/lease/MsgMigratePlacement")
	legacy.RegisterAminoMsg(cdc, &MsgRequestSnapshot{}, "isun/lease/MsgRequestSnapshot")
	legacy.RegisterAminoMsg(cdc, &MsgRecordSnapshot{}, "isun/lease/MsgRecordSnapshot")
	legacy.RegisterAminoMsg(cdc, &MsgRemoveSnapshot{}, "isun/lease/MsgRemoveSnapshot")
	legacy.RegisterAminoMsg(cdc, &MsgRestoreSnapshot{}, "isun/lease/MsgRestoreSnapshot")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateParams{}, "isun/x/lease/MsgUpdateParams")
	legacy.RegisterAminoMsg(cdc, &MsgRetryQuarantined{}, "isun/x/lease/MsgRetryQuarantined")
	cdc.RegisterConcrete(Params{}, "isun/x/lease/Params", nil)
}

// RegisterInterfaces registers the messages.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil),
		&MsgCreateLease{}, &MsgFundLease{}, &MsgUpdateLease{}, &MsgCloseLease{},
		&MsgStartPlacement{}, &MsgRejectPlacement{}, &MsgMigratePlacement{}, &MsgUpdateParams{},
		&MsgRetryQuarantined{},
		&MsgRequestSnapshot{}, &MsgRecordSnapshot{}, &MsgRemoveSnapshot{}, &MsgRestoreSnapshot{},
	)
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}
