// The entropy model's integer layers: 1x1 and depthwise 3x3 convolutions of int16 activations with int8 weights, rounded back to int16.
// Twins of Linear and Depthwise.
#include "tile.cuh"

// Rounds half up, clamps, applies the leaky ReLU. Additions wrap around, as those of the CPU's twins do.
__device__ inline int requantise(u32 sum, int shift, bool leaky) {
    int v = clamp((int)(sum + ((1u << shift) >> 1)) >> shift, -32767, 32767);
    int low = v >> 3;
    return leaky && low > v ? low : v;
}

// `x`: rows of `inputs` (a multiple of eight); `bias`, `shifts`: for whole groups of 32 outputs.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
linear(int rows, const s16* x, int inputs, s16* out, int outputs, const uint4* weights, const int* bias, const int* shifts, int leaky) {
    int first = blockIdx.x * TILE, groups = (outputs + 31) / 32;
    Split a = words_in((u8*)dynamic_shared, x, first, rows, inputs);
    __syncthreads();
    for (int group = threadIdx.x / 32; group < groups; group += WARPS) {
        Sums s;
        clear(s);
        words_bytes(s, a, weights, group, (inputs + 31) / 32);
        int b[8], h[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(b, bias + at);
        eight(h, shifts + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
            if (first + row >= rows || output >= outputs) return;
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = requantise((u32)v[i] + (u32)b[i], h[i], leaky);
            *(uint4*)(out + (s64)(first + row) * outputs + output) = words_of(v);
        });
    }
}

// Adds the products of two taps of eight channels: `w` has each channel's weights, of the first two bytes or the last two.
template <bool HIGH> __device__ inline void two_taps(int (&sum)[8], uint4 a, uint4 b, const u32 (&w)[8]) {
    u32 first[4] = {a.x, a.y, a.z, a.w}, second[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
    for (int k = 0; k < 8; k++) {
        u32 both = __byte_perm(first[k / 2], second[k / 2], k % 2 ? 0x7632 : 0x5410);
        sum[k] = HIGH ? dp2a_high(both, w[k], sum[k]) : dp2a_low(both, w[k], sum[k]);
    }
}

// `x`: [pictures][height][width][channels]; `positions`: `count` raster indices over all pictures, or null: all of them; a row of
// `channels` (a multiple of eight) of each goes to `out` at `stride` from `offset`, both multiples of eight. `taps`: [3][channels] of four, the
// last of one.
extern "C" __global__ void __launch_bounds__(THREADS)
depthwise(int count, const u32* positions, const s16* x, int width, int height, int channels, s16* out, int stride, int offset,
          const u32* taps, const int* bias, const int* shifts) {
    int pieces = channels / 8;
    s64 i = (s64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (s64)count * pieces) return;
    int row = (int)(i / pieces), c = (int)(i % pieces) * 8;
    int p = positions ? (int)positions[row] : row, px = p % width, py = p / width % height;
    uint4 v[9];
#pragma unroll
    for (int t = 0; t < 9; t++) {
        int dx = t % 3 - 1, dy = t / 3 - 1;
        bool inside = px + dx >= 0 && py + dy >= 0 && px + dx < width && py + dy < height;
        v[t] = inside ? *(const uint4*)(x + ((s64)p + dy * width + dx) * channels + c) : make_uint4(0, 0, 0, 0);
    }
    int sum[8], h[8], r[8];
    u32 w[8];
    eight(sum, bias + c);
    eight(h, shifts + c);
    eight(w, taps + c);
    two_taps<false>(sum, v[0], v[1], w);
    two_taps<true>(sum, v[2], v[3], w);
    eight(w, taps + channels + c);
    two_taps<false>(sum, v[4], v[5], w);
    two_taps<true>(sum, v[6], v[7], w);
    eight(w, taps + 2 * channels + c);
    two_taps<false>(sum, v[8], make_uint4(0, 0, 0, 0), w);
#pragma unroll
    for (int k = 0; k < 8; k++) r[k] = requantise((u32)sum[k], h[k], false);
    *(uint4*)(out + (s64)row * stride + offset + c) = words_of(r);
}
