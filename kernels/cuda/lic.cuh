// What all kernels share. The same sources are compiled by NVRTC for devices and, behind the shim in kernels/emulation, by a C++
// compiler for the host, where every thread runs as a fibre: whatever is used here has a twin there.
//
// Nothing is contracted: products that are added are written with __fmul_rn and __fadd_rn, and NVRTC is given -fmad=false too.
#pragma once

typedef unsigned char u8;
typedef signed char s8;
typedef short s16;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long s64;
typedef unsigned long long u64;

#ifdef LIC_EMULATED
#include "emulated.h"
#else
// What a launch asked for beside the arrays of fixed size.
extern __shared__ uint4 dynamic_shared[];

// Four products of unsigned and signed bytes.
__device__ inline int dp4a(u32 a, u32 b, int c) {
    int d;
    asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// Two products of int16 and int8: with the lower bytes of b, or the higher ones.
__device__ inline int dp2a_low(u32 a, u32 b, int c) {
    int d;
    asm("dp2a.lo.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

__device__ inline int dp2a_high(u32 a, u32 b, int c) {
    int d;
    asm("dp2a.hi.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// Four products of unsigned bytes.
__device__ inline u32 dot(u32 a, u32 b, u32 c) {
    u32 d;
    asm("dp4a.u32.u32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// Absolute differences of four pairs of bytes.
__device__ inline u32 absolute(u32 a, u32 b) {
    u32 d;
    asm("vabsdiff4.u32.u32.u32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(0));
    return d;
}

// What another lane of the warp has. All lanes call it.
__device__ inline u32 from_lane(u32 mine, int lane) { return __shfl_sync(0xffffffffu, mine, lane); }

// Two or four integers side by side, saturating: the first one lowest.
__device__ inline u32 two_words(int a, int b) {
    u32 d;
    asm("cvt.pack.sat.s16.s32 %0, %1, %2;" : "=r"(d) : "r"(b), "r"(a));
    return d;
}

__device__ inline u32 four_bytes(int a, int b, int c, int e) {
    u32 high, d;
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(high) : "r"(e), "r"(c), "r"(0));
    asm("cvt.pack.sat.u8.s32.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(b), "r"(a), "r"(high));
    return d;
}

// 16 bytes into shared memory, there when arrived() returns; the caller has to wait for other threads' too.
__device__ inline void fetch(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((u32)__cvta_generic_to_shared(to)), "l"(from) : "memory");
#else
    *(uint4*)to = *(const uint4*)from;
#endif
}

__device__ inline void arrived() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// The fragment of 16 rows and 32 bytes from `a` in shared memory, a multiple of 16 as `stride` is, that mma() takes.
__device__ inline void fragment(u32 (&f)[4], const u8* a, int stride) {
    int lane = threadIdx.x % 32;
    u32 at = (u32)__cvta_generic_to_shared(a + (lane % 16) * stride + lane / 16 * 16);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

#if __CUDA_ARCH__ >= 800
#define LIC_MMA(A, B)                                                                                              \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32." #A "." #B ".s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])                                                   \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
#else // Turing: four of half the height and half the depth
#define LIC_MMA_PART(A, B, C0, C1, X, Y)                                                                         \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32." #A "." #B ".s32 {%0,%1}, {%2}, {%3}, {%0,%1};"           \
                 : "+r"(C0), "+r"(C1) : "r"(X), "r"(Y))
#define LIC_MMA(A, B)                                                                                          \
    LIC_MMA_PART(A, B, c[0], c[1], a[0], b0);                                                                   \
    LIC_MMA_PART(A, B, c[0], c[1], a[2], b1);                                                                   \
    LIC_MMA_PART(A, B, c[2], c[3], a[1], b0);                                                                   \
    LIC_MMA_PART(A, B, c[2], c[3], a[3], b1)
#endif

// c += a * b: 16 rows of 32 bytes times 32 by 8 bytes, signed or not; fragments as in the PTX manual, mma.m16n8k32. All lanes of a warp.
template <bool ASIGNED, bool BSIGNED> __device__ inline void mma(int (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    if (ASIGNED && BSIGNED) {
        LIC_MMA(s8, s8);
    } else if (ASIGNED) {
        LIC_MMA(s8, u8);
    } else if (BSIGNED) {
        LIC_MMA(u8, s8);
    } else {
        LIC_MMA(u8, u8);
    }
}
#endif

__device__ inline int clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
__device__ inline int word(int v) { return clamp(v, -32768, 32767); }
__device__ inline int byte(int v) { return clamp(v, 0, 255); }

// sum * scale as the CPU's twins compute it.
__device__ inline float scaled(int sum, float scale) { return __fmul_rn(__int2float_rn(sum), scale); }

// Rounded to the nearest integer, ties to even.
__device__ inline int rounded(float v) { return __float2int_rn(v); }

// The leaky ReLU of the exact networks.
__device__ inline float leaky(float v) { return fmaxf(v, __fmul_rn(v, 0.1f)); }
