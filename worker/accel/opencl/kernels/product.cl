// The product of two square matrices, row-major, in one of three arithmetics:
//   FLOATS  fp32; entries are small integers, so that every sum is exact
//   WORDS   32-bit words that wrap around
//   FIELD   residues modulo the prime 2^31 - 1
//
// A group of SIDE x SIDE items computes a tile of WIDE x WIDE entries, each item PER x PER of them, and shares what it
// loads in local memory. Beyond the edges of the matrices everything is zero.
#define PER 4
#define WIDE (SIDE * PER)

#if defined(FLOATS)
typedef float entry;
typedef float sum;
#define ADD(s, x, y) s = mad(x, y, s)
#define REDUCE(s) (s)
#elif defined(WORDS)
typedef uint entry;
typedef uint sum;
#define ADD(s, x, y) s += (x) * (y)
#define REDUCE(s) (s)
#else
typedef uint entry;
typedef ulong sum;
#define PRIME 0x7FFFFFFFul
// A sum below 2^34 takes a product below 2^62 without overflow and is folded back: 2^31 = 1 modulo the prime.
#define ADD(s, x, y) s = fold((s) + (ulong)(x) * (y))
#define REDUCE(s) residue(s)
ulong fold(ulong s) { return (s & PRIME) + (s >> 31); }
entry residue(ulong s) {
	s = fold(fold(s));
	return (entry)(s >= PRIME ? s - PRIME : s);
}
#endif

kernel __attribute__((reqd_work_group_size(SIDE, SIDE, 1)))
void product(global entry *c, global const entry *a, global const entry *b, uint n) {
	local entry as[SIDE][WIDE + 1], bs[SIDE][WIDE];
	uint x = get_local_id(0), y = get_local_id(1);
	uint left = get_group_id(0) * WIDE, top = get_group_id(1) * WIDE;
	sum s[PER][PER];
	for (uint i = 0; i < PER; i++)
		for (uint j = 0; j < PER; j++)
			s[i][j] = 0;

	for (uint k = 0; k < n; k += SIDE) {
		for (uint i = 0; i < PER; i++) {
			uint row = top + y + i * SIDE, col = k + x;
			as[x][y + i * SIDE] = row < n && col < n ? a[(size_t)row * n + col] : 0;
			row = k + y, col = left + x + i * SIDE;
			bs[y][x + i * SIDE] = row < n && col < n ? b[(size_t)row * n + col] : 0;
		}
		barrier(CLK_LOCAL_MEM_FENCE);
		for (uint t = 0; t < SIDE; t++) {
			entry from[PER], with[PER];
			for (uint i = 0; i < PER; i++) {
				from[i] = as[t][y + i * SIDE];
				with[i] = bs[t][x + i * SIDE];
			}
			for (uint i = 0; i < PER; i++)
				for (uint j = 0; j < PER; j++)
					ADD(s[i][j], from[i], with[j]);
		}
		barrier(CLK_LOCAL_MEM_FENCE);
	}
	for (uint i = 0; i < PER; i++)
		for (uint j = 0; j < PER; j++) {
			uint row = top + y + i * SIDE, col = left + x + j * SIDE;
			if (row < n && col < n)
				c[(size_t)row * n + col] = REDUCE(s[i][j]);
		}
}
