package lease_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/isuncoin/isuncoin/x/lease"
)

// An option that names a method or field the service has not makes the binary fail at its start; a method without an option
// has a command that nobody wrote help for.
func TestEveryMethodHasItsCommand(t *testing.T) {
	options := lease.AppModule{}.AutoCLIOptions()
	check := func(file, name string, commands *autocliv1.ServiceCommandDescriptor) {
		service := protoFile(t, file).Services().ByName(protoreflect.Name(name))
		require.Equal(t, string(service.FullName()), commands.Service)
		var methods, described []string
		for i := range service.Methods().Len() {
			methods = append(methods, string(service.Methods().Get(i).Name()))
		}
		for _, command := range commands.RpcCommandOptions {
			described = append(described, command.RpcMethod)
			require.NotEqual(t, command.Skip, command.Short != "", command.RpcMethod)
			fields := service.Methods().ByName(protoreflect.Name(command.RpcMethod)).Input().Fields()
			for _, arg := range command.PositionalArgs {
				require.NotNil(t, fields.ByName(protoreflect.Name(arg.ProtoField)), "%s %s", command.RpcMethod, arg.ProtoField)
			}
		}
		require.ElementsMatch(t, methods, described)
	}
	check("query.proto", "Query", options.Query)
	check("tx.proto", "Msg", options.Tx)
}
