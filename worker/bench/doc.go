// Package bench measures what a machine is worth in SUNS.
//
// Each benchmark is work that follows from a seed, with a result that is the
// same on every machine and whose digest is in the report: whoever claims a
// figure can be asked for the result. What a machine can do and what it
// delivered while others disturbed it are told apart, see package measure.
package bench
