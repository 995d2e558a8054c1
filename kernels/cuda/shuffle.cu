// Padded planes <-> the float networks' 96 channels at 1/8. Twin of shuffle.rs.
#include "lic.cuh"

// `out`: [96][height][width] for each picture; blockIdx.y: the channel, blockIdx.z: the picture. A thread makes one value.
extern "C" __global__ void to_channels(const u8* y, const u8* u, const u8* v, float* out, int width, int height) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, channel = blockIdx.y, x = i % width, line = i / width;
    if (i >= width * height) return;
    s64 picture = blockIdx.z;
    float value;
    if (channel < 64) {
        int code = y[((picture * height + line) * 8 + channel / 8) * width * 8 + 8 * x + channel % 8];
        value = __fmul_rn(__fadd_rn((float)code, -125.5f), 1.0f / 219.0f);
    } else {
        int code = (channel < 80 ? u : v)[((picture * height + line) * 4 + channel % 16 / 4) * width * 4 + 4 * x + channel % 4];
        value = __fmul_rn(__fadd_rn((float)code, -128.0f), 1.0f / 224.0f);
    }
    out[(picture * 96 + channel) * width * height + i] = value;
}

// The cast of Rust: cut to 0 to 255, NaN gives 0.
__device__ inline u8 code_of(float v) { return v > 0.0f ? (u8)(v < 255.0f ? v : 255.0f) : 0; }

extern "C" __global__ void from_channels(const float* from, u8* y, u8* u, u8* v, int width, int height) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, channel = blockIdx.y, x = i % width, line = i / width;
    if (i >= width * height) return;
    s64 picture = blockIdx.z;
    float value = from[(picture * 96 + channel) * width * height + i];
    if (channel < 64) {
        y[((picture * height + line) * 8 + channel / 8) * width * 8 + 8 * x + channel % 8] =
            code_of(__fadd_rn(__fadd_rn(__fmul_rn(value, 219.0f), 125.5f), 0.5f));
    } else {
        (channel < 80 ? u : v)[((picture * height + line) * 4 + channel % 16 / 4) * width * 4 + 4 * x + channel % 4] =
            code_of(__fadd_rn(__fadd_rn(__fmul_rn(value, 224.0f), 128.0f), 0.5f));
    }
}
