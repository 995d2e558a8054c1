// A driver library without a device: what lic-cuda calls of libcuda.so.1, on memory of the host, kernels emulated. It shows what becomes of a
// driver that is old, of memory that runs out and of a device that is lost, and that the driver is called as it wants to be.
//
// LIC_STUB_VERSION: CUDA's version that it says it knows (12090). LIC_STUB_MEMORY: bytes that it has. LIC_STUB_LAUNCHES: kernels that it
// runs before the device is lost. LIC_STUB_DEVICES: how many there are (1).
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

extern "C" int lic_emulate(const char* name, const unsigned* grid, const unsigned* block, unsigned shared, void** parameters,
                           const unsigned* sizes, unsigned given);
extern "C" const char* lic_kernel(const char* name);

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
       INVALID_CONTEXT = 201, NOT_FOUND = 500, LAUNCH_FAILED = 719 };

long setting(const char* name, long otherwise) {
    const char* v = std::getenv(name);
    return v ? std::atol(v) : otherwise;
}

struct Function {
    const char* name;
    int most;
};

bool initialised;
thread_local void* current;
std::atomic<size_t> used;
std::atomic<long> launches;
int context;
Function functions[64];
int count;

bool lost() { return launches > setting("LIC_STUB_LAUNCHES", 1L << 40); }
int state() { return !initialised ? NOT_INITIALIZED : !current ? INVALID_CONTEXT : lost() ? LAUNCH_FAILED : SUCCESS; }

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

int allocate(void** p, size_t bytes) {
    if (int s = state()) return s;
    if (bytes == 0) return INVALID_VALUE;
    if (used + bytes > (size_t)setting("LIC_STUB_MEMORY", 1L << 40)) return OUT_OF_MEMORY;
    char* at = (char*)std::aligned_alloc(256, (bytes + 511) / 256 * 256);
    if (!at) return OUT_OF_MEMORY;
    *(size_t*)at = bytes;
    used += bytes;
    *p = at + 256;
    return SUCCESS;
}

int release(void* p) {
    if (int s = state()) return s;
    char* at = (char*)p - 256;
    used -= *(size_t*)at;
    std::free(at);
    return SUCCESS;
}

} // namespace

extern "C" {
int cuInit(unsigned) {
    if (setting("LIC_STUB_DEVICES", 1) == 0) return NO_DEVICE;
    initialised = true;
    return SUCCESS;
}
int cuDriverGetVersion(int* v) { return *v = (int)setting("LIC_STUB_VERSION", 12090), SUCCESS; }
int cuGetErrorString(int e, const char** s) {
    *s = e == OUT_OF_MEMORY ? "out of memory" : e == LAUNCH_FAILED ? "unspecified launch failure" : e == INVALID_VALUE ? "invalid argument" :
         e == INVALID_IMAGE ? "device kernel image is invalid" : "an error of the stub";
    return SUCCESS;
}
int cuGetErrorName(int e, const char** s) { return cuGetErrorString(e, s); }
int cuDeviceGetCount(int* n) { return *n = (int)setting("LIC_STUB_DEVICES", 1), initialised ? SUCCESS : NOT_INITIALIZED; }
int cuDeviceGet(int* d, int i) { return *d = i, i < setting("LIC_STUB_DEVICES", 1) ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char* s, int n, int) { return std::snprintf(s, (size_t)n, "stub without a device"), SUCCESS; }
int cuDeviceGetAttribute(int* v, int a, int) { return *v = a == 75 ? 9 : 0, SUCCESS; } // 75, 76: compute capability 9.0
int cuDevicePrimaryCtxRetain(void** c, int) { return *c = &context, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void* c) { return current = c, SUCCESS; }
int cuCtxGetCurrent(void** c) { return *c = current, SUCCESS; }
int cuCtxSynchronize() { return state(); }
int cuStreamCreate(void** s, unsigned) { return *s = &context, state(); }
int cuStreamDestroy_v2(void*) { return SUCCESS; }
int cuStreamSynchronize(void*) { return state(); }
int cuStreamWaitEvent(void*, void*, unsigned) { return state(); }
int cuModuleLoadData(void** m, const void* image) {
    if (int s = state()) return s;
    // A cubin is an ELF file; PTX is text that says so.
    bool cubin = std::memcmp(image, "\177ELF", 4) == 0;
    if (!cubin && !std::strstr((const char*)image, ".version")) return INVALID_IMAGE;
    return *m = &context, SUCCESS;
}
int cuModuleUnload(void*) { return state(); }
int cuModuleGetFunction(void** f, void*, const char* name) {
    if (int s = state()) return s;
    const char* known = lic_kernel(name);
    if (!known || count == 64) return NOT_FOUND;
    functions[count] = {known, 48 << 10};
    return *f = &functions[count++], SUCCESS;
}
int cuFuncSetAttribute(void* f, int attribute, int value) {
    if (int s = state()) return s;
    if (attribute != 8 || value > 227 << 10) return INVALID_VALUE; // dynamic shared memory
    return ((Function*)f)->most = value, SUCCESS;
}
int cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void*, void** p, void**) {
    if (int s = state()) return s;
    unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || bx * by * bz - 1 > 1023 || bz > 64 || (int)shared > ((Function*)f)->most) return INVALID_VALUE;
    launches++;
    if (lost()) return SUCCESS; // found out by what waits for it
    return lic_emulate(((Function*)f)->name, grid, block, shared, p, nullptr, 0) ? INVALID_VALUE : SUCCESS;
}
int cuMemAlloc_v2(void** p, size_t bytes) { return allocate(p, bytes); }
int cuMemFree_v2(void* p) { return release(p); }
int cuMemHostAlloc(void** p, size_t bytes, unsigned) { return allocate(p, bytes); }
int cuMemFreeHost(void* p) { return release(p); }
int cuMemsetD8Async(void* p, unsigned char v, size_t n, void*) { return std::memset(p, v, n), state(); }
int cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t n, void*) { return std::memcpy(to, from, n), state(); }
int cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t n, void*) { return std::memcpy(to, from, n), state(); }
int cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t n, void*) { return std::memmove(to, from, n), state(); }
int cuEventCreate(void** e, unsigned) { return *e = std::malloc(sizeof(double)), state(); }
int cuEventRecord(void* e, void*) { return *(double*)e = now(), state(); }
int cuEventSynchronize(void*) { return state(); }
int cuEventElapsedTime(float* ms, void* a, void* b) { return *ms = (float)(*(double*)b - *(double*)a), state(); }
int cuEventElapsedTime_v2(float* ms, void* a, void* b) { return cuEventElapsedTime(ms, a, b); }
int cuEventDestroy_v2(void* e) { return std::free(e), SUCCESS; }
}
