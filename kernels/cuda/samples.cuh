// Samples of planes, several at a time.
#pragma once
#include "lic.cuh"

// Means of four pairs of bytes, rounded up.
__device__ inline u32 mean(u32 a, u32 b) { return (a | b) - ((a ^ b) >> 1 & 0x7f7f7f7fu); }

// 12 samples of a line from x on; beyond its ends it repeats them.
__device__ inline void samples(u32 (&w)[3], const u8* line, int x, int width) {
    int from = x & ~3, sh = x & 3;
    if (from >= 0 && from + 16 <= width) {
        const u32* p = (const u32*)(line + from);
        u32 a = p[0], b = p[1], c = p[2], d = p[3];
        u32 by = 0x3210 + 0x1111 * sh;
        w[0] = __byte_perm(a, b, by);
        w[1] = __byte_perm(b, c, by);
        w[2] = __byte_perm(c, d, by);
        return;
    }
    for (int i = 0; i < 3; i++) w[i] = 0;
#pragma unroll
    for (int i = 0; i < 12; i++) w[i / 4] |= (u32)line[clamp(x + i, 0, width - 1)] << i % 4 * 8;
}
