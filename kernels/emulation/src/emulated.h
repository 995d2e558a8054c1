// CUDA's language for a host compiler: see emulation.cpp. Only what the kernels use.
#pragma once
#include <cmath>
#include <cstdlib>
#include <cstring>

#define __device__
#define __global__
#define __launch_bounds__(...)
// One block runs at a time in a thread of the host.
#define __shared__ static thread_local

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
struct Three { unsigned x, y, z; };

inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

extern thread_local Three threadIdx, blockIdx, blockDim, gridDim;
extern thread_local uint4* dynamic_shared;

// Lets the other threads come to the same place.
void __syncthreads();
void __syncwarp();
// Gives what all lanes of a warp gave, `bytes` of each, one after the other. All lanes call it.
const u8* emulated_exchange(const void* mine, int bytes);

inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
inline float __int2float_rn(int v) { return (float)v; }
inline int __float2int_rn(float v) { return (int)std::nearbyintf(v); }
using std::copysignf;
using std::fmaxf;
using std::fminf;

inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    u64 both = (u64)b << 32 | a;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) r |= (unsigned)(both >> (selector >> 4 * i & 7) * 8 & 255) << 8 * i;
    return r;
}

inline int dp4a(u32 a, u32 b, int c) {
    for (int i = 0; i < 4; i++) c += (int)(u8)(a >> 8 * i) * (int)(s8)(b >> 8 * i);
    return c;
}

inline int dp2a_low(u32 a, u32 b, int c) { return c + (s16)a * (s8)b + (s16)(a >> 16) * (s8)(b >> 8); }
inline int dp2a_high(u32 a, u32 b, int c) { return dp2a_low(a, b >> 16, c); }

inline u32 dot(u32 a, u32 b, u32 c) {
    for (int i = 0; i < 4; i++) c += (u32)(u8)(a >> 8 * i) * (u8)(b >> 8 * i);
    return c;
}

inline u32 absolute(u32 a, u32 b) {
    u32 r = 0;
    for (int i = 0; i < 4; i++) r |= (u32)std::abs((int)(a >> 8 * i & 255) - (int)(b >> 8 * i & 255)) << 8 * i;
    return r;
}

inline u32 from_lane(u32 mine, int lane) {
    u32 r;
    std::memcpy(&r, emulated_exchange(&mine, sizeof mine) + lane * sizeof mine, sizeof r);
    return r;
}

inline void fetch(void* to, const void* from) { *(uint4*)to = *(const uint4*)from; }
inline void arrived() {}

inline int emulated_cut(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
inline u32 two_words(int a, int b) {
    return (u32)emulated_cut(a, -32768, 32767) & 65535 | (u32)emulated_cut(b, -32768, 32767) << 16;
}
inline u32 four_bytes(int a, int b, int c, int d) {
    int v[4] = {a, b, c, d};
    u32 r = 0;
    for (int i = 0; i < 4; i++) r |= (u32)emulated_cut(v[i], 0, 255) << 8 * i;
    return r;
}

inline void fragment(u32 (&f)[4], const u8* a, int stride) {
    int lane = threadIdx.x % 32;
    a += lane / 4 * stride + lane % 4 * 4;
    std::memcpy(&f[0], a, 4);
    std::memcpy(&f[1], a + 8 * stride, 4);
    std::memcpy(&f[2], a + 16, 4);
    std::memcpy(&f[3], a + 8 * stride + 16, 4);
}

template <bool ASIGNED, bool BSIGNED> inline void mma(int (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    u32 mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
    const u8* all = emulated_exchange(mine, sizeof mine);
    int lane = threadIdx.x % 32;
    // Lane 4 g + t holds bytes 4 t to 4 t + 3 and those 16 further of rows g and g + 8 of a, and of column g of b.
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int t = 0; t < 4; t++) {
            const u8 *x = all + (row % 8 * 4 + t) * 24 + row / 8 * 4, *y = all + (column * 4 + t) * 24 + 16;
            for (int k = 0; k < 8; k++) {
                u8 p = x[k / 4 * 8 + k % 4], q = y[k];
                c[i] += (ASIGNED ? (int)(s8)p : (int)p) * (BSIGNED ? (int)(s8)q : (int)q);
            }
        }
    }
}
