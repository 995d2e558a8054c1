// Raw pictures of any layout <-> I420 planes padded to multiples of 16 by repeating the edge. Twin of planes.rs.
//
// A thread makes 8x2 luma samples and the 4x1 of each chroma: coordinates are cut to the picture, which repeats its edge. Where the block
// lies inside and addresses are multiples of eight, lines are read and written in words. blockIdx.z: the picture.
#include "samples.cuh"

// Padded planes of all pictures, one after the other.
struct Padded {
    u8 *y, *u, *v;
    int width, height;
};

// What a thread has before it: the first of its samples, of luma and in the chroma planes.
struct Spot {
    int x, y, picture;
    bool inside, words; // the block lies in the picture; whole words may be read
};

__device__ inline bool aligned(const void* p, s64 stride, s64 step) { return (((u64)p | (u64)stride | (u64)step) & 7) == 0; }

__device__ inline bool spot(Spot& s, const Padded& to, int width, int height) {
    s.x = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
    s.y = blockIdx.y * 2;
    s.picture = blockIdx.z;
    s.inside = s.x + 8 <= width && s.y + 2 <= height;
    return s.x < to.width && s.y < to.height;
}

__device__ inline int at_most(int v, int last) { return v < last ? v : last; }

__device__ inline void put_luma(const Padded& to, const Spot& s, int line, uint2 v) {
    *(uint2*)(to.y + ((s64)s.picture * to.height + s.y + line) * to.width + s.x) = v;
}

__device__ inline void put_chroma(const Padded& to, const Spot& s, u32 u, u32 v) {
    s64 at = ((s64)s.picture * (to.height / 2) + s.y / 2) * (to.width / 2) + s.x / 2;
    *(u32*)(to.u + at) = u;
    *(u32*)(to.v + at) = v;
}

// Eight samples of a line, those beyond the last one repeat it.
__device__ inline uint2 line_of(const u8* line, int x, int width, bool words) {
    if (words) return *(const uint2*)(line + x);
    u32 v[2] = {0, 0};
    for (int i = 0; i < 8; i++) v[i / 4] |= (u32)line[at_most(x + i, width - 1)] << i % 4 * 8;
    return make_uint2(v[0], v[1]);
}

__device__ inline u32 half_line_of(const u8* line, int x, int width, bool words) {
    if (words) return *(const u32*)(line + x);
    u32 v = 0;
    for (int i = 0; i < 4; i++) v |= (u32)line[at_most(x + i, width - 1)] << i * 8;
    return v;
}

// Planes; without chroma (GRAY8) it is 128. `step`, `chroma_step`: bytes from picture to picture.
extern "C" __global__ void unpack_planar(const u8* y, int stride, s64 step, const u8* u, const u8* v, int chroma_stride, s64 chroma_step,
                                         int width, int height, u8* to_y, u8* to_u, u8* to_v, int padded_width, int padded_height) {
    Padded to = {to_y, to_u, to_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, to, width, height)) return;
    bool words = s.inside && aligned(y, stride, step);
    for (int i = 0; i < 2; i++)
        put_luma(to, s, i, line_of(y + s.picture * step + (s64)at_most(s.y + i, height - 1) * stride, s.x, width, words));
    if (!u) return put_chroma(to, s, 0x80808080u, 0x80808080u);
    words = s.inside && aligned(u, chroma_stride, chroma_step) && aligned(v, 0, 0);
    s64 line = s.picture * chroma_step + (s64)at_most(s.y / 2, (height + 1) / 2 - 1) * chroma_stride;
    put_chroma(to, s, half_line_of(u + line, s.x / 2, (width + 1) / 2, words), half_line_of(v + line, s.x / 2, (width + 1) / 2, words));
}

// Luma and interleaved chroma; `swapped`: v before u.
extern "C" __global__ void unpack_interleaved(const u8* y, int stride, s64 step, const u8* c, int chroma_stride, s64 chroma_step, int swapped,
                                              int width, int height, u8* to_y, u8* to_u, u8* to_v, int padded_width, int padded_height) {
    Padded to = {to_y, to_u, to_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, to, width, height)) return;
    bool words = s.inside && aligned(y, stride, step);
    for (int i = 0; i < 2; i++)
        put_luma(to, s, i, line_of(y + s.picture * step + (s64)at_most(s.y + i, height - 1) * stride, s.x, width, words));
    int columns = (width + 1) / 2;
    const u8* line = c + s.picture * chroma_step + (s64)at_most(s.y / 2, (height + 1) / 2 - 1) * chroma_stride;
    uint2 p;
    if (s.inside && aligned(c, chroma_stride, chroma_step)) {
        p = *(const uint2*)(line + s.x);
    } else {
        u32 w[2] = {0, 0};
        for (int i = 0; i < 8; i++) w[i / 4] |= (u32)line[2 * at_most(s.x / 2 + i / 2, columns - 1) + i % 2] << i % 4 * 8;
        p = make_uint2(w[0], w[1]);
    }
    u32 even = __byte_perm(p.x, p.y, 0x6420), odd = __byte_perm(p.x, p.y, 0x7531);
    put_chroma(to, s, swapped ? odd : even, swapped ? even : odd);
}

// Packed 4:2:2; `luma`: place of the first luma byte in a pair of pixels. Chroma of two lines is averaged.
extern "C" __global__ void unpack_422(const u8* from, int stride, s64 step, int luma, int width, int height, u8* to_y, u8* to_u, u8* to_v,
                                      int padded_width, int padded_height) {
    Padded to = {to_y, to_u, to_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, to, width, height)) return;
    u32 chroma[2][2];
    bool words = s.inside && aligned(from, stride, step);
    from += s.picture * step;
    for (int i = 0; i < 2; i++) {
        u32 w[4] = {0, 0, 0, 0}; // pairs of pixels
        if (words) {
            const uint2* p = (const uint2*)(from + (s64)(s.y + i) * stride + 2 * s.x);
            uint2 a = p[0], b = p[1];
            w[0] = a.x, w[1] = a.y, w[2] = b.x, w[3] = b.y;
        } else {
            // Luma repeats the last sample, chroma the last pair's; a line above the last one of an odd picture has no twin.
            const u8* line = from + (s64)at_most(s.y + i, height - 1) * stride;
            int cy = at_most(s.y / 2, (height + 1) / 2 - 1);
            const u8* pairs = from + (s64)at_most(2 * cy + i, height - 1) * stride;
            for (int k = 0; k < 4; k++) {
                const u8* pair = pairs + 4 * at_most(s.x / 2 + k, (width + 1) / 2 - 1) + 1 - luma;
                u32 a = line[2 * at_most(s.x + 2 * k, width - 1) + luma], b = line[2 * at_most(s.x + 2 * k + 1, width - 1) + luma];
                w[k] = (a | b << 16) << 8 * luma | ((u32)pair[0] | (u32)pair[2] << 16) << 8 * (1 - luma);
            }
        }
        u32 of_luma = luma ? 0x7531 : 0x6420, of_chroma = luma ? 0x6420 : 0x7531;
        put_luma(to, s, i, make_uint2(__byte_perm(w[0], w[1], of_luma), __byte_perm(w[2], w[3], of_luma)));
        chroma[i][0] = __byte_perm(w[0], w[1], of_chroma), chroma[i][1] = __byte_perm(w[2], w[3], of_chroma);
    }
    u32 a = mean(chroma[0][0], chroma[1][0]), b = mean(chroma[0][1], chroma[1][1]);
    put_chroma(to, s, __byte_perm(a, b, 0x6420), __byte_perm(a, b, 0x7531));
}

// Eight pixels of a line, each in a word. BYTES: of a pixel.
template <int BYTES> __device__ inline void pixels(u32 (&p)[8], const u8* line, int x, int width, bool words) {
    if (!words) {
        for (int i = 0; i < 8; i++) {
            const u8* from = line + BYTES * at_most(x + i, width - 1);
            p[i] = from[0] | from[1] << 8 | from[2] << 16 | (BYTES == 4 ? (u32)from[BYTES - 1] << 24 : 0);
        }
        return;
    }
    u32 w[9];
    const uint2* from = (const uint2*)(line + BYTES * x);
#pragma unroll
    for (int i = 0; i < BYTES; i++) w[2 * i] = from[i].x, w[2 * i + 1] = from[i].y;
    w[8] = 0;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        int at = BYTES * i;
        p[i] = __byte_perm(w[at / 4], w[at / 4 + 1], 0x3210 + 0x1111 * (at % 4));
    }
}

__device__ inline int part(u32 p, int place) { return p >> 8 * place & 255; }

// BT.709, limited range, in 16-bit fixed point; chroma is the mean of 2x2 pixels.
template <int BYTES> __device__ inline void rgb(const u8* from, int stride, s64 step, int r, int g, int b, int width, int height, Padded to) {
    Spot s;
    if (!spot(s, to, width, height)) return;
    bool words = s.inside && aligned(from, stride, step);
    from += s.picture * step;
    int sum[4][3];
    for (int i = 0; i < 12; i++) sum[i / 3][i % 3] = 0;
    for (int i = 0; i < 2; i++) {
        u32 p[8], y[2] = {0, 0};
        pixels<BYTES>(p, from + (s64)at_most(s.y + i, height - 1) * stride, s.x, width, words);
#pragma unroll
        for (int k = 0; k < 8; k++) {
            u32 v = 11966 * part(p[k], r) + 40254 * part(p[k], g) + 4064 * part(p[k], b);
            y[k / 4] |= (16 + ((v + 32768) >> 16)) << k % 4 * 8;
        }
        put_luma(to, s, i, make_uint2(y[0], y[1]));
        // Chroma beyond the last column and line repeats what is made of the last two.
        int cy = at_most(s.y / 2, (height + 1) / 2 - 1);
        const u8* line = from + (s64)at_most(2 * cy + i, height - 1) * stride;
#pragma unroll
        for (int k = 0; k < 8; k++) {
            u32 q = p[k];
            if (!s.inside) {
                const u8* at = line + BYTES * at_most(2 * at_most((s.x + k) / 2, (width + 1) / 2 - 1) + k % 2, width - 1);
                q = at[0] | at[1] << 8 | at[2] << 16 | (BYTES == 4 ? (u32)at[BYTES - 1] << 24 : 0);
            }
            sum[k / 2][0] += part(q, r), sum[k / 2][1] += part(q, g), sum[k / 2][2] += part(q, b);
        }
    }
    u32 u = 0, v = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        int cb = -6596 * sum[k][0] - 22189 * sum[k][1] + 28784 * sum[k][2], cr = 28784 * sum[k][0] - 26145 * sum[k][1] - 2639 * sum[k][2];
        u |= (u32)byte(128 + ((cb + (1 << 17)) >> 18)) << 8 * k;
        v |= (u32)byte(128 + ((cr + (1 << 17)) >> 18)) << 8 * k;
    }
    put_chroma(to, s, u, v);
}

extern "C" __global__ void unpack_rgb24(const u8* from, int stride, s64 step, int r, int g, int b, int width, int height, u8* to_y, u8* to_u,
                                        u8* to_v, int padded_width, int padded_height) {
    Padded to = {to_y, to_u, to_v, padded_width, padded_height};
    rgb<3>(from, stride, step, r, g, b, width, height, to);
}

extern "C" __global__ void unpack_rgb32(const u8* from, int stride, s64 step, int r, int g, int b, int width, int height, u8* to_y, u8* to_u,
                                        u8* to_v, int padded_width, int padded_height) {
    Padded to = {to_y, to_u, to_v, padded_width, padded_height};
    rgb<4>(from, stride, step, r, g, b, width, height, to);
}

// Eight bytes, or those that still belong to a line of `width`.
__device__ inline void put_line(u8* line, int x, int width, uint2 v, bool words) {
    if (words) {
        *(uint2*)(line + x) = v;
        return;
    }
    u32 w[2] = {v.x, v.y};
    for (int i = 0; i < 8 && x + i < width; i++) line[x + i] = (u8)(w[i / 4] >> i % 4 * 8);
}

__device__ inline void put_half_line(u8* line, int x, int width, u32 v, bool words) {
    if (words) {
        *(u32*)(line + x) = v;
        return;
    }
    for (int i = 0; i < 4 && x + i < width; i++) line[x + i] = (u8)(v >> i * 8);
}

__device__ inline uint2 luma_of(const Padded& from, const Spot& s, int line) {
    return *(const uint2*)(from.y + ((s64)s.picture * from.height + s.y + line) * from.width + s.x);
}

__device__ inline uint2 chroma_of(const Padded& from, const Spot& s) {
    s64 at = ((s64)s.picture * (from.height / 2) + s.y / 2) * (from.width / 2) + s.x / 2;
    return make_uint2(*(const u32*)(from.u + at), *(const u32*)(from.v + at));
}

// The other way: the picture's part of padded planes. Without `u`, luma alone.
extern "C" __global__ void pack_planar(u8* from_y, u8* from_u, u8* from_v, int padded_width, int padded_height, u8* y, int stride, s64 step,
                                       u8* u, u8* v, int chroma_stride, s64 chroma_step, int width, int height) {
    Padded from = {from_y, from_u, from_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, from, width, height)) return;
    bool words = s.inside && aligned(y, stride, step);
    for (int i = 0; i < 2 && s.y + i < height; i++)
        put_line(y + s.picture * step + (s64)(s.y + i) * stride, s.x, width, luma_of(from, s, i), words);
    if (!u || s.y >= height) return;
    uint2 c = chroma_of(from, s);
    words = s.inside && aligned(u, chroma_stride, chroma_step) && aligned(v, 0, 0);
    s64 line = s.picture * chroma_step + (s64)(s.y / 2) * chroma_stride;
    put_half_line(u + line, s.x / 2, (width + 1) / 2, c.x, words);
    put_half_line(v + line, s.x / 2, (width + 1) / 2, c.y, words);
}

extern "C" __global__ void pack_interleaved(u8* from_y, u8* from_u, u8* from_v, int padded_width, int padded_height, u8* y, int stride,
                                            s64 step, u8* c, int chroma_stride, s64 chroma_step, int width, int height) {
    Padded from = {from_y, from_u, from_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, from, width, height)) return;
    bool words = s.inside && aligned(y, stride, step);
    for (int i = 0; i < 2 && s.y + i < height; i++)
        put_line(y + s.picture * step + (s64)(s.y + i) * stride, s.x, width, luma_of(from, s, i), words);
    if (s.y >= height) return;
    uint2 p = chroma_of(from, s);
    p = make_uint2(__byte_perm(p.x, p.y, 0x5140), __byte_perm(p.x, p.y, 0x7362));
    put_line(c + s.picture * chroma_step + (s64)(s.y / 2) * chroma_stride, s.x, (width + 1) / 2 * 2, p,
             s.inside && aligned(c, chroma_stride, chroma_step));
}

// Three bytes a pixel with red, green and blue at the given places; coefficients as in RgbMatrix.
extern "C" __global__ void pack_rgb(u8* from_y, u8* from_u, u8* from_v, int padded_width, int padded_height, u8* out, int stride, s64 step,
                                    int r, int g, int b, int width, int height, int black, int luma, int red, int green_u, int green_v,
                                    int blue) {
    Padded from = {from_y, from_u, from_v, padded_width, padded_height};
    Spot s;
    if (!spot(s, from, width, height)) return;
    bool words = s.inside && aligned(out, stride, step);
    uint2 c = chroma_of(from, s);
    for (int i = 0; i < 2 && s.y + i < height; i++) {
        uint2 l = luma_of(from, s, i);
        u32 w[6] = {0, 0, 0, 0, 0, 0};
#pragma unroll
        for (int k = 0; k < 8; k++) {
            int y = luma * (part(k < 4 ? l.x : l.y, k % 4) - black), cb = part(c.x, k / 2) - 128, cr = part(c.y, k / 2) - 128;
            u32 p = (u32)byte((y + red * cr + 32768) >> 16) << 8 * r | (u32)byte((y + green_u * cb + green_v * cr + 32768) >> 16) << 8 * g |
                    (u32)byte((y + blue * cb + 32768) >> 16) << 8 * b;
            int at = 3 * k;
            w[at / 4] |= p << at % 4 * 8;
            if (at % 4 > 1) w[at / 4 + 1] |= p >> (32 - at % 4 * 8);
        }
        u8* line = out + s.picture * step + (s64)(s.y + i) * stride;
        put_line(line, 3 * s.x, 3 * width, make_uint2(w[0], w[1]), words);
        put_line(line, 3 * s.x + 8, 3 * width, make_uint2(w[2], w[3]), words);
        put_line(line, 3 * s.x + 16, 3 * width, make_uint2(w[4], w[5]), words);
    }
}
