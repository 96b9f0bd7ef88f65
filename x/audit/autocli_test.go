package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/isuncoin/isuncoin/x/audit"
)

// AutoCLI fails at start, or hides a command, when an option names what the service does not have.
func TestAutoCLIOptionsMatchServices(t *testing.T) {
	options := audit.AppModule{}.AutoCLIOptions()
	for _, c := range []struct {
		file, service string
		commands      *autocliv1.ServiceCommandDescriptor
	}{
		{"query.proto", "Query", options.Query},
		{"tx.proto", "Msg", options.Tx},
	} {
		service := descriptor(t, c.file).Services().ByName(protoreflect.Name(c.service))
		require.Equal(t, string(service.FullName()), c.commands.Service)
		require.Len(t, c.commands.RpcCommandOptions, service.Methods().Len(), "every method of %s is thought of", c.service)
		for _, command := range c.commands.RpcCommandOptions {
			method := service.Methods().ByName(protoreflect.Name(command.RpcMethod))
			require.NotNil(t, method, command.RpcMethod)
			require.True(t, command.Skip || command.Short != "", "%s has no help", command.RpcMethod)
			for _, arg := range command.PositionalArgs {
				require.NotNil(t, method.Input().Fields().ByName(protoreflect.Name(arg.ProtoField)), arg.ProtoField)
			}
			for field := range command.FlagOptions {
				require.NotNil(t, method.Input().Fields().ByName(protoreflect.Name(field)), field)
			}
		}
	}
}
