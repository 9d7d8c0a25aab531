/* Attention of the CUDA device against the CPU's: every kernel and width, tails of queries and keys, slices of one tensor, shared
 * keys, the causal mask, what is not aligned, large scores, values that are not finite. */
#include "test/pair.h"

/* Both devices start from the same 16-bit numbers and add in f32. What is left: the probabilities are rounded to 16 bits before they
 * meet the values, which by themselves are at most 1, and the result is rounded once more: half a unit in the last place of 1 each,
 * 2^-11 in f16 and 2^-8 in bf16. f32 runs round nothing but sums, in another order. */
static double tolerance_of(enum dtype dtype) {
    return dtype == DT_F16 ? 0x1p-10 : dtype == DT_BF16 ? 0x1p-7 : 5e-6;
}

struct attention_case {
    const char *name;
    int N, Hq, Wq, Tk, n_heads, D;
    bool causal, shared; /* one k and v for all images */
    int pad;             /* channels beside the tensors */
    float scale;         /* of q: how peaked the softmax is */
    /* made from them */
    struct operand *q, *k, *v, *y;
    bool sliced; /* q, k, v are thirds of the operand q (Tk = Tq), or k, v halves of the operand k */
};

static void call(struct device *dev, int side, void *data) {
    const struct attention_case *c = data;
    int C = c->n_heads * c->D;
    struct view q = c->q->view[side], k = c->k->view[side], v = c->v->view[side];
    if (c->sliced) {
        bool all = c->q == c->k;
        k = view_slice(c->k->view[side], all ? C : 0, C);
        v = view_slice(c->k->view[side], all ? 2 * C : C, C);
        q = view_slice(q, 0, C);
    }
    dev->ops->attention(dev, c->y->view[side], q, k, v, c->n_heads, c->causal);
}

/* sliced: 0 not at all, 1 thirds of one tensor, 2 k and v halves of one. */
static struct pair *run(struct attention_case *c, enum dtype dtype, int sliced) {
    struct pair *p = pair_open(dtype);
    int C = c->n_heads * c->D, images = c->shared ? 1 : c->N;
    c->sliced = sliced > 0;
    c->q = operand_new(p, 1, c->N, c->Hq, c->Wq, sliced == 1 ? 3 * C : C, c->pad, c->scale, 0);
    c->k = sliced == 1 ? c->q : operand_new(p, 2, images, 1, c->Tk, sliced == 2 ? 2 * C : C, c->pad, 1, 0);
    c->v = sliced ? c->k : operand_new(p, 3, images, 1, c->Tk, C, c->pad, 1, 0);
    c->y = operand_new(p, 4, c->N, c->Hq, c->Wq, C, c->pad, 1, 0);
    pair_run(p, call, c);
    return p;
}

static void check(struct attention_case c, enum dtype dtype, int sliced) {
    char name[160];
    struct pair *p = run(&c, dtype, sliced);
    snprintf(name, sizeof name, "%s: N %d Tq %dx%d Tk %d heads %d D %d pad %d%s%s%s", c.name, c.N, c.Hq, c.Wq, c.Tk, c.n_heads, c.D, c.pad,
             c.causal ? " causal" : "", c.shared ? " shared" : "", sliced ? " sliced" : "");
    operand_compare(p, name, c.y, tolerance_of(dtype));
    pair_close(p);
}

static const enum dtype all_types[] = {DT_F16, DT_BF16, DT_F32};

/* Every kernel of every width, and widths between them, which are padded. The numbers of keys pick the kernel: up to 96, more. */
static void test_widths(void **state) {
    (void)state;
    static const int widths[] = {8, 40, 48, 64, 72, 80, 88, 128, 160, 176, 256};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int t = 0; t < 2; t++) {
            check((struct attention_case){"short", 1, 1, 20, 77, 2, widths[i], .scale = 4}, all_types[t], 0);
            check((struct attention_case){"flash", 1, 1, 20, 100, 2, widths[i], .scale = 4}, all_types[t], 0);
        }
    for (int t = 0; t < 2; t++) {
        check((struct attention_case){"wide", 1, 1, 20, 100, 1, 264, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"wide", 1, 5, 8, 130, 1, 512, .scale = 4}, all_types[t], 0);
    }
}

/* The kernels that have two sizes take the larger one where it fills the GPU, and blocks of the short kernel take their turns at the
 * queries: on the emulated GPU, of few processors, soon. */
static void test_large_blocks(void **state) {
    (void)state;
    static const int widths[] = {40, 64, 80};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int t = 0; t < 2; t++)
            check((struct attention_case){"large blocks", 2, 1, 130, 97, 4, widths[i], .scale = 4}, all_types[t], 0);
    check((struct attention_case){"few blocks", 2, 1, 150, 20, 8, 16, .scale = 4}, DT_F16, 0);
}

static void test_tails(void **state) {
    (void)state;
    static const int lengths[] = {1, 7, 15, 16, 17, 63, 64, 65, 77, 100, 129};
    const int n = sizeof lengths / sizeof *lengths;
    for (int i = 0; i < n; i++)
        for (int t = 0; t < 3; t++) {
            check((struct attention_case){"keys", 1, 1, 9, lengths[i], 1, 24, .scale = 4}, all_types[t], 0);
            check((struct attention_case){"queries", 1, 1, lengths[i], 20, 1, 24, .scale = 4}, all_types[t], 0);
            check((struct attention_case){"both", 1, 1, lengths[i], lengths[(i + 9) % n], 1, 40, .scale = 4}, all_types[t], 0);
        }
}

/* The shapes of the models, with fewer heads and pixels. */
static void test_models(void **state) {
    (void)state;
    for (int t = 0; t < 3; t++) {
        check((struct attention_case){"text", 2, 1, 77, 77, 2, 64, .causal = true, .scale = 2}, all_types[t], 1);
        check((struct attention_case){"sd1 self", 2, 12, 9, 108, 2, 40, .scale = 2}, all_types[t], 1);
        check((struct attention_case){"sd1 self 8x8", 2, 8, 8, 64, 2, 160, .scale = 2}, all_types[t], 1);
        check((struct attention_case){"sd1 cross", 2, 12, 9, 77, 2, 80, .scale = 4}, all_types[t], 2);
        check((struct attention_case){"sd2 cross, one text", 3, 6, 5, 77, 2, 64, .shared = true, .scale = 4}, all_types[t], 2);
        check((struct attention_case){"two texts long", 2, 6, 5, 154, 1, 64, .shared = true, .scale = 4}, all_types[t], 2);
        check((struct attention_case){"vae, ddpm-cat", 1, 9, 8, 72, 1, 512, .scale = 2}, all_types[t], 1);
        check((struct attention_case){"strided", 2, 3, 5, 33, 3, 40, .pad = 16, .scale = 4}, all_types[t], 0);
    }
}

/* Tiles on, below and beyond the diagonal; more queries than keys, and fewer. */
static void test_causal(void **state) {
    (void)state;
    for (int t = 0; t < 3; t++) {
        check((struct attention_case){"flash", 1, 1, 150, 150, 1, 40, .causal = true, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"flash", 1, 1, 70, 150, 1, 200, .causal = true, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"short", 1, 1, 100, 50, 1, 24, .causal = true, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"wide", 1, 1, 100, 130, 1, 320, .causal = true, .scale = 4}, all_types[t], 0);
    }
}

/* Rows of no multiple of 16 bytes, widths of no multiple of 8, heads wider than 512. */
static void test_plain(void **state) {
    (void)state;
    for (int t = 0; t < 3; t++) {
        check((struct attention_case){"odd width", 1, 1, 20, 33, 3, 5, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"odd rows", 2, 1, 70, 30, 1, 40, .pad = 3, .shared = true, .scale = 4}, all_types[t], 0);
        check((struct attention_case){"odd slices", 1, 1, 66, 66, 2, 30, .causal = true, .pad = 1, .scale = 2}, all_types[t], 1);
        check((struct attention_case){"wider than all", 1, 1, 5, 9, 1, 1024, .scale = 4}, all_types[t], 0);
    }
}

/* Scores of tens of thousands, of which one wins or several are equal: nothing overflows. The scores themselves, sums in f32 of
 * numbers so large, differ by their rounding, so the keys repeat in pairs: v is then the mean of two, whatever the rounding. */
static void test_large_scores(void **state) {
    (void)state;
    static const int lengths[] = {60, 140}, widths[] = {40, 256, 512};
    for (int t = 0; t < 2; t++)
        check((struct attention_case){"rising by 2^16 and more", 1, 1, 70, 300, 2, 40, .scale = 32}, all_types[t], 0);
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 2; i++)
            for (int d = 0; d < 3; d++) {
                struct attention_case c = {"large scores", 1, 1, 20, lengths[i], 1, widths[d], .scale = 4096};
                struct pair *p = pair_open(all_types[t]);
                c.q = operand_new(p, 1, 1, 1, 20, c.D, 0, 4096, 0);
                c.k = operand_new(p, 2, 1, 1, c.Tk, c.D, 0, 2048, 0);
                c.v = operand_new(p, 3, 1, 1, c.Tk, c.D, 0, 1, 0);
                c.y = operand_new(p, 4, 1, 1, 20, c.D, 0, 1, 0);
                for (int key = 1; key < c.Tk; key += 2)
                    memcpy(c.k->host + (size_t)key * (size_t)c.D, c.k->host + (size_t)(key - 1) * (size_t)c.D, (size_t)c.D * sizeof(float));
                pair_run(p, call, &c);
                operand_compare(p, "large scores", c.y, tolerance_of(all_types[t]));
                pair_close(p);
            }
}

/* A NaN in q makes its row of its head NaN, in k all rows, in v its column; the rest is finite. */
static void test_nan(void **state) {
    (void)state;
    static const int widths[] = {40, 64, 320}, lengths[] = {30, 120};
    for (int t = 0; t < 3; t++)
        for (int w = 0; w < 3; w++)
            for (int l = 0; l < 2; l++)
                for (int which = 0; which < 3; which++) {
                    enum { TQ = 20, ROW = 11, COLUMN = 5 };
                    struct attention_case c = {"nan", 1, 1, TQ, lengths[l], 2, widths[w], .scale = 4};
                    struct pair *p = pair_open(all_types[t]);
                    int C = 2 * c.D;
                    struct operand *in[3];
                    for (int i = 0; i < 3; i++) in[i] = operand_new(p, i, 1, 1, i ? c.Tk : TQ, C, 0, 1, 0);
                    in[which]->host[ROW * C + COLUMN] = NAN;
                    c.q = in[0], c.k = in[1], c.v = in[2], c.y = operand_new(p, 4, 1, 1, TQ, C, 0, 1, 0);
                    pair_run(p, call, &c);
                    float *y = malloc(sizeof(float) * TQ * (size_t)C);
                    p->device[CUDA_SIDE]->ops->download(p->device[CUDA_SIDE], y, c.y->view[CUDA_SIDE]);
                    for (int i = 0; i < TQ; i++)
                        for (int j = 0; j < C; j++) {
                            bool want = j < c.D && (which == 0 ? i == ROW : which == 1 ? true : j == COLUMN);
                            if (isfinite(y[i * C + j]) == want)
                                fail_msg("nan in %c, %s, D %d, %d keys: y[%d,%d] is %g", "qkv"[which], dtype_table[all_types[t]].name, c.D,
                                         c.Tk, i, j, (double)y[i * C + j]);
                        }
                    free(y);
                    pair_close(p);
                }
}

int main(void) {
    setenv("EMU_SM", "4", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),       cmocka_unit_test(test_large_blocks), cmocka_unit_test(test_tails),
        cmocka_unit_test(test_models),       cmocka_unit_test(test_causal),       cmocka_unit_test(test_plain),
        cmocka_unit_test(test_large_scores), cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
