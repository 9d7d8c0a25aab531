/* Where the time of a step and of the VAE goes, op by op: bench_layers DIR [SIDE] [REPEATS] [DTYPE]
 * First the floors of this core (peaks.h), then a line for each op and shape of one step with guidance, and of one picture through the
 * VAE's decoder: calls, the smallest of the repeats in processor time on one thread, FLOP or bytes for it and their share of the floor.
 * DIR: an SD checkpoint, of make_checkpoint --sparse as well. DIFFUSE_ISA and ONEDNN_MAX_CPU_ISA narrow what is used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench/peaks.h"
#include "engine/base/error.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/isa.h"
#include "engine/nets/unet.h"
#include "engine/nets/vae.h"
#include "engine/weights.h"

enum { ROWS_MAX = 256 };
static struct row {
    char text[80];
    int calls;
    double flop, bytes, now, best; /* of all calls; ms */
} rows[ROWS_MAX];
static int n_rows;
static const struct ops *inner; /* what the timed ones call */

static double thread_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double start;

static void begin(void) {
    start = thread_ms();
}

/* An op has run since begin(): of so many flop, or one that is bound by the bytes it reads and writes. */
static void end(const char *text, double flop, double bytes) {
    double ms = thread_ms() - start;
    struct row *r = rows;
    while (r < rows + n_rows && strcmp(r->text, text)) r++;
    if (r == rows + ROWS_MAX) die(FAIL_INTERNAL, "more than %d shapes", ROWS_MAX);
    if (r == rows + n_rows) {
        *r = (struct row){.best = 1e18};
        snprintf(r->text, sizeof r->text, "%s", text);
        n_rows++;
    }
    r->calls++;
    r->flop += flop;
    r->bytes += bytes;
    r->now += ms;
}

static double elements(struct view v) {
    return (double)view_rows(v) * v.C;
}

static void time_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                        struct view residual) {
    char text[80];
    begin();
    inner->linear(dev, y, x, w, b, act, residual);
    snprintf(text, sizeof text, "linear %zu x %d -> %d", view_rows(x), x.C, y.C);
    end(text, 2 * elements(x) * y.C, 0);
}

static void time_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b) {
    char text[80];
    begin();
    inner->linear_geglu(dev, y, x, w, b);
    snprintf(text, sizeof text, "geglu %zu x %d -> 2 x %d", view_rows(x), x.C, y.C);
    end(text, 4 * elements(x) * y.C, 0);
}

static void time_conv2d(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                        struct view residual, struct conv_shape shape) {
    char text[80];
    int R = (int)w->shape[2];
    begin();
    inner->conv2d(dev, y, x, w, b, temb, residual, shape);
    snprintf(text, sizeof text, "conv %dx%d%s%s %d x %dx%d, %d -> %d", R, R, shape.stride == 2 ? " stride 2" : "",
             shape.upsample == 2 ? " enlarged" : "", y.N, y.H, y.W, x.C, y.C);
    end(text, 2 * elements(y) * x.C * R * R, 0);
}

static void time_attention(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal) {
    char text[80];
    begin();
    inner->attention(dev, y, q, k, v, n_heads, causal);
    snprintf(text, sizeof text, "attention %d x %d to %d, %d heads of %d", q.N, q.H * q.W, k.H * k.W, n_heads, q.C / n_heads);
    end(text, 4 * elements(q) * k.H * k.W, 0);
}

static void time_group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                            bool silu) {
    char text[80];
    begin();
    inner->group_norm(dev, y, x, w, b, groups, eps, silu);
    snprintf(text, sizeof text, "group norm%s %d x %dx%dx%d", silu ? " + silu" : "", x.N, x.H, x.W, x.C);
    end(text, 0, 2 * elements(x) * (double)view_item(x));
}

static void time_layer_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps) {
    char text[80];
    begin();
    inner->layer_norm(dev, y, x, w, b, eps);
    snprintf(text, sizeof text, "layer norm %zu x %d", view_rows(x), x.C);
    end(text, 0, 2 * elements(x) * (double)view_item(x));
}

static void time_add(struct device *dev, struct view y, struct view a, struct view b, float factor) {
    begin();
    inner->add(dev, y, a, b, factor);
    end("add", 0, 3 * elements(y) * (double)view_item(y));
}

static void time_silu(struct device *dev, struct view y, struct view x) {
    begin();
    inner->silu(dev, y, x);
    end("silu", 0, 2 * elements(y) * (double)view_item(y));
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static int slower(const void *a, const void *b) {
    double x = ((const struct row *)a)->best, y = ((const struct row *)b)->best;
    return (x < y) - (x > y);
}

static void print_row(const char *text, int calls, double ms, double flop, double bytes, double flops, double copy) {
    double rate = (flop > 0 ? flop : bytes) / ms / 1e6;
    printf("| %s | %d | %.1f | %.0f %s | %.0f %% |\n", text, calls, ms, rate, flop > 0 ? "GFLOP/s" : "GB/s",
           100 * rate * 1e9 / (flop > 0 ? flops : copy));
}

static void print_table(const char *title, double flops, double copy) {
    static const char *const kinds[] = {"conv", "linear", "geglu", "attention", "group norm", "layer norm"};
    double all = 0;
    for (int i = 0; i < n_rows; i++) all += rows[i].best;
    qsort(rows, (size_t)n_rows, sizeof *rows, slower);
    printf("\n%s: %.0f ms\n\n| op | calls | ms | rate | of the floor |\n|---|---|---|---|---|\n", title, all);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct row sum = {0};
        for (int i = 0; i < n_rows; i++)
            if (!strncmp(rows[i].text, kinds[k], strlen(kinds[k])))
                sum.calls += rows[i].calls, sum.best += rows[i].best, sum.flop += rows[i].flop, sum.bytes += rows[i].bytes;
        char text[80];
        snprintf(text, sizeof text, "**%s**, all", kinds[k]);
        if (sum.calls) print_row(text, sum.calls, sum.best, sum.flop, sum.bytes, flops, copy);
    }
    for (int i = 0; i < n_rows; i++)
        if (rows[i].best > all / 500) print_row(rows[i].text, rows[i].calls, rows[i].best, rows[i].flop, rows[i].bytes, flops, copy);
    fflush(stdout);
    n_rows = 0;
}

/* A repeat is over: the sums of its calls count where they are the smallest yet, and calls and flop are one repeat's. */
static void close_repeat(bool last) {
    for (int i = 0; i < n_rows; i++) {
        struct row *r = &rows[i];
        if (r->now < r->best) r->best = r->now;
        r->now = 0;
        if (!last) r->calls = 0, r->flop = r->bytes = 0;
    }
}

/* ---- the two models ---------------------------------------------------------------------------------------------- */

static void fill(struct view x) {
    for (size_t i = 0; i < view_rows(x) * (size_t)x.C; i++) {
        float value = (float)((i * 2654435761u >> 16) % 1021) / 510 - 1;
        if (x.dtype == DT_BF16) ((uint16_t *)x.p)[i] = f32_to_bf16(value);
        else ((float *)x.p)[i] = value;
    }
}

static void step(struct device *dev, struct arena *a, const struct unet *m, int side) {
    arena_release(dev, 0);
    struct view x = view_alloc(dev, 2, side, side, m->in_channels), context = view_alloc(dev, 2, 1, 77, m->cross_dim);
    if (!dev->planning) fill(x), fill(context);
    struct view y = view_alloc(dev, 2, side, side, m->out_channels);
    struct conditions given = {.pictures = 1, .context = context};
    const struct ops *own = dev->own;
    if (!dev->planning) dev->own = inner; /* once a run, not a step */
    struct unet_run *run = unet_prepare(dev, m, a, &given, (float[]){500}, 1);
    dev->own = own;
    struct view temb = view_alloc(dev, 1, 1, 1, run->temb.C);
    dev->ops->set_schedule(dev, (struct sched_row[1]){0}, 1, 0);
    dev->ops->next_row(dev, temb, run->temb);
    unet_forward(dev, m, run, y, x, temb, NULL);
}

static void decode(struct device *dev, const struct vae *m, int side) {
    arena_release(dev, 0);
    struct view pixels = view_alloc(dev, 1, side * m->factor, side * m->factor, 3),
                latents = view_alloc(dev, 1, side, side, m->latent_channels);
    if (!dev->planning) fill(latents);
    vae_decode(dev, m, pixels, latents);
}

static struct component *part_of(struct checkpoint *c, const char *name) {
    struct component *part = checkpoint_find(c, name);
    if (!part) die(FAIL_UNSUPPORTED, "no %s", name);
    component_open(c, part, COMPONENT_NET, NULL);
    return part;
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc < 2) die(FAIL_USAGE, "usage: bench_layers DIR [SIDE] [REPEATS] [f32|bf16]");
    int side = (argc > 2 ? atoi(argv[2]) : 512) / 8, repeats = argc > 3 ? atoi(argv[3]) : 3;
    enum dtype dtype = argc > 4 && !strcmp(argv[4], "bf16") ? DT_BF16 : DT_F32;
    struct device *dev = cpu_device_open(dtype, 1);
    static const char *const isas[] = {"sse2", "avx2", "avx512", "avx512_bf16", "amx"};
    printf("%s, %s; one core:", dev->product, dev->isa);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        double flops = peak_flops(isas[i]);
        if (flops > 0) printf(" %s %.0f GFLOP/s,", isas[i], flops / 1e9);
    }
    double flops = peak_flops(cpu_of(dev)->op_tables->isa), copy = peak_copy();
    printf(" read %.1f GB/s, copy %.1f GB/s moved\n", peak_read() / 1e9, copy / 1e9);

    struct checkpoint *c = checkpoint_list(&a, &(struct source){.model = argv[1]});
    struct binder *binders[] = {binder_new(part_of(c, "unet")), binder_new(part_of(c, "vae"))};
    struct unet *unet = unet_bind(binders[0]);
    struct vae *vae = vae_bind(binders[1]);
    step(dev, &a, unet, side);
    decode(dev, vae, side);
    dev->plan_end(dev);
    weights_load(dev, binders, 2);
    inner = dev->own;
    struct ops timed = *inner;
    timed.linear = time_linear, timed.linear_geglu = time_geglu, timed.conv2d = time_conv2d, timed.attention = time_attention;
    timed.group_norm = time_group_norm, timed.layer_norm = time_layer_norm, timed.add = time_add, timed.silu = time_silu;
    dev->own = &timed;
    for (int vae_now = 0; vae_now < 2; vae_now++) {
        for (int i = 0; i < repeats; i++) {
            if (vae_now) decode(dev, vae, side);
            else step(dev, &a, unet, side);
            close_repeat(i == repeats - 1);
        }
        print_table(vae_now ? "VAE decoder" : "UNet step with guidance", flops, copy);
    }
    dev->own = inner;
    dev->close(dev);
    checkpoint_close(c);
    arena_free(&a);
    return 0;
}
