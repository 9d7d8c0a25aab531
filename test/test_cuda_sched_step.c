/* The denoising loop's ops over whole schedules of random rows: every coefficient, push, save and drop, every clip, learned variance,
 * histories of 0 to 5, guidance of two and three copies, rescaled, several images. The CUDA device, launch by launch and as a recording
 * replayed, against the CPU device; the two ways of the CUDA device agree to the last bit. What a row does not use is NaN. */
#include "schedulers/scheduler.h"
#include "test/pair.h"

enum { ROWS_MAX = 80 };

struct setup {
    int N, H, W, C;
    int pad;    /* channels beside the model's output */
    int copies; /* of the latents: guidance */
    float rescale;
    int depth;
    bool saves;
    enum sched_clip clip; /* of some rows */
    enum sched_variance variance;
    int n_rows, n_temb;
};

/* ---- random rows ------------------------------------------------------------------------------------------------- */

struct random {
    int seed;
    size_t next;
};
static float uniform(struct random *r) {
    return pair_value(r->seed, r->next++);
}
static bool chance(struct random *r, float p) {
    return uniform(r) < 2 * p - 1;
}
/* Sometimes 0, as most coefficients of real rows are. */
static float coefficient(struct random *r) {
    return chance(r, 0.25f) ? 0 : 0.6f * uniform(r);
}

static void make_rows(struct sched_row *rows, const struct setup *s, int n_rows, int seed) {
    struct random r = {seed, 0};
    int held = 0; /* values of the history */
    bool saved = false;
    for (int i = 0; i < n_rows; i++) {
        struct sched_row *row = &rows[i];
        *row = (struct sched_row){.in_scale = uniform(&r), .dx = coefficient(&r), .de = coefficient(&r), .clip_value = 0.4f};
        row->clip = chance(&r, 0.3f) ? CLIP_NONE : s->clip;
        if (row->clip == CLIP_QUANTILE) row->clip_value = 1.5f, row->clip_quantile = 0.7f + 0.3f * uniform(&r), row->de *= 5;
        row->push = s->depth > 0 && chance(&r, 0.8f);
        if (row->push && held < s->depth) held++;
        row->save = s->saves && chance(&r, 0.5f);
        if (row->save) row->ax = coefficient(&r), row->as = saved ? coefficient(&r) : 0;
        saved |= row->save;
        row->cx = coefficient(&r), row->ce = coefficient(&r), row->cs = saved ? coefficient(&r) : 0;
        for (int k = 0; k < held || k == 0; k++) {
            row->ad[k] = row->save ? coefficient(&r) : 0;
            row->cd[k] = coefficient(&r);
        }
        row->noise = chance(&r, 0.5f);
        row->cz = row->noise ? coefficient(&r) : 0;
        row->variance = s->variance;
        row->min_log = -4, row->max_log = -0.5f;
        row->drop = held > 0 && chance(&r, 0.3f) ? 1 + (held > 1 && chance(&r, 0.3f)) : 0;
        held -= row->drop;
    }
}

/* ---- one schedule on one device ---------------------------------------------------------------------------------- */

struct loop {
    struct device *dev;
    const struct setup *setup;
    struct latents l;
    struct view table, temb, input, out;
};

static size_t latents_size(const struct setup *s) {
    return (size_t)s->N * (size_t)s->H * (size_t)s->W * (size_t)s->C;
}

static struct view view_new(struct device *dev, int N, int H, int W, int C, int pad) {
    size_t bytes = (size_t)N * (size_t)H * (size_t)W * (size_t)(C + pad) * dtype_table[dev->dtype].size;
    return (struct view){dev->alloc(dev, bytes), N, H, W, C, C + pad, dev->dtype, (size_t)H * (size_t)W * (size_t)(C + pad)};
}

static void step(void *data) {
    struct loop *loop = data;
    const struct ops *op = loop->dev->ops;
    int copies = loop->input.N / loop->setup->N;
    op->next_row(loop->dev, loop->temb, loop->table);
    op->row_input(loop->dev, loop->input, &loop->l, copies);
    op->sched_step(loop->dev, &loop->l, loop->out, (struct guidance){3.5f, 1.5f, loop->setup->rescale});
}

static struct loop loop_open(struct device *dev, const struct setup *s) {
    size_t n = latents_size(s);
    struct loop loop = {.dev = dev, .setup = s, .l = {.N = s->N, .H = s->H, .W = s->W, .C = s->C}};
    float **parts[] = {&loop.l.x, &loop.l.e, &loop.l.z, &loop.l.saved};
    for (size_t i = 0; i < 3 + (size_t)s->saves; i++) *parts[i] = dev->alloc(dev, n * sizeof(float));
    for (int k = 0; k < s->depth; k++) loop.l.d[k] = dev->alloc(dev, n * sizeof(float));
    int images = s->copies * s->N;
    loop.input = view_new(dev, images, s->H, s->W, s->C, s->pad);
    loop.out = view_new(dev, images, s->H, s->W, s->variance ? 2 * s->C : s->C, s->pad);
    loop.table = view_new(dev, 1, 1, ROWS_MAX, s->n_temb, 0);
    if (s->n_temb > 1) loop.temb = view_new(dev, 1, 1, 1, s->n_temb, 0);
    else loop.table = loop.temb = view_dense(NULL, dev->dtype, 1, 1, 1, 1);
    return loop;
}

/* What is seen after each row: x, e, saved, the model's input, its time embedding. */
static size_t seen_per_row(const struct setup *s) {
    return 3 * latents_size(s) + (size_t)s->copies * latents_size(s) + (size_t)s->n_temb;
}

static void upload_all_nan(struct loop *loop, float *p) {
    const struct setup *s = loop->setup;
    float *nan = malloc(latents_size(s) * sizeof *nan);
    for (size_t i = 0; i < latents_size(s); i++) nan[i] = NAN;
    loop->dev->ops->upload_latents(loop->dev, p, nan, s->N, s->H, s->W, s->C);
    free(nan);
}

static void start(struct loop *loop, enum dtype dtype, const struct sched_row *rows, int n_rows, int seed) {
    const struct setup *s = loop->setup;
    struct device *dev = loop->dev;
    size_t n = latents_size(s), n_table = (size_t)ROWS_MAX * (size_t)s->n_temb;
    float *x = malloc((n > n_table ? n : n_table) * sizeof *x);
    for (size_t i = 0; i < n_table; i++) x[i] = round_to(dtype, pair_value(seed + 1, i));
    if (loop->table.p) dev->ops->upload(dev, loop->table, x);
    for (size_t i = 0; i < n; i++) x[i] = 2 * pair_value(seed + 2, i);
    dev->ops->upload_latents(dev, loop->l.x, x, s->N, s->H, s->W, s->C);
    if (loop->l.saved) upload_all_nan(loop, loop->l.saved);
    for (int k = 0; k < s->depth; k++) upload_all_nan(loop, loop->l.d[k]);
    dev->ops->set_schedule(dev, rows, n_rows, s->depth);
    free(x);
}

/* The model's output and the noise of row i. */
static void feed(struct loop *loop, enum dtype dtype, const struct sched_row *row, int seed) {
    const struct setup *s = loop->setup;
    struct device *dev = loop->dev;
    size_t n = view_rows(loop->out) * (size_t)loop->out.C;
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = pair_value(seed, i);
        if (s->variance == VARIANCE_LEARNED && (int)(i % (size_t)loop->out.C) >= s->C) x[i] = fabsf(x[i]);
        x[i] = round_to(dtype, x[i]);
    }
    dev->ops->upload(dev, loop->out, x);
    if (row->noise) {
        for (size_t i = 0; i < latents_size(s); i++) x[i] = pair_value(seed + 1, i);
        dev->ops->upload_latents(dev, loop->l.z, x, s->N, s->H, s->W, s->C);
    } else {
        upload_all_nan(loop, loop->l.z);
    }
    free(x);
}

static void look(struct loop *loop, float *seen) {
    const struct setup *s = loop->setup;
    struct device *dev = loop->dev;
    size_t n = latents_size(s);
    float *parts[] = {loop->l.x, loop->l.e, loop->l.saved};
    for (int i = 0; i < 3; i++, seen += n)
        if (parts[i]) dev->ops->download_latents(dev, seen, parts[i], s->N, s->H, s->W, s->C);
    dev->ops->download(dev, seen, loop->input);
    seen += view_rows(loop->input) * (size_t)s->C;
    if (loop->temb.p) dev->ops->download(dev, seen, loop->temb);
}

/* seen [n_rows, seen_per_row]; dtype: what the operands are rounded to. */
static void run_schedule(struct loop *loop, enum dtype dtype, const struct sched_row *rows, int n_rows, int seed, bool replayed,
                         float *seen) {
    struct recording *recording = loop->dev->recording_new(loop->dev);
    start(loop, dtype, rows, n_rows, seed);
    for (int i = 0; i < n_rows; i++) {
        feed(loop, dtype, &rows[i], seed + 10 * i);
        if (replayed) loop->dev->replay(loop->dev, recording, step, loop, sizeof *loop);
        else step(loop);
        look(loop, seen + (size_t)i * seen_per_row(loop->setup));
    }
    loop->dev->recording_free(loop->dev, recording);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

struct seen {
    const char *name;
    size_t first, n;
    double tolerance; /* of the largest value; the input: of one unit in the last place, in case an x rounds the other way */
    bool from_first_save;
};

static void compare_row(const struct setup *s, enum dtype dtype, int i, bool saved, const float *want, const float *got) {
    size_t n = latents_size(s), n_input = (size_t)s->copies * n;
    double unit = dtype == DT_F16 ? 0x1p-10 : dtype == DT_BF16 ? 0x1p-7 : 0;
    /* f32 sums of up to ten products, over up to 24 rows */
    const struct seen parts[] = {{"x", 0, n, 1e-5, false},
                                 {"e", n, n, 2e-6, false},
                                 {"saved", 2 * n, saved ? n : 0, 1e-5, true},
                                 {"input", 3 * n, n_input, unit + 1e-5, false},
                                 {"temb", 3 * n + n_input, s->n_temb > 1 ? (size_t)s->n_temb : 0, 0, false}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        double most = 1;
        for (size_t j = parts[p].first; j < parts[p].first + parts[p].n; j++) most = fmax(most, fabs((double)want[j]));
        for (size_t j = parts[p].first; j < parts[p].first + parts[p].n; j++) {
            double error = fabs((double)want[j] - (double)got[j]);
            if (!(error <= parts[p].tolerance * most))
                fail_msg("%dx%dx%dx%d depth=%d %s, row %d: %s[%zu]: CPU %.9g, CUDA %.9g, error %.3g > %.3g", s->N, s->H, s->W, s->C,
                         s->depth, dtype_table[dtype].name, i, parts[p].name, j - parts[p].first, (double)want[j], (double)got[j], error,
                         parts[p].tolerance * most);
        }
    }
}

static void compare_bytes(const struct setup *s, int n_rows, const float *eager, const float *replayed) {
    for (size_t i = 0; i < (size_t)n_rows * seen_per_row(s); i++)
        if (memcmp(&eager[i], &replayed[i], sizeof *eager) != 0)
            fail_msg("depth=%d: row %zu, value %zu: %.9g, replayed %.9g", s->depth, i / seen_per_row(s), i % seen_per_row(s),
                     (double)eager[i], (double)replayed[i]);
}

/* Two schedules one after the other on the same devices, the second longer and otherwise clipped, so that a recording must go. */
static void run_setup(struct setup s, enum dtype dtype) {
    struct loop loops[3]; /* CPU; CUDA launch by launch; CUDA replayed */
    float *seen[3];
    for (int i = 0; i < 3; i++) {
        struct device *dev = i == 0 ? cpu_device_open(DT_F32, 2) : cuda_device_open(dtype, -1);
        loops[i] = loop_open(dev, &s);
        step(&loops[i]); /* plans */
        dev->plan_end(dev);
        seen[i] = calloc(ROWS_MAX * seen_per_row(&s), sizeof(float));
    }
    struct sched_row rows[ROWS_MAX];
    for (int pass = 0; pass < 2; pass++) {
        int seed = 100 * pass + s.depth, n_rows = s.n_rows + 5 * pass;
        if (pass == 1 && s.clip == CLIP_FIXED) s.clip = CLIP_QUANTILE;
        make_rows(rows, &s, n_rows, seed);
        for (int i = 0; i < 3; i++) run_schedule(&loops[i], dtype, rows, n_rows, seed, i == 2, seen[i]);
        bool saved = false;
        for (int i = 0; i < n_rows; i++) {
            size_t at = (size_t)i * seen_per_row(&s);
            saved |= rows[i].save;
            compare_row(&s, dtype, i, saved, seen[0] + at, seen[1] + at);
        }
        compare_bytes(&s, n_rows, seen[1], seen[2]);
    }
    for (int i = 0; i < 3; i++) loops[i].dev->close(loops[i].dev), free(seen[i]);
}

static void run_setups(const struct setup *setups, size_t n) {
    static const enum dtype dtypes[] = {DT_F16, DT_BF16, DT_F32};
    for (size_t i = 0; i < n; i++)
        for (size_t t = 0; t < 3; t++) run_setup(setups[i], dtypes[t]);
}
#define RUN_SETUPS(setups) run_setups(setups, sizeof setups / sizeof *setups)

static void test_rows(void **state) {
    (void)state;
    static const struct setup setups[] = {
        /* N H W C  pad copies rescale depth saves clip variance rows temb */
        {1, 8, 8, 4, 0, 2, 0, 0, false, CLIP_NONE, VARIANCE_PLANNED, 6, 64},
        {1, 8, 8, 4, 0, 2, 0, 1, true, CLIP_FIXED, VARIANCE_PLANNED, 12, 40},
        {2, 5, 7, 4, 0, 2, 0, 2, true, CLIP_NONE, VARIANCE_PLANNED, 12, 9000},
        {1, 6, 9, 3, 5, 1, 0, 3, false, CLIP_FIXED, VARIANCE_PLANNED, 12, 33},
        {3, 4, 4, 4, 4, 2, 0, 4, true, CLIP_NONE, VARIANCE_PLANNED, 16, 1},
        {1, 2, 3, 4, 0, 1, 0, 2, true, CLIP_NONE, VARIANCE_PLANNED, 70, 1},
        {2, 3, 5, 4, 0, 1, 0, 5, true, CLIP_FIXED, VARIANCE_PLANNED, 19, 8},
        {2, 5, 4, 4, 3, 3, 0, 2, true, CLIP_FIXED, VARIANCE_PLANNED, 10, 8},
    };
    RUN_SETUPS(setups);
}

static void test_quantile(void **state) {
    (void)state;
    static const struct setup setups[] = {
        {1, 32, 32, 4, 0, 2, 0, 2, false, CLIP_QUANTILE, VARIANCE_PLANNED, 6, 8},
        {3, 4, 3, 4, 3, 2, 0.7f, 1, true, CLIP_QUANTILE, VARIANCE_PLANNED, 10, 8},
        {2, 1, 1, 1, 0, 1, 0, 1, false, CLIP_QUANTILE, VARIANCE_PLANNED, 8, 8},
    };
    RUN_SETUPS(setups);
}

static void test_rescale(void **state) {
    (void)state;
    static const struct setup setups[] = {
        {1, 16, 16, 4, 0, 2, 0.7f, 1, false, CLIP_NONE, VARIANCE_PLANNED, 6, 16},
        {3, 5, 5, 4, 0, 2, 1, 2, true, CLIP_FIXED, VARIANCE_PLANNED, 8, 16},
        {2, 5, 5, 4, 0, 3, 0.7f, 1, false, CLIP_FIXED, VARIANCE_PLANNED, 8, 16},
        {2, 5, 5, 3, 0, 1, 0.5f, 1, false, CLIP_NONE, VARIANCE_PLANNED, 6, 16}, /* no guidance: nothing to rescale */
    };
    RUN_SETUPS(setups);
}

static void test_learned_variance(void **state) {
    (void)state;
    static const struct setup setups[] = {
        {1, 8, 8, 3, 0, 1, 0, 0, false, CLIP_FIXED, VARIANCE_LEARNED, 8, 24},
        {2, 6, 5, 3, 2, 1, 0, 1, true, CLIP_FIXED, VARIANCE_RANGE, 12, 24},
    };
    RUN_SETUPS(setups);
}

/* With an argument: those of that name alone. */
int main(int argc, char **argv) {
    if (argc == 2) cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_rescale),
        cmocka_unit_test(test_learned_variance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
