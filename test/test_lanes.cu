/* What every lane holds after each warp instruction of cuda/portable.h, compared with what the PTX manual says it holds ("Matrix
 * Fragments for mma.m16n8k16", "ldmatrix", "cp.async", "shfl.sync"). Compiled by nvcc it checks the wrappers on a GPU, compiled for the
 * emulation it checks the emulation: the expectations are computed here, on the host, from the manual's formulae alone. And the polynomial
 * that may stand for ex2, compared with the host's. */
#include "cuda/attention.h"
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

static int failures;
static cudaStream_t stream;

static void must(cudaError_t e, const char *what) {
    if (e == cudaSuccess) return;
    fprintf(stderr, "test_lanes: %s: %s\n", what, cudaGetErrorString(e));
    exit(2);
}

template <class... P> static void start(void (*kernel)(P...), int threads, std::type_identity_t<P>... args) {
    must(launch_on(stream, false, 1, kernel, dim3(1), dim3((unsigned)threads), 0, args...), "launch");
}
template <class... P> static void start_clusters(void (*kernel)(P...), int cluster, dim3 grid, std::type_identity_t<P>... args) {
    must(launch_on(stream, false, cluster, kernel, grid, dim3(32), 0, args...), "launch");
}

template <class T> struct buffer {
    T *device;
    size_t n;
    explicit buffer(const std::vector<T> &v) : n(v.size()) {
        void *p;
        must(cuda.Malloc(&p, n * sizeof(T)), "cudaMalloc");
        device = static_cast<T *>(p);
        must(cuda.MemcpyAsync(device, v.data(), n * sizeof(T), cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
        must(cuda.StreamSynchronize(stream), "cudaStreamSynchronize");
    }
    buffer(const buffer &) = delete;
    ~buffer() { cuda.Free(device); }
    std::vector<T> values() {
        std::vector<T> v(n);
        must(cuda.MemcpyAsync(v.data(), device, n * sizeof(T), cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
        must(cuda.StreamSynchronize(stream), "cudaStreamSynchronize");
        return v;
    }
};

template <class T> static void compare(const char *what, const std::vector<T> &got, const std::vector<T> &want, int per_lane) {
    for (size_t i = 0; i < want.size(); i++) {
        if (got[i] == want[i]) continue;
        printf("FAIL   %s: lane %zu, value %zu: %g instead of %g\n", what, i / (size_t)per_lane, i % (size_t)per_lane, (double)got[i],
               (double)want[i]);
        failures++;
        return;
    }
    printf("ok     %s\n", what);
}

/* ---- ldmatrix ---------------------------------------------------------------------------------------------------- */

/* 32 rows of 8 values in shared memory, each 3 rows of 16 bytes apart from the next; lane l passes the address of row l. */
template <int X, bool TRANSPOSE> static __global__ void load_matrices(const uint16_t *in, uint32_t *out) {
    SHARED(vec16<uint16_t>, s, [32 * 3]);
    for (int i = 0; i < 8; i++) s[threadIdx.x * 3].v[i] = in[threadIdx.x * 8 + i];
    __syncthreads();
    uint32_t r[X];
    ldmatrix<X, TRANSPOSE>(r, &s[threadIdx.x * 3]);
    for (int i = 0; i < X; i++) out[threadIdx.x * X + i] = r[i];
}

/* "ldmatrix": threads 8m..8m+7 give the rows of matrix m; each thread receives of a row the fragment in the figure: thread 4r+c holds
 * elements 2c and 2c+1 of row r. With .trans the matrix is read in column-major format. */
template <int X, bool TRANSPOSE> static void test_ldmatrix(const char *what) {
    std::vector<uint16_t> in(32 * 8);
    for (size_t i = 0; i < in.size(); i++) in[i] = (uint16_t)(1000 + i);
    std::vector<uint32_t> want(32 * X);
    for (int row = 0; row < 8; row++)
        for (int column = 0; column < 8; column++)
            for (int m = 0; m < X; m++) {
                uint32_t value = in[(size_t)(TRANSPOSE ? (8 * m + column) * 8 + row : (8 * m + row) * 8 + column)];
                want[(size_t)((4 * row + column / 2) * X + m)] |= value << (column % 2 ? 16 : 0);
            }
    buffer<uint16_t> a(in);
    buffer<uint32_t> out(std::vector<uint32_t>(32 * X, 0xdeadbeef));
    start(load_matrices<X, TRANSPOSE>, 32, a.device, out.device);
    compare(what, out.values(), want, X);
}

/* ---- mma --------------------------------------------------------------------------------------------------------- */

template <class T> static __global__ void multiply(const uint32_t *a, const uint32_t *b, const float *c, float *d) {
    uint32_t ra[4], rb[2];
    float rd[4];
    for (int i = 0; i < 4; i++) ra[i] = a[threadIdx.x * 4 + i], rd[i] = c[threadIdx.x * 4 + i];
    for (int i = 0; i < 2; i++) rb[i] = b[threadIdx.x * 2 + i];
    mma_16816<T>(rd, ra, rb);
    for (int i = 0; i < 4; i++) d[threadIdx.x * 4 + i] = rd[i];
}

/* Small integers are exact in every type and order of summation. */
static int value_a(int row, int k) {
    return (row * 5 + k * 3) % 11 - 5;
}
static int value_b(int k, int column) {
    return (k * 7 + column * 2) % 9 - 4;
}
static int value_c(int row, int column) {
    return row * 8 + column - 60;
}

template <class T> static uint16_t bits_of(int value) {
    T h = T((float)value);
    uint16_t b;
    memcpy(&b, &h, 2);
    return b;
}

/* "Matrix Fragments for mma.m16n8k16 with floating point type": groupID = laneid >> 2, threadID_in_group = laneid % 4;
 *   A: ai, i 0..7:  row = groupID for i in {0,1,4,5} else groupID+8;  col = threadID_in_group*2 + (i&1), + 8 for i >= 4
 *   B: bi, i 0..3:  row = threadID_in_group*2 + (i&1), + 8 for i >= 2;  col = groupID
 *   C: ci, i 0..3:  row = groupID for i < 2 else groupID+8;  col = threadID_in_group*2 + (i&1) */
template <class T> static void test_mma(const char *what) {
    std::vector<uint32_t> a(32 * 4), b(32 * 2);
    std::vector<float> c(32 * 4), want(32 * 4);
    for (int lane = 0; lane < 32; lane++) {
        int group = lane >> 2, in_group = lane % 4;
        for (int i = 0; i < 8; i++) {
            int row = i == 0 || i == 1 || i == 4 || i == 5 ? group : group + 8, column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
            a[(size_t)(lane * 4 + i / 2)] |= (uint32_t)bits_of<T>(value_a(row, column)) << (i % 2 * 16);
        }
        for (int i = 0; i < 4; i++) {
            int row = in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0);
            b[(size_t)(lane * 2 + i / 2)] |= (uint32_t)bits_of<T>(value_b(row, group)) << (i % 2 * 16);
        }
        for (int i = 0; i < 4; i++) {
            int row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1), sum = value_c(row, column);
            c[(size_t)(lane * 4 + i)] = (float)sum;
            for (int k = 0; k < 16; k++) sum += value_a(row, k) * value_b(k, column);
            want[(size_t)(lane * 4 + i)] = (float)sum;
        }
    }
    buffer<uint32_t> da(a), db(b);
    buffer<float> dc(c), d(std::vector<float>(32 * 4, NAN));
    start(multiply<T>, 32, da.device, db.device, dc.device, d.device);
    compare(what, d.values(), want, 4);
}

/* ---- cp.async ---------------------------------------------------------------------------------------------------- */

/* Two groups; the second is waited for only after the first has been read. Odd lanes ask for zeros. */
static __global__ void copy_async(const float *in, float *out) {
    SHARED(vec16<float>, s, [64]);
    int t = (int)threadIdx.x;
    for (int i = 0; i < 4; i++) s[t].v[i] = s[t + 32].v[i] = -1;
    cp_async16(&s[t], in + t * 4, t % 2 == 0);
    cp_async_commit();
    cp_async16(&s[t + 32], in + 128 + t * 4, true);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    for (int i = 0; i < 4; i++) out[t * 8 + i] = s[31 - t].v[i];
    cp_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++) out[t * 8 + 4 + i] = s[32 + 31 - t].v[i];
}

static void test_cp_async() {
    std::vector<float> in(256), want(256);
    for (size_t i = 0; i < in.size(); i++) in[i] = (float)i + 1;
    for (size_t t = 0; t < 32; t++)
        for (size_t i = 0; i < 4; i++) {
            size_t from = 31 - t;
            want[t * 8 + i] = from % 2 ? 0 : in[from * 4 + i];
            want[t * 8 + 4 + i] = in[128 + from * 4 + i];
        }
    buffer<float> a(in), out(std::vector<float>(256, NAN));
    start(copy_async, 32, a.device, out.device);
    compare("cp.async, its groups and its zeros", out.values(), want, 8);
}

/* ---- barrier.cluster --------------------------------------------------------------------------------------------- */

enum { ROUNDS = 3 };

/* x [z][y][x][32]: each block counts on from what its cluster's next block had in the round before. */
static __global__ void pass_on(int *x, int cluster) {
    int y = (int)blockIdx.y, next = y / cluster * cluster + (y + 1) % cluster;
    auto at = [&](int row) { return ((blockIdx.z * gridDim.y + (unsigned)row) * gridDim.x + blockIdx.x) * 32 + threadIdx.x; };
    for (int round = 0; round < ROUNDS; round++) {
        int got = x[at(next)];
        cluster_barrier();
        x[at(y)] = got + 1;
        cluster_barrier();
    }
}

static void test_clusters() {
    const int X = 3, Z = 2;
    for (int cluster = 2; cluster <= MOST_CLUSTER; cluster++) {
        int Y = 2 * cluster;
        std::vector<int> in((size_t)(Z * Y * X * 32)), want(in.size());
        for (size_t i = 0; i < in.size(); i++) in[i] = (int)i * 10;
        for (int z = 0; z < Z; z++)
            for (int y = 0; y < Y; y++)
                for (int i = 0; i < X * 32; i++) {
                    int from = y / cluster * cluster + (y + ROUNDS) % cluster;
                    want[(size_t)((z * Y + y) * X * 32 + i)] = ((z * Y + from) * X * 32 + i) * 10 + ROUNDS;
                }
        buffer<int> x(in);
        start_clusters(pass_on, cluster, dim3(X, (unsigned)Y, Z), x.device, cluster);
        char what[64];
        snprintf(what, sizeof what, "barrier.cluster, %d blocks", cluster);
        compare(what, x.values(), want, 1);
    }
}

/* ---- shuffles, votes, conversions -------------------------------------------------------------------------------- */

static __global__ void shuffle(int *out) {
    int t = (int)threadIdx.x, *o = out + t * 8;
    o[0] = __shfl_xor_sync(~0u, t * 10, 9);
    o[1] = __shfl_down_sync(~0u, t * 10, 5);
    o[2] = __shfl_up_sync(~0u, t * 10, 5);
    o[3] = __shfl_sync(~0u, t * 10, 35); /* 35 mod 32 */
    o[4] = __shfl_xor_sync(~0u, t * 10, 2, 4);
    o[5] = __shfl_down_sync(~0u, t * 10, 3, 8);
    o[6] = (int)__ballot_sync(~0u, t % 5 == 1);
    o[7] = (int)warp_sum((float)t);
}

static void test_shuffles() {
    std::vector<int> want(32 * 8);
    int fifths = 0;
    for (int t = 1; t < 32; t += 5) fifths |= 1 << t;
    for (int t = 0; t < 32; t++) {
        int *w = &want[(size_t)t * 8];
        w[0] = (t ^ 9) * 10;
        w[1] = (t + 5 > 31 ? t : t + 5) * 10;
        w[2] = (t - 5 < 0 ? t : t - 5) * 10;
        w[3] = 30;
        w[4] = (t ^ 2) * 10;
        w[5] = (t % 8 + 3 > 7 ? t : t + 3) * 10;
        w[6] = fifths;
        w[7] = 496;
    }
    buffer<int> out(std::vector<int>(32 * 8, -1));
    start(shuffle, 32, out.device);
    compare("shuffles, ballot, warp_sum", out.values(), want, 8);
}

template <class T> static __global__ void convert(const float *in, float *out, uint32_t *pairs) {
    out[threadIdx.x] = to_f32(from_f32<T>(in[threadIdx.x]));
    pairs[threadIdx.x] = pack2<T>(in[threadIdx.x], 1.0f);
}

/* Ties to even, subnormals, overflow: what the significand of 11 or 8 bits leaves of each. */
template <class T> static void test_conversion(const char *what, int bits, float smallest, float largest) {
    std::vector<float> in, want;
    float ulp = ldexpf(1, 1 - bits);
    const float given[] = {1,       1 + ulp / 2, 1 + 1.5f * ulp,  1 + ulp * 0.51f, -1 - ulp / 2,
                           largest, smallest,    smallest * 1.5f, smallest / 2,    0};
    const float rounded[] = {1, 1, 1 + 2 * ulp, 1 + ulp, -1, largest, smallest, smallest * 2, 0, 0};
    for (int i = 0; i < 32; i++) in.push_back(given[i % 10]), want.push_back(rounded[i % 10]);
    std::vector<uint32_t> pairs;
    for (float w : want) {
        T pair[2] = {from_f32<T>(w), from_f32<T>(1.0f)};
        uint32_t p;
        memcpy(&p, pair, 4);
        pairs.push_back(p);
    }
    buffer<float> a(in), out(std::vector<float>(32, NAN));
    buffer<uint32_t> packed(std::vector<uint32_t>(32, 0));
    start(convert<T>, 32, a.device, out.device, packed.device);
    compare(what, out.values(), want, 1);
    compare(what, packed.values(), pairs, 1);
}

/* ---- the polynomial in place of ex2 ------------------------------------------------------------------------------ */

template <int DEGREE> static __global__ void exponentiate(const float *x, float *y, int n) {
    GRID_LOOP(i, n) y[i] = exp2_polynomial<DEGREE>(x[i]);
}

/* From where exponentials vanish to the largest that a flash kernel asks for, and what masks and NaN make. */
template <int DEGREE> static void test_polynomial(const char *what, double largest_error) {
    std::vector<float> x = {-INFINITY, -FLT_MAX, -1e9f, NAN, -NAN};
    const size_t edges = x.size();
    for (int i = -150 * 1000; i <= 8 * 1000; i++) x.push_back((float)i / 1000);
    buffer<float> in(x), out(std::vector<float>(x.size(), NAN));
    start(exponentiate<DEGREE>, 32, in.device, out.device, (int)x.size());
    std::vector<float> y = out.values();
    double largest = 0;
    for (size_t i = 0; i < x.size(); i++) {
        bool edge = i < edges, tiny = x[i] < -126, whole = x[i] == rintf(x[i]);
        double want = exp2((double)x[i]), error = edge || tiny ? 0 : fabs(y[i] / want - 1);
        bool right = edge   ? std::isnan(x[i]) ? std::isnan(y[i]) : y[i] == 0
                     : tiny ? y[i] >= 0 && y[i] < 0x1p-126
                            : error <= (whole ? 0 : largest_error);
        largest = fmax(largest, error);
        if (right) continue;
        printf("FAIL   %s: 2^%.9g is %.9g instead of %.9g\n", what, (double)x[i], (double)y[i], want);
        failures++;
        return;
    }
    printf("ok     %s: %.2e\n", what, largest);
}

/* 16 scores of each of two rows a lane. */
template <int POLYNOMIAL> static __global__ void mix(const float *in, float *out, float *each) {
    float s[8][4];
    int at = (int)threadIdx.x * 32;
    for (int i = 0; i < 32; i++) s[i / 4][i % 4] = in[at + i];
    for (int half = 0; half < 2; half++) exponentials<POLYNOMIAL, 3>(s, half, 0.0f, 1.0f);
    for (int i = 0; i < 32; i++) out[at + i] = s[i / 4][i % 4], each[at + i] = exp2_approx(in[at + i]);
}

/* Of a row's 16 so many differ from the unit's, which a polynomial of degree 3 does here by 2^-18 or more, and two neighbours of them are
 * 16 / POLYNOMIAL apart, or one more. */
template <int POLYNOMIAL> static void test_mix(const char *what) {
    std::vector<float> in(32 * 32);
    for (size_t i = 0; i < in.size(); i++) in[i] = -0.25f - (float)(i * 7 % 13);
    buffer<float> s(in), out(std::vector<float>(in.size(), NAN)), each(std::vector<float>(in.size(), NAN));
    start(mix<POLYNOMIAL>, 32, s.device, out.device, each.device);
    std::vector<float> y = out.values(), unit = each.values();
    for (size_t row = 0; row < 64; row++) {
        int count = 0, last = -1;
        for (int i = 0; i < 16; i++) {
            size_t at = row / 2 * 32 + (size_t)(i / 2 * 4 + i % 2) + row % 2 * 2;
            double error = fabs(y[at] / unit[at] - 1);
            bool polynomial = error > 0x1p-18, apart = last < 0 || i - last == 16 / POLYNOMIAL || i - last == 16 / POLYNOMIAL + 1;
            if (error > 0x1p-13 || (polynomial && !apart)) count = 99;
            if (polynomial) count++, last = i;
        }
        if (count == POLYNOMIAL) continue;
        printf("FAIL   %s: row %zu\n", what, row);
        failures++;
        return;
    }
    printf("ok     %s\n", what);
}

int main() {
    int n = 0;
    if (cuda.GetDeviceCount(&n) != cudaSuccess || !n) {
        printf("no CUDA device\n");
        return 77;
    }
    struct cudaDeviceProp prop;
    must(cuda.GetDeviceProperties(&prop, 0), "cudaGetDeviceProperties");
    must(cuda.StreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    test_shuffles();
    test_conversion<f16>("f32 to f16", 11, 0x1p-24f, 65504);
    test_conversion<bf16>("f32 to bf16", 8, 0x1p-133f, 0x1.fep127f);
    test_polynomial<3>("2^x by a polynomial of degree 3", 1.02e-4);
    test_polynomial<4>("2^x by a polynomial of degree 4", 3.0e-6);
    test_mix<3>("3 of 16 by a polynomial");
    test_mix<5>("5 of 16 by a polynomial");
    if (prop.major >= 8) {
        test_ldmatrix<2, false>("ldmatrix.x2");
        test_ldmatrix<2, true>("ldmatrix.x2.trans");
        test_ldmatrix<4, false>("ldmatrix.x4");
        test_ldmatrix<4, true>("ldmatrix.x4.trans");
        test_mma<f16>("mma.m16n8k16 f16");
        test_mma<bf16>("mma.m16n8k16 bf16");
        test_cp_async();
    }
    if (prop.major * 10 + prop.minor >= CLUSTER_ARCH) test_clusters();
    must(cuda.StreamDestroy(stream), "cudaStreamDestroy");
    printf("%s\n", failures ? "FAILED" : "all ok");
    return failures != 0;
}
