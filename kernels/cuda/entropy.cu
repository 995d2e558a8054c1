// What lies between the entropy model's layers: quantiser steps, hyper cells, halves of the checkerboard, and the choice of each symbol.
// Rows are positions in raster order, picture after picture; channels a multiple of four.
#include "lic.cuh"

// The nearest integer, halves away from zero, as the CPU's twin computes it: one addition and the cast.
__device__ inline int nearest(float y) { return (int)__fadd_rn(y, copysignf(0.5f, y)); }

__device__ inline int activation_of(int latent) { return clamp(latent << 6, -32767, 32767); }

// Latents before gain -> in steps, and the activations that hyper analysis sees. `count`: values.
extern "C" __global__ void to_steps(s64 count, const float* latents, const float* gains, int channels, float* y, s16* activations) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float v = __fmul_rn(latents[i], gains[i % channels]);
    y[i] = v;
    activations[i] = (s16)clamp(nearest(fminf(fmaxf(__fmul_rn(v, 64.0f), -1e6f), 1e6f)), -32767, 32767);
}

// Rows of positions -> for each cell its four positions side by side, zero outside of the picture. A thread moves four channels.
extern "C" __global__ void to_cells(int pictures, int width, int height, int channels, const s16* from, s16* to) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    int across = (width + 1) / 2, down = (height + 1) / 2, pieces = channels / 4;
    if (i >= (s64)pictures * across * down * 4 * pieces) return;
    int piece = (int)(i % pieces), quarter = (int)(i / pieces % 4), cell = (int)(i / pieces / 4);
    int x = cell % across * 2 + quarter % 2, y = cell / across % down * 2 + quarter / 2, picture = cell / across / down;
    uint2 v = make_uint2(0, 0);
    if (x < width && y < height) v = ((const uint2*)(from + (((s64)picture * height + y) * width + x) * channels))[piece];
    ((uint2*)to)[i] = v;
}

// The other way; what lies outside is left out.
extern "C" __global__ void from_cells(int pictures, int width, int height, int channels, const s16* from, s16* to) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    int across = (width + 1) / 2, down = (height + 1) / 2, pieces = channels / 4;
    if (i >= (s64)pictures * width * height * pieces) return;
    int piece = (int)(i % pieces), p = (int)(i / pieces), x = p % width, y = p / width % height, picture = p / width / height;
    s64 cell = ((s64)picture * down + y / 2) * across + x / 2;
    ((uint2*)to)[i] = ((const uint2*)(from + (cell * 4 + y % 2 * 2 + x % 2) * channels))[piece];
}

// Activations of hyper latents -> the hyper latents, and those as activations again.
extern "C" __global__ void hyper_latents(s64 count, const s16* from, s16* latents, s16* activations) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int k = (from[i] + 32) >> 6;
    latents[i] = (s16)k;
    activations[i] = (s16)activation_of(k);
}

// Rows of `channels` at `positions` -> rows at `stride` from `offset`.
extern "C" __global__ void gather(int count, const u32* positions, const s16* from, int channels, s16* to, int stride, int offset) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    int pieces = channels / 4;
    if (i >= (s64)count * pieces) return;
    int row = (int)(i / pieces), piece = (int)(i % pieces);
    ((uint2*)(to + (s64)row * stride + offset))[piece] = ((const uint2*)(from + (s64)positions[row] * channels))[piece];
}

// Probability tables as the pack has them: for each scale and eighth of a step the smallest value with an entry, how many entries there
// are, the last one the escape, and where they begin; bits of each entry; low bits that a scale sends as they are.
struct Tables {
    const int* low;
    const int* entries;
    const int* at;
    const float* cost;
    const int* raw;
};

// Bits that `k` costs.
__device__ inline float bits_of(const Tables& t, int k, int mean, int scale) {
    int i = scale * 8 + (mean & 7), raw = t.raw[scale], entries = t.entries[i], at = t.at[i];
    int s = ((k - (mean >> 3)) >> raw) - t.low[i];
    if ((u32)s < (u32)(entries - 1)) return __fadd_rn(t.cost[at + s], (float)raw);
    u32 e = s < 0 ? 0u - (u32)s : (u32)s + 2 - (u32)entries;
    return __fadd_rn(__fadd_rn(__fadd_rn(t.cost[at + entries - 1], 5.0f), (float)(31 - __clz((int)e))), (float)raw);
}

__device__ inline float cost_of(float y, int k, float lambda, float bits) {
    float d = __fsub_rn(y, (float)k);
    return __fadd_rn(__fmul_rn(d, d), __fmul_rn(lambda, bits));
}

// The integer near `y` with the least error plus lambda times bits.
__device__ inline int choose(const Tables& t, float lambda, float y, int mean, int scale) {
    int k = clamp(nearest(fminf(fmaxf(y, -1e6f), 1e6f)), -16383, 16383), likely = (mean + 4) >> 3;
    if (k == likely || lambda == 0.0f) return k;
    int best = k, near = likely > k ? k + 1 : k - 1;
    float least = cost_of(y, k, lambda, bits_of(t, k, mean, scale));
    float c = cost_of(y, near, lambda, bits_of(t, near, mean, scale));
    if (c < least) best = near, least = c;
    c = cost_of(y, likely, lambda, bits_of(t, likely, mean, scale));
    return c < least ? likely : best;
}

// Symbols of the rows at `positions`. `heads`: for each row `channels` means and as many scales, cut to their range here. `y`, `values`
// and `known` (what the next half sees, as activations) have rows for all positions.
extern "C" __global__ void choose_symbols(int count, const u32* positions, s16* heads, int channels, float lambda, const float* y,
                                          const int* low, const int* entries, const int* at, const float* cost, const int* raw, s16* values,
                                          s16* known) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (s64)count * channels) return;
    int row = (int)(i / channels), c = (int)(i % channels);
    Tables t = {low, entries, at, cost, raw};
    s16* head = heads + (s64)row * 2 * channels + c;
    int mean = head[0], scale = clamp(head[channels], 0, 63);
    head[channels] = (s16)scale;
    s64 to = (s64)positions[row] * channels + c;
    int k = choose(t, lambda, y[to], mean, scale);
    values[to] = (s16)k;
    known[to] = (s16)activation_of(k);
}

// Symbols -> latents in units of the picture, as synthesis takes them; `sizes` in 1/65536.
extern "C" __global__ void to_latents(s64 count, const s16* values, const int* sizes, int channels, float* latents) {
    s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    latents[i] = __fmul_rn(__int2float_rn(values[i] * sizes[i % channels]), 1.0f / 65536.0f);
}
