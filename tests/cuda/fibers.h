// CUDA C on the CPU: one fiber a thread, one block after the other.
//
// Enough of the language for this project's kernels. A fiber runs until it meets a
// barrier or a shuffle; when all threads of the block, or all lanes of the warp, have
// come there, they go on. What a GPU would answer with wrong numbers or with a hang is
// an error here: threads that have left before a barrier, lanes that have left before a
// shuffle, threads that wait for different things. Blocks and threads run in order, or
// backwards: a result that hangs on it differs. What it cannot show: other races between
// blocks, and the GPU's own rounding of expf and its like.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __launch_bounds__(threads)
#define __device__
#define __shared__ static
#define __restrict__

struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

static inline float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline double __longlong_as_double(long long bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

namespace fibers {
enum State { READY, AT_BARRIER, IN_SHUFFLE, GONE };
const size_t STACK = 64 << 10;
const int WARP = 32;

struct Fiber {
    ucontext_t start;
    jmp_buf place;
    State state;
    bool started;
    unsigned long long slot;  // what the lane shows in a shuffle
    dim3 index;
    char* stack;
};
static Fiber* all;
static int room, current;
static bool backwards;  // the last blocks and threads first
static jmp_buf scheduler;
static void (*body)(void*);
static void* arguments;

static void enter() {
    body(arguments);
    all[current].state = GONE;
    _longjmp(scheduler, 1);
}
static void wait(State state) {
    Fiber& mine = all[current];
    mine.state = state;
    if (_setjmp(mine.place) == 0) _longjmp(scheduler, 1);
}
static void go_on(int i) {
    current = i;
    threadIdx = all[i].index;
    if (_setjmp(scheduler)) return;
    if (all[current].started) _longjmp(all[current].place, 1);
    all[current].started = true;
    setcontext(&all[current].start);
}
static int count(int first, int last, State state) {
    int n = 0;
    for (int i = first; i < last; i++) n += all[i].state == state;
    return n;
}
static void release(int first, int last, State state) {
    for (int i = first; i < last; i++)
        if (all[i].state == state) all[i].state = READY;
}
static void make_room(int threads) {
    if (threads <= room) return;
    all = (Fiber*)realloc(all, threads * sizeof(Fiber));
    for (int i = room; i < threads; i++) all[i].stack = (char*)malloc(STACK);
    for (int i = 0; i < threads; i++) getcontext(&all[i].start);
    room = threads;
}
static const char* run_block(int threads) {
    for (int i = 0; i < threads; i++) {
        Fiber& f = all[i];
        f.state = READY;
        f.started = false;
        f.start.uc_stack.ss_sp = f.stack;
        f.start.uc_stack.ss_size = STACK;
        f.start.uc_link = 0;
        makecontext(&f.start, enter, 0);
        unsigned x = i % blockDim.x, y = i / blockDim.x % blockDim.y;
        f.index = {x, y, i / (blockDim.x * blockDim.y)};
    }
    for (;;) {
        for (int n = 0; n < threads; n++) {
            int i = backwards ? threads - 1 - n : n;
            if (all[i].state == READY) go_on(i);
        }
        int gone = count(0, threads, GONE), progress = 0;
        if (gone == threads) return 0;
        for (int w = 0; w < threads; w += WARP) {
            int end = w + WARP < threads ? w + WARP : threads;
            int here = count(w, end, IN_SHUFFLE);
            if (here && here + count(w, end, GONE) == end - w) {
                if (here < end - w) return "a shuffle after lanes have left";
                release(w, end, IN_SHUFFLE);
                progress = 1;
            }
        }
        int waiting = count(0, threads, AT_BARRIER);
        if (waiting && waiting + gone == threads) {
            if (gone) return "__syncthreads() after threads have left";
            release(0, threads, AT_BARRIER);
            progress = 1;
        }
        if (!progress) return "deadlock: threads wait for different things";
    }
}
static void run_apart(int threads) {
    for (int n = 0; n < threads; n++) {
        unsigned i = backwards ? threads - 1 - n : n;
        unsigned x = i % blockDim.x, y = i / blockDim.x % blockDim.y;
        threadIdx = {x, y, i / (blockDim.x * blockDim.y)};
        body(arguments);
    }
}
// Every block of the grid; `together` where threads meet in barriers or shuffles. What
// depends on the order of blocks shows when they run backwards: dims[6].
static const char* run(
    const unsigned* dims, void (*kernel)(void*), void* args, bool together) {
    gridDim = {dims[0], dims[1], dims[2]};
    blockDim = {dims[3], dims[4], dims[5]};
    backwards = dims[6];
    body = kernel, arguments = args;
    int threads = blockDim.x * blockDim.y * blockDim.z;
    unsigned long long blocks = 1ull * gridDim.x * gridDim.y * gridDim.z;
    if (together) make_room(threads);
    for (unsigned long long n = 0; n < blocks; n++) {
        unsigned long long at = backwards ? blocks - 1 - n : n;
        unsigned x = at % gridDim.x, y = at / gridDim.x % gridDim.y;
        blockIdx = {x, y, (unsigned)(at / gridDim.x / gridDim.y)};
        const char* problem = 0;
        if (together) problem = run_block(threads);
        else run_apart(threads);
        if (problem) return problem;
    }
    return 0;
}
template <typename T>
static T from_lane(T value, int lane) {
    int warp = current & ~(WARP - 1);
    memcpy(&all[current].slot, &value, sizeof value);
    wait(IN_SHUFFLE);
    memcpy(&value, &all[warp + lane].slot, sizeof value);
    wait(IN_SHUFFLE);
    return value;
}
}  // namespace fibers

static inline void __syncthreads() { fibers::wait(fibers::AT_BARRIER); }
template <typename T>
static T __shfl_xor_sync(unsigned, T value, int other) {
    return fibers::from_lane(value, (fibers::current & 31) ^ other);
}
