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
	cdc.RegisterConcrete(Params{}, "isun/x/uai/Params", nil)
	legacy.RegisterAminoMsg(cdc, &MsgPublishImage{}, "isun/uai/MsgPublishImage")
	legacy.RegisterAminoMsg(cdc, &MsgDeprecateImage{}, "isun/uai/MsgDeprecateImage")
	legacy.RegisterAminoMsg(cdc, &MsgTransferImage{}, "isun/uai/MsgTransferImage")
	legacy.RegisterAminoMsg(cdc, &MsgSetAccess{}, "isun/uai/MsgSetAccess")
	legacy.RegisterAminoMsg(cdc, &MsgAnnounceHolding{}, "isun/uai/MsgAnnounceHolding")
	legacy.RegisterAminoMsg(cdc, &MsgDropHolding{}, "isun/uai/MsgDropHolding")
	legacy.RegisterAminoMsg(cdc, &MsgPutObject{}, "isun/uai/MsgPutObject")
	legacy.RegisterAminoMsg(cdc, &MsgRemoveObject{}, "isun/uai/MsgRemoveObject")
	legacy.RegisterAminoMsg(cdc, &MsgSetKeyHolders{}, "isun/uai/MsgSetKeyHolders")
	legacy.RegisterAminoMsg(cdc, &MsgUpdateParams{}, "isun/x/uai/MsgUpdateParams")
}

// RegisterInterfaces registers the messages so that they can be packed into transactions.
func RegisterInterfaces(registry codectypes.InterfaceRegistry) {
	registry.RegisterImplementations((*sdk.Msg)(nil),
		&MsgPublishImage{},
		&MsgDeprecateImage{},
		&MsgTransferImage{},
		&MsgSetAccess{},
		&MsgAnnounceHolding{},
		&MsgDropHolding{},
		&MsgPutObject{},
		&MsgRemoveObject{},
		&MsgSetKeyHolders{},
		&MsgUpdateParams{},
	)
	msgservice.RegisterMsgServiceDesc(registry, &_Msg_serviceDesc)
}
