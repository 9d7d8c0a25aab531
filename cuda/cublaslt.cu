/* Matrix products by cuBLASLt. The library is half a gigabyte to map, so it is no dependency of the program: a thread opens it while the
 * weights are read, and where it is missing, or refuses a shape, the caller's own kernel computes.
 *
 * cuBLASLt counts columns first: our row-major y [T,K] = x [T,C] wᵀ is its yᵀ [K,T] = w xᵀ, with w [K,C] given as the transpose of [C,K].
 * A bias must be of y's type, ours are f32: for 16-bit types a copy is made at its first use, in one block that planning has measured.
 *
 * Per shape a plan is kept: descriptors and an algorithm. The heuristics propose some, best first as they think; which of them, says a
 * table that a sweep wrote (gemm.h), else the first. They are not timed here: one that adds in another order would be chosen on some
 * days, and loading each one's kernel is thought to take longer than a picture gains, which nobody has measured. After a shape's first
 * product nothing is asked or allocated, so a step can be captured. Not measured on a GPU yet. */
#include <cublasLt.h>
#include <cstdio>
#include <cstdlib>
#ifdef __CUDACC__
#include <dlfcn.h>
#endif
#include <pthread.h>

#include "cuda/device.h"
extern "C" {
#include "cuda/gemm.h"
}

namespace {

enum { PLANS_MAX = 128, BIASES_MAX = 2048 /* a power of two */, ALIGN = 256, THREADS = 256 };

/* The library's functions, by name. */
struct functions {
    decltype(&cublasLtGetVersion) GetVersion;
    decltype(&cublasLtCreate) Create;
    decltype(&cublasLtDestroy) Destroy;
    decltype(&cublasLtMatmulDescCreate) MatmulDescCreate;
    decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy;
    decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute;
    decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate;
    decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy;
    decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate;
    decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute;
    decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic;
    decltype(&cublasLtMatmul) Matmul;
};

/* What the choice of an algorithm depends on. No padding: compared as bytes. */
struct shape {
    int64_t T, K, C, ldx, ldy, ldr; /* ldr: 0 without residual */
    uint32_t align_w, align_x, align_y, align_r;
    int16_t dtype, bias;
    int32_t proposal; /* of the heuristics', from 0 */
};

struct product {
    struct shape shape;
    bool usable;  /* false: the library refused it */
    int proposal; /* whose algo it is */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t w, x, y, r;
    cublasLtMatmulAlgo_t algo;
    size_t workspace_bytes;
};

struct bias {
    const float *b; /* NULL: free */
    int dtype;
    void *copy;
};

/* The address of the function of that name; false where there is none. */
template <class F> bool find(F *f, void *library, const char *name) {
#ifdef __CUDACC__
    *f = reinterpret_cast<F>(dlsym(library, name));
#else
    (void)library;
    *f = reinterpret_cast<F>(emu_cublaslt_symbol(name));
#endif
    return *f;
}

void *open_library(void) {
#ifdef __CUDACC__
    const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};
    for (const char *name : names)
        if (void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
#endif
    return NULL;
}

template <class T> __global__ void __launch_bounds__(THREADS) convert(T *y, const float *x, int n) {
    after_previous();
    GRID_LOOP(i, n) y[i] = from_f32<T>(x[i]);
}

} // namespace

struct cublaslt {
    pthread_t thread;
    bool running, found; /* by the thread; found: every function */
    struct functions f;
    cublasLtHandle_t handle;
    bool refused;      /* no handle could be made */
    char products[96]; /* what cublaslt_products says */
    struct product plans[PLANS_MAX];
    int n_plans; /* ever planned; the oldest gives way */
    struct bias biases[BIASES_MAX];
    char *bias_block;
    size_t bias_planned, bias_bytes, bias_used; /* bytes: counted, allocated, given out */
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void *open_thread(void *data) {
    struct cublaslt *lt = static_cast<struct cublaslt *>(data);
    struct functions *f = &lt->f;
    void *library = open_library(); /* stays open: others in the process may use it too */
#define FIND(name) find(&f->name, library, "cublasLt" #name)
#ifdef __CUDACC__
    if (!library) return NULL;
#endif
    lt->found = FIND(GetVersion) && FIND(Create) && FIND(Destroy) && FIND(MatmulDescCreate) && FIND(MatmulDescDestroy) &&
                FIND(MatmulDescSetAttribute) && FIND(MatrixLayoutCreate) && FIND(MatrixLayoutDestroy) && FIND(MatmulPreferenceCreate) &&
                FIND(MatmulPreferenceDestroy) && FIND(MatmulPreferenceSetAttribute) && FIND(MatmulAlgoGetHeuristic) && FIND(Matmul);
#undef FIND
    return NULL;
}

struct cublaslt *cublaslt_open(void) {
    struct cublaslt *lt = static_cast<struct cublaslt *>(sys.calloc(1, sizeof *lt));
    if (!lt) return NULL;
    lt->running = sys.pthread_create(&lt->thread, NULL, open_thread, lt) == 0;
    if (!lt->running) open_thread(lt);
    return lt;
}

static void join(struct cublaslt *lt) {
    if (lt->running) pthread_join(lt->thread, NULL);
    lt->running = false;
}

/* The handle belongs to the main thread's device. */
static bool ready(struct cublaslt *lt) {
    if (!lt) return false;
    join(lt);
    if (!lt->found || lt->refused) return false;
    if (!lt->handle) lt->refused = lt->f.Create(&lt->handle) != CUBLAS_STATUS_SUCCESS;
    return !lt->refused;
}

const char *cublaslt_products(struct cublaslt *lt) {
    if (!ready(lt)) return "own kernels: libcublasLt.so.13 or .12, which is faster for some, was not found";
    size_t version = lt->f.GetVersion();
    snprintf(lt->products, sizeof lt->products, "cuBLASLt %zu.%zu.%zu and own kernels", version / 10000, version / 100 % 100,
             version % 100);
    return lt->products;
}

static void product_free(const struct functions *f, struct product *g) {
    cublasLtMatrixLayout_t layouts[] = {g->w, g->x, g->y, g->r};
    for (cublasLtMatrixLayout_t layout : layouts)
        if (layout) f->MatrixLayoutDestroy(layout);
    if (g->desc) f->MatmulDescDestroy(g->desc);
    *g = {};
}

void cublaslt_close(struct cublaslt *lt) {
    if (!lt) return;
    join(lt);
    for (struct product &g : lt->plans) product_free(&lt->f, &g);
    if (lt->handle) lt->f.Destroy(lt->handle);
    if (lt->bias_block) cuda.Free(lt->bias_block);
    free(lt);
}

void cublaslt_forget_biases(struct cublaslt *lt) {
    if (!lt) return;
    lt->bias_used = 0;
    memset(lt->biases, 0, sizeof lt->biases);
}

void cublaslt_plan_begin(struct cublaslt *lt) {
    if (!lt) return;
    if (lt->bias_block) cuda.Free(lt->bias_block);
    lt->bias_block = NULL;
    lt->bias_planned = lt->bias_bytes = 0;
    cublaslt_forget_biases(lt);
}

/* ---- biases ------------------------------------------------------------------------------------------------------ */

static size_t bias_bytes(enum dtype dtype, int64_t K) {
    return dtype == DT_F32 ? 0 : ((size_t)K * dtype_table[dtype].size + ALIGN - 1) / ALIGN * ALIGN;
}

/* b in y's type, aligned; NULL where it was not planned, or memory is lacking. */
static const void *bias_of(struct cuda_device *dev, enum dtype dtype, const float *b, int64_t K) {
    struct cublaslt *lt = dev->blaslt;
    size_t bytes = bias_bytes(dtype, K), at = (uintptr_t)b / ALIGN;
    if (!bytes) return b;
    struct bias *entry = &lt->biases[at % BIASES_MAX];
    for (int i = 0; entry->b && (entry->b != b || entry->dtype != dtype); i++) {
        if (i == BIASES_MAX) return NULL;
        entry = &lt->biases[++at % BIASES_MAX];
    }
    if (entry->b) return entry->copy;
    if (!lt->bias_block && lt->bias_planned) {
        if (cuda.Malloc(reinterpret_cast<void **>(&lt->bias_block), lt->bias_planned) == cudaSuccess) lt->bias_bytes = lt->bias_planned;
        else cuda.GetLastError(), lt->bias_block = NULL;
    }
    if (lt->bias_used + bytes > lt->bias_bytes) return NULL;
    *entry = {b, dtype, lt->bias_block + lt->bias_used};
    lt->bias_used += bytes;
    DISPATCH_HALF(dtype, T,
                  launch(dev, convert<T>, grid_for(dev, (size_t)K, THREADS), dim3(THREADS), 0, static_cast<T *>(entry->copy), b, (int)K));
    return entry->copy;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static size_t workspace_wanted(const struct cuda_device *dev) {
    return (size_t)(dev->arch >= 90 ? 32 : 4) << 20;
}

size_t cublaslt_scratch(const struct cuda_device *dev, enum dtype dtype, int64_t K) {
    if (!dev->blaslt) return 0;
    dev->blaslt->bias_planned += bias_bytes(dtype, K); /* of every call: a bias that comes twice is counted twice */
    return workspace_wanted(dev);
}

static bool create_operands(const struct functions *f, struct product *g) {
    const struct shape *s = &g->shape;
    cudaDataType_t type = s->dtype == DT_F32 ? CUDA_R_32F : s->dtype == DT_F16 ? CUDA_R_16F : CUDA_R_16BF;
    return f->MatmulDescCreate(&g->desc, CUBLAS_COMPUTE_32F /* never TF32 */, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
           f->MatrixLayoutCreate(&g->w, type, (uint64_t)s->C, (uint64_t)s->K, s->C) == CUBLAS_STATUS_SUCCESS &&
           f->MatrixLayoutCreate(&g->x, type, (uint64_t)s->C, (uint64_t)s->T, s->ldx) == CUBLAS_STATUS_SUCCESS &&
           f->MatrixLayoutCreate(&g->y, type, (uint64_t)s->K, (uint64_t)s->T, s->ldy) == CUBLAS_STATUS_SUCCESS &&
           f->MatrixLayoutCreate(&g->r, type, (uint64_t)s->K, (uint64_t)s->T, s->ldr ? s->ldr : s->ldy) == CUBLAS_STATUS_SUCCESS;
}

template <class V> static bool set(const struct functions *f, struct product *g, cublasLtMatmulDescAttributes_t attribute, V value) {
    return f->MatmulDescSetAttribute(g->desc, attribute, &value, sizeof value) == CUBLAS_STATUS_SUCCESS;
}
template <class V>
static bool prefer(const struct functions *f, cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t attribute, V value) {
    return f->MatmulPreferenceSetAttribute(p, attribute, &value, sizeof value) == CUBLAS_STATUS_SUCCESS;
}

/* Partial sums are added in f32, never in y's type. */
static bool choose_algorithm(struct cublaslt *lt, struct product *g, size_t workspace) {
    const struct functions *f = &lt->f;
    const uint32_t in_f32 = 2; /* CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE */
    cublasLtMatmulHeuristicResult_t results[GEMM_PROPOSALS];
    cublasLtMatmulPreference_t p;
    int n = 0;
    if (f->MatmulPreferenceCreate(&p) != CUBLAS_STATUS_SUCCESS) return false;
    bool ok =
        prefer(f, p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (uint64_t)workspace) &&
        prefer(f, p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, in_f32) &&
        prefer(f, p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, g->shape.align_w) &&
        prefer(f, p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, g->shape.align_x) &&
        prefer(f, p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, g->shape.align_r) &&
        prefer(f, p, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, g->shape.align_y) &&
        f->MatmulAlgoGetHeuristic(lt->handle, g->desc, g->w, g->x, g->r, g->y, p, GEMM_PROPOSALS, results, &n) == CUBLAS_STATUS_SUCCESS;
    f->MatmulPreferenceDestroy(p);
    int i = g->shape.proposal < n ? g->shape.proposal : 0; /* another version may have fewer */
    if (!ok || n < 1 || results[i].state != CUBLAS_STATUS_SUCCESS) return false;
    g->algo = results[i].algo;
    g->proposal = i;
    g->workspace_bytes = results[i].workspaceSize;
    return true;
}

/* The plan of this shape, made at its first use. The heuristics look at the bias' address. */
static struct product *gemm_of(struct cublaslt *lt, const struct shape *shape, const void *bias, size_t workspace) {
    const struct functions *f = &lt->f;
    for (struct product &g : lt->plans)
        if (memcmp(&g.shape, shape, sizeof *shape) == 0) return &g;
    struct product *g = &lt->plans[lt->n_plans++ % PLANS_MAX];
    product_free(f, g);
    g->shape = *shape;
    g->usable = create_operands(f, g) && set(f, g, CUBLASLT_MATMUL_DESC_TRANSA, (int32_t)CUBLAS_OP_T) &&
                (!bias || (set(f, g, CUBLASLT_MATMUL_DESC_EPILOGUE, (uint32_t)CUBLASLT_EPILOGUE_BIAS) &&
                           set(f, g, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias))) &&
                choose_algorithm(lt, g, workspace);
    return g;
}

/* The power of two, at most 256, that p is a multiple of. */
static uint32_t alignment(const void *p) {
    uintptr_t a = (uintptr_t)p | ALIGN;
    return (uint32_t)(a & -a);
}

int cublaslt_linear(struct cuda_device *dev, struct view y, struct view x, const void *w, const float *b, struct view residual) {
    struct cublaslt *lt = dev->blaslt;
    if (!ready(lt)) return -1;
    const void *bias = b ? bias_of(dev, y.dtype, b, y.C) : NULL, *r = residual.p ? residual.p : y.p;
    if (b && !bias) return -1;
    const struct gemm_measured *m = gemm_measured((int)view_rows(x), y.C, (int)ceil_div(x.C, GEMM_K), dev->sm_count);
    const struct shape shape = {(int64_t)view_rows(x),
                                y.C,
                                x.C,
                                x.ld,
                                y.ld,
                                residual.p ? residual.ld : 0,
                                alignment(w),
                                alignment(x.p),
                                alignment(y.p),
                                alignment(r),
                                (int16_t)y.dtype,
                                bias != NULL,
                                m && m->proposal > 0 ? m->proposal : 0};
    size_t wanted = workspace_wanted(dev), workspace = dev->scratch_bytes < wanted ? dev->scratch_bytes : wanted;
    struct product *g = gemm_of(lt, &shape, bias, workspace);
    const float one = 1, beta = residual.p ? 1 : 0;
    if (!g->usable || (bias && !set(&lt->f, g, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias))) return -1;
    cublasStatus_t status = lt->f.Matmul(lt->handle, g->desc, &one, w, g->w, x.p, g->x, &beta, r, g->r, y.p, g->y, &g->algo, dev->scratch,
                                         g->workspace_bytes, dev->stream);
    g->usable = status == CUBLAS_STATUS_SUCCESS;
    if (!g->usable) return -1;
    dev->counts.launches++;
    return g->proposal;
}
