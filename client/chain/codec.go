package chain

import (
	"fmt"

	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"

	sdkclient "github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/std"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	txsigning "github.com/cosmos/cosmos-sdk/x/tx/signing"

	audittypes "github.com/isuncoin/isuncoin/x/audit/types"
	leasetypes "github.com/isuncoin/isuncoin/x/lease/types"
	sunstypes "github.com/isuncoin/isuncoin/x/suns/types"
	uaitypes "github.com/isuncoin/isuncoin/x/uai/types"
)

// Encoding is how messages and transactions are written and read.
type Encoding struct {
	Registry codectypes.InterfaceRegistry
	Codec    codec.Codec
	TxConfig sdkclient.TxConfig
}

// NewEncoding knows the messages of this project's modules and those of the SDK that tenants and operators use. It fails
// only when the linked proto definitions contradict each other.
func NewEncoding() (Encoding, error) {
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: proto.HybridResolver,
		SigningOptions: txsigning.Options{
			AddressCodec:          address.NewBech32Codec(sunstypes.Bech32Prefix),
			ValidatorAddressCodec: address.NewBech32Codec(sunstypes.Bech32Prefix + "valoper"),
		},
	})
	if err != nil {
		return Encoding{}, fmt.Errorf("interface registry: %w", err)
	}
	std.RegisterInterfaces(registry)
	authtypes.RegisterInterfaces(registry)
	vestingtypes.RegisterInterfaces(registry)
	authz.RegisterInterfaces(registry)
	banktypes.RegisterInterfaces(registry)
	feegrant.RegisterInterfaces(registry)
	for _, desc := range []*grpc.ServiceDesc{
		&sunstypes.Msg_serviceDesc, &leasetypes.Msg_serviceDesc, &audittypes.Msg_serviceDesc, &uaitypes.Msg_serviceDesc,
	} {
		msgservice.RegisterMsgServiceDesc(registry, desc)
	}

	cdc := codec.NewProtoCodec(registry)
	return Encoding{
		Registry: registry,
		Codec:    cdc,
		TxConfig: authtx.NewTxConfig(cdc, []signing.SignMode{signing.SignMode_SIGN_MODE_DIRECT}),
	}, nil
}
