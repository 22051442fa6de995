// The kernels that are written by hand, and the helpers of those that are generated.
//
// Plain extern "C" functions. Sums run in a fixed order, without atomics: the same
// program gives the same bits each time. Where a grid has more threads than elements,
// the rest return; every thread of a block meets every __syncthreads().

#define FULL_WARP 0xffffffffu

// Quotient and remainder rounded towards minus infinity, as in NumPy.

__device__ inline float floor_remainder(float a, float b) {
    float r = fmodf(a, b);
    if (b == 0.0f) return r;
    if (r == 0.0f) return copysignf(0.0f, b);
    return (b < 0.0f) != (r < 0.0f) ? r + b : r;
}
__device__ inline double floor_remainder(double a, double b) {
    double r = fmod(a, b);
    if (b == 0.0) return r;
    if (r == 0.0) return copysign(0.0, b);
    return (b < 0.0) != (r < 0.0) ? r + b : r;
}
__device__ inline float floor_quotient(float a, float b) {
    if (b == 0.0f) return a / b;
    float r = fmodf(a, b);
    float q = (a - r) / b;
    if (r != 0.0f && (b < 0.0f) != (r < 0.0f)) q -= 1.0f;
    if (q == 0.0f) return copysignf(0.0f, a / b);
    float whole = floorf(q);
    return q - whole > 0.5f ? whole + 1.0f : whole;
}
__device__ inline double floor_quotient(double a, double b) {
    if (b == 0.0) return a / b;
    double r = fmod(a, b);
    double q = (a - r) / b;
    if (r != 0.0 && (b < 0.0) != (r < 0.0)) q -= 1.0;
    if (q == 0.0) return copysign(0.0, a / b);
    double whole = floor(q);
    return q - whole > 0.5 ? whole + 1.0 : whole;
}
template <typename T>
__device__ inline T floor_quotient(T a, T b) {
    if (b == 0) return 0;
    if (b == (T)-1) return (T)(0 - a);  // the smallest number has no negative
    T q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}
template <typename T>
__device__ inline T floor_remainder(T a, T b) {
    if (b == 0 || b == (T)-1) return b == 0 ? 0 : a - a / b * b;
    T r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

// Rows of a mini-batch: out[i, :] = rows[order[(step * batch + i) % samples], :].
// One thread an element.

template <typename IN, typename OUT>
__device__ inline void gather(
    const IN* rows, const long long* order, const int* step, OUT* out,
    int samples, int width, int batch) {
    long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)batch * width) return;
    long long i = at / width;
    long long row = order[((long long)step[0] * batch + i) % samples];
    out[at] = (OUT)rows[row * width + (at - i * width)];
}
extern "C" __global__ void gather_u8_f32(
    const unsigned char* rows, const long long* order, const int* step, float* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_f32_f32(
    const float* rows, const long long* order, const int* step, float* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_f64_f32(
    const double* rows, const long long* order, const int* step, float* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_u8_f64(
    const unsigned char* rows, const long long* order, const int* step, double* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_f32_f64(
    const float* rows, const long long* order, const int* step, double* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_f64_f64(
    const double* rows, const long long* order, const int* step, double* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}
extern "C" __global__ void gather_i32(
    const int* rows, const long long* order, const int* step, int* out,
    int samples, int width, int batch) {
    gather(rows, order, step, out, samples, width, batch);
}

// The numbers of this step: scalars[j] = table[min(step, steps - 1), j].

template <typename T>
__device__ inline void load_scalars(
    const T* table, const int* step, T* scalars, int count, int steps) {
    int j = blockIdx.x * blockDim.x + threadIdx.x;
    if (j >= count) return;
    long long row = step[0] < steps ? step[0] : steps - 1;
    scalars[j] = table[row * count + j];
}
extern "C" __global__ void load_scalars_f32(
    const float* table, const int* step, float* scalars, int count, int steps) {
    load_scalars(table, step, scalars, count, steps);
}
extern "C" __global__ void load_scalars_f64(
    const double* table, const int* step, double* scalars, int count, int steps) {
    load_scalars(table, step, scalars, count, steps);
}

// The end of a step: its loss is kept, losses[step % steps] = loss, and the next step
// gets its numbers, step += 1, scalars[j] = table[min(step, steps - 1), j]. One thread:
// the numbers are few, and a kernel costs a step more than they do.

template <typename T>
__device__ inline void end_step(
    const T* loss, T* losses, const T* table, T* scalars, int* step, int count,
    int steps) {
    if (blockIdx.x != 0 || threadIdx.x != 0) return;
    int now = step[0];
    losses[now % steps] = loss[0];
    step[0] = now + 1;
    long long row = now + 1 < steps ? now + 1 : steps - 1;
    for (int j = 0; j < count; j++) scalars[j] = table[row * count + j];
}
extern "C" __global__ void end_step_f32(
    const float* loss, float* losses, const float* table, float* scalars, int* step,
    int count, int steps) {
    end_step(loss, losses, table, scalars, step, count, steps);
}
extern "C" __global__ void end_step_f64(
    const double* loss, double* losses, const double* table, double* scalars, int* step,
    int count, int steps) {
    end_step(loss, losses, table, scalars, step, count, steps);
}

// Scalar products of long rows, sums[l] = sum over i of x[l, i] y[l, i], in two stages.
// First gridDim.x blocks of 256 threads a row (blockIdx.y) leave a part each, then one
// block of 256 threads a row adds up the parts.

template <typename T>
__device__ inline T block_sum(T v, T* shared) {
    for (int o = 16; o > 0; o >>= 1) v = v + __shfl_xor_sync(FULL_WARP, v, o);
    if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = v;
    __syncthreads();
    v = shared[0];
    for (int w = 1; w < 8; w++) v = v + shared[w];
    return v;
}
template <typename T>
__device__ inline void dot_parts(
    const T* x, const T* y, T* parts, long long n, T* shared) {
    x += blockIdx.y * n;
    y += blockIdx.y * n;
    T v = (T)0;
    long long step = (long long)gridDim.x * blockDim.x;
    long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long i = first; i < n; i += step) v = v + x[i] * y[i];
    v = block_sum(v, shared);
    if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = v;
}
template <typename T>
__device__ inline void add_parts(const T* parts, T* sums, int count, T* shared) {
    parts += (long long)blockIdx.x * count;
    T v = (T)0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) v = v + parts[i];
    v = block_sum(v, shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = v;
}
extern "C" __global__ void dot_parts_f32(
    const float* x, const float* y, float* parts, long long n) {
    __shared__ float shared[8];
    dot_parts(x, y, parts, n, shared);
}
extern "C" __global__ void dot_parts_f64(
    const double* x, const double* y, double* parts, long long n) {
    __shared__ double shared[8];
    dot_parts(x, y, parts, n, shared);
}
extern "C" __global__ void add_parts_f32(const float* parts, float* sums, int count) {
    __shared__ float shared[8];
    add_parts(parts, sums, count, shared);
}
extern "C" __global__ void add_parts_f64(
    const double* parts, double* sums, int count) {
    __shared__ double shared[8];
    add_parts(parts, sums, count, shared);
}
