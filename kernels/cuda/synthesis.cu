// Ends of the exact synthesis: latents -> stream, stream -> samples. Twin of network::Synthesis, of which block.cu is the middle.
#include "grid.cuh"
#include "tile.cuh"

// A latent times its factor, rounded to nearest even, saturating.
__device__ inline int latent(float v, float entry) {
    v = __fmul_rn(v, entry);
    return v != v ? 0 : rounded(fminf(fmaxf(v, -32768.0f), 32767.0f));
}

// `latents`: rows of `inputs` (a multiple of eight) in units of the picture; `outputs`: channels of the four places of a position.
// `next`: what the first block takes, bytes if `entry` is not 0, else int16.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
synthesis_first(int rows, const float* latents, int inputs, const float* factors, s16* stream, void* next, int entry, int outputs,
                const uint4* weights, const int* bias, const float* scale) {
    int first = blockIdx.x * TILE, groups = (outputs + 31) / 32, stride = stride_of(inputs), pieces = inputs / 8;
    u8* shared = (u8*)dynamic_shared;
    Split a = {shared, shared + TILE * stride, stride};
    for (int i = threadIdx.x; i < TILE * pieces; i += blockDim.x) {
        int row = i / pieces, at = i % pieces * 8, v[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (first + row < rows) {
            float l[8], f[8];
            eight(l, latents + (s64)(first + row) * inputs + at);
            eight(f, factors + at);
#pragma unroll
            for (int k = 0; k < 8; k++) v[k] = latent(l[k], f[k]);
        }
        split(words_of(v), shared + row * stride + at, shared + (TILE + row) * stride + at);
    }
    __syncthreads();
    for (int group = threadIdx.x / 32; group < groups; group += WARPS) {
        Sums s;
        clear(s);
        words_words(s, a, weights, group, groups, (inputs + 31) / 32);
        int b[8];
        float f[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(b, bias + at);
        eight(f, scale + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
            if (first + row >= rows || output >= outputs) return;
            s64 at = (s64)(first + row) * outputs + output;
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = word(rounded(scaled(v[i] + b[i], f[i])));
            uint4 w = words_of(v);
            *(uint4*)(stream + at) = w;
            if (entry) {
                enter((u8*)next + at, v, entry);
            } else {
                *(uint4*)((s16*)next + at) = w;
            }
        });
    }
}

// Samples of each row's place into planes as analysis_first takes them. `at`: as in Grid; a place that `row_of` does not list keeps its samples.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
synthesis_last(int rows, int width, int height, const u32* at, const int* row_of, const s16* stream, int inputs, u8* y, u8* u, u8* v,
               const uint4* weights, const int* bias, const float* scale) {
    Grid g = {rows, width, height, at, row_of};
    int first = blockIdx.x * TILE;
    __shared__ int4 places[TILE]; // picture, column, line; whether it is listed
    for (int i = threadIdx.x; i < TILE && first + i < rows; i += blockDim.x) {
        int row = first + i;
        Place p = place_of(g, row);
        places[i] = make_int4(p.picture, p.x, p.y, !at || row_of[at[row]] >= 0);
    }
    Split a = words_in((u8*)dynamic_shared, stream, first, rows, inputs);
    __syncthreads();
    for (int group = threadIdx.x / 32; group < 3; group += WARPS) {
        Sums s;
        clear(s);
        words_words(s, a, weights, group, 3, (inputs + 31) / 32);
        int b[8];
        float f[8];
        int from = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(b, bias + from);
        eight(f, scale + from);
        each_row(s, group, [&](int row, int output, int(&c)[8]) {
            if (first + row >= rows || !places[row].w) return;
            Place p = {places[row].x, places[row].y, places[row].z};
            int codes[8];
#pragma unroll
            for (int i = 0; i < 8; i++) codes[i] = rounded(scaled(c[i] + b[i], f[i]));
            uint2 r = bytes_of(codes);
            if (output < 64) {
                *(uint2*)(y + (((s64)p.picture * height + p.y) * 8 + output / 8) * width * 8 + 8 * p.x) = r;
            } else {
                int line = output % 16 / 4; // of two
                u8* to = (output < 80 ? u : v) + (((s64)p.picture * height + p.y) * 4 + line) * width * 4 + 4 * p.x;
                *(u32*)to = r.x;
                *(u32*)(to + width * 4) = r.y;
            }
        });
    }
}
