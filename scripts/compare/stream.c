/*
 * Memory bandwidth as STREAM (McCalpin) counts it: copying and triads over arrays far larger than any cache, on all
 * threads, the best of many passes in MB/s (10^6 bytes). scripts/compare-bench.sh compares it with `isun-worker bench`.
 *
 *   cc -O3 -fopenmp stream.c -o stream && OMP_NUM_THREADS=2 ./stream
 */
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>
#include <sys/mman.h>

enum { WORDS = 32 << 20, PASSES = 20 }; /* 256 MiB an array */

static void report(const char *name, double bytes, double seconds) {
	printf("%s %.0f\n", name, bytes / seconds / 1e6);
}

/* Huge pages, as ours asks for: a guest pays for each small page twice over. */
static double *array(void) {
	double *words = aligned_alloc(2 << 20, sizeof(double) * WORDS);
	if (words)
		madvise(words, sizeof(double) * WORDS, MADV_HUGEPAGE);
	return words;
}

int main(void) {
	double *a = array(), *b = array(), *c = array();
	double copy = 1e9, triad = 1e9;
	if (!a || !b || !c) {
		fputs("stream: 768 MiB of memory are needed\n", stderr);
		return 1;
	}
	/* Each thread touches first what it will use, so that it is in memory near it. */
#pragma omp parallel for schedule(static)
	for (long i = 0; i < WORDS; i++)
		a[i] = 0, b[i] = i % 7, c[i] = i % 5;
	for (int pass = 0; pass < PASSES; pass++) {
		double began = omp_get_wtime();
#pragma omp parallel for schedule(static)
		for (long i = 0; i < WORDS; i++)
			a[i] = b[i];
		double between = omp_get_wtime();
		if (between - began < copy)
			copy = between - began;
#pragma omp parallel for schedule(static)
		for (long i = 0; i < WORDS; i++)
			a[i] = b[i] + 3 * c[i];
		if (omp_get_wtime() - between < triad)
			triad = omp_get_wtime() - between;
	}
	/* A result that nobody looks at need not be computed. */
	for (long i = 0; i < WORDS; i++)
		if (a[i] != i % 7 + 3 * (i % 5)) {
			fputs("stream: a wrong result\n", stderr);
			return 1;
		}
	report("copy", 16.0 * WORDS, copy);
	report("triad", 24.0 * WORDS, triad);
	return 0;
}
