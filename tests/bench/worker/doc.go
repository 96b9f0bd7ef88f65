// Package worker measures the way from an order to an answer, and what a worker costs its machine, on real processes: a chain,
// a worker, a Docker engine. The programs are those of the folder that ISUN_BIN names; `make bench` builds them first.
package worker
