// Residual block of the exact networks in one pass: depthwise 3x3, 1x1 up, leaky ReLU, 1x1 down, added to the stream, and what the next
// block takes of it. Twin of network::Block.
//
// A thread block computes 64 rows; what lies between the layers stays in shared memory. Weights come from global memory (they stay in the
// nearest caches) in the order of fragments.
#include "grid.cuh"
#include "tile.cuh"

// Of each of four channels (bytes of a word) four taps -> of each channel its four taps.
__device__ inline void transpose(u32 (&v)[4], u32 a, u32 b, u32 c, u32 d) {
    u32 ab = __byte_perm(a, b, 0x5140), cd = __byte_perm(c, d, 0x5140);
    v[0] = __byte_perm(ab, cd, 0x5410);
    v[1] = __byte_perm(ab, cd, 0x7632);
    ab = __byte_perm(a, b, 0x7362), cd = __byte_perm(c, d, 0x7362);
    v[2] = __byte_perm(ab, cd, 0x5410);
    v[3] = __byte_perm(ab, cd, 0x7632);
}

// `taps`: [3][channels] of four taps, the last of one.
__device__ inline void around_bytes(u8* out, int stride, const int (*near)[12], const u8* x, int channels, const u32* taps,
                                    const int* bias, const float* scale) {
    for (int c = threadIdx.x % 32 * 4; c < channels; c += 128) {
        uint4 w[3];
        for (int q = 0; q < 3; q++) w[q] = *(const uint4*)(taps + q * channels + c);
        int4 b = *(const int4*)(bias + c);
        float4 f = *(const float4*)(scale + c);
        for (int row = threadIdx.x / 32; row < TILE; row += WARPS) {
            u32 v[9], t[4], u[4], l[4];
            const int4* from = (const int4*)near[row];
            int4 p = from[0], q = from[1];
            int at[9] = {p.x, p.y, p.z, p.w, q.x, q.y, q.z, q.w, near[row][8]};
#pragma unroll
            for (int i = 0; i < 9; i++) v[i] = *(const u32*)(x + at[i] + c);
            transpose(t, v[0], v[1], v[2], v[3]);
            transpose(u, v[4], v[5], v[6], v[7]);
            transpose(l, v[8], 0, 0, 0);
            int s0 = dp4a(l[0], w[2].x, dp4a(u[0], w[1].x, dp4a(t[0], w[0].x, b.x)));
            int s1 = dp4a(l[1], w[2].y, dp4a(u[1], w[1].y, dp4a(t[1], w[0].y, b.y)));
            int s2 = dp4a(l[2], w[2].z, dp4a(u[2], w[1].z, dp4a(t[2], w[0].z, b.z)));
            int s3 = dp4a(l[3], w[2].w, dp4a(u[3], w[1].w, dp4a(t[3], w[0].w, b.w)));
            *(u32*)(out + row * stride + c) = four_bytes(rounded(scaled(s0, f.x)) + 128, rounded(scaled(s1, f.y)) + 128,
                                                         rounded(scaled(s2, f.z)) + 128, rounded(scaled(s3, f.w)) + 128);
        }
    }
}

// `taps`: [9][channels].
__device__ inline void around_words(u8* high, u8* low, int stride, const int (*near)[12], const s16* x, int channels, const s16* taps,
                                    const int* bias, const float* scale) {
    int groups = channels / 8;
    for (int i = threadIdx.x; i < TILE * groups; i += THREADS) {
        int row = i / groups, c = i % groups * 8;
        int sum[8], v[8];
        float f[8];
        eight(sum, bias + c);
        eight(f, scale + c);
#pragma unroll
        for (int t = 0; t < 9; t++) {
            uint4 a = *(const uint4*)(x + near[row][t] + c), w = *(const uint4*)(taps + t * channels + c);
            u32 from[4] = {a.x, a.y, a.z, a.w}, by[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
            for (int k = 0; k < 8; k++) sum[k] += (s16)(from[k / 2] >> k % 2 * 16) * (s16)(by[k / 2] >> k % 2 * 16);
        }
#pragma unroll
        for (int k = 0; k < 8; k++) v[k] = rounded(scaled(sum[k], f[k]));
        split(words_of(v), high + row * stride + c, low + row * stride + c);
    }
}

// One layer: weights in the order of fragments, bias and scale for whole groups of 32 outputs.
struct Layer {
    const uint4* weights;
    const int* bias;
    const float* scale;
};

// What of a block is computed: all but for measurements of its parts.
enum Parts { ALL, AROUND, PRODUCTS };

template <bool WIDE, Parts PARTS = ALL>
__device__ inline void block(Grid grid, const void* x, s16* stream, void* next, int entry, int channels, int inner, const void* taps,
                             const int* around_bias, const float* around_scale, Layer up, Layer down) {
    // Where the rows around each begin; 12 of them, so that they are read four at a time.
    __shared__ int4 around[TILE][3];
    int(*near)[12] = (int(*)[12])around;
    u8* shared = (u8*)dynamic_shared;
    int first = blockIdx.x * TILE, planes = WIDE ? 2 : 1, warp = threadIdx.x / 32;
    int narrow = stride_of(channels), broad = stride_of(inner), steps = (channels + 31) / 32, deep = (inner + 31) / 32;
    u8 *a = shared, *b = shared + planes * TILE * narrow; // the higher bytes first, then the lower ones
    for (int row = threadIdx.x; row < TILE; row += THREADS) {
        int at = first + row;
        Place p = {0, 0, 0};
        if (at < grid.rows) p = place_of(grid, at);
        for (int t = 0; t < 9; t++) {
            int of = at < grid.rows ? neighbour(grid, at, p, t % 3 - 1, t / 3 - 1) : -1;
            near[row][t] = of < 0 ? -NOWHERE : of * channels;
        }
    }
    __syncthreads();
    if (PARTS == PRODUCTS) {
        // The tile as it is.
    } else if (WIDE) {
        around_words(a, a + TILE * narrow, narrow, near, (const s16*)x, channels, (const s16*)taps, around_bias, around_scale);
    } else {
        around_bytes(a, narrow, near, (const u8*)x, channels, (const u32*)taps, around_bias, around_scale);
    }
    __syncthreads();
    if (PARTS == AROUND) {
        for (int i = threadIdx.x; i < TILE * channels / 4; i += THREADS) {
            int row = i / (channels / 4), c = i % (channels / 4) * 4;
            if (first + row < grid.rows) *(u32*)((u8*)next + (s64)(first + row) * channels + c) = *(const u32*)(a + row * narrow + c);
        }
        return;
    }
    Split from = {a, a + TILE * narrow, narrow};
    for (int group = warp; group < deep; group += WARPS) {
        Sums s;
        clear(s);
        if (WIDE) {
            words_words(s, from, up.weights, group, deep, steps);
        } else {
            accumulate<false, true>(s, a, narrow, up.weights + group * steps * 64, steps);
        }
        int bias[8];
        float scale[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(bias, up.bias + at);
        eight(scale, up.scale + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                int r = rounded(leaky(scaled(v[i] + bias[i], scale[i])));
                v[i] = WIDE ? r : r + 24;
            }
            u8* to = b + row * broad + output;
            if (WIDE) {
                split(words_of(v), to, to + TILE * broad);
            } else {
                *(uint2*)to = bytes_of(v);
            }
        });
    }
    __syncthreads();
    from.high = b, from.low = b + TILE * broad, from.stride = broad;
    for (int group = warp; group < steps; group += WARPS) {
        Sums s;
        clear(s);
        if (WIDE) {
            words_words(s, from, down.weights, group, steps, deep);
        } else {
            accumulate<false, true>(s, b, broad, down.weights + group * deep * 64, deep);
        }
        int bias[8];
        float scale[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(bias, down.bias + at);
        eight(scale, down.scale + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
            if (first + row >= grid.rows || output >= channels) return;
            s64 at = (s64)(first + row) * channels + output;
            uint4 old = *(const uint4*)(stream + at);
            u32 w[4] = {old.x, old.y, old.z, old.w};
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = word(rounded(scaled(v[i] + bias[i], scale[i])) + (s16)(w[i / 2] >> i % 2 * 16));
            uint4 sum = words_of(v);
            *(uint4*)(stream + at) = sum;
            if (!next) return;
            if (WIDE) {
                *(uint4*)((s16*)next + at) = sum;
            } else {
                enter((u8*)next + at, v, entry);
            }
        });
    }
}

// `x`: what the block takes, rows of `channels` with as many of zero NOWHERE values before; `stream`: rows of int16, changed in place; `next`: what the block behind takes, or null.
extern "C" __global__ void __launch_bounds__(THREADS)
block_bytes(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

// The same in int16.
extern "C" __global__ void __launch_bounds__(THREADS)
block_words(int rows, int width, int height, const u32* at, const int* row_of, const s16* x, s16* stream, s16* next, int entry, int channels,
            int inner, const s16* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<true>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

// The depthwise layer of block_bytes alone, into `next`; and the others, of whatever lies in the tile: to be measured.
extern "C" __global__ void __launch_bounds__(THREADS)
measure_around(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false, AROUND>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

extern "C" __global__ void __launch_bounds__(THREADS)
measure_products(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false, PRODUCTS>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}
