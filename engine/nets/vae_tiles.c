#include "engine/nets/vae_tiles.h"

#include <string.h>
#include "engine/nets/vae_encoder.h"
#include "engine/ops.h"

/* Of what goes in: size, and from where to where the next one begins. Of what comes out: how much of each is kept, and over how much it is
 * blended with its neighbours. */
struct tiling {
    int size, step, kept, blend;
    int C, K;     /* channels in and out */
    int up, down; /* what comes out is up / down times as large */
    enum dtype dtype;
};

struct tile {
    int H, W;
    float *values; /* [H,W,K] */
};

/* diffusers' tile_overlap_factor: a quarter. */
static int three_quarters(int n) {
    return (int)(n * (1 - 0.25));
}
static int quarter(int n) {
    return (int)(n * 0.25);
}

static int latent_tile(const struct vae *m) {
    return m->sample_size / m->factor;
}

static struct tiling decoder_tiling(const struct vae *m, enum dtype dtype) {
    int L = latent_tile(m), T = m->sample_size;
    return (struct tiling){L, three_quarters(L), T - quarter(T), quarter(T), m->latent_channels, m->out_channels, m->factor, 1, dtype};
}

static struct tiling encoder_tiling(const struct vae *m, enum dtype dtype) {
    int L = latent_tile(m), T = m->sample_size;
    return (struct tiling){T, three_quarters(T), L - quarter(L), quarter(L), 3, 2 * m->latent_channels, 1, m->factor, dtype};
}

bool vae_can_tile(const struct vae *m) {
    struct tiling d = decoder_tiling(m, DT_F32), e = encoder_tiling(m, DT_F32);
    return d.step > 0 && d.size * d.up == e.size && d.step * d.up == d.kept && e.step == e.kept * e.down;
}

bool vae_has_tiles(const struct vae *m, int height, int width) {
    return vae_can_tile(m) && (height > latent_tile(m) || width > latent_tile(m));
}

int vae_count_tiles(const struct vae *m, int height, int width) {
    int step = decoder_tiling(m, DT_F32).step;
    return vae_has_tiles(m, height, width) ? ((height + step - 1) / step) * ((width + step - 1) / step) : 1;
}

/* ---- blending ---------------------------------------------------------------------------------------------------- */

static int least(int a, int b, int c) {
    return a < b ? a < c ? a : c : b < c ? b : c;
}

/* y = a (1 - t) + y t, each step of it rounded to the type */
static void blend_row(float *y, const float *a, size_t n, int at, int extent, enum dtype dtype) {
    float t = (float)((double)at / extent), s = (float)(1 - (double)at / extent);
    for (size_t i = 0; i < n; i++) y[i] = dtype_round(dtype_round(a[i] * s, dtype) + dtype_round(y[i] * t, dtype), dtype);
}

static void blend_with_upper(const struct tiling *g, struct tile *t, const struct tile *upper) {
    int extent = least(upper->H, t->H, g->blend);
    size_t row = (size_t)t->W * (size_t)g->K;
    for (int y = 0; y < extent; y++)
        blend_row(t->values + (size_t)y * row, upper->values + (size_t)(upper->H - extent + y) * row, row, y, extent, g->dtype);
}

static void blend_with_left(const struct tiling *g, struct tile *t, const struct tile *left) {
    int extent = least(left->W, t->W, g->blend);
    size_t K = (size_t)g->K;
    for (int y = 0; y < t->H; y++)
        for (int x = 0; x < extent; x++)
            blend_row(t->values + ((size_t)y * (size_t)t->W + (size_t)x) * K,
                      left->values + ((size_t)y * (size_t)left->W + (size_t)(left->W - extent + x)) * K, K, x, extent, g->dtype);
}

/* ---- all tiles --------------------------------------------------------------------------------------------------- */

/* A tile's extent that begins at `at` of n. */
static int extent_at(const struct tiling *g, int at, int n) {
    return n - at < g->size ? n - at : g->size;
}

/* Rows or columns as large as this one have been planned. */
static bool is_repeated(const struct tiling *g, int at, int n) {
    return at && extent_at(g, at, n) == extent_at(g, at - g->step, n);
}

/* y [h,w,C] = the rectangle at (top,left) of x [H,W,C] */
static void cut_out(float *y, const float *x, int W, int C, int top, int left, int h, int w) {
    size_t row = (size_t)w * (size_t)C;
    for (int i = 0; i < h; i++)
        memcpy(y + (size_t)i * row, x + ((size_t)(top + i) * (size_t)W + (size_t)left) * (size_t)C, row * sizeof *y);
}

/* t = the net's output for the tile at (top,left). */
static void run_tile(struct device *dev, const struct vae *m, const struct tiling *g, struct tile *t, float *cut, const float *x, int H,
                     int W, int top, int left) {
    size_t mark = arena_mark(dev);
    int h = extent_at(g, top, H), w = extent_at(g, left, W);
    t->H = h * g->up / g->down;
    t->W = w * g->up / g->down;
    struct view out = view_alloc_as(dev, g->dtype, 1, t->H, t->W, g->K), in = view_alloc_as(dev, g->dtype, 1, h, w, g->C);
    if (!dev->planning) cut_out(cut, x, W, g->C, top, left, h, w);
    dev->ops->upload(dev, in, cut);
    if (g->up > 1 || g->down == 1) vae_decode(dev, m, out, in);
    else vae_encode(dev, m->encoder, out, in);
    dev->ops->download(dev, t->values, out);
    arena_release(dev, mark);
}

static void plan_tiles(struct device *dev, const struct vae *m, const struct tiling *g, int H, int W) {
    struct tile none = {0};
    for (int y = 0; y < H; y += g->step)
        for (int x = 0; x < W; x += g->step)
            if (!is_repeated(g, y, H) && !is_repeated(g, x, W)) run_tile(dev, m, g, &none, NULL, NULL, H, W, y, x);
}

static struct tile *tiles_new(struct arena *a, const struct tiling *g, int n) {
    struct tile *tiles = arena_array(a, (size_t)n, sizeof *tiles);
    size_t side = (size_t)(g->size * g->up / g->down);
    for (int i = 0; i < n; i++) tiles[i].values = arena_array(a, side * side, (size_t)g->K * sizeof(float));
    return tiles;
}

/* What is kept of a row of tiles, side by side in band [height,W,K]; returns the height. */
static int join(const struct tiling *g, float *band, const struct tile *tiles, int n, int W) {
    int height = least(tiles->H, g->kept, g->kept);
    for (int i = 0; i < n; i++)
        for (int y = 0; y < height; y++)
            memcpy(band + ((size_t)y * (size_t)W + (size_t)(i * g->kept)) * (size_t)g->K,
                   tiles[i].values + (size_t)y * (size_t)tiles[i].W * (size_t)g->K,
                   (size_t)least(tiles[i].W, g->kept, g->kept) * (size_t)g->K * sizeof *band);
    return height;
}

/* x [H,W,C] in host memory. What is made, a band of whole rows after the other from the top, goes to put, band [height,width,K]. */
static void run_tiles(struct device *dev, const struct vae *m, const struct tiling *g, struct arena *scratch, const float *x, int H, int W,
                      void (*put)(struct device *dev, void *data, int top, int height, const float *band), void *data) {
    int n = (W + g->step - 1) / g->step, width = W * g->up / g->down;
    if (dev->planning) return plan_tiles(dev, m, g, H, W);
    struct tile *row = tiles_new(scratch, g, n), *above = tiles_new(scratch, g, n);
    float *cut = arena_array(scratch, (size_t)g->size * (size_t)g->size, (size_t)g->C * sizeof *cut);
    float *band = arena_array(scratch, (size_t)g->kept * (size_t)width, (size_t)g->K * sizeof *band);
    for (int i = 0; i * g->step < H; i++) {
        for (int j = 0; j < n; j++) {
            run_tile(dev, m, g, &row[j], cut, x, H, W, i * g->step, j * g->step);
            if (i) blend_with_upper(g, &row[j], &above[j]);
            if (j) blend_with_left(g, &row[j], &row[j - 1]);
        }
        put(dev, data, i * g->kept, join(g, band, row, n, width), band);
        struct tile *former = above;
        above = row;
        row = former;
    }
}

static void put_into_view(struct device *dev, void *data, int top, int height, const float *band) {
    struct view rows = *(const struct view *)data;
    rows.p = (char *)rows.p + (size_t)top * (size_t)rows.W * (size_t)rows.ld * view_item(rows);
    rows.H = height;
    dev->ops->upload(dev, rows, band);
}

void vae_decode_tiled(struct device *dev, const struct vae *m, struct arena *scratch, struct view y, struct view x) {
    struct tiling g = decoder_tiling(m, x.dtype);
    float *z = arena_array(scratch, view_rows(x), (size_t)x.C * sizeof *z);
    dev->ops->download(dev, z, x);
    run_tiles(dev, m, &g, scratch, z, x.H, x.W, put_into_view, &y);
}

struct host_rows {
    float *values;
    size_t row; /* values of one */
};

static void put_into_rows(struct device *dev, void *data, int top, int height, const float *band) {
    (void)dev;
    const struct host_rows *rows = data;
    memcpy(rows->values + (size_t)top * rows->row, band, (size_t)height * rows->row * sizeof *band);
}

void vae_encode_tiled(struct device *dev, const struct vae *m, struct arena *scratch, enum dtype dtype, float *y, const float *x, int H,
                      int W) {
    struct tiling g = encoder_tiling(m, dtype);
    struct host_rows rows = {y, (size_t)(W / m->factor) * (size_t)g.K};
    run_tiles(dev, m, &g, scratch, x, H, W, put_into_rows, &rows);
}
