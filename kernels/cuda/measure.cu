// What other kernels are measured against: the rate of tensor cores at int8, and of memory.
#include "tile.cuh"

// Independent products from registers alone, 8 * rounds of them a warp.
extern "C" __global__ void __launch_bounds__(256) peak_mma(int rounds, int* out) {
    int c[8][4];
    u32 a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
#pragma unroll
    for (int i = 0; i < 32; i++) c[i / 4][i % 4] = 0;
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) mma<false, true>(c[i], a, a[1], a[2] + i);
    }
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 32; i++) sum += c[i / 4][i % 4];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void peak_dp4a(int rounds, int* out) {
    int c[8];
#pragma unroll
    for (int i = 0; i < 8; i++) c[i] = i;
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) c[i] = dp4a(threadIdx.x + i, threadIdx.x ^ c[i], c[i]);
    }
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) sum += c[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// Conversions between integers and floats, 16 * rounds a thread: what rounding sums costs.
extern "C" __global__ void __launch_bounds__(256) peak_convert(int rounds, int* out) {
    int c[8];
#pragma unroll
    for (int i = 0; i < 8; i++) c[i] = threadIdx.x + i;
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) c[i] = __float2int_rn(__fmul_rn(__int2float_rn(c[i]), 1.5f));
    }
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) sum += c[i];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

// `count` pieces of 16 bytes.
extern "C" __global__ void copy(const uint4* from, uint4* to, s64 count) {
    for (s64 i = (s64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (s64)gridDim.x * blockDim.x) to[i] = from[i];
}
