package uai

import (
	"fmt"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/cosmos/cosmos-sdk/version"

	"github.com/isuncoin/isuncoin/x/uai/types"
)

// AutoCLIOptions describes the commands that are made from the services.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{Query: queryCommands(), Tx: txCommands()}
}

func queryCommands() *autocliv1.ServiceCommandDescriptor {
	return &autocliv1.ServiceCommandDescriptor{
		Service: types.Query_serviceDesc.ServiceName,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			{
				RpcMethod: "Params",
				Use:       "params",
				Short:     "Show the limits that new images are held to",
			},
			{
				RpcMethod: "Image",
				Use:       "image PUBLISHER NAME TAG",
				Short:     "Show one image",
				Example:   fmt.Sprintf("%s query uai image isun1... hello v1", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{
					{ProtoField: "publisher"}, {ProtoField: "name"}, {ProtoField: "tag"},
				},
			},
			{
				RpcMethod: "Images",
				Use:       "images",
				Short:     "List all images, a publisher's or an owner's",
				Example:   fmt.Sprintf("%s query uai images --owner isun1...", version.AppName),
				FlagOptions: map[string]*autocliv1.FlagOptions{
					"publisher": {Usage: "only images this address published"},
					"owner":     {Usage: "only images this address owns now"},
				},
			},
		},
	}
}

func txCommands() *autocliv1.ServiceCommandDescriptor {
	return &autocliv1.ServiceCommandDescriptor{
		Service:              types.Msg_serviceDesc.ServiceName,
		EnhanceCustomCommand: true,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			{
				// publish-image reads a file: see client/cli.
				RpcMethod: "PublishImage",
				Skip:      true,
			},
			{
				RpcMethod:      "DeprecateImage",
				Use:            "deprecate-image PUBLISHER/NAME:TAG",
				Short:          "End new leases of an image of yours; there is no way back",
				Example:        fmt.Sprintf("%s tx uai deprecate-image isun1.../hello:v1 --from owner", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "image"}},
			},
			{
				RpcMethod: "TransferImage",
				Use:       "transfer-image PUBLISHER/NAME:TAG NEW-OWNER",
				Short:     "Give an image of yours, and its royalty from now on, to another address",
				Example:   fmt.Sprintf("%s tx uai transfer-image isun1.../hello:v1 isun1... --from owner", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{
					{ProtoField: "image"}, {ProtoField: "new_owner"},
				},
			},
			{
				RpcMethod:      "UpdateParams",
				Use:            "update-params-proposal PARAMS",
				Short:          "Propose new params to governance; all of them must be given",
				Example:        fmt.Sprintf(`%s tx uai update-params-proposal '{"max_image_bytes":"107374182400","max_royalty":"1000000"}' --from me`, version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "params"}},
				GovProposal:    true,
			},
		},
	}
}
