#include "engine/nets/dpt.h"

#include <assert.h>

static const struct conv_shape HALVE = {2, 1, 1, 1, 1, 1}; /* its stride is set */

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* The side of the features of a tap, for tokens of that grid. */
static int tap_side(const struct dpt *m, int tap, int grid, int side) {
    const struct dpt_reassemble *r = &m->reassemble[tap];
    if (tap < m->first_token_tap) return (side + (4 << tap) - 1) / (4 << tap);
    return r->down > 1 ? (grid - 1) / r->down + 1 : grid * r->up;
}

int dpt_output_size(const struct dpt *m, int side) {
    return tap_side(m, DPT_TAPS - 1, side / m->patch_size, side) << (m->head_fusion + 2); /* each fusion doubles it, and the head */
}

bool dpt_takes(const struct dpt *m, int W, int H) {
    return W == H && (m->backbone ? W == m->image_size : W >= m->patch_size);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void relu(struct device *dev, struct view y, struct view x) {
    dev->ops->modulate(dev, y, x, no_view, no_view, ACT_RELU);
}

/* Tokens [1,1,g*g,C] as the picture they are. */
static struct view as_grid(struct view tokens, int grid) {
    tokens.H = tokens.W = grid;
    return tokens;
}

/* The position embeddings of the tokens behind the first, at their grid. */
static void positions(struct device *dev, const struct dpt *m, struct view y, int grid) {
    size_t mark = arena_mark(dev);
    struct view stored = grid == m->grid ? y : view_alloc_as(dev, y.dtype, 1, 1, m->grid * m->grid, y.C);
    dev->ops->embed(dev, stored, m->ids, m->position_embeddings, NULL);
    if (grid != m->grid) dev->ops->resize(dev, as_grid(y, grid), as_grid(stored, m->grid), INTERPOLATE_CENTERS);
    arena_release(dev, mark);
}

/* h [1,1,1+g*g,C] = class token and patches, with their positions. x: a picture, or the backbone's last features. */
static void embeddings(struct device *dev, const struct dpt *m, struct view h, struct view x, int grid) {
    struct view patches = view_tokens(h, 1, grid * grid);
    int stride = m->backbone ? 1 : m->patch_size;
    dev->ops->embed(dev, view_tokens(h, 0, 1), (int32_t[]){0}, m->cls_token, m->position_embeddings);
    positions(dev, m, patches, grid);
    struct conv_shape shape = {stride, 0, 0, 0, 0, 1};
    dev->ops->conv2d(dev, as_grid(patches, grid), x, m->patch_w, m->patch_b, no_view, as_grid(patches, grid), shape);
    tap_view(dev, h, "dpt.embeddings");
}

/* ---- from tokens to features ------------------------------------------------------------------------------------- */

/* What the class token knows goes into the others. y, h but the first: [1,1,T,C] */
static void readout(struct device *dev, const struct dpt *m, const struct dpt_reassemble *r, struct view y, struct view h) {
    const struct ops *op = dev->ops;
    struct view tokens = view_tokens(h, 1, h.W - 1), first = view_tokens(h, 0, 1);
    size_t mark = arena_mark(dev);
    if (m->readout == READOUT_PROJECT) { /* (token, class token) W = token W1 + class token W2 */
        struct view row = view_alloc_as(dev, h.dtype, 1, 1, 1, h.C);
        op->linear(dev, y, tokens, r->readout_w, NULL, ACT_NONE, no_view);
        op->linear(dev, row, first, r->class_w, r->readout_b, ACT_NONE, no_view);
        op->modulate(dev, y, y, no_view, row, ACT_GELU);
    } else {
        op->modulate(dev, y, tokens, no_view, m->readout == READOUT_ADD ? first : no_view, ACT_NONE);
    }
    arena_release(dev, mark);
}

/* y [1,f*H,f*W,K] = the transposed convolution of x [1,H,W,K], line by line of its taps. */
static void upscale(struct device *dev, const struct dpt_reassemble *r, struct view y, struct view x) {
    struct view rows = x, lines = y;
    rows.N = lines.N = x.H;
    rows.H = lines.H = 1;
    rows.image = (size_t)x.W * (size_t)x.ld;
    lines.W = x.W;
    lines.C = lines.ld = r->up * y.C;
    lines.image = (size_t)r->up * (size_t)y.W * (size_t)y.C;
    for (int dy = 0; dy < r->up; dy++) {
        struct view to = lines;
        to.p = (char *)lines.p + (size_t)dy * (size_t)y.W * (size_t)y.C * view_item(y);
        dev->ops->linear(dev, to, rows, r->up_w[dy], r->up_b, ACT_NONE, no_view);
    }
}

/* y [1,S,S,K]: the features of that tap, from h [1,1,1+g*g,C]. */
static void reassemble(struct device *dev, const struct dpt *m, int tap, struct view y, struct view h, int grid) {
    const struct dpt_reassemble *r = &m->reassemble[tap];
    size_t mark = arena_mark(dev);
    struct view tokens = view_alloc_as(dev, h.dtype, 1, 1, grid * grid, h.C);
    bool resized = r->up > 1 || r->down > 1;
    struct view projected = resized ? view_alloc_as(dev, h.dtype, 1, grid, grid, m->neck[tap]) : y;
    readout(dev, m, r, tokens, h);
    dev->ops->linear(dev, projected, as_grid(tokens, grid), r->projection_w, r->projection_b, ACT_NONE, no_view);
    struct conv_shape shape = HALVE;
    shape.stride = r->down;
    if (r->up > 1) upscale(dev, r, y, projected);
    else if (r->down > 1) dev->ops->conv2d(dev, y, projected, r->down_w, r->down_b, no_view, no_view, shape);
    tap_view(dev, y, "neck.reassemble_stage.layers.%d", tap);
    arena_release(dev, mark);
}

/* The neck's convolution of what a tap gave, x or h's features. */
static void neck(struct device *dev, const struct dpt *m, int tap, struct view y, struct view x) {
    dev->ops->conv2d(dev, y, x, m->neck_conv_w[tap], NULL, no_view, no_view, CONV_3X3);
    tap_view(dev, y, "neck.convs.%d", tap);
}

static void vit_forward(struct device *dev, const struct dpt *m, struct view features[DPT_TAPS], struct view h, int grid) {
    int tap = m->first_token_tap;
    for (int i = 0; i < m->layers.n && tap < DPT_TAPS; i++) {
        clip_layers_forward(dev, &m->layers, h, i, i + 1, "dpt.", (struct clip_hidden){0});
        if (m->tap_layers[tap] != i) continue;
        size_t mark = arena_mark(dev);
        struct view y = view_alloc_as(dev, h.dtype, 1, features[tap].H, features[tap].W, m->neck[tap]);
        reassemble(dev, m, tap, y, h, grid);
        neck(dev, m, tap, features[tap], y);
        arena_release(dev, mark);
        tap++;
    }
}

/* ---- from features to depth -------------------------------------------------------------------------------------- */

/* y = base + conv2(relu(conv1(relu(x)))); base may be y */
static void residual(struct device *dev, const struct dpt_residual *r, struct view y, struct view x, struct view base) {
    size_t mark = arena_mark(dev);
    struct view a = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C), b = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C);
    relu(dev, a, x);
    dev->ops->conv2d(dev, b, a, r->conv1_w, r->conv1_b, no_view, no_view, CONV_3X3);
    relu(dev, b, b);
    dev->ops->conv2d(dev, y, b, r->conv2_w, r->conv2_b, no_view, base, CONV_3X3);
    arena_release(dev, mark);
}

/* y [1,2S,2S,F] from x [1,S,S,F] and the features of the next tap, none for the first. The projection comes before the enlarging, of which
 * it is as independent as it is cheaper there. */
static void fusion(struct device *dev, const struct dpt *m, int i, struct view y, struct view x, struct view features) {
    const struct dpt_fusion *f = &m->fusion[i];
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view h = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C), sum = x;
    if (features.p) {
        struct view at_size = features;
        sum = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C);
        if (features.H != x.H) at_size = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C);
        if (features.H != x.H) op->resize(dev, at_size, features, INTERPOLATE_CENTERS);
        op->add(dev, sum, x, at_size, 1);
        residual(dev, &f->residual1, sum, at_size, sum);
    }
    residual(dev, &f->residual2, h, sum, sum);
    struct view projected = view_alloc_as(dev, x.dtype, x.N, x.H, x.W, x.C);
    op->linear(dev, projected, h, f->projection_w, f->projection_b, ACT_NONE, no_view);
    op->resize(dev, y, projected, INTERPOLATE_CORNERS);
    tap_view(dev, y, "neck.fusion_stage.layers.%d", i);
    arena_release(dev, mark);
}

static void head(struct device *dev, const struct dpt *m, struct view y, struct view x) {
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    if (m->head_projection_w) {
        struct view h = view_alloc_as(dev, x.dtype, 1, x.H, x.W, x.C);
        op->conv2d(dev, h, x, m->head_projection_w, m->head_projection_b, no_view, no_view, CONV_3X3);
        relu(dev, h, h);
        x = h;
    }
    struct view half = view_alloc_as(dev, x.dtype, 1, x.H, x.W, m->fusion_size / 2);
    struct view whole = view_alloc_as(dev, x.dtype, 1, y.H, y.W, half.C),
                last = view_alloc_as(dev, x.dtype, 1, y.H, y.W, (int)m->head2_w->shape[0]);
    op->conv2d(dev, half, x, m->head1_w, m->head1_b, no_view, no_view, CONV_3X3);
    tap_view(dev, half, "head.head.0");
    op->resize(dev, whole, half, INTERPOLATE_CORNERS);
    op->conv2d(dev, last, whole, m->head2_w, m->head2_b, no_view, no_view, CONV_3X3);
    relu(dev, last, last);
    op->linear(dev, y, last, m->head3_w, m->head3_b, ACT_NONE, no_view);
    relu(dev, y, y);
    arena_release(dev, mark);
}

/* The fused features, each enlarged in turn: of two buffers. */
static struct view fuse(struct device *dev, const struct dpt *m, const struct view features[DPT_TAPS]) {
    struct view x = features[DPT_TAPS - 1];
    for (int i = 0; i <= m->head_fusion; i++) {
        struct view y = view_alloc_as(dev, x.dtype, 1, 2 * x.H, 2 * x.W, m->fusion_size);
        fusion(dev, m, i, y, x, i ? features[DPT_TAPS - 1 - i] : no_view);
        x = y;
    }
    return x;
}

void dpt_forward(struct device *dev, const struct dpt *m, struct view y, struct view x) {
    assert(dpt_takes(m, x.W, x.H) && y.H == dpt_output_size(m, x.H) && y.W == y.H);
    size_t mark = arena_mark(dev);
    int grid = x.H / m->patch_size;
    struct view features[DPT_TAPS], stages[BIT_STAGES];
    for (int i = 0; i < DPT_TAPS; i++) {
        int side = tap_side(m, i, grid, x.H);
        features[i] = view_alloc_as(dev, x.dtype, 1, side, side, m->fusion_size);
    }
    size_t inner = arena_mark(dev);
    struct view h = view_alloc_as(dev, x.dtype, 1, 1, 1 + grid * grid, m->hidden_size);
    if (m->backbone) bit_forward(dev, m->backbone, stages, x);
    for (int i = 0; i < m->first_token_tap; i++) neck(dev, m, i, features[i], stages[i]);
    embeddings(dev, m, h, m->backbone ? stages[BIT_STAGES - 1] : x, grid);
    vit_forward(dev, m, features, h, grid);
    arena_release(dev, inner);
    head(dev, m, y, fuse(dev, m, features));
    arena_release(dev, mark);
}
