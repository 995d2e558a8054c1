// Matrix products by tensor cores: a tile of rows in shared memory times weights that lie in the order of fragments.
#pragma once
#include "lic.cuh"

#define TILE 64     // rows of a thread block
#define COLUMNS 32  // outputs that a warp computes at a time
#define THREADS 128 // most of a thread block
#define WARPS ((int)blockDim.x / 32)

// Sums of 64 rows and 32 outputs, spread over a warp: [16 rows][8 outputs][fragment].
struct Sums {
    int v[4][4][4];
};

__device__ inline void clear(Sums& s) {
#pragma unroll
    for (int i = 0; i < 64; i++) s.v[i / 16][i / 4 % 4][i % 4] = 0;
}

// What was summed counts 256 times. int32 wraps around, as it may: the whole sum fits.
__device__ inline void shift(Sums& s) {
#pragma unroll
    for (int i = 0; i < 64; i++) s.v[i / 16][i / 4 % 4][i % 4] = (int)((u32)s.v[i / 16][i / 4 % 4][i % 4] << 8);
}

// Adds products of 32 * steps inputs. `w`: [steps][2][32 lanes] of this group of outputs.
template <bool ASIGNED, bool BSIGNED>
__device__ inline void accumulate(Sums& s, const u8* a, int stride, const uint4* w, int steps) {
    w += threadIdx.x % 32;
    uint4 left = w[0], right = w[32];
    for (int k = 0; k < steps; k++) {
        // The next step's weights are under way while this one's are used.
        int ahead = k + 1 < steps ? 64 * (k + 1) : 64 * k;
        uint4 next_left = w[ahead], next_right = w[ahead + 32];
#pragma unroll
        for (int m = 0; m < 4; m++) {
            u32 f[4];
            fragment(f, a + 16 * m * stride + 32 * k, stride);
            mma<ASIGNED, BSIGNED>(s.v[m][0], f, left.x, left.y);
            mma<ASIGNED, BSIGNED>(s.v[m][1], f, left.z, left.w);
            mma<ASIGNED, BSIGNED>(s.v[m][2], f, right.x, right.y);
            mma<ASIGNED, BSIGNED>(s.v[m][3], f, right.z, right.w);
        }
        left = next_left, right = next_right;
    }
}

// int16 are two bytes, the higher one signed. Weights: [groups of outputs][steps] of the higher bytes, then of the lower ones.
struct Split {
    const u8 *high, *low;
    int stride;
};

// int16 times int16.
__device__ inline void words_words(Sums& s, Split a, const uint4* w, int group, int groups, int steps) {
    const uint4 *high = w + group * steps * 64, *low = high + groups * steps * 64;
    accumulate<true, true>(s, a.high, a.stride, high, steps);
    shift(s);
    accumulate<true, false>(s, a.high, a.stride, low, steps);
    accumulate<false, true>(s, a.low, a.stride, high, steps);
    shift(s);
    accumulate<false, false>(s, a.low, a.stride, low, steps);
}

// Unsigned bytes times int16.
__device__ inline void bytes_words(Sums& s, const u8* a, int stride, const uint4* w, int group, int groups, int steps) {
    const uint4 *high = w + group * steps * 64, *low = high + groups * steps * 64;
    accumulate<false, true>(s, a, stride, high, steps);
    shift(s);
    accumulate<false, false>(s, a, stride, low, steps);
}

// int16 times int8.
__device__ inline void words_bytes(Sums& s, Split a, const uint4* w, int group, int steps) {
    accumulate<true, true>(s, a.high, a.stride, w + group * steps * 64, steps);
    shift(s);
    accumulate<false, true>(s, a.low, a.stride, w + group * steps * 64, steps);
}

// Weights are ordered so that a lane's eight outputs of a row follow each other: this gives them to `store(row, first output, sums)`.
template <class Store> __device__ inline void each_row(const Sums& s, int group, Store store) {
    int lane = threadIdx.x % 32, output = group * COLUMNS + lane % 4 * 8;
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int v[8];
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = s.v[m][i / 2][2 * half + i % 2];
            store(16 * m + 8 * half + lane / 4, output, v);
        }
    }
}

// Eight values from memory, 32 bytes.
template <class T> __device__ inline void eight(T (&v)[8], const T* from) {
    const uint4* p = (const uint4*)from;
    uint4 a = p[0], b = p[1];
    u32 w[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = *(T*)&w[i];
}

// Eight values side by side, saturating.
__device__ inline uint2 bytes_of(const int (&v)[8]) {
    return make_uint2(four_bytes(v[0], v[1], v[2], v[3]), four_bytes(v[4], v[5], v[6], v[7]));
}

__device__ inline uint4 words_of(const int (&v)[8]) {
    return make_uint4(two_words(v[0], v[1]), two_words(v[2], v[3]), two_words(v[4], v[5]), two_words(v[6], v[7]));
}

// Eight int16 into the two planes of a tile.
__device__ inline void split(uint4 v, u8* high, u8* low) {
    *(uint2*)low = make_uint2(__byte_perm(v.x, v.y, 0x6420), __byte_perm(v.z, v.w, 0x6420));
    *(uint2*)high = make_uint2(__byte_perm(v.x, v.y, 0x7531), __byte_perm(v.z, v.w, 0x7531));
}

// Rows of a tile in bytes: what ldmatrix reads of eight rows lies in different banks.
__device__ inline int stride_of(int inputs) { return (inputs + 31) / 32 * 32 + 16; }

// The tile's rows of `inputs` int16 (a multiple of eight); those from `rows` on are zero.
__device__ inline Split words_in(u8* shared, const s16* x, int first, int rows, int inputs) {
    int stride = stride_of(inputs), pieces = inputs / 8;
    u8 *high = shared, *low = shared + TILE * stride;
    // Rows follow each other in memory; four pieces at a time are under way.
    const uint4* from = (const uint4*)(x + (s64)first * inputs);
    int there = (rows - first < TILE ? rows - first : TILE) * pieces;
    for (int i = threadIdx.x; i < TILE * pieces; i += 4 * blockDim.x) {
        uint4 v[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int at = i + k * blockDim.x;
            v[k] = at < there ? from[at] : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int at = i + k * blockDim.x, row = at / pieces, piece = at % pieces;
            if (row < TILE) split(v[k], high + row * stride + 8 * piece, low + row * stride + 8 * piece);
        }
    }
    Split s = {high, low, stride};
    return s;
}

// Eight values of a stream as a block of bytes takes them; `entry`: factor in 1/32768.
__device__ inline void enter(u8* to, const int (&v)[8], int entry) {
    int b[8];
#pragma unroll
    for (int i = 0; i < 8; i++) b[i] = ((v[i] * entry + 0x4000) >> 15) + 128;
    *(uint2*)to = bytes_of(b);
}
