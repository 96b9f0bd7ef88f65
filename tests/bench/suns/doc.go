// Package suns shows how well the benchmarks of isun-worker repeat: quiet, beside a bursty neighbour, and on one processor
// against two.
package suns
