/* Implicit matrix products. x is laid out, padded and in parts (amx_kernels.h), so that for every tap of the convolution the rows of a are
 * consecutive pixels, a constant distance apart: an output pixel q of the piece in hand reads pixel q + offset(tap).
 *
 *   with stride s the padded input is dealt out to s x s planes by the remainders of row and column: tap (r, c) then reads plane
 *   (r % s, c % s), r / s rows and c / s columns on;
 *   rows of a plane are as wide as the output plus what the taps reach beyond it, and so many output pixels of each row, computed as the
 *   others are, belong to nobody and are dropped; so are the rows between two images.
 *
 * A piece is as much as lies well in the caches: several images, or some rows of one. Its items are slices of its pixels times panels of
 * columns of y; a panel's weights are read from memory once a piece. Where x can be read as it lies, nothing is laid out. */
#include <assert.h>
#include <stdlib.h>
#include "engine/cpu/amx_kernels.h"

enum {
    SLICE_BLOCKS = 4, /* of AMX_ROWS pixels in an item */
    SLICE = SLICE_BLOCKS * AMX_ROWS,
    PIECE_BYTES = 2 << 20, /* of a thread's share of a laid-out piece, about */
    MAX_TAPS = 256,
};
#define FLOP_NS 0.001 /* about */

struct amx_plan {
    struct cpu_plan base;
    int halves, parts;
};

/* ---- the weights: panels of AMX_COLUMNS columns of y, of each half; steps of AMX_DEPTH channels of a tap. Columns beyond the last are
 * whatever memory held: so are their results, which nobody takes -------------------------------------------------- */

static int chunks_of(const struct weight *w) {
    return ceil_div((int)w->shape[1], AMX_DEPTH);
}

static size_t panel_elements(const struct weight *w, int parts) {
    return (size_t)gemm_side(w) * (size_t)gemm_side(w) * (size_t)chunks_of(w) * (size_t)parts * AMX_B_STEP;
}

static int half_panels(const struct weight *w, int halves) {
    return ceil_div((int)w->shape[0] / halves, AMX_COLUMNS);
}

/* Channels [c0, c0 + n) of row k of w [K,C,R,R], one tap. */
static void gather(float *values, const struct weight *w, const float *src, int k, int tap, int c0, int n) {
    size_t C = (size_t)w->shape[1], area = (size_t)gemm_side(w) * (size_t)gemm_side(w);
    const float *from = src + ((size_t)k * C + (size_t)c0) * area + tap;
    for (int i = 0; i < n; i++) values[i] = from[(size_t)i * area];
}

static void pack_column(uint16_t *panel, const struct weight *w, const float *src, int k, int column, int parts) {
    int C = (int)w->shape[1], area = gemm_side(w) * gemm_side(w), chunks = chunks_of(w);
    uint16_t in_parts[AMX_MOST_PARTS * AMX_DEPTH];
    float values[AMX_DEPTH];
    for (int tap = 0; tap < area; tap++)
        for (int chunk = 0; chunk < chunks; chunk++) {
            int n = imin(AMX_DEPTH, C - chunk * AMX_DEPTH);
            gather(values, w, src, k, tap, chunk * AMX_DEPTH, n);
            amx_split(in_parts, AMX_DEPTH, parts, DT_F32, values, n);
            amx_pack_b(panel + (size_t)((tap * chunks + chunk) * parts) * AMX_B_STEP, column, in_parts, AMX_DEPTH, parts);
        }
}

static void pack(struct cpu_device *dev, struct weight *w, const float *src) {
    (void)dev;
    const struct amx_plan *plan = w->plan;
    int half = (int)w->shape[0] / plan->halves, panels = half_panels(w, plan->halves);
    uint16_t *panel = w->packed;
    for (int i = 0; i < plan->halves * panels; i++, panel += panel_elements(w, plan->parts)) {
        int first = i % panels * AMX_COLUMNS, n = imin(AMX_COLUMNS, half - first);
        for (int column = 0; column < n; column++) pack_column(panel, w, src, i / panels * half + first + column, column, plan->parts);
    }
}

static void destroy(struct cpu_plan *plan) {
    free(plan);
}

/* ---- the geometry of one call ------------------------------------------------------------------------------------ */

struct gemm {
    struct cpu_device *dev;
    const struct gemm_call *call;
    struct view x, y, temb, residual;
    int parts, side, stride, scale; /* scale: x is enlarged by it */
    int reach;                      /* rows and columns the taps reach beyond a pixel, in a plane */
    int wide;                       /* pixels of a row of a plane */
    size_t pixel;                   /* elements of one */
    bool direct;                    /* x as it lies */
    int images, rows;               /* of the largest piece: images > 1 only with all of their rows */
    /* the piece in hand */
    int n0, n, h0, h; /* images [n0, n0 + n), rows [h0, h0 + h) of each */
    struct amx_operands operands;
    size_t tap[MAX_TAPS];
};

/* Rows of a plane that a piece of h output rows takes, for each of its images. */
static size_t plane_rows(const struct gemm *g, int h) {
    return (size_t)(h + g->reach);
}

/* With what the last slice's last pixels read beyond it. */
static size_t piece_bytes(const struct gemm *g, int images, int h) {
    size_t pixels = (size_t)(g->stride * g->stride) * (size_t)images * plane_rows(g, h) * (size_t)g->wide;
    return cpu_lines((pixels + AMX_ROWS - 1) * g->pixel * sizeof(uint16_t));
}

static size_t thread_bytes(const struct gemm *g) {
    return (size_t)g->call->halves * SLICE * AMX_COLUMNS * sizeof(float);
}

static void choose_piece(struct gemm *g) {
    size_t room = (size_t)PIECE_BYTES * (size_t)pool_threads(g->dev->base.pool);
    g->images = 1;
    g->rows = g->y.H;
    while (g->images < g->y.N && piece_bytes(g, g->images + 1, g->y.H) <= room) g->images++;
    if (g->images == 1 && !g->direct)
        while (g->rows > 1 && piece_bytes(g, 1, g->rows) > room) g->rows = ceil_div(g->rows, 2);
}

static bool is_linear(const struct gemm_call *c) {
    return gemm_is_of_rows(&c->conv) && !c->conv.temb.p;
}

/* All rows of all images, as those of one image a pixel wide. */
static struct view as_rows(struct view v) {
    return v.p ? (struct view){v.p, 1, (int)view_rows(v), 1, v.C, v.ld, v.dtype, view_rows(v) * (size_t)v.ld} : v;
}

static void gemm_init(struct gemm *g, struct cpu_device *dev, const struct gemm_call *c) {
    bool linear = is_linear(c);
    const struct conv_call *conv = &c->conv;
    memset(g, 0, sizeof *g);
    g->dev = dev;
    g->call = c;
    g->x = linear ? as_rows(conv->x) : conv->x;
    g->y = linear ? as_rows(conv->y) : conv->y;
    g->residual = linear ? as_rows(conv->residual) : conv->residual;
    g->temb = conv->temb;
    g->parts = amx_parts(dev, conv->x.dtype);
    g->side = gemm_side(conv->w);
    g->stride = conv->shape.stride;
    g->scale = conv->shape.upsample;
    g->reach = (g->side - 1) / g->stride;
    g->wide = g->y.W + g->reach;
    g->pixel = (size_t)g->parts * (size_t)chunks_of(conv->w) * AMX_DEPTH;
    g->direct = linear && conv->x.dtype == DT_BF16 && g->x.C % AMX_DEPTH == 0 && g->x.H % AMX_ROWS == 0;
    choose_piece(g);
}

static size_t laid_out_bytes(const struct gemm *g) {
    return g->direct ? 0 : piece_bytes(g, g->images, g->rows);
}

void amx_gemm_plan(struct cpu_device *dev, const struct gemm_call *c) {
    struct weight *w = c->conv.w;
    struct amx_plan *plan = (struct amx_plan *)cpu_plan_of(dev, w);
    struct gemm g;
    gemm_init(&g, dev, c);
    if (!plan) {
        plan = cpu_new(sizeof *plan);
        *plan = (struct amx_plan){.base = {.pack = pack, .destroy = destroy}, .halves = c->halves, .parts = g.parts};
        plan->base.packed_bytes = (size_t)(c->halves * half_panels(w, c->halves)) * panel_elements(w, g.parts) * sizeof(uint16_t);
        cpu_plan_register(dev, w, &plan->base, c->conv.x.dtype);
    }
    assert(plan->halves == c->halves && plan->parts == g.parts && g.side * g.side <= MAX_TAPS);
    cpu_plan_dense(dev, c->conv.b, DT_F32);
    cpu_scratch_reserve(dev, laid_out_bytes(&g) + (size_t)pool_threads(dev->base.pool) * thread_bytes(&g));
}

/* ---- laying out: an item is a row of a plane's image -------------------------------------------------------------- */

/* Pixel (row, column) of the input as the taps see it, without padding; NULL: padding. */
static const void *pixel_at(const struct gemm *g, int n, int row, int column) {
    const struct conv_shape *s = &g->call->conv.shape;
    int h = row - s->top, w = column - s->left;
    int H = g->x.H * g->scale, W = g->x.W * g->scale;
    if (g->scale == 2) { /* the crop: as many as y needs */
        H = imin(H, (g->y.H - 1) * g->stride + g->side - s->top - s->bottom);
        W = imin(W, (g->y.W - 1) * g->stride + g->side - s->left - s->right);
    }
    if (h < 0 || h >= H || w < 0 || w >= W) return NULL;
    return row_at(g->x, ((size_t)n * (size_t)g->x.H + (size_t)(h / g->scale)) * (size_t)g->x.W + (size_t)(w / g->scale), 0);
}

static void lay_out_rows(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    const struct gemm *g = context;
    size_t rows = plane_rows(g, g->h), part = g->operands.part;
    for (size_t i = begin; i < end; i++) {
        int plane = (int)(i / (rows * (size_t)g->n)), n = (int)(i / rows % (size_t)g->n), row = (int)(i % rows);
        uint16_t *to = (uint16_t *)g->dev->scratch + i * (size_t)g->wide * g->pixel;
        for (int column = 0; column < g->wide; column++, to += g->pixel) {
            const void *from =
                pixel_at(g, g->n0 + n, (g->h0 + row) * g->stride + plane / g->stride, column * g->stride + plane % g->stride);
            if (from) amx_split(to, part, g->parts, g->x.dtype, from, g->x.C);
            else memset(to, 0, g->pixel * sizeof *to);
        }
    }
}

static void lay_out(struct gemm *g) {
    size_t items = (size_t)(g->stride * g->stride * g->n) * plane_rows(g, g->h);
    memset((uint16_t *)g->dev->scratch + items * (size_t)g->wide * g->pixel, 0, (AMX_ROWS - 1) * g->pixel * sizeof(uint16_t));
    pool_for(g->dev->base.pool, items, (double)g->wide * (double)g->pixel * ROW_NS, lay_out_rows, g);
}

static void set_operands(struct gemm *g) {
    struct amx_operands *o = &g->operands;
    const struct weight *w = g->call->conv.w;
    size_t plane = (size_t)g->n * plane_rows(g, g->h) * (size_t)g->wide;
    for (int r = 0; r < g->side; r++)
        for (int c = 0; c < g->side; c++)
            g->tap[r * g->side + c] =
                ((size_t)(r % g->stride * g->stride + c % g->stride) * plane + (size_t)(r / g->stride * g->wide + c / g->stride)) *
                g->pixel;
    *o = (struct amx_operands){.a = g->direct ? g->x.p : g->dev->scratch,
                               .b = w->packed,
                               .row = g->direct ? (size_t)g->x.ld : g->pixel,
                               .part = g->pixel / (size_t)g->parts,
                               .tap = g->tap,
                               .taps = g->side * g->side,
                               .chunks = chunks_of(w),
                               .parts = g->parts};
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void add(float *v, const struct view *from, size_t row, int k0, int width) {
    float buffer[AMX_COLUMNS];
    const float *addend = row_load(from->dtype, row_at(*from, row, k0), buffer, width);
    for (int i = 0; i < width; i++) v[i] += addend[i];
}

/* Columns [k0, k0 + width) of row `row` of y, of image n; v [AMX_COLUMNS], gates: those of GEGLU, or NULL. */
static void finish_row(const struct gemm *g, float *v, float *gates, size_t row, int n, int k0, int width) {
    const struct weight *b = g->call->conv.b;
    const float *bias = b ? (const float *)b->packed + k0 : NULL;
    for (int i = 0; bias && i < width; i++) v[i] += bias[i];
    if (gates) {
        for (int i = 0; bias && i < width; i++) gates[i] += bias[g->y.C + i];
        gemm_activate(gates, AMX_COLUMNS, ACT_GELU);
        for (int i = 0; i < AMX_COLUMNS; i++) v[i] *= gates[i];
    }
    if (g->temb.p) add(v, &g->temb, g->temb.N == 1 ? 0 : (size_t)n, k0, width);
    gemm_activate(v, AMX_COLUMNS, g->call->act);
    if (g->residual.p) add(v, &g->residual, row, k0, width);
    row_store(g->y.dtype, row_at(g->y, row, k0), v, width);
}

/* Of pixels [q0, q0 + n) of the piece those that are y's. c [halves][SLICE, AMX_COLUMNS] */
static void finish(const struct gemm *g, float *c, int q0, int n, int panel) {
    int k0 = panel * AMX_COLUMNS, width = imin(AMX_COLUMNS, g->y.C - k0), rows = g->h + g->reach;
    int column = q0 % g->wide, row = q0 / g->wide % rows, image = q0 / g->wide / rows;
    for (int q = 0; q < n; q++, c += AMX_COLUMNS) {
        if (column < g->y.W && row < g->h) {
            size_t at = ((size_t)(g->n0 + image) * (size_t)g->y.H + (size_t)(g->h0 + row)) * (size_t)g->y.W + (size_t)column;
            finish_row(g, c, g->call->halves == 2 ? c + SLICE * AMX_COLUMNS : NULL, at, g->n0 + image, k0, width);
        }
        if (++column == g->wide) column = 0, row++;
        if (row == rows) row = 0, image++;
    }
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* To the last one that is y's. */
static int piece_pixels(const struct gemm *g) {
    return (int)(((size_t)(g->n - 1) * plane_rows(g, g->h) + (size_t)(g->h - 1)) * (size_t)g->wide) + g->y.W;
}

/* An item is a panel of a slice; slices change fastest. */
static void slices(void *context, size_t begin, size_t end, int thread) {
    const struct gemm *g = context;
    const struct weight *w = g->call->conv.w;
    int pixels = piece_pixels(g), n_slices = ceil_div(pixels, SLICE), panels = half_panels(w, g->call->halves);
    float *c = (float *)((char *)g->dev->scratch + laid_out_bytes(g) + (size_t)thread * thread_bytes(g));
    amx_begin();
    for (size_t i = begin; i < end; i++) {
        int panel = (int)(i / (size_t)n_slices), q0 = (int)(i % (size_t)n_slices) * SLICE, n = imin(SLICE, pixels - q0);
        struct amx_operands o = g->operands;
        o.a += (size_t)q0 * o.row;
        for (int half = 0; half < g->call->halves; half++) {
            o.b = g->operands.b + (size_t)(half * panels + panel) * panel_elements(w, g->parts);
            amx_product(c + half * SLICE * AMX_COLUMNS, AMX_COLUMNS, &o, ceil_div(n, AMX_ROWS), false);
        }
        finish(g, c, q0, n, panel);
    }
    amx_end();
}

static void run_piece(struct gemm *g) {
    const struct weight *w = g->call->conv.w;
    int halves = g->call->halves;
    set_operands(g);
    if (!g->direct) lay_out(g);
    double flop = 2.0 * SLICE * AMX_COLUMNS * halves * g->operands.taps * g->operands.chunks * AMX_DEPTH * (g->parts * (g->parts + 1) / 2);
    pool_for(g->dev->base.pool, (size_t)ceil_div(piece_pixels(g), SLICE) * (size_t)half_panels(w, halves), flop * FLOP_NS, slices, g);
}

void amx_gemm(struct cpu_device *dev, const struct gemm_call *c) {
    struct gemm g;
    gemm_init(&g, dev, c);
    for (g.n0 = 0; g.n0 < g.y.N; g.n0 += g.images)
        for (g.h0 = 0; g.h0 < g.y.H; g.h0 += g.rows) {
            g.n = imin(g.images, g.y.N - g.n0);
            g.h = imin(g.rows, g.y.H - g.h0);
            run_piece(&g);
        }
}
