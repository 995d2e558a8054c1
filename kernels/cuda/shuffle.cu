// Padded planes <-> the float networks' 96 channels at 1/8. Twin of shuffle.rs.
#include "lic.cuh"

// Eight channels of a place lie side by side in a picture: a line of luma, or two lines of a chroma plane. `octet`: which of the twelve.
struct Octet {
    s64 first, second; // where its samples begin: of luma eight, of chroma four each
    int plane;         // 0: luma
};

__device__ inline Octet octet_of(int octet, int x, int line, s64 picture, int width, int height) {
    Octet o;
    if (octet < 8) {
        o.plane = 0;
        o.first = ((picture * height + line) * 8 + octet) * width * 8 + 8 * x;
        o.second = o.first + 4;
    } else {
        o.plane = octet < 10 ? 1 : 2;
        o.first = ((picture * height + line) * 4 + octet % 2 * 2) * width * 4 + 4 * x;
        o.second = o.first + width * 4;
    }
    return o;
}

// `out`: [96][height][width] for each picture; blockIdx.y: the octet, blockIdx.z: the picture.
extern "C" __global__ void to_channels(const u8* y, const u8* u, const u8* v, float* out, int width, int height) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, octet = blockIdx.y;
    if (i >= width * height) return;
    Octet o = octet_of(octet, i % width, i / width, blockIdx.z, width, height);
    const u8* from = o.plane == 0 ? y : o.plane == 1 ? u : v;
    u32 codes[2] = {*(const u32*)(from + o.first), *(const u32*)(from + o.second)};
    float zero = o.plane ? -128.0f : -125.5f, scale = o.plane ? 1.0f / 224.0f : 1.0f / 219.0f;
    out += ((s64)blockIdx.z * 96 + octet * 8) * width * height + i;
#pragma unroll
    for (int k = 0; k < 8; k++)
        out[(s64)k * width * height] = __fmul_rn(__fadd_rn((float)(codes[k / 4] >> k % 4 * 8 & 255), zero), scale);
}

// The cast of Rust: cut to 0 to 255, NaN gives 0.
__device__ inline u32 code_of(float v) { return v > 0.0f ? (u32)(v < 255.0f ? v : 255.0f) : 0; }

extern "C" __global__ void from_channels(const float* from, u8* y, u8* u, u8* v, int width, int height) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, octet = blockIdx.y;
    if (i >= width * height) return;
    Octet o = octet_of(octet, i % width, i / width, blockIdx.z, width, height);
    float zero = o.plane ? 128.0f : 125.5f, scale = o.plane ? 224.0f : 219.0f;
    u32 codes[2] = {0, 0};
    from += ((s64)blockIdx.z * 96 + octet * 8) * width * height + i;
#pragma unroll
    for (int k = 0; k < 8; k++)
        codes[k / 4] |= code_of(__fadd_rn(__fadd_rn(__fmul_rn(from[(s64)k * width * height], scale), zero), 0.5f)) << k % 4 * 8;
    u8* to = o.plane == 0 ? y : o.plane == 1 ? u : v;
    *(u32*)(to + o.first) = codes[0];
    *(u32*)(to + o.second) = codes[1];
}
