// Package bench measures what a machine is worth in SUNS. The processor is
// measured by a short deterministic benchmark, memory and disk by their size,
// the line's bandwidth is declared.
package bench
