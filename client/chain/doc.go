// Package chain speaks with an iSunCoin chain through the RPC of its nodes: queries, transactions and their events. It is
// what the tenant's client and the worker have in common.
//
// A Conn holds several endpoints and moves on to the next one when the one in use stops answering. A Broadcaster signs,
// sends and waits for transactions; it never signs a second one while the fate of the first is unknown.
package chain
