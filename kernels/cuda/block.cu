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

// Where the 4x4 places in and around each position's four begin in `x`, in raster order.
typedef const int (*Near)[16];

// The depthwise layer, four channels of the four places of a position at a time: of each line of four places, a channel's samples side by
// side serve two outputs. `taps`: [3 lines][channels] of three taps and a zero.
__device__ inline void around_bytes(u8* out, int stride, Near near, const u8* x, int channels, const u32* taps, const int* bias,
                                    const float* scale) {
    int groups = channels / 4, had = -1;
    u32 w[3][4], shifted[3][4];
    int b[4];
    float f[4];
    for (int i = threadIdx.x; i < TILE / 4 * groups; i += blockDim.x) {
        int position = i / groups, c = i % groups * 4;
        if (c != had) { // mostly the same in every round
            had = c;
#pragma unroll
            for (int k = 0; k < 3; k++) {
                uint4 v = *(const uint4*)(taps + k * channels + c);
                w[k][0] = v.x, w[k][1] = v.y, w[k][2] = v.z, w[k][3] = v.w;
#pragma unroll
                for (int l = 0; l < 4; l++) shifted[k][l] = w[k][l] << 8;
            }
            int4 bs = *(const int4*)(bias + c);
            float4 fs = *(const float4*)(scale + c);
            b[0] = bs.x, b[1] = bs.y, b[2] = bs.z, b[3] = bs.w;
            f[0] = fs.x, f[1] = fs.y, f[2] = fs.z, f[3] = fs.w;
        }
        u32 t[4][4];
        const int4* at = (const int4*)near[position];
#pragma unroll
        for (int line = 0; line < 4; line++) {
            int4 p = at[line];
            transpose(t[line], *(const u32*)(x + p.x + c), *(const u32*)(x + p.y + c), *(const u32*)(x + p.z + c), *(const u32*)(x + p.w + c));
        }
#pragma unroll
        for (int place = 0; place < 4; place++) {
            int v[4];
#pragma unroll
            for (int l = 0; l < 4; l++) {
                int sum = b[l];
#pragma unroll
                for (int k = 0; k < 3; k++) sum = dp4a(t[place / 2 + k][l], place % 2 ? shifted[k][l] : w[k][l], sum);
                v[l] = rounded(scaled(sum, f[l])) + 128;
            }
            *(u32*)(out + (4 * position + place) * stride + c) = four_bytes(v[0], v[1], v[2], v[3]);
        }
    }
}

// `taps`: [9][channels].
__device__ inline void around_words(u8* high, u8* low, int stride, Near near, const s16* x, int channels, const s16* taps, const int* bias,
                                    const float* scale) {
    int groups = channels / 8;
    for (int i = threadIdx.x; i < TILE * groups; i += blockDim.x) {
        int row = i / groups, c = i % groups * 8;
        const int* at = near[row / 4] + row % 4 / 2 * 4 + row % 2;
        int sum[8], v[8];
        float f[8];
        eight(sum, bias + c);
        eight(f, scale + c);
#pragma unroll
        for (int t = 0; t < 9; t++) {
            uint4 a = *(const uint4*)(x + at[t / 3 * 4 + t % 3] + c), w = *(const uint4*)(taps + t * channels + c);
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
    __shared__ int4 around[TILE / 4][4];
    int(*near)[16] = (int(*)[16])around;
    u8* shared = (u8*)dynamic_shared;
    int first = blockIdx.x * TILE, planes = WIDE ? 2 : 1, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    int narrow = stride_of(channels), broad = stride_of(inner), steps = (channels + 31) / 32, deep = (inner + 31) / 32;
    u8 *a = shared, *b = shared + planes * TILE * narrow; // the higher bytes first, then the lower ones
    // The stream of the rows; int16 takes the place of the first layer's input.
    int wide_stride = 2 * channels + 16;
    u8* old = WIDE ? a : b + TILE * broad;
    for (int i = threadIdx.x; i < TILE * 4; i += blockDim.x) {
        int row = first + i / 16 * 4, of = -1;
        if (row < grid.rows) of = neighbour(grid, row, place_of(grid, row), i % 4 - 1, i / 4 % 4 - 1);
        near[i / 16][i % 16] = of < 0 ? -NOWHERE : of * channels;
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
        for (int i = threadIdx.x; i < TILE * channels / 4; i += blockDim.x) {
            int row = i / (channels / 4), c = i % (channels / 4) * 4;
            if (first + row < grid.rows) *(u32*)((u8*)next + (s64)(first + row) * channels + c) = *(const u32*)(a + row * narrow + c);
        }
        return;
    }
    Split from = {a, a + TILE * narrow, narrow};
    for (int group = warp; group < deep; group += warps) {
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
    for (int group = warp; group < steps; group += warps) {
        // What this warp adds to is on its way while it multiplies.
        for (int i = threadIdx.x % 32; i < TILE * 4; i += 32) {
            int row = i / 4, c = group * COLUMNS + i % 4 * 8;
            if (first + row < grid.rows && c < channels) fetch(old + row * wide_stride + 2 * c, stream + (s64)(first + row) * channels + c);
        }
        Sums s;
        clear(s);
        if (WIDE) {
            words_words(s, from, down.weights, group, steps, deep);
        } else {
            accumulate<false, true>(s, b, broad, down.weights + group * deep * 64, deep);
        }
        arrived();
        __syncwarp();
        int bias[8];
        float scale[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(bias, down.bias + at);
        eight(scale, down.scale + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
            if (first + row >= grid.rows || output >= channels) return;
            s64 at = (s64)(first + row) * channels + output;
            uint4 was = *(const uint4*)(old + row * wide_stride + 2 * output);
            u32 w[4] = {was.x, was.y, was.z, was.w};
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
extern "C" __global__ void __launch_bounds__(THREADS, 4)
block_bytes(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

// The same in int16.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
block_words(int rows, int width, int height, const u32* at, const int* row_of, const s16* x, s16* stream, s16* next, int entry, int channels,
            int inner, const s16* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<true>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

// The depthwise layer of block_bytes alone, into `next`; and the others, of whatever lies in the tile: to be measured.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
measure_around(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false, AROUND>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
measure_products(int rows, int width, int height, const u32* at, const int* row_of, const u8* x, s16* stream, u8* next, int entry, int channels,
            int inner, const u32* taps, const int* around_bias, const float* around_scale, const uint4* up_weights, const int* up_bias,
            const float* up_scale, const uint4* down_weights, const int* down_bias, const float* down_scale) {
    Grid g = {rows, width, height, at, row_of};
    Layer up = {up_weights, up_bias, up_scale}, down = {down_weights, down_bias, down_scale};
    block<false, PRODUCTS>(g, x, stream, next, entry, channels, inner, taps, around_bias, around_scale, up, down);
}
