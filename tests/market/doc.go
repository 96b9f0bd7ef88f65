// Package market holds the property test of the whole market: random tenants, operators, agents, image owners and a
// governance that changes every param, over the real keepers of x/suns, x/uai, x/lease and x/audit. Every block ends with the
// modules' invariants, and with a second set of books that shares no code with them: it follows the messages that were
// accepted and the events of the blocks, computes every charge, share, cut and refund by itself, and compares the balance of
// every account.
//
// A failing sequence is shrunk and printed, one line for each thing that happened; rapid says how to run it again.
// MARKET_STEPS sets how many messages are sent.
package market
