/* See ops_check.h. */
#include "engine/ops_check.h"

#include <assert.h>

#include "engine/weights.h"

/* The device's own op; planning's table has none where there is nothing to plan. */
#define OWN(op, ...)                                      \
    do {                                                  \
        if (dev->own->op) dev->own->op(dev, __VA_ARGS__); \
    } while (0)

/* ---- what is asserted -------------------------------------------------------------------------------------------- */

static bool is_sound(struct view v) {
    return !v.p || (v.N > 0 && v.H > 0 && v.W > 0 && v.C > 0 && v.ld >= v.C && (v.N == 1 || v.image >= (size_t)v.H * v.W * v.ld));
}

static bool same_type(struct view a, struct view b) {
    return !a.p || !b.p || a.dtype == b.dtype;
}

static bool same_rows(struct view a, struct view b) {
    return is_sound(a) && is_sound(b) && view_rows(a) == view_rows(b) && same_type(a, b);
}

static bool same_shape(struct view a, struct view b) {
    return is_sound(a) && is_sound(b) && a.N == b.N && a.H == b.H && a.W == b.W && a.C == b.C && same_type(a, b);
}

/* One row for each image of v, or one for all. */
static bool is_row_of(struct view row, struct view v) {
    return is_sound(row) && (row.N == v.N || row.N == 1) && row.H == 1 && row.W == 1 && row.C == v.C && same_type(row, v);
}

static bool is_vector(const struct weight *w, int64_t n) {
    return w->rank == 1 && w->shape[0] == n;
}

static bool is_matrix(const struct weight *w, int64_t K, int64_t C) {
    return w->rank == 2 && w->shape[0] == K && w->shape[1] == C;
}

static int output_size(int in, int before, int after, int R, int stride) {
    return (in + before + after - R) / stride + 1;
}

static void check_conv(struct view y, struct view x, const struct weight *w, struct conv_shape s) {
    assert(is_sound(y) && is_sound(x) && same_type(y, x) && y.N == x.N);
    assert(w->rank == 4 && w->shape[0] == y.C && w->shape[1] == x.C && w->shape[2] == w->shape[3]);
    assert(w->shape[2] >= 1 && w->shape[2] <= 16 && s.stride >= 1 && s.stride <= 16 && (s.upsample == 1 || s.upsample == 2));
    assert(s.top >= 0 && s.left >= 0 && s.bottom >= 0 && s.right >= 0);
    int Ho = output_size(x.H * s.upsample, s.top, s.bottom, (int)w->shape[2], s.stride);
    int Wo = output_size(x.W * s.upsample, s.left, s.right, (int)w->shape[2], s.stride);
    assert(y.H <= Ho && y.H > Ho - s.upsample && y.W <= Wo && y.W > Wo - s.upsample);
    (void)Ho, (void)Wo;
}

/* ---- images that do not lie back to back are taken one at a time -------------------------------------------------- */

static struct view image_of(struct view v, int n) {
    return v.p && v.N > 1 ? view_images(v, n, 1) : v;
}

/* All of them do; else they have as many images each. */
static bool are_whole(struct view a, struct view b, struct view c) {
    bool whole = view_is_whole(a) && view_is_whole(b) && view_is_whole(c);
    assert(whole || (a.N == b.N && (!c.p || a.N == c.N)));
    return whole;
}

static void linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                   struct view residual) {
    assert(same_rows(y, x) && is_matrix(w, y.C, x.C) && (!b || is_vector(b, y.C)));
    assert((!residual.p || (same_rows(residual, y) && residual.C == y.C)) && act != ACT_RELU);
    if (are_whole(y, x, residual)) OWN(linear, y, x, w, b, act, residual);
    else
        for (int n = 0; n < y.N; n++) OWN(linear, image_of(y, n), image_of(x, n), w, b, act, image_of(residual, n));
}

static void linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    assert(same_rows(y, x) && is_matrix(w, 2 * (int64_t)y.C, x.C) && is_vector(b, 2 * (int64_t)y.C));
    if (are_whole(y, x, no_view)) OWN(linear_geglu, y, x, w, b);
    else
        for (int n = 0; n < y.N; n++) OWN(linear_geglu, image_of(y, n), image_of(x, n), w, b);
}

static void conv2d(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                   struct view residual, struct conv_shape shape) {
    check_conv(y, x, w, shape);
    assert((!b || is_vector(b, y.C)) && (!temb.p || is_row_of(temb, y)) && (!residual.p || same_shape(residual, y)));
    if (are_whole(y, x, residual)) OWN(conv2d, y, x, w, b, temb, residual, shape);
    else
        for (int n = 0; n < y.N; n++) OWN(conv2d, image_of(y, n), image_of(x, n), w, b, image_of(temb, n), image_of(residual, n), shape);
}

static void group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                       bool silu) {
    assert(same_shape(y, x) && is_vector(w, x.C) && is_vector(b, x.C) && groups > 0 && x.C % groups == 0);
    if (are_whole(y, x, no_view)) OWN(group_norm, y, x, w, b, groups, eps, silu);
    else
        for (int n = 0; n < y.N; n++) OWN(group_norm, image_of(y, n), image_of(x, n), w, b, groups, eps, silu);
}

static void layer_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    assert(same_rows(y, x) && y.C == x.C && is_vector(w, x.C) && is_vector(b, x.C));
    if (are_whole(y, x, no_view)) OWN(layer_norm, y, x, w, b, eps);
    else
        for (int n = 0; n < y.N; n++) OWN(layer_norm, image_of(y, n), image_of(x, n), w, b, eps);
}

/* The one op that makes a long sequence of shorter ones: its images may lie anywhere. */
static void attention(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    assert(same_rows(y, q) && y.N == q.N && same_rows(k, v) && k.N == v.N && same_type(q, k));
    assert(n_heads > 0 && q.C % n_heads == 0 && y.C == q.C && k.C == q.C && v.C == q.C && (k.N == q.N || k.N == 1));
    OWN(attention, y, q, k, v, n_heads, causal);
}

static void embed(struct device *dev, struct view y, const int32_t *ids, struct weight *table, struct weight *pos) {
    assert(is_sound(y) && y.N == 1 && table->rank == 2 && table->shape[1] == y.C);
    assert(!pos || (pos->rank == 2 && pos->shape[1] == y.C && view_rows(y) <= (size_t)pos->shape[0]));
    OWN(embed, y, ids, table, pos);
}

static void timestep_embed(struct device *dev, struct view y, const float *t, bool flip_sin_to_cos, float freq_shift) {
    assert(is_sound(y) && y.N == 1 && y.C % 2 == 0);
    OWN(timestep_embed, y, t, flip_sin_to_cos, freq_shift);
}

static void silu(struct device *dev, struct view y, struct view x) {
    assert(same_rows(y, x) && y.C == x.C);
    if (are_whole(y, x, no_view)) OWN(silu, y, x);
    else
        for (int n = 0; n < y.N; n++) OWN(silu, image_of(y, n), image_of(x, n));
}

static void modulate(struct device *dev, struct view y, struct view x, struct view scale, struct view shift, enum act act) {
    assert(same_shape(y, x) && act != ACT_QUICK_GELU);
    assert((!scale.p || is_row_of(scale, x)) && (!shift.p || is_row_of(shift, x)));
    if (are_whole(y, x, no_view)) OWN(modulate, y, x, scale, shift, act);
    else
        for (int n = 0; n < y.N; n++) OWN(modulate, image_of(y, n), image_of(x, n), image_of(scale, n), image_of(shift, n), act);
}

static void add(struct device *dev, struct view y, struct view a, struct view b, float factor) {
    assert(same_rows(y, a) && same_rows(y, b) && y.C == a.C && y.C == b.C);
    if (are_whole(y, a, b)) OWN(add, y, a, b, factor);
    else
        for (int n = 0; n < y.N; n++) OWN(add, image_of(y, n), image_of(a, n), image_of(b, n), factor);
}

static void resize(struct device *dev, struct view y, struct view x, enum interpolation way) {
    assert(is_sound(y) && is_sound(x) && same_type(y, x) && y.N == x.N && y.C == x.C);
    if (are_whole(y, x, no_view)) OWN(resize, y, x, way);
    else
        for (int n = 0; n < y.N; n++) OWN(resize, image_of(y, n), image_of(x, n), way);
}

static void max_pool(struct device *dev, struct view y, struct view x, int R, struct conv_shape s) {
    assert(is_sound(y) && is_sound(x) && same_type(y, x) && y.N == x.N && y.C == x.C && R >= 1 && s.stride >= 1 && s.upsample == 1);
    assert(s.top >= 0 && s.left >= 0 && s.bottom >= 0 && s.right >= 0 && s.top < R && s.left < R && s.bottom < R && s.right < R);
    assert(y.H == output_size(x.H, s.top, s.bottom, R, s.stride) && y.W == output_size(x.W, s.left, s.right, R, s.stride));
    if (are_whole(y, x, no_view)) OWN(max_pool, y, x, R, s);
    else
        for (int n = 0; n < y.N; n++) OWN(max_pool, image_of(y, n), image_of(x, n), R, s);
}

/* ---- the loop: its views are whole, since one recorded launch does all images ------------------------------------ */

static void model_input(struct device *dev, struct view y, const float *x, float scale) {
    assert(is_sound(y) && view_is_whole(y));
    OWN(model_input, y, x, scale);
}

static void set_schedule(struct device *dev, const struct sched_row *rows, int n_rows, int depth) {
    assert(n_rows > 0 && depth >= 0 && depth <= SCHED_HISTORY);
    OWN(set_schedule, rows, n_rows, depth);
}

static void next_row(struct device *dev, struct view y, struct view table) {
    assert(y.C == table.C && same_type(y, table));
    OWN(next_row, y, table);
}

static void row_input(struct device *dev, struct view y, const struct latents *l, int copies) {
    assert(is_sound(y) && view_is_whole(y) && y.N == copies * l->N && y.H == l->H && y.W == l->W && y.C == l->C);
    OWN(row_input, y, l, copies);
}

static void sched_step(struct device *dev, const struct latents *l, struct view out, struct guidance guidance) {
    assert(is_sound(out) && view_is_whole(out) && out.H == l->H && out.W == l->W);
    assert((out.C == l->C && out.N % l->N == 0 && out.N <= 3 * l->N) || (out.C == 2 * l->C && out.N == l->N));
    OWN(sched_step, l, out, guidance);
}

/* ---- host and device: the host's side is dense, so an image at a time is the next piece of it --------------------- */

static size_t image_values(struct view v) {
    return (size_t)v.H * v.W * v.C;
}

static int64_t to_rgb8(struct device *dev, uint8_t *y, struct view x) {
    int64_t bad = 0;
    assert(is_sound(x) && (x.C == 3 || x.C == 1));
    if (!dev->own->to_rgb8) return 0;
    if (view_is_whole(x)) return dev->own->to_rgb8(dev, y, x);
    for (int n = 0; n < x.N; n++) bad += dev->own->to_rgb8(dev, y + (size_t)n * image_values(x), image_of(x, n));
    return bad;
}

static void upload(struct device *dev, struct view y, const float *x) {
    assert(is_sound(y));
    if (view_is_whole(y)) OWN(upload, y, x);
    else
        for (int n = 0; n < y.N; n++) OWN(upload, image_of(y, n), x + (size_t)n * image_values(y));
}

static void download(struct device *dev, float *y, struct view x) {
    assert(is_sound(x));
    if (view_is_whole(x)) OWN(download, y, x);
    else
        for (int n = 0; n < x.N; n++) OWN(download, y + (size_t)n * image_values(x), image_of(x, n));
}

static void upload_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C) {
    OWN(upload_latents, y, x, N, H, W, C);
}

static void download_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C) {
    OWN(download_latents, y, x, N, H, W, C);
}

const struct ops ops_checked = {
    .linear = linear,
    .linear_geglu = linear_geglu,
    .conv2d = conv2d,
    .group_norm = group_norm,
    .layer_norm = layer_norm,
    .attention = attention,
    .embed = embed,
    .timestep_embed = timestep_embed,
    .silu = silu,
    .modulate = modulate,
    .add = add,
    .resize = resize,
    .max_pool = max_pool,
    .model_input = model_input,
    .set_schedule = set_schedule,
    .next_row = next_row,
    .row_input = row_input,
    .sched_step = sched_step,
    .to_rgb8 = to_rgb8,
    .upload = upload,
    .download = download,
    .upload_latents = upload_latents,
    .download_latents = download_latents,
};
