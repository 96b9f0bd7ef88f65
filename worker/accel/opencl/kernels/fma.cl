// Chains of multiply-add that do not wait for each other. LANES is what the device computes at once in one instruction.
// The factor is 1 and comes from outside, so no compiler can leave the work out; sums stay below 2^24, so they are exact
// and the same in every lane width.
#if LANES == 1
#define VECTOR float
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#elif LANES == 2
#define VECTOR float2
#define LOAD(p) vload2(0, p)
#define STORE(v, p) vstore2(v, 0, p)
#elif LANES == 4
#define VECTOR float4
#define LOAD(p) vload4(0, p)
#define STORE(v, p) vstore4(v, 0, p)
#elif LANES == 8
#define VECTOR float8
#define LOAD(p) vload8(0, p)
#define STORE(v, p) vstore8(v, 0, p)
#else
#define VECTOR float16
#define LOAD(p) vload16(0, p)
#define STORE(v, p) vstore16(v, 0, p)
#endif

// The work of one lane of one item: 8 chains of STEPS steps. It must equal chains() in work.go.
kernel void fma_chains(global float *to, global const float *from, float factor, float step) {
	size_t at = get_global_id(0) * LANES;
	VECTOR s = LOAD(from + at);
	VECTOR a0 = s, a1 = s + 1, a2 = s + 2, a3 = s + 3, a4 = s + 4, a5 = s + 5, a6 = s + 6, a7 = s + 7;
	VECTOR m = (VECTOR)(factor), k = (VECTOR)(step);
	for (int i = 0; i < STEPS; i += 4) {
#pragma unroll
		for (int j = 0; j < 4; j++) {
			a0 = mad(a0, m, k);
			a1 = mad(a1, m, k);
			a2 = mad(a2, m, k);
			a3 = mad(a3, m, k);
			a4 = mad(a4, m, k);
			a5 = mad(a5, m, k);
			a6 = mad(a6, m, k);
			a7 = mad(a7, m, k);
		}
	}
	STORE((a0 + a1) + (a2 + a3) + (a4 + a5) + (a6 + a7), to + at);
}
