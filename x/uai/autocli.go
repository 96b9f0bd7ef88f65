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
			{
				RpcMethod:      "Access",
				Use:            "access PUBLISHER/NAME:TAG",
				Short:          "List who may order an image beside its owner while it is restricted",
				Example:        fmt.Sprintf("%s query uai access isun1.../hello:v1", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "image"}},
			},
			{
				RpcMethod:      "Content",
				Use:            "content DIGEST",
				Short:          "Show how much some content is wanted, and how many nodes have it",
				Example:        fmt.Sprintf("%s query uai content sha256:2c26...", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "digest"}},
			},
			{
				RpcMethod:      "Holders",
				Use:            "holders DIGEST",
				Short:          "List the nodes that have some content, and how they are reached",
				Example:        fmt.Sprintf("%s query uai holders sha256:2c26...", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "digest"}},
			},
			{
				RpcMethod:      "Holdings",
				Use:            "holdings OPERATOR NUMBER",
				Short:          "List the digests that a node announced",
				Example:        fmt.Sprintf("%s query uai holdings isun1... 1", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "operator"}, {ProtoField: "number"}},
			},
			{
				RpcMethod:      "KeyHolders",
				Use:            "key-holders SUBJECT",
				Short:          "Show who holds the key to an image (image/PUBLISHER/NAME:TAG) or a lease (lease/TENANT/NUMBER)",
				Example:        fmt.Sprintf("%s query uai key-holders lease/isun1.../3", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "subject"}},
			},
			{
				RpcMethod:      "Object",
				Use:            "object OWNER NAME",
				Short:          "Show one stored object",
				Example:        fmt.Sprintf("%s query uai object isun1... backups/db", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}, {ProtoField: "name"}},
			},
			{
				RpcMethod:      "Objects",
				Use:            "objects OWNER",
				Short:          "List an owner's stored objects",
				Example:        fmt.Sprintf("%s query uai objects isun1...", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "owner"}},
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
				RpcMethod: "SetAccess",
				Use:       "set-access PUBLISHER/NAME:TAG",
				Short:     "Say who may order an image of yours: everybody, or with --restricted you and whom you grant it",
				Example:   fmt.Sprintf("%s tx uai set-access isun1.../hello:v1 --restricted --grant isun1... --from owner", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{
					{ProtoField: "image"},
				},
				FlagOptions: map[string]*autocliv1.FlagOptions{
					"restricted": {Usage: "only you and whom you granted it may order the image; without it everybody may"},
					"grant":      {Usage: "addresses that may order the image from now on"},
					"revoke":     {Usage: "addresses that may not any more"},
				},
			},
			{
				RpcMethod:      "AnnounceHolding",
				Use:            "announce-holding DIGEST...",
				Short:          "Say that the node has content whose agent is --from; the worker does so by itself",
				Example:        fmt.Sprintf("%s tx uai announce-holding sha256:2c26... --from agent", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "digests", Varargs: true}},
			},
			{
				RpcMethod:      "DropHolding",
				Use:            "drop-holding DIGEST...",
				Short:          "Say that a node no longer has content: your own, or with --of-node one that is retired or gone",
				Example:        fmt.Sprintf(`%s tx uai drop-holding sha256:2c26... --of-node '{"operator":"isun1...","number":"1"}' --from me`, version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "digests", Varargs: true}},
				FlagOptions:    map[string]*autocliv1.FlagOptions{"node": {Name: "of-node", Usage: "the node, if it is not the one whose agent is --from (json)"}},
			},
			{
				RpcMethod: "PutObject",
				Use:       "put-object NAME DIGEST SIZE-BYTES",
				Short:     "Have iSunCloud keep content under a name of yours, in place of what stood there",
				Example:   fmt.Sprintf("%s tx uai put-object backups/db sha256:2c26... 1048576 --from owner", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{
					{ProtoField: "name"}, {ProtoField: "digest"}, {ProtoField: "size_bytes"},
				},
			},
			{
				RpcMethod:      "RemoveObject",
				Use:            "remove-object NAME",
				Short:          "Have an object of yours kept no longer",
				Example:        fmt.Sprintf("%s tx uai remove-object backups/db --from owner", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "name"}},
			},
			{
				// set-key-holders reads a file: see client/cli.
				RpcMethod: "SetKeyHolders",
				Skip:      true,
			},
			{
				RpcMethod:      "UpdateParams",
				Use:            "update-params-proposal PARAMS",
				Short:          "Propose new params to governance; all of them must be given",
				Example:        fmt.Sprintf("%s tx uai update-params-proposal \"$(cat params.json)\" --from me", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "params"}},
				GovProposal:    true,
			},
		},
	}
}
