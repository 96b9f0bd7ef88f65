// The seeded words that buffers begin with: word i of stream s. It must equal wordOf() in work.go.
uint word_of(uint seed, uint stream, uint i) {
	uint x = i * 0x9E3779B9u + seed + stream * 0x85EBCA6Bu;
	x ^= x >> 16;
	x *= 0x7FEB352Du;
	x ^= x >> 15;
	x *= 0x846CA68Bu;
	return x ^ (x >> 16);
}

kernel void fill(global uint *to, uint seed, uint stream) {
	uint i = get_global_id(0);
	to[i] = word_of(seed, stream, i);
}
