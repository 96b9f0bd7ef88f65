// Package scale measures what a block costs as the market grows: idle blocks, due placements and matches with up to 10^5
// nodes (BENCH_NODES chooses another size) and as many running placements, in the whole application over committed stores.
package scale
