/* cuBLASLt, emulated: D = epilogue(alpha op(A) op(B) + beta C + bias), column-major, 16- or 32-bit in and out, summed in f32.
 *
 * What the library refuses is refused: unlike types of A and B, C unlike D, a bias of another type than D, sizes that do not fit. */
#include "block.h"
#include "cublasLt.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "runtime.h"
#include <algorithm>
#include <vector>

struct emu_cublaslt {
    int unused;
};
struct emu_matrix_layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
    int32_t batch;
    int64_t batch_stride;
};
struct emu_matmul_desc {
    int32_t trans_a, trans_b;
    uint32_t epilogue;
    const void *bias;
    int32_t bias_type; /* -1: D's */
};
struct emu_matmul_preference {
    uint64_t workspace;
};

namespace {

struct product {
    emu_matmul_desc desc;
    emu_matrix_layout a, b, c, d;
    const void *A, *B, *C;
    void *D;
    float alpha, beta;
};

size_t size_of(int type) {
    return type == CUDA_R_32F ? 4 : 2;
}

float read(const void *p, int64_t i, int type) {
    if (type == CUDA_R_32F) return static_cast<const float *>(p)[i];
    uint16_t v = static_cast<const uint16_t *>(p)[i];
    return type == CUDA_R_16F ? emu::half_to_float(v) : emu::bf16_to_float(v);
}
void write(void *p, int64_t i, int type, float v) {
    if (type == CUDA_R_32F) static_cast<float *>(p)[i] = v;
    else static_cast<uint16_t *>(p)[i] = type == CUDA_R_16F ? emu::float_to_half(v) : emu::float_to_bf16(v);
}

/* op(X) as f32, columns one after another. */
std::vector<float> columns(const void *p, int64_t offset, const emu_matrix_layout &m, bool transposed) {
    int64_t rows = (int64_t)(transposed ? m.cols : m.rows), cols = (int64_t)(transposed ? m.rows : m.cols);
    std::vector<float> out((size_t)(rows * cols));
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            out[(size_t)(j * rows + i)] = read(p, offset + (transposed ? i * m.ld + j : j * m.ld + i), m.type);
    return out;
}

float gelu_tanh(float x) {
    return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}

void finish_column(const product &p, int64_t offset_c, int64_t offset_d, int64_t j, const float *sum) {
    int64_t M = (int64_t)p.d.rows;
    int bias_type = p.desc.bias_type < 0 ? p.d.type : p.desc.bias_type;
    for (int64_t i = 0; i < M; i++) {
        float v = p.alpha * sum[i];
        if (p.beta != 0) v += p.beta * read(p.C, offset_c + j * p.c.ld + i, p.c.type);
        if (p.desc.epilogue & CUBLASLT_EPILOGUE_BIAS) v += read(p.desc.bias, i, bias_type);
        if (p.desc.epilogue & CUBLASLT_EPILOGUE_GELU) v = gelu_tanh(v);
        write(p.D, offset_d + j * p.d.ld + i, p.d.type, v);
    }
}

void multiply(void *closure) {
    const product &p = *static_cast<product *>(closure);
    int64_t M = (int64_t)p.d.rows, N = (int64_t)p.d.cols, K = (int64_t)(p.desc.trans_a ? p.a.rows : p.a.cols);
    for (int batch = 0; batch < p.d.batch; batch++) {
        std::vector<float> A = columns(p.A, batch * p.a.batch_stride, p.a, p.desc.trans_a);
        std::vector<float> B = columns(p.B, batch * p.b.batch_stride, p.b, p.desc.trans_b);
#pragma omp parallel for schedule(dynamic, 1) if (emu::may_use_threads())
        for (int64_t j = 0; j < N; j++) {
            std::vector<float> sum((size_t)M);
            for (int64_t k = 0; k < K; k++) {
                const float *column = &A[(size_t)(k * M)], b = B[(size_t)(j * K + k)];
                for (int64_t i = 0; i < M; i++) sum[(size_t)i] += column[i] * b;
            }
            finish_column(p, batch * p.c.batch_stride, batch * p.d.batch_stride, j, sum.data());
        }
    }
}

cublasStatus_t check(const emu_matmul_desc &desc, const emu_matrix_layout &a, const emu_matrix_layout &b, const emu_matrix_layout &c,
                     const emu_matrix_layout &d) {
    uint64_t M = desc.trans_a ? a.cols : a.rows, K = desc.trans_a ? a.rows : a.cols, N = desc.trans_b ? b.rows : b.cols;
    if (K != (desc.trans_b ? b.cols : b.rows) || d.rows != M || d.cols != N || c.rows != M || c.cols != N)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const emu_matrix_layout *m : {&a, &b, &c, &d})
        if (!m->rows || !m->cols || m->ld < (int64_t)m->rows || m->batch != d.batch) return CUBLAS_STATUS_INVALID_VALUE;
    if (a.type != b.type || c.type != d.type || (d.type != a.type && d.type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if ((desc.epilogue & CUBLASLT_EPILOGUE_BIAS) && desc.bias_type >= 0 && desc.bias_type != d.type) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (desc.epilogue & ~(uint32_t)(CUBLASLT_EPILOGUE_DEFAULT | CUBLASLT_EPILOGUE_GELU_BIAS)) return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

/* Into a field of exactly that size. */
template <class T> cublasStatus_t set(T &field, const void *value, size_t bytes) {
    if (!value || bytes != sizeof field) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

size_t cublasLtGetVersion(void) {
    return 130000;
}

const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    *handle = new emu_cublaslt();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType scale) {
    if (compute == CUBLAS_COMPUTE_16F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *desc = new emu_matmul_desc{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr, -1};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void *value,
                                              size_t bytes) {
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(desc->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(desc->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(desc->bias_type, value, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld) {
    if (type != CUDA_R_32F && type != CUDA_R_16F && type != CUDA_R_16BF) return CUBLAS_STATUS_NOT_SUPPORTED;
    *layout = new emu_matrix_layout{type, rows, cols, ld, 1, 0};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                                                size_t bytes) {
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(layout->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(layout->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(layout->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(layout->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(layout->batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(layout->batch_stride, value, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference = new emu_matmul_preference();
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes) {
    uint32_t ignored;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(preference->workspace, value, bytes);
    return set(ignored, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int requested, cublasLtMatmulHeuristicResult_t results[],
                                              int *returned) {
    *returned = 0;
    if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = check(*desc, *a, *b, *c, *d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    for (*returned = 0; *returned < requested && *returned < 4; ++*returned) {
        results[*returned] = {};
        results[*returned].state = *returned < 3 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
        results[*returned].wavesCount = 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A, cublasLtMatrixLayout_t a,
                              const void *B, cublasLtMatrixLayout_t b, const void *beta, const void *C, cublasLtMatrixLayout_t c, void *D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t stream) {
    cublasStatus_t status = check(*desc, *a, *b, *c, *d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    product p = {*desc, *a, *b, *c, *d, A, B, C, D, 0, 0};
    memcpy(&p.alpha, alpha, sizeof p.alpha);
    memcpy(&p.beta, beta, sizeof p.beta);
    if ((uintptr_t)A % size_of(a->type) || (uintptr_t)B % size_of(b->type) || (uintptr_t)D % size_of(d->type))
        return CUBLAS_STATUS_INVALID_VALUE;
    emu::push_host(stream, multiply, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}

void *emu_cublaslt_symbol(const char *name) {
#define SYMBOL(function) \
    { #function, reinterpret_cast < void *>(function) }
    static const struct {
        const char *name;
        void *function;
    } symbols[] = {
        SYMBOL(cublasLtGetVersion),
        SYMBOL(cublasLtGetStatusName),
        SYMBOL(cublasLtCreate),
        SYMBOL(cublasLtDestroy),
        SYMBOL(cublasLtMatmulDescCreate),
        SYMBOL(cublasLtMatmulDescSetAttribute),
        SYMBOL(cublasLtMatmulDescDestroy),
        SYMBOL(cublasLtMatrixLayoutCreate),
        SYMBOL(cublasLtMatrixLayoutSetAttribute),
        SYMBOL(cublasLtMatrixLayoutDestroy),
        SYMBOL(cublasLtMatmulPreferenceCreate),
        SYMBOL(cublasLtMatmulPreferenceSetAttribute),
        SYMBOL(cublasLtMatmulPreferenceDestroy),
        SYMBOL(cublasLtMatmulAlgoGetHeuristic),
        SYMBOL(cublasLtMatmul),
    };
#undef SYMBOL
    const char *wanted = getenv("EMU_CUBLASLT");
    if (wanted && !atoi(wanted)) return nullptr;
    for (auto &s : symbols)
        if (!strcmp(s.name, name)) return s.function;
    return nullptr;
}
