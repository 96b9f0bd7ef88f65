// Package bench measures what the chain's work costs, as ratios within one run.
package bench
