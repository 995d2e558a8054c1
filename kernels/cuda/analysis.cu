// Ends of the exact analysis: samples -> stream, stream -> latents before gain. Twin of network::Analysis, of which block.cu is the middle.
#include "grid.cuh"
#include "tile.cuh"

#define SAMPLES 96 // of a place: 8x8 of luma, 4x4 of each chroma

// Planes of pictures follow each other: luma of all, then u of all, then v. `x`: what the first block takes.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
analysis_first(int rows, int width, int height, const u32* at, const int* row_of, const u8* y, const u8* u, const u8* v, s16* stream, u8* x,
               int entry, int channels, const uint4* weights, const int* bias, const float* scale) {
    __shared__ uint4 tile[TILE * (SAMPLES + 16) / 16];
    u8* a = (u8*)tile;
    const int stride = SAMPLES + 16;
    Grid g = {rows, width, height, at, row_of};
    int first = blockIdx.x * TILE, groups = (channels + 31) / 32;
    // Lines of places side by side follow each other in memory.
    int row = threadIdx.x % TILE;
    Place p = place_of(g, first + row < rows ? first + row : rows - 1);
    for (int line = threadIdx.x / TILE; line < 16; line += THREADS / TILE) {
        u8* to = a + row * stride;
        if (line < 8) {
            s64 from = (((s64)p.picture * height + p.y) * 8 + line) * width * 8 + 8 * p.x;
            *(uint2*)(to + 8 * line) = *(const uint2*)(y + from);
        } else {
            s64 from = (((s64)p.picture * height + p.y) * 4 + line % 4) * width * 4 + 4 * p.x;
            *(u32*)(to + 64 + 4 * (line - 8)) = *(const u32*)((line < 12 ? u : v) + from);
        }
    }
    __syncthreads();
    for (int group = threadIdx.x / 32; group < groups; group += WARPS) {
        Sums s;
        clear(s);
        bytes_words(s, a, stride, weights, group, groups, SAMPLES / 32);
        int b[8];
        float f[8];
        int at = group * COLUMNS + threadIdx.x % 4 * 8;
        eight(b, bias + at);
        eight(f, scale + at);
        each_row(s, group, [&](int row, int output, int(&v)[8]) {
            if (first + row >= rows || output >= channels) return;
            s64 at = (s64)(first + row) * channels + output;
#pragma unroll
            for (int i = 0; i < 8; i++) v[i] = word(rounded(scaled(v[i] + b[i], f[i])));
            *(uint4*)(stream + at) = words_of(v);
            enter(x + at, v, entry);
        });
    }
}

// `stream`: the four places of each position, `inputs` int16 in all; `out`: rows of `outputs`.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
analysis_last(int rows, const s16* stream, int inputs, float* out, int outputs, const uint4* weights, const int* bias, const float* scale) {
    int first = blockIdx.x * TILE, groups = (outputs + 31) / 32;
    Split a = words_in((u8*)dynamic_shared, stream, first, rows, inputs);
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
            float4* to = (float4*)(out + (s64)(first + row) * outputs + output);
            float r[8];
#pragma unroll
            for (int i = 0; i < 8; i++) r[i] = scaled(v[i] + b[i], f[i]);
            to[0] = make_float4(r[0], r[1], r[2], r[3]);
            to[1] = make_float4(r[4], r[5], r[6], r[7]);
        });
    }
}
