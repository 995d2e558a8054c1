// Runs kernels on the host. Every thread of a block is a fibre with a stack of its own; a barrier lets the others run. Threads of a warp
// come to barriers together, as the kernels promise, and a warp that does not is reported: such a kernel would hang or err on a device.
#include "lic.cuh"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>
#include <utility>

#include "block.cu"
#include "analysis.cu"
#include "synthesis.cu"
#include "prior.cu"
#include "planes.cu"
#include "shuffle.cu"
#include "motion.cu"
#include "search.cu"
#include "entropy.cu"
#include "measure.cu"

thread_local Three threadIdx, blockIdx, blockDim, gridDim;
thread_local uint4* dynamic_shared;

namespace {

enum State { WARP, BLOCK, DONE };
const int STACK = 64 << 10;

struct Fibre {
    jmp_buf at;
    State state;
    bool began;
    int exchanges;
};

struct Warp {
    u8 given[2][32 * 32];
};

// Zeroed memory. No C++ library is needed for it, so that a program with this in it runs where there is none.
template <class T> struct Array {
    T* data;
    explicit Array(size_t n) : data((T*)std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64)) {
        if (!data) std::abort();
        std::memset((void*)data, 0, n * sizeof(T));
    }
    ~Array() { std::free(data); }
    Array(const Array&) = delete;
};

struct Run {
    jmp_buf scheduler;
    Fibre* fibres;
    Warp* warps;
    u8* stacks;
    void (*body)(void**);
    void** parameters;
    unsigned current;
};
thread_local Run* run;

void yield(State state) {
    Fibre& f = run->fibres[run->current];
    f.state = state;
    if (!_setjmp(f.at)) _longjmp(run->scheduler, 1);
}

void enter_fibre() {
    run->body(run->parameters);
    run->fibres[run->current].state = DONE;
    _longjmp(run->scheduler, 1);
}

Three index_of(unsigned i) { return {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y}; }

// A function of its own: nothing of it is kept in registers over the jump.
__attribute__((noinline)) void resume(unsigned i) {
    run->current = i;
    threadIdx = index_of(i);
    if (_setjmp(run->scheduler)) return;
    Fibre& f = run->fibres[i];
    if (f.began) _longjmp(f.at, 1);
    f.began = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = run->stacks + (size_t)i * STACK;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, enter_fibre, 0);
    setcontext(&context);
}

// One block whose threads wait for each other.
void block_of_fibres(unsigned threads) {
    std::memset((void*)run->fibres, 0, threads * sizeof(Fibre));
    unsigned warps = (threads + 31) / 32;
    for (bool done = false; !done;) {
        State all = DONE;
        for (unsigned w = 0; w < warps; w++) {
            unsigned end = threads < 32 * w + 32 ? threads : 32 * w + 32;
            State state;
            do {
                for (unsigned i = 32 * w; i < end; i++)
                    if (run->fibres[i].state != DONE || !run->fibres[i].began) resume(i);
                state = run->fibres[32 * w].state;
                for (unsigned i = 32 * w; i < end; i++) {
                    if (run->fibres[i].state != state) {
                        std::fprintf(stderr, "emulation: threads of a warp wait in different places\n");
                        std::abort();
                    }
                }
            } while (state == WARP);
            if (w == 0) all = state;
            if (state != all) {
                std::fprintf(stderr, "emulation: warps of a block wait in different places\n");
                std::abort();
            }
        }
        done = all == DONE;
    }
}

template <class... A, size_t... I> void call(void (*kernel)(A...), void** p, std::index_sequence<I...>) { kernel(*(A*)p[I]...); }
template <class... A> void unpacked(void (*kernel)(A...), void** p) { call(kernel, p, std::index_sequence_for<A...>{}); }
// Whether parameters of these sizes are the kernel's.
template <class... A> bool fits(void (*)(A...), const unsigned* sizes, unsigned given) {
    const unsigned own[] = {sizeof(A)...};
    return given == sizeof...(A) && std::memcmp(own, sizes, sizeof own) == 0;
}

struct Entry {
    const char* name;
    bool (*fits)(const unsigned* sizes, unsigned given);
    bool waits; // its threads wait for each other
    void (*body)(void**);
};

#define KERNEL(name, waits) {#name, [](const unsigned* s, unsigned n) { return fits(name, s, n); }, waits, [](void** p) { unpacked(name, p); }}
const Entry kernels[] = {
    KERNEL(block_bytes, true),         KERNEL(block_words, true),    KERNEL(analysis_first, true),
    KERNEL(analysis_last, true),       KERNEL(synthesis_first, true), KERNEL(synthesis_last, true),
    KERNEL(linear, true),              KERNEL(depthwise, false),     KERNEL(unpack_planar, false),
    KERNEL(unpack_interleaved, false), KERNEL(unpack_422, false),    KERNEL(unpack_rgb24, false),
    KERNEL(unpack_rgb32, false),       KERNEL(pack_planar, false),   KERNEL(pack_interleaved, false),
    KERNEL(pack_rgb, false),           KERNEL(to_channels, false),   KERNEL(from_channels, false),
    KERNEL(compensate, false),         KERNEL(blend, false),
    KERNEL(search_planes, false),      KERNEL(differences, true),
    KERNEL(measure_around, true), KERNEL(measure_products, true),
    KERNEL(to_steps, false), KERNEL(to_cells, false), KERNEL(from_cells, false), KERNEL(hyper_latents, false),
    KERNEL(gather, false), KERNEL(choose_symbols, false), KERNEL(to_latents, false),
    KERNEL(peak_mma, true),            KERNEL(peak_dp4a, false), KERNEL(peak_convert, false),     KERNEL(copy, false),
};

} // namespace

void __syncthreads() { yield(BLOCK); }
void __syncwarp() { yield(WARP); }

const u8* emulated_exchange(const void* mine, int bytes) {
    // Two places in turn: nobody overwrites what others still read.
    u8* given = run->warps[run->current / 32].given[run->fibres[run->current].exchanges++ % 2];
    std::memcpy(given + run->current % 32 * bytes, mine, bytes);
    yield(WARP);
    return given;
}

// The name of a kernel, if there is one.
extern "C" const char* lic_kernel(const char* name) {
    for (const Entry& k : kernels)
        if (std::strcmp(k.name, name) == 0) return k.name;
    return nullptr;
}

// 0 if the kernel ran, 1 if there is none of that name, 2 if it takes other parameters; those that are
// given without sizes are not checked.
extern "C" int lic_emulate(const char* name, const unsigned* grid, const unsigned* block, unsigned shared, void** parameters,
                           const unsigned* sizes, unsigned given) {
    for (const Entry& k : kernels) {
        if (std::strcmp(k.name, name) != 0) continue;
        if (sizes && !k.fits(sizes, given)) return 2;
        blockDim = {block[0], block[1], block[2]};
        gridDim = {grid[0], grid[1], grid[2]};
        unsigned threads = block[0] * block[1] * block[2];
        Array<uint4> memory(shared / 16 + 1);
        dynamic_shared = memory.data;
        Run mine;
        mine.body = k.body, mine.parameters = parameters;
        unsigned fibres = k.waits ? threads : 0;
        Array<Fibre> all(fibres);
        Array<Warp> warps((fibres + 31) / 32);
        Array<u8> stacks((size_t)fibres * STACK);
        mine.fibres = all.data, mine.warps = warps.data, mine.stacks = stacks.data;
        run = &mine;
        for (unsigned i = 0; i < grid[0] * grid[1] * grid[2]; i++) {
            blockIdx = {i % grid[0], i / grid[0] % grid[1], i / grid[0] / grid[1]};
            if (k.waits) {
                block_of_fibres(threads);
                continue;
            }
            for (unsigned t = 0; t < threads; t++) {
                threadIdx = index_of(t);
                k.body(parameters);
            }
        }
        run = nullptr;
        return 0;
    }
    return 1;
}
