/* The layouts that weights have on the device, and what brings a file's values into them: convert, reorder, sum. */
#include <cassert>

#include "cuda/pack.h"

enum { PACK_BLOCK = 256 };

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

size_t item_bytes(enum dtype dtype) {
    return dtype_table[dtype].size;
}

static struct cuda_plan layout_of(const struct weight *w, enum dtype dtype) {
    struct cuda_plan plan = {};
    plan.dtype = w->kind == WEIGHT_VECTOR ? DT_F32 : dtype;
    plan.K = w->shape[0];
    plan.C = w->rank > 1 ? w->shape[1] : 1;
    plan.RS = w->rank > 2 ? w->shape[2] * w->shape[3] : 1;
    return plan;
}

static bool same_layout(const struct cuda_plan *a, const struct cuda_plan *b) {
    return a->dtype == b->dtype && a->C == b->C && a->row_stride == b->row_stride && a->c_stride == b->c_stride &&
           a->interleave == b->interleave;
}

/* w's plan is `wanted`, of these strides. */
static void plan_weight(struct cuda_device *dev, struct weight *w, struct cuda_plan wanted, int64_t row_stride, int64_t c_stride) {
    struct cuda_plan *plan = static_cast<struct cuda_plan *>(w->plan);
    wanted.row_stride = row_stride;
    wanted.c_stride = c_stride;
    bool same = plan && same_layout(plan, &wanted);
    assert(dev->base.planning && (same || !plan || plan->round < dev->round));
    if (same) {
        wanted.as_given |= plan->as_given, wanted.by_phases |= plan->by_phases;
        same = wanted.as_given == plan->as_given && wanted.by_phases == plan->by_phases;
    }
    wanted.phases_at = wanted.as_given ? (size_t)(wanted.K * row_stride) * item_bytes(wanted.dtype) : 0;
    wanted.packed_bytes = wanted.phases_at + (wanted.by_phases ? (size_t)(16 * wanted.K * wanted.C) * item_bytes(wanted.dtype) : 0);
    if (!plan) {
        plan = static_cast<struct cuda_plan *>(sys.calloc(1, sizeof *plan));
        if (!plan) die(FAIL_MEMORY, "out of memory");
        plan->next = dev->plans;
        dev->plans = plan;
        w->plan = plan;
    }
    if (!same) {
        wanted.next = plan->next;
        *plan = wanted;
        w->stale = w->packed != NULL;
    }
    plan->round = dev->round;
}

/* In the file's order [K,C,RS] an element's place is k*C*RS + c*RS + rs. */
void cuda_plan_dense(struct cuda_device *dev, struct weight *w, enum dtype dtype) {
    if (!w) return;
    struct cuda_plan plan = layout_of(w, dtype);
    plan.as_given = true;
    plan.C *= plan.RS; /* as one row: nothing is reordered */
    plan.RS = 1;
    plan_weight(dev, w, plan, plan.C, 0);
}

void cuda_plan_krsc(struct cuda_device *dev, struct weight *w, int c_padded, enum dtype dtype) {
    struct cuda_plan plan = layout_of(w, dtype);
    plan.as_given = true;
    plan_weight(dev, w, plan, plan.RS * c_padded, c_padded);
}

void cuda_plan_phases(struct cuda_device *dev, struct weight *w, enum dtype dtype) {
    struct cuda_plan plan = layout_of(w, dtype);
    assert(plan.RS == 9);
    plan.by_phases = true;
    plan_weight(dev, w, plan, 9 * plan.C, plan.C);
}

void cuda_plan_interleaved(struct cuda_device *dev, struct weight *w, int interleave, enum dtype dtype) {
    if (!w) return;
    struct cuda_plan plan = layout_of(w, dtype);
    plan.as_given = true;
    assert(plan.K % (2 * interleave) == 0);
    plan.interleave = interleave;
    plan_weight(dev, w, plan, plan.C, 0);
}

/* ---- converting and reordering on the device --------------------------------------------------------------------- */

/* Elements [first, first+n) of the weight, lying in src, go to their places. */
template <class Source, class T>
__global__ void __launch_bounds__(PACK_BLOCK) k_pack(T *packed, const Source *src, size_t first, size_t n, int64_t K, int64_t C, int64_t RS,
                                                     int64_t row_stride, int64_t c_stride, int interleave) {
    GRID_LOOP(i, n) {
        int64_t at = (int64_t)(first + i), rs = at % RS, c = at / RS % C, k = at / (RS * C);
        if (interleave) {
            int64_t half = K / 2, gate = k >= half, j = k - gate * half;
            k = (j / interleave * 2 + gate) * interleave + j % interleave;
        }
        packed[k * row_stride + rs * c_stride + c] = from_f32<T>(to_f32(src[i]));
    }
}

/* The same of n whole 3x3 filters, [2,2][K,2,2,C]. Of a phase's two rows the first begins at the filter's row 0, the second ends at row 2;
 * phase 0 has one in the first and two in the second, phase 1 two and one. */
template <class Source, class T>
__global__ void __launch_bounds__(PACK_BLOCK) k_pack_phases(T *packed, const Source *src, size_t first, size_t n, int64_t K, int64_t C) {
    GRID_LOOP(i, n) {
        int64_t at = (int64_t)(first + i), k = at / C, c = at - k * C;
        float w[3][3];
        for (int rs = 0; rs < 9; rs++) w[rs / 3][rs % 3] = to_f32(src[9 * i + rs]);
        for (int to = 0; to < 16; to++) {
            int p = to >> 3, q = to >> 2 & 1, r = to >> 1 & 1, s = to & 1;
            float sum = 0;
            for (int a = r * (1 + p); a < 1 + p + r * (2 - p); a++)
                for (int b = s * (1 + q); b < 1 + q + s * (2 - q); b++) sum += w[a][b];
            packed[((2 * p + q) * K + k) * 4 * C + (2 * r + s) * C + c] = from_f32<T>(sum);
        }
    }
}

template <class Source, class T>
static cudaError_t pack_typed(cudaStream_t stream, const struct cuda_plan *plan, void *packed, const void *src, size_t first, size_t n) {
    unsigned blocks = (unsigned)ceil_div((int64_t)n, PACK_BLOCK * 8);
    if (plan->by_phases) {
        T *phases = reinterpret_cast<T *>(static_cast<char *>(packed) + plan->phases_at);
        cudaError_t error = launch_on(stream, false, 1, k_pack_phases<Source, T>, dim3(blocks), dim3(PACK_BLOCK), 0, phases,
                                      static_cast<const Source *>(src), first / 9, n / 9, plan->K, plan->C);
        if (error || !plan->as_given) return error;
    }
    return launch_on(stream, false, 1, k_pack<Source, T>, dim3(blocks), dim3(PACK_BLOCK), 0, static_cast<T *>(packed),
                     static_cast<const Source *>(src), first, n, plan->K, plan->C, plan->RS, plan->row_stride, plan->c_stride,
                     plan->interleave);
}

template <class Source>
static cudaError_t pack_from(cudaStream_t stream, const struct cuda_plan *plan, void *packed, const void *src, size_t first, size_t n) {
    switch (plan->dtype) {
    case DT_F32: return pack_typed<Source, float>(stream, plan, packed, src, first, n);
    case DT_F16: return pack_typed<Source, f16>(stream, plan, packed, src, first, n);
    default: return pack_typed<Source, bf16>(stream, plan, packed, src, first, n);
    }
}

const void *cuda_probe_kernel(void) {
    return reinterpret_cast<const void *>(k_pack<float, float>);
}

static cudaError_t pack_elements(cudaStream_t stream, const struct weight *w, enum dtype dtype, const void *src, size_t first, size_t n) {
    const struct cuda_plan *plan = static_cast<const struct cuda_plan *>(w->plan);
    switch (dtype) {
    case DT_F32: return pack_from<float>(stream, plan, w->packed, src, first, n);
    case DT_F16: return pack_from<f16>(stream, plan, w->packed, src, first, n);
    case DT_BF16: return pack_from<bf16>(stream, plan, w->packed, src, first, n);
    default: return pack_from<double>(stream, plan, w->packed, src, first, n);
    }
}

/* True where the file's bytes are the packed bytes. */
static bool is_copy(const struct cuda_plan *plan, enum dtype dtype) {
    return plan->dtype == dtype && plan->RS == 1 && plan->row_stride == plan->C && !plan->interleave;
}

cudaError_t deliver(cudaStream_t stream, struct weight *w, enum dtype dtype, size_t first, const void *host, void *slot, size_t n) {
    size_t item = item_bytes(dtype);
    if (is_copy(static_cast<const struct cuda_plan *>(w->plan), dtype))
        return cuda.MemcpyAsync(static_cast<char *>(w->packed) + first * item, host, n, cudaMemcpyHostToDevice, stream);
    cudaError_t error = cuda.MemcpyAsync(slot, host, n, cudaMemcpyHostToDevice, stream);
    return error ? error : pack_elements(stream, w, dtype, slot, first, n / item);
}

uint64_t piece_bytes(const struct weight *w, const struct tensor *part) {
    size_t whole = (static_cast<const struct cuda_plan *>(w->plan)->by_phases ? 9 : 1) * item_bytes(part->dtype);
    return SLOT / whole * whole;
}

bool weight_pack(struct cuda_device *dev, struct weight *w, const void *const raw[]) {
    void *slot;
    if (cuda.Malloc(&slot, SLOT)) return false;
    cudaError_t error = cudaSuccess;
    size_t first = 0;
    for (int i = 0; i < w->n_parts; i++) {
        const struct tensor *part = w->parts[i];
        size_t most = piece_bytes(w, part);
        for (size_t at = 0; at < part->bytes && !error; at += most) {
            size_t n = part->bytes - at < most ? part->bytes - at : most;
            error = deliver(dev->stream, w, part->dtype, first, static_cast<const char *>(raw[i]) + at, slot, n);
            first += n / item_bytes(part->dtype);
        }
    }
    if (!error) error = cuda.StreamSynchronize(dev->stream);
    cuda.Free(slot);
    return !error;
}
