// Command consensuscheck refuses what would make two validators disagree: wall clocks, randomness,
// floating point, goroutines, map order and memory shared outside the store, in app and x.
//
//	go run ./scripts/consensuscheck ./app/... ./x/...
//
// A line that is harmless says so and why, on itself or on the line above:
//
//	for name := range accounts { //consensus:ok fills a set, the order is lost
package main

import "golang.org/x/tools/go/analysis/singlechecker"

func main() {
	singlechecker.Main(Analyzer)
}
