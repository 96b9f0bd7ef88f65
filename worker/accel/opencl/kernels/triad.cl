// a = b + factor * c over whole buffers, in words that wrap around so that the result is exact. Four words at a time,
// which is what a thread of a graphics card loads at once.
kernel void triad(global uint4 *a, global const uint4 *b, global const uint4 *c, uint factor) {
	size_t i = get_global_id(0);
	a[i] = b[i] + factor * c[i];
}
