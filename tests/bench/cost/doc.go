// Package cost measures what the transactions of a lease cost the chain, against a bank send in the same run.
package cost
