/* DPT's configuration and tensors (transformers configuration_dpt.py, modeling_dpt.py). */
#include "engine/base/config.h"
#include "engine/base/error.h"
#include "engine/nets/dpt.h"

#include <math.h>
#include <string.h>

enum { SIDE_MAX = 4096, CHANNELS_MAX = 1 << 16, HEAD_CHANNELS = 32, HEAD_PROJECTION = 256 };
static const double BATCH_NORM_EPS = 1e-5;

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* One number for both sides, or two that are equal: what comes after sees squares alone. */
static int read_square(const struct json *config, const char *key, int fallback) {
    int64_t sides[2];
    int n = json_int_array(config, key, sides, 2, 1, SIDE_MAX, true);
    if (n == 2 && sides[0] != sides[1])
        die(FAIL_UNSUPPORTED, "%s: '%s': %d x %d: only squares are supported", json_path(config), key, (int)sides[0], (int)sides[1]);
    return n > 0 ? (int)sides[0] : fallback;
}

/* The layers whose output is looked at: transformers takes them in the order they come, each once. */
static void read_taps(struct dpt *m, const struct json *config) {
    int64_t given[8] = {2, 5, 8, 11};
    int n = json_int_array(config, "backbone_out_indices", given, 8, 0, m->layers.n - 1, false), n_found = 0;
    if (n < 0) n = 4;
    for (int layer = 0; layer < m->layers.n; layer++) {
        bool wanted = false;
        for (int i = m->backbone ? 2 : 0; i < n; i++) wanted |= given[i] == layer; /* hybrid: the first two are the ResNet's */
        if (wanted && m->first_token_tap + n_found < DPT_TAPS) m->tap_layers[m->first_token_tap + n_found] = layer;
        n_found += wanted;
    }
    if (m->first_token_tap + n_found != m->n_taps)
        die(FAIL_UNSUPPORTED, "%s: 'backbone_out_indices': %d layers of %d for %d 'neck_hidden_sizes'", json_path(config), n_found,
            m->layers.n, m->n_taps);
}

static void read_neck(struct dpt *m, const struct json *config) {
    int64_t sizes[DPT_TAPS] = {96, 192, 384, 768};
    double factors[DPT_TAPS] = {4, 2, 1, 0.5};
    int n_sizes = json_int_array(config, "neck_hidden_sizes", sizes, DPT_TAPS, 1, CHANNELS_MAX, false);
    int n_factors = json_number_array(config, "reassemble_factors", factors, DPT_TAPS);
    m->n_taps = n_sizes < 0 ? DPT_TAPS : n_sizes;
    if (m->n_taps != DPT_TAPS || (n_factors >= 0 && n_factors != DPT_TAPS))
        die(FAIL_UNSUPPORTED, "%s: 'neck_hidden_sizes' and 'reassemble_factors': only %d of each are supported", json_path(config),
            DPT_TAPS);
    for (int i = 0; i < DPT_TAPS; i++) {
        struct dpt_reassemble *r = &m->reassemble[i];
        double f = factors[i];
        m->neck[i] = (int)sizes[i];
        r->up = r->down = 1;
        if (f >= 1 && f <= DPT_FACTOR_MAX && f == floor(f)) r->up = (int)f;
        else if (f < 1 && f >= 1.0 / DPT_FACTOR_MAX) r->down = (int)(1 / f);
        else die(FAIL_UNSUPPORTED, "%s: 'reassemble_factors': %g is not supported", json_path(config), f);
    }
}

/* With a ResNet in front its first two stages go to the neck as they are. */
static void check_ignored(const struct json *config) {
    int64_t stages[DPT_TAPS] = {0, 1};
    int n = json_int_array(config, "neck_ignore_stages", stages, DPT_TAPS, 0, DPT_TAPS - 1, false);
    if (n >= 0 && (n != 2 || stages[0] + stages[1] != 1))
        die(FAIL_UNSUPPORTED, "%s: 'neck_ignore_stages': only [0, 1] is supported", json_path(config));
}

static void read_config(struct dpt *m, const struct json *config, bool hybrid) {
    static const struct config_only only[] = {
        {"hidden_act", ONLY_STRING, 0, "gelu"}, {"num_channels", ONLY_NUMBER, 3, NULL}, {"backbone", ONLY_NULL, 0, NULL}};
    static const struct config_only own_vit[] = {{"backbone_config", ONLY_NULL, 0, NULL}};
    config_require(config, only, sizeof only / sizeof *only);
    if (!hybrid) config_require(config, own_vit, 1);
    m->image_size = read_square(config, "image_size", 384);
    m->patch_size = read_square(config, "patch_size", 16);
    m->grid = m->image_size / m->patch_size;
    m->first_token_tap = hybrid ? 2 : 0;
    m->hidden_size = (int)json_int(config, "hidden_size", 768, 1, CHANNELS_MAX);
    m->layers = (struct clip_layers){.hidden_size = m->hidden_size, .act = ACT_GELU};
    m->layers.n = (int)json_int(config, "num_hidden_layers", 12, 1, 256);
    m->layers.n_heads = (int)json_int(config, "num_attention_heads", 12, 1, 1024);
    m->layers.intermediate_size = (int)json_int(config, "intermediate_size", 3072, 1, 1 << 20);
    m->layers.eps = (float)json_number(config, "layer_norm_eps", 1e-12, 0, 1);
    m->fusion_size = (int)json_int(config, "fusion_hidden_size", 256, 2, CHANNELS_MAX);
    m->readout =
        (enum dpt_readout)config_choice(config, "readout_type", "project", (const char *const[]){"ignore", "add", "project", NULL});
    read_neck(m, config);
    int head = (int)json_int(config, "head_in_index", -1, -DPT_TAPS, DPT_TAPS - 1);
    m->head_fusion = head < 0 ? DPT_TAPS + head : head;
    if (hybrid) check_ignored(config);
    if (hybrid && m->readout != READOUT_PROJECT) die(FAIL_UNSUPPORTED, "%s: 'readout_type': only project is supported", json_path(config));
    if (m->grid < 1) die(FAIL_UNSUPPORTED, "%s: 'patch_size' %d of an 'image_size' %d", json_path(config), m->patch_size, m->image_size);
    if (m->hidden_size % m->layers.n_heads)
        die(FAIL_UNSUPPORTED, "%s: 'hidden_size' %d is not a multiple of 'num_attention_heads' %d", json_path(config), m->hidden_size,
            m->layers.n_heads);
}

/* ---- tensors made of others -------------------------------------------------------------------------------------- */

/* [1,P,C] as the table it is. */
static struct weight *table_get(struct binder *binder, int P, int C, const char *name) {
    struct weight *w = weight_get(binder, WEIGHT_TABLE, SHAPE(1, P, C), "%s", name);
    w->rank = 2;
    w->shape[0] = P;
    w->shape[1] = C;
    return w;
}

/* Columns [first, first + C) of a matrix [C,2C]. */
static struct weight *half_get(struct binder *binder, int C, int first, const char *name) {
    struct weight *w = weight_get(binder, WEIGHT_MATRIX, SHAPE(C, 2 * C), "%s", name);
    w->shape[1] = C;
    if (!w->parts[0]) return w;
    const struct tensor *turned = tensor_transpose(binder->arena, w->parts[0]);
    weight_made_of(binder, w, tensor_transpose(binder->arena, tensor_rows(binder->arena, turned, first, C)));
    return w;
}

/* A transposed convolution whose stride is its size, [C,K,f,f], paints f x f pixels for each of its input's: those of line dy are
 * one matrix [fK,C], whose rows follow one another as the pixels do. */
static struct weight *line_get(struct binder *binder, int K, int f, int dy, const char *name) {
    struct weight *w = weight_get(binder, WEIGHT_CONV, SHAPE(K, K, f, f), "%s", name);
    const struct tensor *t = w->parts[0];
    w->kind = WEIGHT_MATRIX;
    w->rank = 2;
    w->shape[0] = (int64_t)f * K;
    if (!t) return w;
    const struct tensor **taps = arena_array(binder->arena, (size_t)f, sizeof *taps);
    const struct tensor *by_tap =
        tensor_transpose(binder->arena, tensor_reshape(binder->arena, t, 2, (const int64_t[]){(int64_t)K * K, (int64_t)f * f}));
    for (int dx = 0; dx < f; dx++) {
        const struct tensor *tap = tensor_rows(binder->arena, by_tap, dy * f + dx, 1);
        taps[dx] = tensor_transpose(binder->arena, tensor_reshape(binder->arena, tap, 2, (const int64_t[]){K, K}));
    }
    w->parts = taps;
    w->n_parts = f;
    return w;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static struct weight *qkv_get(struct binder *binder, enum weight_kind kind, int layer, const char *what, int C) {
    static const char *const projections[] = {"query", "key", "value"};
    const char *names[3];
    for (int i = 0; i < 3; i++)
        names[i] = arena_printf(binder->arena, "dpt.encoder.layer.%d.attention.attention.%s.%s", layer, projections[i], what);
    return weight_get_stacked(binder, kind, 3, names, (const int64_t[]){C, C, C}, kind == WEIGHT_VECTOR ? 0 : C);
}

static void layer_bind(struct clip_layer *l, struct binder *binder, int i, int C, int M, bool qkv_bias) {
#define GET(kind, shape, name) weight_get(binder, kind, shape, "dpt.encoder.layer.%d." name, i)
    l->layer_norm1_w = GET(WEIGHT_VECTOR, SHAPE(C), "layernorm_before.weight");
    l->layer_norm1_b = GET(WEIGHT_VECTOR, SHAPE(C), "layernorm_before.bias");
    l->qkv_w = qkv_get(binder, WEIGHT_MATRIX, i, "weight", C);
    l->qkv_b = qkv_bias ? qkv_get(binder, WEIGHT_VECTOR, i, "bias", C) : NULL;
    l->out_proj_w = GET(WEIGHT_MATRIX, SHAPE(C, C), "attention.output.dense.weight");
    l->out_proj_b = GET(WEIGHT_VECTOR, SHAPE(C), "attention.output.dense.bias");
    l->layer_norm2_w = GET(WEIGHT_VECTOR, SHAPE(C), "layernorm_after.weight");
    l->layer_norm2_b = GET(WEIGHT_VECTOR, SHAPE(C), "layernorm_after.bias");
    l->fc1_w = GET(WEIGHT_MATRIX, SHAPE(M, C), "intermediate.dense.weight");
    l->fc1_b = GET(WEIGHT_VECTOR, SHAPE(M), "intermediate.dense.bias");
    l->fc2_w = GET(WEIGHT_MATRIX, SHAPE(C, M), "output.dense.weight");
    l->fc2_b = GET(WEIGHT_VECTOR, SHAPE(C), "output.dense.bias");
#undef GET
}

static void vit_bind(struct dpt *m, struct binder *binder) {
    int C = m->hidden_size, P = m->patch_size;
    bool qkv_bias = json_bool(binder->component->config, "qkv_bias", true);
    m->cls_token = table_get(binder, 1, C, "dpt.embeddings.cls_token");
    m->position_embeddings = table_get(binder, 1 + m->grid * m->grid, C, "dpt.embeddings.position_embeddings");
    int n = m->position_embeddings->parts[0] ? m->grid * m->grid : 0; /* as many as the file really has */
    m->ids = arena_array(binder->arena, (size_t)n + 1, sizeof *m->ids);
    for (int i = 0; i < n; i++) m->ids[i] = 1 + i;
    const char *patches = m->backbone ? "dpt.embeddings.projection" : "dpt.embeddings.patch_embeddings.projection";
    if (m->backbone)
        m->patch_w = weight_get(binder, WEIGHT_CONV, SHAPE(C, m->backbone->stages[BIT_STAGES - 1].C, 1, 1), "%s.weight", patches);
    else m->patch_w = weight_get(binder, WEIGHT_CONV, SHAPE(C, 3, P, P), "%s.weight", patches);
    m->patch_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "%s.bias", patches);
    m->layers.layer = arena_array(binder->arena, (size_t)m->layers.n, sizeof *m->layers.layer);
    for (int i = 0; i < m->layers.n; i++) layer_bind(&m->layers.layer[i], binder, i, C, m->layers.intermediate_size, qkv_bias);
}

static void reassemble_bind(struct dpt_reassemble *r, struct binder *binder, const struct dpt *m, int i) {
    int C = m->hidden_size, K = m->neck[i];
    const char *layer = arena_printf(binder->arena, "neck.reassemble_stage.layers.%d", i);
    if (m->readout == READOUT_PROJECT) {
        const char *readout = arena_printf(binder->arena, "neck.reassemble_stage.readout_projects.%d.0.weight", i);
        r->readout_w = half_get(binder, C, 0, readout);
        r->class_w = half_get(binder, C, C, readout);
        r->readout_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(C), "neck.reassemble_stage.readout_projects.%d.0.bias", i);
    }
    r->projection_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(K, C), "%s.projection.weight", layer);
    r->projection_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(K), "%s.projection.bias", layer);
    if (r->up > 1) {
        const char *bias = arena_printf(binder->arena, "%s.resize.bias", layer), *biases[DPT_FACTOR_MAX];
        int64_t rows[DPT_FACTOR_MAX];
        for (int dy = 0; dy < r->up; dy++) {
            r->up_w[dy] = line_get(binder, K, r->up, dy, arena_printf(binder->arena, "%s.resize.weight", layer));
            biases[dy] = bias;
            rows[dy] = K;
        }
        r->up_b = weight_get_stacked(binder, WEIGHT_VECTOR, r->up, biases, rows, 0);
    } else if (r->down > 1) {
        r->down_w = weight_get(binder, WEIGHT_CONV, SHAPE(K, K, 3, 3), "%s.resize.weight", layer);
        r->down_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(K), "%s.resize.bias", layer);
    }
}

/* The convolution's weight and bias; a batch norm that follows is in them. */
static void residual_conv(struct weight **w, struct weight **b, struct binder *binder, const char *prefix, int i, int F) {
    const struct json *config = binder->component->config;
    bool norm = json_bool(config, "use_batch_norm_in_fusion_residual", false);
    const char *has_bias = "use_bias_in_fusion_residual"; /* null: where no batch norm follows */
    bool bias = json_is_null(config, has_bias) ? !norm : json_bool(config, has_bias, false);
    *w = weight_get(binder, WEIGHT_CONV, SHAPE(F, F, 3, 3), "%s.convolution%d.weight", prefix, i);
    *b = bias ? weight_get(binder, WEIGHT_VECTOR, SHAPE(F), "%s.convolution%d.bias", prefix, i) : NULL;
    if (!norm) return;
    static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
    struct weight *parts[4];
    bool there = (*w)->parts[0] && (!*b || (*b)->parts[0]);
    for (int k = 0; k < 4; k++) {
        parts[k] = weight_get(binder, WEIGHT_VECTOR, SHAPE(F), "%s.batch_norm%d.%s", prefix, i, names[k]);
        there = there && parts[k]->parts[0];
    }
    if (!there) return;
    struct batch_norm folded = {parts[0]->parts[0], parts[1]->parts[0], parts[2]->parts[0], parts[3]->parts[0], BATCH_NORM_EPS};
    const struct tensor *shift = tensor_batch_norm(binder->arena, *b ? (*b)->parts[0] : NULL, &folded);
    weight_made_of(binder, *w, tensor_batch_norm(binder->arena, (*w)->parts[0], &folded));
    if (!*b) *b = parts[1];
    weight_made_of(binder, *b, shift);
}

static void residual_bind(struct dpt_residual *r, struct binder *binder, const char *prefix, int F) {
    residual_conv(&r->conv1_w, &r->conv1_b, binder, prefix, 1, F);
    residual_conv(&r->conv2_w, &r->conv2_b, binder, prefix, 2, F);
}

static void fusion_bind(struct dpt_fusion *f, struct binder *binder, int i, int F) {
    const char *layer = arena_printf(binder->arena, "neck.fusion_stage.layers.%d", i);
    if (i) residual_bind(&f->residual1, binder, arena_printf(binder->arena, "%s.residual_layer1", layer), F);
    residual_bind(&f->residual2, binder, arena_printf(binder->arena, "%s.residual_layer2", layer), F);
    f->projection_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(F, F), "%s.projection.weight", layer);
    f->projection_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(F), "%s.projection.bias", layer);
}

static void head_bind(struct dpt *m, struct binder *binder) {
    int F = m->fusion_size;
    const struct json *config = binder->component->config;
    if (json_bool(config, "add_projection", false)) {
        if (F != HEAD_PROJECTION) die(FAIL_UNSUPPORTED, "%s: 'add_projection' with a 'fusion_hidden_size' of %d", json_path(config), F);
        m->head_projection_w = weight_get(binder, WEIGHT_CONV, SHAPE(F, F, 3, 3), "head.projection.weight");
        m->head_projection_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(F), "head.projection.bias");
    }
    m->head1_w = weight_get(binder, WEIGHT_CONV, SHAPE(F / 2, F, 3, 3), "head.head.0.weight");
    m->head1_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(F / 2), "head.head.0.bias");
    m->head2_w = weight_get(binder, WEIGHT_CONV, SHAPE(HEAD_CHANNELS, F / 2, 3, 3), "head.head.2.weight");
    m->head2_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(HEAD_CHANNELS), "head.head.2.bias");
    m->head3_w = weight_get(binder, WEIGHT_MATRIX, SHAPE(1, HEAD_CHANNELS), "head.head.4.weight");
    m->head3_b = weight_get(binder, WEIGHT_VECTOR, SHAPE(1), "head.head.4.bias");
}

static void backbone_bind(struct dpt *m, struct binder *binder) {
    const struct json *config = binder->component->config;
    m->backbone = bit_bind(binder, json_object(binder->arena, config, "backbone_config"), "dpt.embeddings.backbone.bit");
    for (int i = 0; i < m->first_token_tap; i++)
        if (m->neck[i] != m->backbone->stages[i].C)
            die(FAIL_UNSUPPORTED, "%s: 'neck_hidden_sizes': %d for a stage of %d channels", json_path(config), m->neck[i],
                m->backbone->stages[i].C);
    if ((m->image_size + 15) / 16 != m->grid)
        die(FAIL_UNSUPPORTED, "%s: 'patch_size' %d and 'image_size' %d: the backbone sees a 16th of it", json_path(config), m->patch_size,
            m->image_size);
}

struct dpt *dpt_bind(struct binder *binder) {
    const struct json *config = binder->component->config;
    struct dpt *m = arena_alloc(binder->arena, sizeof *m);
    bool hybrid = json_bool(config, "is_hybrid", false);
    read_config(m, config, hybrid);
    if (hybrid) backbone_bind(m, binder);
    read_taps(m, config);
    vit_bind(m, binder);
    for (int i = 0; i < DPT_TAPS; i++) {
        if (i >= m->first_token_tap) reassemble_bind(&m->reassemble[i], binder, m, i);
        m->neck_conv_w[i] = weight_get(binder, WEIGHT_CONV, SHAPE(m->fusion_size, m->neck[i], 3, 3), "neck.convs.%d.weight", i);
    }
    for (int i = 0; i <= m->head_fusion; i++) fusion_bind(&m->fusion[i], binder, i, m->fusion_size);
    head_bind(m, binder);
    return m;
}
