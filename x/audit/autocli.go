package audit

import (
	"fmt"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/cosmos/cosmos-sdk/version"

	"github.com/isuncoin/isuncoin/x/audit/types"
)

// AutoCLIOptions describes the commands that are made from the services.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{Query: queryCommands(), Tx: txCommands()}
}

func queryCommands() *autocliv1.ServiceCommandDescriptor {
	node := []*autocliv1.PositionalArgDescriptor{{ProtoField: "operator"}, {ProtoField: "node"}}
	return &autocliv1.ServiceCommandDescriptor{
		Service: types.Query_serviceDesc.ServiceName,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			{
				RpcMethod: "Params",
				Use:       "params",
				Short:     "Show how often nodes attest and what a node needs to share in the audit pool",
			},
			{
				RpcMethod: "Pool",
				Use:       "pool",
				Short:     "Show what the audit pool holds, owes and has paid",
			},
			{
				RpcMethod: "Usage",
				Use:       "usage TENANT NUMBER REPLICA GENERATION",
				Short:     "Show what a placement has used, by its node's attestations",
				Example:   fmt.Sprintf("%s query audit usage isun1... 1 0 1", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{
					{ProtoField: "tenant"}, {ProtoField: "number"}, {ProtoField: "replica"}, {ProtoField: "generation"},
				},
			},
			{
				RpcMethod:      "Attestation",
				Use:            "attestation OPERATOR NODE",
				Short:          "Show the number and the time of a node's last attestation",
				Example:        fmt.Sprintf("%s query audit attestation isun1... 1", version.AppName),
				PositionalArgs: node,
			},
			{
				RpcMethod:      "Rewards",
				Use:            "rewards OPERATOR NODE",
				Short:          "Show what a node can withdraw of the audit pool",
				Long:           "Show what a node can withdraw of the audit pool. 'tx suns withdraw-rewards' pays it with the maintenance reward.",
				Example:        fmt.Sprintf("%s query audit rewards isun1... 1", version.AppName),
				PositionalArgs: node,
			},
			{
				RpcMethod: "Quarantine",
				Use:       "quarantine",
				Short:     "List block work that failed and was set aside",
			},
		},
	}
}

func txCommands() *autocliv1.ServiceCommandDescriptor {
	return &autocliv1.ServiceCommandDescriptor{
		Service: types.Msg_serviceDesc.ServiceName,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			{
				RpcMethod: "AttestUsage",
				Use:       "attest-usage VERSION SEQUENCE",
				Short:     "Attest what the placements of the agent's node have used, as its worker does",
				Long: "Attest what the placements of the agent's node have used, as its worker does. VERSION is 1, SEQUENCE is above the " +
					"node's last one. Figures are cumulative. Without entries it is a sign of life.",
				Example: fmt.Sprintf(
					`%s tx audit attest-usage 1 42 --entries '{"id":{"tenant":"isun1...","number":1,"replica":0,"generation":1},"served_ms":60000}' --from agent`,
					version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "version"}, {ProtoField: "sequence"}},
				FlagOptions: map[string]*autocliv1.FlagOptions{
					"entries": {Usage: "the usage of one placement, as JSON; may be given several times"},
				},
			},
			{
				RpcMethod: "UpdateParams",
				Use:       "update-params-proposal PARAMS",
				Short:     "Propose new params to governance; all of them must be given",
				Long: "Propose new params to governance; all of them must be given. 'query audit params --output json' shows the " +
					"present ones.",
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "params"}},
				GovProposal:    true,
			},
			{
				RpcMethod:      "RetryQuarantined",
				Use:            "retry-quarantined-proposal NUMBER",
				Short:          "Propose to governance that block work that failed is tried again; 'query audit quarantine' lists it",
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "number"}},
				GovProposal:    true,
			},
		},
	}
}
