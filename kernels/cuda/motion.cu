// Overlapped compensation, and the blend of what was synthesised into it. Twins of motion::compensate and motion::blend, to the bit.
//
// A thread makes 4x4 luma samples and the 2x2 of each chroma at the same place: all of them see the same four quarters, their own and the
// nearest one across, down and both. A prediction is interpolated once for all quarters that have its vector.
#include "samples.cuh"

// Eight taps of luma for each quarter of a sample, four of chroma for each eighth, as dp4a takes them: ITU-T H.265, 8.5.3.3.3.
__device__ inline void luma_taps(int part, u32 (&t)[2]) {
    t[0] = part == 0 ? 0x40000000u : part == 1 ? 0x3af604ffu : part == 2 ? 0x28f504ffu : 0x11fb0100u;
    t[1] = part == 0 ? 0x00000000u : part == 1 ? 0x0001fb11u : part == 2 ? 0xff04f528u : 0xff04f63au;
}

__device__ inline u32 chroma_taps(int part) {
    switch (part) {
    case 0: return 0x00004000u;
    case 1: return 0xfe0a3afeu;
    case 2: return 0xfe1036fcu;
    case 3: return 0xfc1c2efau;
    case 4: return 0xfc2424fcu;
    case 5: return 0xfa2e1cfcu;
    case 6: return 0xfc3610feu;
    default: return 0xfe3a0afeu;
    }
}

// 4x4 luma samples from (x, y) on, displaced by a vector in quarters.
__device__ inline void predict_luma(int (&out)[16], const u8* plane, int width, int height, int x, int y, int vx, int vy) {
    int across = vx & 3, down = vy & 3;
    x += vx >> 2, y += vy >> 2;
    if (!across && !down) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
            u32 w[3];
            samples(w, plane + (s64)clamp(y + r, 0, height - 1) * width, x, width);
#pragma unroll
            for (int c = 0; c < 4; c++) out[4 * r + c] = w[0] >> 8 * c & 255;
        }
        return;
    }
    u32 ta[2], td[2];
    luma_taps(across, ta);
    luma_taps(down, td);
    int sum[16];
#pragma unroll
    for (int i = 0; i < 16; i++) sum[i] = 2048;
#pragma unroll
    for (int r = 0; r < 11; r++) {
        u32 w[3];
        samples(w, plane + (s64)clamp(y + r - 3, 0, height - 1) * width, x - 3, width);
#pragma unroll
        for (int c = 0; c < 4; c++) {
            u32 by = 0x3210 + 0x1111 * c, a = c ? __byte_perm(w[0], w[1], by) : w[0], b = c ? __byte_perm(w[1], w[2], by) : w[1];
            int t = dp4a(b, ta[1], dp4a(a, ta[0], 0));
#pragma unroll
            for (int o = 0; o < 4; o++) {
                int k = r - o;
                if (k >= 0 && k < 8) sum[4 * o + c] += (s8)(td[k / 4] >> k % 4 * 8) * t;
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 16; i++) out[i] = byte(sum[i] >> 12);
}

// 2x2 samples of a chroma plane, displaced by a vector in eighths.
__device__ inline void predict_chroma(int (&out)[4], const u8* plane, int width, int height, int x, int y, int vx, int vy) {
    u32 ta = chroma_taps(vx & 7), td = chroma_taps(vy & 7);
    x += vx >> 3, y += vy >> 3;
    int sum[4] = {2048, 2048, 2048, 2048};
#pragma unroll
    for (int r = 0; r < 5; r++) {
        const u8* line = plane + (s64)clamp(y + r - 1, 0, height - 1) * width;
        u32 w = 0, last = line[clamp(x + 3, 0, width - 1)];
#pragma unroll
        for (int i = 0; i < 4; i++) w |= (u32)line[clamp(x - 1 + i, 0, width - 1)] << 8 * i;
        int t[2] = {dp4a(w, ta, 0), dp4a(w >> 8 | last << 24, ta, 0)};
#pragma unroll
        for (int o = 0; o < 2; o++) {
            int k = r - o;
            if (k >= 0 && k < 4) {
                int by = (s8)(td >> 8 * k);
                sum[2 * o] += by * t[0], sum[2 * o + 1] += by * t[1];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) out[i] = byte(sum[i] >> 12);
}

// `vectors`: [pictures][height / 16][width / 16][4 quarters] of two int16. blockIdx.z: the picture.
extern "C" __global__ void __launch_bounds__(128)
compensate(const u8* y, const u8* u, const u8* v, int width, int height, const u32* vectors, u8* to_y, u8* to_u, u8* to_v) {
    int cx = blockIdx.x * blockDim.x + threadIdx.x, cy = blockIdx.y * blockDim.y + threadIdx.y, across = width / 8, down = height / 8;
    if (cx >= width / 4 || cy >= height / 4) return;
    s64 luma = (s64)blockIdx.z * width * height, chroma = luma / 4;
    vectors += (s64)blockIdx.z * across * down;
    // Quarters: the own one, and the other on that side of it, cut to the picture.
    int qx[2] = {cx / 2, clamp(cx / 2 + (cx % 2 ? 1 : -1), 0, across - 1)};
    int qy[2] = {cy / 2, clamp(cy / 2 + (cy % 2 ? 1 : -1), 0, down - 1)};
    u32 of[4];
#pragma unroll
    for (int k = 0; k < 4; k++) {
        int x = qx[k % 2], y = qy[k / 2];
        of[k] = vectors[(y / 2 * (across / 2) + x / 2) * 4 + y % 2 * 2 + x % 2];
    }
    int sum[16], sum_u[4], sum_v[4];
#pragma unroll
    for (int i = 0; i < 16; i++) sum[i] = 128;
#pragma unroll
    for (int i = 0; i < 4; i++) sum_u[i] = sum_v[i] = 128;
#pragma unroll 1
    for (int k = 0; k < 4; k++) {
        u32 one = k == 0 ? of[0] : k == 1 ? of[1] : k == 2 ? of[2] : of[3];
        bool had = (k > 0 && of[0] == one) || (k > 1 && of[1] == one) || (k > 2 && of[2] == one);
        if (had) continue;
        int vx = (s16)one, vy = (s16)(one >> 16), p[16], pu[4], pv[4];
        predict_luma(p, y + luma, width, height, 4 * cx, 4 * cy, vx, vy);
        predict_chroma(pu, u + chroma, width / 2, height / 2, 2 * cx, 2 * cy, vx, vy);
        predict_chroma(pv, v + chroma, width / 2, height / 2, 2 * cx, 2 * cy, vx, vy);
        // Weights in sixteenths: 7, 5, 3, 1 of the other quarter from the border on, 6 and 2 in chroma; the own one has the rest.
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int other_y = cy % 2 ? 2 * j + 1 : 7 - 2 * j;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int other_x = cx % 2 ? 2 * i + 1 : 7 - 2 * i, w = 0;
#pragma unroll
                for (int m = 0; m < 4; m++)
                    if (of[m] == one) w += (m / 2 ? other_y : 16 - other_y) * (m % 2 ? other_x : 16 - other_x);
                sum[4 * j + i] += w * p[4 * j + i];
            }
        }
#pragma unroll
        for (int j = 0; j < 4; j++) {
            int other_y = cy % 2 ? 4 * (j / 2) + 2 : 6 - 4 * (j / 2), other_x = cx % 2 ? 4 * (j % 2) + 2 : 6 - 4 * (j % 2), w = 0;
#pragma unroll
            for (int m = 0; m < 4; m++)
                if (of[m] == one) w += (m / 2 ? other_y : 16 - other_y) * (m % 2 ? other_x : 16 - other_x);
            sum_u[j] += w * pu[j], sum_v[j] += w * pv[j];
        }
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        u32 w = 0;
#pragma unroll
        for (int i = 0; i < 4; i++) w |= (u32)(sum[4 * j + i] >> 8) << 8 * i;
        *(u32*)(to_y + luma + (s64)(4 * cy + j) * width + 4 * cx) = w;
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        s64 at = chroma + (s64)(2 * cy + j) * (width / 2) + 2 * cx;
        *(u16*)(to_u + at) = (u16)(sum_u[2 * j] >> 8 | sum_u[2 * j + 1] >> 8 << 8);
        *(u16*)(to_v + at) = (u16)(sum_v[2 * j] >> 8 | sum_v[2 * j + 1] >> 8 << 8);
    }
}

// Of a sample's neighbourhood of five along an axis, those in the block before (0), in its own (1) and after (2); `p`: place in the block.
__device__ inline int luma_count(int p, int which) {
    int before = p < 2 ? 2 - p : 0, after = p > 13 ? p - 13 : 0;
    return which == 0 ? before : which == 2 ? after : 5 - before - after;
}

__device__ inline int chroma_count(int p, int which) { return luma_count(2 * p, which) + luma_count(2 * p + 1, which); }

// In `all` parts, m of the coded sample and the rest of what is there.
__device__ inline u32 blended(u32 coded, u32 old, int m, int all) { return ((u32)m * coded + (u32)(all - m) * old + all / 2) / all; }

// Four samples side by side.
__device__ inline u32 blended_four(u32 coded, u32 old, const int (&m)[4], int all) {
    u32 r = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) r |= blended(coded >> 8 * i & 255, old >> 8 * i & 255, m[i], all) << 8 * i;
    return r;
}

// `map`: [pictures][height / 16][width / 16], 1 where a block is coded. A thread makes two lines of a block of 16x16 and one of each chroma
// of the pictures at `to_*`, which hold what was compensated.
extern "C" __global__ void __launch_bounds__(128)
blend(const u8* y, const u8* u, const u8* v, int width, int height, const u8* map, u8* to_y, u8* to_u, u8* to_v) {
    int bx = blockIdx.x * blockDim.x + threadIdx.x, line = (blockIdx.y * blockDim.y + threadIdx.y) * 2;
    int across = width / 16, down = height / 16, by = line / 16, coded = 0, near[3][3];
    if (bx >= across || line >= height) return;
    map += (s64)blockIdx.z * across * down;
#pragma unroll
    for (int i = 0; i < 9; i++) {
        near[i / 3][i % 3] = map[clamp(by + i / 3 - 1, 0, down - 1) * across + clamp(bx + i % 3 - 1, 0, across - 1)] != 0;
        coded += near[i / 3][i % 3];
    }
    if (!coded) return;
    s64 luma = (s64)blockIdx.z * width * height, chroma = luma / 4 + (s64)(line / 2) * (width / 2) + bx * 8;
    luma += (s64)line * width + bx * 16;
#pragma unroll
    for (int j = 0; j < 2; j++) {
        uint4 a = *(const uint4*)(y + luma + j * width);
        if (coded < 9) {
            uint4 b = *(const uint4*)(to_y + luma + j * width);
            int part[3];
#pragma unroll
            for (int k = 0; k < 3; k++) {
                part[k] = 0;
#pragma unroll
                for (int i = 0; i < 3; i++) part[k] += luma_count(line % 16 + j, i) * near[i][k];
            }
            // Only the first and the last two samples see another block across.
            int first[4], middle[4], last[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                first[i] = luma_count(i, 0) * part[0] + luma_count(i, 1) * part[1];
                middle[i] = 5 * part[1];
                last[i] = luma_count(12 + i, 1) * part[1] + luma_count(12 + i, 2) * part[2];
            }
            a = make_uint4(blended_four(a.x, b.x, first, 25), blended_four(a.y, b.y, middle, 25), blended_four(a.z, b.z, middle, 25),
                           blended_four(a.w, b.w, last, 25));
        }
        *(uint4*)(to_y + luma + j * width) = a;
    }
    uint2 a = *(const uint2*)(u + chroma), c = *(const uint2*)(v + chroma);
    if (coded < 9) {
        uint2 b = *(const uint2*)(to_u + chroma), d = *(const uint2*)(to_v + chroma);
        int part[3], left[4], right[4];
#pragma unroll
        for (int k = 0; k < 3; k++) {
            part[k] = 0;
#pragma unroll
            for (int i = 0; i < 3; i++) part[k] += chroma_count(line % 16 / 2, i) * near[i][k];
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            left[i] = chroma_count(i, 0) * part[0] + chroma_count(i, 1) * part[1];
            right[i] = chroma_count(4 + i, 1) * part[1] + chroma_count(4 + i, 2) * part[2];
        }
        a = make_uint2(blended_four(a.x, b.x, left, 100), blended_four(a.y, b.y, right, 100));
        c = make_uint2(blended_four(c.x, d.x, left, 100), blended_four(c.y, d.y, right, 100));
    }
    *(uint2*)(to_u + chroma) = a;
    *(uint2*)(to_v + chroma) = c;
}
