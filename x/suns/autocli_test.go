package suns_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/isuncoin/isuncoin/x/suns"
)

// Every method has a command, or is left to client/cli on purpose; every argument is a field.
func TestAutoCLICoversTheServices(t *testing.T) {
	options := suns.AppModule{}.AutoCLIOptions()
	for file, commands := range map[string]*autocliv1.ServiceCommandDescriptor{
		"query.proto": options.Query, "tx.proto": options.Tx,
	} {
		service := descriptor(t, file).Services().Get(0)
		require.Equal(t, string(service.FullName()), commands.Service)
		require.Len(t, commands.RpcCommandOptions, service.Methods().Len())
		for _, command := range commands.RpcCommandOptions {
			method := service.Methods().ByName(protoreflect.Name(command.RpcMethod))
			require.NotNil(t, method, command.RpcMethod)
			require.True(t, command.Skip || (command.Use != "" && command.Short != ""), command.RpcMethod)
			for _, arg := range command.PositionalArgs {
				require.NotNil(t, method.Input().Fields().ByName(protoreflect.Name(arg.ProtoField)), arg.ProtoField)
			}
			for field := range command.FlagOptions {
				require.NotNil(t, method.Input().Fields().ByName(protoreflect.Name(field)), field)
			}
		}
	}
}
