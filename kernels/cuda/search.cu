// What an encoder asks about vectors: a reference's luma at half positions, and how far blocks are from it. Twin of motion::SearchPlane.
#include "samples.cuh"

#define MARGIN 40

// Four planes of (width + 80) x (height + 80) for each picture: at whole positions, half a sample to the right, down, and both. A thread
// makes 4x4 samples of each; lines of the picture are `width` apart, a multiple of 16.
extern "C" __global__ void __launch_bounds__(128) search_planes(const u8* luma, int width, int height, u8* out) {
    int x = (blockIdx.x * blockDim.x + threadIdx.x) * 4, y = (blockIdx.y * blockDim.y + threadIdx.y) * 4;
    int stride = width + 2 * MARGIN, lines = height + 2 * MARGIN;
    if (x >= stride || y >= lines) return;
    s64 size = (s64)stride * lines;
    luma += (s64)blockIdx.z * width * height;
    out += blockIdx.z * 4 * size + (s64)y * stride + x;
    // The filter for half a sample: -1, 4, -11, 40, 40, -11, 4, -1.
    const u32 first = 0x28f504ffu, second = 0xff04f528u;
    int down[16], both[16];
#pragma unroll
    for (int i = 0; i < 16; i++) down[i] = 32, both[i] = 2048;
#pragma unroll
    for (int r = 0; r < 11; r++) {
        u32 w[3];
        samples(w, luma + (s64)clamp(y + r - 3 - MARGIN, 0, height - 1) * width, x - MARGIN - 3, width);
        int right[4];
        u32 whole = __byte_perm(w[0], w[1], 0x6543);
#pragma unroll
        for (int c = 0; c < 4; c++) {
            u32 by = 0x3210 + 0x1111 * c, a = c ? __byte_perm(w[0], w[1], by) : w[0], b = c ? __byte_perm(w[1], w[2], by) : w[1];
            int t = dp4a(b, second, dp4a(a, first, 0)), s = whole >> 8 * c & 255;
            right[c] = (t + 32) >> 6;
#pragma unroll
            for (int o = 0; o < 4; o++) {
                int k = r - o;
                if (k < 0 || k > 7) continue;
                int tap = (s8)((k < 4 ? first : second) >> k % 4 * 8);
                down[4 * o + c] += tap * s, both[4 * o + c] += tap * t;
            }
        }
        if (r >= 3 && r < 7) {
            *(u32*)(out + (r - 3) * stride) = whole;
            *(u32*)(out + size + (r - 3) * stride) = four_bytes(right[0], right[1], right[2], right[3]);
        }
    }
#pragma unroll
    for (int o = 0; o < 4; o++) {
        *(u32*)(out + 2 * size + o * stride) = four_bytes(down[4 * o] >> 6, down[4 * o + 1] >> 6, down[4 * o + 2] >> 6, down[4 * o + 3] >> 6);
        *(u32*)(out + 3 * size + o * stride) = four_bytes(both[4 * o] >> 12, both[4 * o + 1] >> 12, both[4 * o + 2] >> 12, both[4 * o + 3] >> 12);
    }
}

// Eight bytes from anywhere.
__device__ inline uint2 eight_bytes(const u8* from) {
    u32 sh = (u32)((u64)from & 3), by = 0x3210 + 0x1111 * sh;
    const u32* p = (const u32*)(from - sh);
    u32 a = p[0], b = p[1], c = sh ? p[2] : 0;
    return make_uint2(__byte_perm(a, b, by), __byte_perm(b, c, by));
}

// For each of `count` blocks of 16x16 in raster order over all pictures and each of its `each` vectors: sums of absolute and of squared
// differences between `current` and the search planes at that vector (the mean of the two nearest planes); all bits set where that leaves the
// planes. `out`: [count][each][2]. A warp takes one vector, a lane half a line.
extern "C" __global__ void __launch_bounds__(128)
differences(int count, int each, const u8* current, const u8* planes, int width, int height, const u32* vectors, u32* out) {
    int i = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (i >= count * each) return;
    int block = i / each, across = width / 16, blocks = across * (height / 16), picture = block / blocks;
    int bx = block % across * 16, by = block % blocks / across * 16, vx = (s16)vectors[i], vy = (s16)(vectors[i] >> 16);
    int stride = width + 2 * MARGIN, lines = height + 2 * MARGIN;
    int x = bx + MARGIN + (vx >> 2), y = by + MARGIN + (vy >> 2), right = (vx & 3) == 3, below = (vy & 3) == 3;
    u32 sad = 0, sse = 0;
    bool inside = x >= 0 && y >= 0 && x + 16 + right <= stride && y + 16 + below <= lines;
    if (inside) {
        // Of the 16 quarter positions, the two planes whose mean it is, two bits each: FIRST and SECOND of the CPU's twin.
        int position = (vy & 3) * 4 + (vx & 3);
        u32 one = 0x54fe5454u >> 2 * position & 3, two = 0xbababa10u >> 2 * position & 3;
        s64 size = (s64)stride * lines, at = (s64)(y + lane / 2) * stride + x + lane % 2 * 8;
        planes += picture * 4 * size;
        uint2 a = *(const uint2*)(current + ((s64)picture * height + by + lane / 2) * width + bx + lane % 2 * 8);
        uint2 b = eight_bytes(planes + one * size + at + (below ? stride : 0)), c = eight_bytes(planes + two * size + at + right);
        u32 left = absolute(a.x, mean(b.x, c.x)), rest = absolute(a.y, mean(b.y, c.y));
        sad = dot(rest, 0x01010101u, dot(left, 0x01010101u, 0));
        sse = dot(rest, rest, dot(left, left, 0));
    }
    for (int far = 16; far; far /= 2) {
        sad += from_lane(sad, lane ^ far);
        sse += from_lane(sse, lane ^ far);
    }
    if (lane == 0) {
        out[2 * i] = inside ? sad : 0xffffffffu;
        out[2 * i + 1] = inside ? sse : 0xffffffffu;
    }
}
