/* Implicit matrix products in f32: y [T,K] = a w, where row t of a [T,depth] is what the window of output pixel t sees, tap by tap, of each
 * all channels. With one tap that is x as it lies; else a block of a is gathered when it is wanted.
 *
 * An item is a slice of rows times a group of panels. Going through the depth in blocks, it multiplies the slice's block of a, which stays
 * in the L2 cache, by one panel's block of w after the other, which stays in the L1 cache. A block's products are a sum of their own
 * (panel_gemm.c); the order in which an element of y is summed depends on the depth alone. Bias, activation and the like are applied to a
 * panel of the slice right after its last block.
 *
 * Blocking as in Goto & van de Geijn 2008 (Anatomy of High-Performance Matrix Multiplication), but a is not packed: a slice's rows are read
 * along their depth, PANEL_ROWS at a time. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/gemm.h"
#include "engine/cpu/panel_gemm.h"

enum {
    SLICE_ROWS = (96 + PANEL_ROWS - 1) / PANEL_ROWS * PANEL_ROWS,
    PAGE_FLOATS = 1024,
    BLOCK_DEPTH = 384,      /* at most: a panel's block is three quarters of the L1 cache */
    COLUMNS = 320,          /* of a group, of all halves … */
    GATHERED_COLUMNS = 512, /* … where a is gathered: so often less */
};
#define FLOP_NS 0.012 /* about */

struct gemm_plan {
    struct cpu_plan base;
    int halves;
};

/* One call, cut up. */
struct gemm {
    struct cpu_device *dev;
    const struct gemm_call *call;
    struct view x, y;
    int H, W;                  /* conv_seen */
    int depth, block;          /* of the product, of all blocks but the last */
    int half, n_panels, group; /* columns of a half, panels of it, panels of it in a group */
    int T, rows;               /* of y, of a slice */
    bool direct;               /* a is x as it lies */
};

bool gemm_fits(enum dtype dtype) {
    return LANES >= 8 && dtype == DT_F32;
}

/* ---- the weights: [block of the depth][panel][half][row of the block][PANEL]: in the order of use. Columns beyond a half's last are zeros
 */

static int depth_of(const struct weight *w) {
    return gemm_side(w) * gemm_side(w) * (int)w->shape[1];
}

static int half_panels(const struct weight *w, int halves) {
    return ceil_div((int)w->shape[0] / halves, PANEL);
}

/* Rows of a block of the depth, but the last. */
static int block_depth(int depth) {
    return ceil_div(depth, ceil_div(depth, BLOCK_DEPTH));
}

/* `width` rows of w from src on, of each columns [d0, d0 + n) of its depth, become [n][PANEL]. */
static void pack_panel(float *panel, const struct weight *w, const float *src, int width, int d0, int n) {
    int C = (int)w->shape[1], area = gemm_side(w) * gemm_side(w);
    for (int i = 0; i < n; i++, panel += PANEL) {
        const float *from = src + (d0 + i) % C * area + (d0 + i) / C;
        for (int k = 0; k < width; k++) panel[k] = from[(size_t)k * (size_t)(C * area)];
        for (int k = width; k < PANEL; k++) panel[k] = 0;
    }
}

static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    (void)dev;
    int halves = ((const struct gemm_plan *)w->plan)->halves, half = (int)w->shape[0] / halves, depth = depth_of(w);
    float *panel = w->packed;
    for (int d0 = 0, n; d0 < depth; d0 += n) {
        n = imin(block_depth(depth), depth - d0);
        for (int i = 0; i < halves * half_panels(w, halves); i++, panel += n * PANEL) {
            int first = i / halves * PANEL, row = i % halves * half + first;
            pack_panel(panel, w, src + (size_t)row * (size_t)depth, imin(PANEL, half - first), d0, n);
        }
    }
}

static void destroy(struct cpu_plan *plan) {
    free(plan);
}

bool gemm_packed(const struct weight *w) {
    return w->plan && ((const struct cpu_plan *)w->plan)->pack == pack;
}

/* ---- the geometry of one call ------------------------------------------------------------------------------------- */

static struct gemm gemm_of(struct cpu_device *dev, const struct gemm_call *call) {
    const struct conv_call *c = &call->conv;
    struct gemm g = {.dev = dev, .call = call, .x = c->x, .y = c->y, .depth = depth_of(c->w)};
    g.direct = gemm_is_of_rows(c) && c->x.ld % PAGE_FLOATS; /* rows whole pages apart would all want the same lines of the L1 cache */
    if (!g.direct) conv_seen(c, &g.H, &g.W);
    g.block = block_depth(g.depth);
    g.half = (int)c->w->shape[0] / call->halves;
    g.n_panels = half_panels(c->w, call->halves);
    g.group = ceil_div(g.n_panels, ceil_div(g.n_panels * call->halves * PANEL, g.direct ? COLUMNS : GATHERED_COLUMNS));
    g.T = (int)view_rows(c->y);
    g.rows = ceil_div(g.T, ceil_div(g.T, SLICE_ROWS));
    return g;
}

/* Of a thread's scratch: a block of a where it is gathered, and the products [panel][half][rows][PANEL]. */
static size_t gathered_floats(const struct gemm *g) {
    return g->direct ? 0 : (size_t)g->rows * BLOCK_DEPTH;
}

static size_t thread_bytes(const struct gemm *g) {
    return cpu_lines((gathered_floats(g) + (size_t)g->group * (size_t)g->call->halves * (size_t)g->rows * PANEL) * sizeof(float));
}

void gemm_plan(struct cpu_device *dev, const struct gemm_call *call) {
    struct weight *w = call->conv.w;
    struct gemm_plan *plan = (struct gemm_plan *)cpu_plan_of(dev, w);
    if (!plan) {
        plan = cpu_new(sizeof *plan);
        *plan = (struct gemm_plan){.base = {.pack = pack, .destroy = destroy}, .halves = call->halves};
        plan->base.packed_bytes = (size_t)(call->halves * half_panels(w, call->halves)) * PANEL * (size_t)depth_of(w) * sizeof(float);
        cpu_plan_register(dev, w, &plan->base, call->conv.x.dtype);
    }
    assert(plan->halves == call->halves);
    cpu_plan_dense(dev, call->conv.b, DT_F32);
    struct gemm g = gemm_of(dev, call);
    cpu_scratch_reserve(dev, (size_t)pool_threads(dev->base.pool) * thread_bytes(&g));
}

/* ---- a, where it is gathered -------------------------------------------------------------------------------------- */

/* a [rows][BLOCK_DEPTH] = columns [d0, d0 + n) of rows t0 and on. */
static void gather(const struct gemm *g, float *a, int t0, int rows, int d0, int n) {
    const struct conv_call *c = &g->call->conv;
    int side = gemm_side(c->w), C = g->x.C;
    for (int i = 0; i < rows; i++, a += BLOCK_DEPTH) {
        int t = t0 + i, image = t / g->y.W / g->y.H, h = t / g->y.W % g->y.H, w = t % g->y.W;
        for (int d = d0, tap = d0 / C, channel = d0 % C, span; d < d0 + n; d += span, tap++, channel = 0) {
            span = imin(C - channel, d0 + n - d);
            const float *from = conv_pixel(c, g->H, g->W, image, h, w, tap / side, tap % side);
            if (!from) memset(a + (d - d0), 0, (size_t)span * sizeof *a);
            else memcpy(a + (d - d0), from + channel, (size_t)span * sizeof *a);
        }
    }
}

/* ---- a panel's products become y's -------------------------------------------------------------------------------- */

static void add_to_rows(float *v, int rows, const float *addend) {
    for (int i = 0; i < rows; i++, v += PANEL)
#pragma omp simd
        for (int k = 0; k < PANEL; k++) v[k] += addend[k];
}

static void add_temb(const struct gemm *g, float *v, int t0, int rows, int k0, int width) {
    struct view temb = g->call->conv.temb;
    for (int i = 0; i < rows; i++, v += PANEL) {
        const float *from = row_at(temb, temb.N == 1 ? 0 : (size_t)((t0 + i) / g->y.W / g->y.H), k0);
        for (int k = 0; k < width; k++) v[k] += from[k];
    }
}

/* y = v + bias + residual, rows t0 and on, columns [k0, k0 + width) */
static inline __attribute__((always_inline)) void store_rows(const struct gemm *g, const float *v, const float *bias, int t0, int rows,
                                                             int k0, const int width) {
    struct view residual = g->call->conv.residual;
    for (int i = 0; i < rows; i++, v += PANEL) {
        float *y = row_at(g->y, (size_t)(t0 + i), k0), sum[PANEL];
        for (int k = 0; k < PANEL; k++) sum[k] = v[k] + bias[k];
        if (residual.p) {
            const float *r = row_at(residual, (size_t)(t0 + i), k0);
            for (int k = 0; k < width; k++) sum[k] += r[k];
        }
        memcpy(y, sum, (size_t)width * sizeof *y);
    }
}

/* v [halves][rows][PANEL] */
static void finish(const struct gemm *g, float *v, int t0, int rows, int panel) {
    const struct weight *b = g->call->conv.b;
    int k0 = panel * PANEL, width = imin(PANEL, g->half - k0), n = rows * PANEL;
    float bias[2][PANEL] = {{0}};
    for (int half = 0; b && half < g->call->halves; half++)
        memcpy(bias[half], (const float *)b->packed + half * g->half + k0, (size_t)width * sizeof(float));
    if (g->call->halves == 2 || g->call->act != ACT_NONE) { /* what is not linear wants it first */
        add_to_rows(v, rows, bias[0]);
        memset(bias[0], 0, sizeof bias[0]);
    }
    if (g->call->halves == 2) {
        float *gates = v + g->rows * PANEL;
        add_to_rows(gates, rows, bias[1]);
#pragma omp simd
        for (int i = 0; i < n; i++) v[i] *= vm_gelu(gates[i]);
    }
    if (g->call->conv.temb.p) add_temb(g, v, t0, rows, k0, width);
    gemm_activate(v, n, g->call->act);
    if (width == PANEL) store_rows(g, v, bias[0], t0, rows, k0, PANEL);
    else store_rows(g, v, bias[0], t0, rows, k0, width);
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static void run_item(const struct gemm *g, float *scratch, int t0, int rows, int first, int n_panels) {
    const struct weight *w = g->call->conv.w;
    int halves = g->call->halves, all = halves * g->n_panels;
    float *c = scratch + gathered_floats(g);
    size_t ld = g->direct ? (size_t)g->x.ld : BLOCK_DEPTH, c_panel = (size_t)g->rows * PANEL;
    for (int d0 = 0; d0 < g->depth; d0 += g->block) {
        int n = imin(g->block, g->depth - d0);
        const float *a = g->direct ? row_at(g->x, (size_t)t0, d0) : scratch;
        const float *b = (const float *)w->packed + ((size_t)d0 * (size_t)all + (size_t)(n * halves * first)) * PANEL;
        if (!g->direct) gather(g, scratch, t0, rows, d0, n);
        for (int p = 0; p < halves * n_panels; p++, b += n * PANEL) {
            panel_gemm(c + (size_t)p * c_panel, a, ld, b, rows, n, d0 > 0, PANEL_ROWS * ld);
            if (d0 + n == g->depth && p % halves == halves - 1)
                finish(g, c + (size_t)(p - halves + 1) * c_panel, t0, rows, first + p / halves);
        }
    }
}

/* Slices change fastest: a group of panels is read from memory once. */
static void items(void *context, size_t begin, size_t end, int thread) {
    const struct gemm *g = context;
    size_t slices = (size_t)ceil_div(g->T, g->rows);
    float *scratch = (float *)((char *)g->dev->scratch + (size_t)thread * thread_bytes(g));
    for (size_t i = begin; i < end; i++) {
        int first = (int)(i / slices) * g->group, t0 = (int)(i % slices) * g->rows;
        run_item(g, scratch, t0, imin(g->rows, g->T - t0), first, imin(g->group, g->n_panels - first));
    }
}

void gemm_run(struct cpu_device *dev, const struct gemm_call *call) {
    struct gemm g = gemm_of(dev, call);
    double flop = 2.0 * g.rows * g.group * PANEL * call->halves * g.depth;
    pool_for(dev->base.pool, (size_t)ceil_div(g.T, g.rows) * (size_t)ceil_div(g.n_panels, g.group), flop * FLOP_NS, items, &g);
}
