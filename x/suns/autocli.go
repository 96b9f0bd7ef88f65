package suns

import (
	"fmt"

	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"

	"github.com/cosmos/cosmos-sdk/version"

	"github.com/isuncoin/isuncoin/x/suns/types"
)

// AutoCLIOptions describes the commands that are made from the services.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{Query: queryCommands(), Tx: txCommands()}
}

func nodeArgs() []*autocliv1.PositionalArgDescriptor {
	return []*autocliv1.PositionalArgDescriptor{{ProtoField: "operator"}, {ProtoField: "number"}}
}

func numberArg() []*autocliv1.PositionalArgDescriptor {
	return []*autocliv1.PositionalArgDescriptor{{ProtoField: "number"}}
}

func queryCommands() *autocliv1.ServiceCommandDescriptor {
	return &autocliv1.ServiceCommandDescriptor{
		Service:              types.Query_serviceDesc.ServiceName,
		EnhanceCustomCommand: true,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			{RpcMethod: "Params", Use: "params", Short: "Show the bundles, bounds and durations nodes are held to"},
			{RpcMethod: "Clock", Use: "clock", Short: "Show the chain clock, on which all durations run"},
			{
				RpcMethod:      "Node",
				Use:            "node OPERATOR NUMBER",
				Short:          "Show one node, with what is free of it and when it was last heard from",
				Example:        fmt.Sprintf("%s query suns node isun1... 1", version.AppName),
				PositionalArgs: nodeArgs(),
			},
			{
				RpcMethod:      "NodeByAgent",
				Use:            "node-by-agent AGENT",
				Short:          "Show the node that an agent serves",
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "agent"}},
			},
			{
				RpcMethod:      "Contact",
				Use:            "contact OPERATOR NUMBER",
				Short:          "Show how a node is reached in iSunCloud, and the key that secrets are sealed to",
				Example:        fmt.Sprintf("%s query suns contact isun1... 1", version.AppName),
				PositionalArgs: nodeArgs(),
			},
			{RpcMethod: "Contacts", Use: "contacts", Short: "List how the nodes are reached in iSunCloud"},
			{
				RpcMethod:   "Nodes",
				Use:         "nodes",
				Short:       "List all nodes, or an operator's",
				Example:     fmt.Sprintf("%s query suns nodes --operator isun1...", version.AppName),
				FlagOptions: map[string]*autocliv1.FlagOptions{"operator": {Usage: "only this operator's nodes"}},
			},
			{RpcMethod: "Epoch", Use: "epoch", Short: "Show the running epoch and who has checked in"},
			{RpcMethod: "Emission", Use: "emission", Short: "Show the emission's schedule, and what was minted and burned"},
			{
				RpcMethod:      "Rewards",
				Use:            "rewards OPERATOR NUMBER",
				Short:          "Show what a node can withdraw of the maintenance reward",
				PositionalArgs: nodeArgs(),
			},
			// convert has flags for each resource: see client/cli.
			{RpcMethod: "Convert", Skip: true},
			{RpcMethod: "Quarantine", Use: "quarantine", Short: "List the block work that failed"},
		},
	}
}

func txCommands() *autocliv1.ServiceCommandDescriptor {
	return &autocliv1.ServiceCommandDescriptor{
		Service:              types.Msg_serviceDesc.ServiceName,
		EnhanceCustomCommand: true,
		RpcCommandOptions: []*autocliv1.RpcCommandOptions{
			// register-node and update-node read files and let the agent sign: see client/cli.
			{RpcMethod: "RegisterNode", Skip: true},
			{RpcMethod: "UpdateNode", Skip: true},
			{RpcMethod: "CheckIn", Use: "check-in", Short: "Say that the node is alive whose agent is --from"},
			{
				RpcMethod: "SetContact",
				Use:       "set-contact ENCRYPTION-KEY [ADDRESS...]",
				Short:     "Say how the node is reached in iSunCloud whose agent is --from; the worker does so by itself",
				Example: fmt.Sprintf("%s tx suns set-contact \"$(head -c 32 key.pub | base64)\" /ip4/203.0.113.7/tcp/8444 --from agent",
					version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "encryption_key"}, {ProtoField: "addresses", Varargs: true}},
			},
			{
				RpcMethod:      "DrainNode",
				Use:            "drain-node NUMBER",
				Short:          "Move a node's placements away and give it no new ones",
				PositionalArgs: numberArg(),
			},
			{RpcMethod: "ResumeNode", Use: "resume-node NUMBER", Short: "End a drain", PositionalArgs: numberArg()},
			{
				RpcMethod:      "RetireNode",
				Use:            "retire-node NUMBER",
				Short:          "Take a node off the market for good; its bond returns after the unbonding period",
				PositionalArgs: numberArg(),
			},
			{
				RpcMethod:      "WithdrawRewards",
				Use:            "withdraw-rewards NUMBER",
				Short:          "Pay a node's maintenance and audit rewards to its operator",
				PositionalArgs: numberArg(),
			},
			{
				RpcMethod:      "UpdateParams",
				Use:            "update-params-proposal PARAMS",
				Short:          "Propose new params to governance; all of them must be given",
				Example:        fmt.Sprintf("%s tx suns update-params-proposal \"$(cat params.json)\" --from me", version.AppName),
				PositionalArgs: []*autocliv1.PositionalArgDescriptor{{ProtoField: "params"}},
				GovProposal:    true,
			},
			{
				RpcMethod:      "RetryQuarantined",
				Use:            "retry-quarantined-proposal NUMBER",
				Short:          "Propose to governance that block work that failed is tried again; 'query suns quarantine' lists it",
				PositionalArgs: numberArg(),
				GovProposal:    true,
			},
		},
	}
}
