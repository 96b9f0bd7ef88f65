package lease

import (
	autocliv1 "cosmossdk.io/api/cosmos/autocli/v1"
)

func args(fields ...string) []*autocliv1.PositionalArgDescriptor {
	descriptors := make([]*autocliv1.PositionalArgDescriptor, len(fields))
	for i, field := range fields {
		descriptors[i] = &autocliv1.PositionalArgDescriptor{ProtoField: field}
	}
	return descriptors
}

// AutoCLIOptions describes the commands.
func (AppModule) AutoCLIOptions() *autocliv1.ModuleOptions {
	return &autocliv1.ModuleOptions{
		Query: &autocliv1.ServiceCommandDescriptor{
			Service: "isun.lease.v1.Query",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{RpcMethod: "Params", Use: "params", Short: "The params"},
				{RpcMethod: "Lease", Use: "lease TENANT NUMBER", Short: "A lease with its money and placements", PositionalArgs: args("tenant", "number")},
				{RpcMethod: "Leases", Use: "leases", Short: "All leases, or with --tenant a tenant's"},
				{
					RpcMethod: "Placement", Use: "placement TENANT NUMBER REPLICA GENERATION", Short: "One placement, settled or not",
					PositionalArgs: args("tenant", "number", "replica", "generation"),
				},
				{
					RpcMethod: "Placements", Use: "placements TENANT NUMBER", Short: "A lease's placements, history included",
					PositionalArgs: args("tenant", "number"),
				},
				{
					RpcMethod: "NodePlacements", Use: "node-placements OPERATOR NODE", Short: "What a node must run, and what just ended there",
					PositionalArgs: args("operator", "node"),
				},
				{
					RpcMethod: "Snapshots", Use: "snapshots TENANT NUMBER", Short: "A lease's snapshots, or with --of-replica --replica N a replica's",
					Example:        "isunchaind query lease snapshots isun1... 3 --of-replica --replica 1",
					PositionalArgs: args("tenant", "number"),
				},
				{
					RpcMethod: "Quote", Use: "quote", Short: "The nodes a demand would be matched with, best first",
					Example: `isunchaind query lease quote --demand '{"general_milli_suns":"1000"}'`,
				},
				{RpcMethod: "Quarantine", Use: "quarantine", Short: "Items of block queues that failed"},
			},
		},
		Tx: &autocliv1.ServiceCommandDescriptor{
			Service: "isun.lease.v1.Msg",
			RpcCommandOptions: []*autocliv1.RpcCommandOptions{
				{
					RpcMethod: "CreateLease", Use: "create-lease IMAGE REPLICAS MAX_PRICE DEPOSIT",
					Short:          "Order replicas of an image; the price cap is in uisc per placement-hour",
					Example:        `isunchaind tx lease create-lease isun1.../web:1 2 500000 10000000uisc --from tenant --demand '{"general_milli_suns":"500"}'`,
					PositionalArgs: args("image", "replicas", "max_price", "deposit"),
				},
				{
					RpcMethod: "FundLease", Use: "fund-lease TENANT NUMBER AMOUNT", Short: "Add to a lease's balance; anybody may",
					PositionalArgs: args("tenant", "number", "amount"),
				},
				{
					RpcMethod: "UpdateLease", Use: "update-lease NUMBER", Short: "Change replicas, demand, image or cap; what is not given stays",
					Example: "isunchaind tx lease update-lease 3 --replicas 5 --from tenant", PositionalArgs: args("number"),
				},
				{RpcMethod: "CloseLease", Use: "close-lease NUMBER", Short: "End all placements and refund what is left", PositionalArgs: args("number")},
				{
					RpcMethod: "MigratePlacement", Use: "migrate-placement NUMBER REPLICA", Short: "Move a replica to another node",
					PositionalArgs: args("number", "replica"),
				},
				{RpcMethod: "StartPlacement", Use: "start-placement", Short: "Say that a placement runs (isun-worker does this)"},
				{RpcMethod: "RejectPlacement", Use: "reject-placement", Short: "Say that the node cannot run a placement (isun-worker does this)"},
				{
					RpcMethod: "RequestSnapshot", Use: "request-snapshot NUMBER", Short: "Have the volumes of all replicas saved now",
					Example: "isunchaind tx lease request-snapshot 3 --from tenant", PositionalArgs: args("number"),
				},
				{RpcMethod: "RecordSnapshot", Use: "record-snapshot", Short: "Say that a placement's volumes were saved (isun-worker does this)"},
				{
					RpcMethod: "RemoveSnapshot", Use: "remove-snapshot NUMBER REPLICA SEQUENCE", Short: "Have a snapshot kept no longer",
					Example: "isunchaind tx lease remove-snapshot 3 0 7 --from tenant", PositionalArgs: args("number", "replica", "sequence"),
				},
				{
					RpcMethod: "RestoreSnapshot", Use: "restore-snapshot NUMBER REPLICA SEQUENCE", Short: "Have a replica begin anew with a snapshot",
					Example: "isunchaind tx lease restore-snapshot 3 0 7 --from tenant", PositionalArgs: args("number", "replica", "sequence"),
				},
				{RpcMethod: "UpdateParams", Skip: true}, // by governance
				{
					RpcMethod: "RetryQuarantined", Use: "retry-quarantined-proposal NUMBER",
					Short:          "Propose to governance that block work that failed is tried again; 'query lease quarantine' lists it",
					PositionalArgs: args("number"), GovProposal: true,
				},
			},
		},
	}
}
