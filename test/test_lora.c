/* LoRA files: what their names mean, what their alphas make of the scale, what is refused, and what is said of them. */
#include "test/files.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

#include "cli/inspect_lora.h"
#include "test/support.h"

static struct arena arena;
static const char *dir;

/* ---- files made here --------------------------------------------------------------------------------------------- */

enum { TENSORS_MAX = 8, VALUES_MAX = 64 };

/* A tensor of this shape, all values `value`; half: as F16. */
struct made {
    const char *name;
    int rank;
    int64_t shape[2];
    float value;
    bool half;
};

static const char *write_made(const struct made *tensors, const char *metadata) {
    struct st_writer *w = st_writer_new(&arena);
    const char *path = arena_strdup(&arena, path_in(dir, "a.safetensors"));
    for (; tensors->name; tensors++) {
        size_t n = 1;
        for (int i = 0; i < tensors->rank; i++) n *= (size_t)tensors->shape[i];
        float *x = arena_array(&arena, n + 1, sizeof *x);
        uint16_t *half = arena_array(&arena, n + 1, sizeof *half);
        for (size_t i = 0; i < n; i++) x[i] = tensors->value, half[i] = f32_to_f16(tensors->value);
        st_writer_add(w, tensors->name, tensors->half ? DT_F16 : DT_F32, tensors->rank, tensors->shape, tensors->half ? (void *)half : x);
    }
    st_write(w, path);
    if (!metadata) return path;
    size_t n;
    char *file = slurp(path, &n), *longer = arena_alloc(&arena, n + strlen(metadata) + 32);
    uint64_t length;
    memcpy(&length, file, sizeof length);
    int more = sprintf(longer + 8, "{\"__metadata__\":{%s},", metadata) - 1;
    length += (uint64_t)more;
    memcpy(longer, &length, sizeof length);
    memcpy(longer + 9 + more, file + 9, n - 9);
    write_file(path, longer, n + (size_t)more);
    free(file);
    return path;
}

#define PAIR(down, up)             \
    {down, 2, {2, 4}, 1, false}, { \
        up, 2, {3, 2}, 1, false    \
    }

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *module, *down, *up, *format, *key;
    } rows[] = {
        {"lora_unet_mid_block_attentions_0_proj_in", ".lora_down.weight", ".lora_up.weight", "kohya",
         "unet/mid_block_attentions_0_proj_in"},
        {"lora_te_text_model_encoder_layers_3_mlp_fc1", ".lora_down.weight", ".lora_up.weight", "kohya",
         "text_encoder/encoder_layers_3_mlp_fc1"},
        {"lora_te1_text_model_encoder_layers_3_mlp_fc1", ".lora_down.weight", ".lora_up.weight", "kohya",
         "text_encoder/encoder_layers_3_mlp_fc1"},
        {"lora_te2_text_projection", ".lora_down.weight", ".lora_up.weight", "kohya", "text_encoder_2/text_projection"},
        {"unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0", ".lora_A.weight", ".lora_B.weight", "PEFT",
         "unet/down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_out_0"},
        {"base_model.model.mid_block.attentions.0.proj_in", ".lora_A.default.weight", ".lora_B.default.weight", "PEFT",
         "unet/mid_block_attentions_0_proj_in"},
        {"text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", ".lora_A.weight", ".lora_B.weight", "PEFT",
         "text_encoder_2/encoder_layers_0_self_attn_q_proj"},
        {"up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_out", "_lora.down.weight", "_lora.up.weight", "diffusers",
         "unet/up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0"},
        {"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k", "_lora.down.weight", "_lora.up.weight", "diffusers",
         "unet/up_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"},
        {"unet.up_blocks.1.attentions.0.proj_in", ".lora.down.weight", ".lora.up.weight", "diffusers",
         "unet/up_blocks_1_attentions_0_proj_in"},
        {"text_encoder.text_model.encoder.layers.1.self_attn.to_out", "_lora.down.weight", "_lora.up.weight", "diffusers",
         "text_encoder/encoder_layers_1_self_attn_out_proj"},
        {"text_encoder.text_model.encoder.layers.1.self_attn.v_proj", ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight",
         "diffusers", "text_encoder/encoder_layers_1_self_attn_v_proj"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made tensors[] = {
            PAIR(arena_printf(&arena, "%s%s", rows[i].module, rows[i].down), arena_printf(&arena, "%s%s", rows[i].module, rows[i].up)),
            {.name = NULL}};
        const struct lora *l = lora_open(&arena, write_made(tensors, NULL));
        assert_int_equal(l->n, 1);
        assert_string_equal(l->format, rows[i].format);
        assert_string_equal(l->modules[0].key, rows[i].key);
        assert_string_equal(l->modules[0].delta.a->name, tensors[1].name); /* up comes first */
        assert_true(l->modules[0].rank == 2 && isnan(l->modules[0].alpha) && l->modules[0].delta.scale == 1);
        st_close(l->file);
    }
}

/* ---- alphas ------------------------------------------------------------------------------------------------------ */

static double scale_of(const struct made *tensors, const char *metadata) {
    const struct lora *l = lora_open(&arena, write_made(tensors, metadata));
    st_close(l->file);
    return l->modules[0].delta.scale;
}

static void test_alphas(void **state) {
    (void)state;
    struct made kohya[] = {
        PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.alpha", 0, {0}, 0.5f, true}, {.name = NULL}};
    struct made peft[] = {PAIR("unet.b.a.lora_A.weight", "unet.b.a.lora_B.weight"), {.name = NULL}};
    struct made loha[] = {{"lora_unet_a.hada_w1_a", 2, {3, 2}, 1, false}, {"lora_unet_a.hada_w1_b", 2, {2, 4}, 1, false},
                          {"lora_unet_a.hada_w2_a", 2, {3, 2}, 1, false}, {"lora_unet_a.hada_w2_b", 2, {2, 4}, 1, false},
                          {"lora_unet_a.alpha", 0, {0}, 3, false},        {.name = NULL}};
    struct made lokr[] = {{"lora_unet_a.lokr_w1", 2, {3, 2}, 1, false},
                          {"lora_unet_a.lokr_w2", 2, {2, 4}, 1, false},
                          {"lora_unet_a.alpha", 0, {0}, 3, false},
                          {.name = NULL}};
    assert_true(scale_of(kohya, NULL) == 0.25);
    assert_true(scale_of(loha, NULL) == 1.5);
    assert_true(scale_of(lokr, NULL) == 1); /* of full rank: alpha has no meaning */
    assert_true(scale_of(peft, NULL) == 1);
#define ADAPTER(text) "\"lora_adapter_metadata\":\"{" text "}\""
    assert_true(scale_of(peft, ADAPTER("\\\"unet.lora_alpha\\\":8,\\\"unet.r\\\":2")) == 4);
    assert_true(scale_of(peft, ADAPTER("\\\"text_encoder.lora_alpha\\\":8")) == 1);
    assert_true(scale_of(peft, ADAPTER("\\\"unet.lora_alpha\\\":8,\\\"unet.alpha_pattern\\\":{\\\"a\\\":6}")) == 3);
    assert_true(scale_of(peft, ADAPTER("\\\"unet.lora_alpha\\\":8,\\\"unet.alpha_pattern\\\":{\\\"c\\\":6}")) == 4);
    assert_true(scale_of(peft, ADAPTER("\\\"unet.lora_alpha\\\":8,\\\"unet.use_rslora\\\":true")) == 8 / sqrt(2));
    assert_dies(65, "no lora_magnitude_vector", scale_of(peft, ADAPTER("\\\"unet.use_dora\\\":true")));
    assert_dies(65, "lora_adapter_metadata", scale_of(peft, ADAPTER("\\\"unet.lora_alpha\\\":\\\"x\\\"")));
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void check_refused(const struct made *tensors, int code, const char *message) {
    const char *path = write_made(tensors, NULL);
    assert_dies(code, message, lora_open(&arena, path));
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        struct made tensors[TENSORS_MAX];
        int code;
        const char *message;
    } rows[] = {
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.alpha", 0, {0}, NAN, false}},
         65,
         "tensor 'lora_unet_a.alpha': not finite"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.alpha", 0, {0}, INFINITY, false}},
         65,
         "not finite"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.alpha", 1, {2}, 1, false}},
         65,
         "expected one floating value"},
        {{{"lora_unet_a.lora_down.weight", 2, {0, 4}, 1, false}, {"lora_unet_a.lora_up.weight", 2, {3, 0}, 1, false}},
         65,
         "module 'lora_unet_a': rank 0"},
        {{{"lora_unet_a.lora_down.weight", 0, {0}, 1, false}, {"lora_unet_a.lora_up.weight", 2, {3, 1}, 1, false}}, 65, "rank 0"},
        {{{"lora_unet_a.lora_down.weight", 2, {2, 4}, 1, false}}, 65, "module 'lora_unet_a': no lora_up"},
        {{{"lora_unet_a.lora_up.weight", 2, {2, 4}, 1, false}}, 65, "module 'lora_unet_a': no lora_down"},
        {{{"lora_unet_a.alpha", 0, {0}, 1, false}}, 65, "module 'lora_unet_a': no lora_down and lora_up"},
        {{{"lora_unet_a.hada_w1_a", 2, {3, 2}, 1, false}, {"lora_unet_a.hada_w1_b", 2, {2, 4}, 1, false}}, 65, "no complete set of hada"},
        {{{"lora_unet_a.lokr_w1", 2, {3, 2}, 1, false}, {"lora_unet_a.lokr_w2_a", 2, {3, 2}, 1, false}}, 65, "no lokr_w2"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.dora_scale", 2, {1, 3}, 1, false}},
         78,
         "tensor 'lora_unet_a.dora_scale': DoRA over the columns: not supported"},
        {{{"lora_unet_a.dora_scale", 2, {3, 1}, 1, false}}, 65, "no lora_down and lora_up"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.lora_mid.weight", 2, {2, 2}, 1, false}},
         78,
         "a Tucker decomposition"},
        {{{"lora_unet_a.diff", 2, {3, 4}, 1, false}}, 78, "a whole difference"},
        {{{"lora_unet_a.w_norm", 1, {3}, 1, false}}, 78, "a norm"},
        {{{"lora_unet_a.on_input", 1, {3}, 1, false}}, 78, "IA3"},
        {{PAIR("lora_unet_a_b.lora_down.weight", "lora_unet_a_b.lora_up.weight"), PAIR("unet.a.b.lora_A.weight", "unet.a.b.lora_B.weight")},
         65,
         "modules 'lora_unet_a_b' and 'unet.a.b' are the same"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"),
          PAIR("lora_unet_a.lora_A.weight", "lora_unet_a.lora_B.weight")},
         65,
         "are the same"},
        {{{"model.diffusion_model.input_blocks.0.0.weight", 2, {2, 2}, 1, false}}, 78, "not a LoRA: none of its 1 tensors is one's"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check_refused(rows[i].tensors, rows[i].code, rows[i].message);
    assert_dies(66, "nonesuch.safetensors: No such file or directory", lora_open(&arena, "nonesuch.safetensors"));
    unlink(path_in(dir, "a.safetensors"));
    assert_dies(66, "expected pytorch_lora_weights.safetensors or one .safetensors file, found 0", lora_open(&arena, dir));
}

/* ---- --inspect --lora --------------------------------------------------------------------------------------------- */

/* What is said of it, without the line, or the key, that names the file. */
static const char *inspected(const struct made *tensors, const char *metadata, bool json) {
    const struct lora *l = lora_open(&arena, write_made(tensors, metadata));
    const char *path = path_in(dir, "said");
    int out = dup(STDOUT_FILENO), file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(out >= 0 && file >= 0 && fflush(stdout) == 0 && dup2(file, STDOUT_FILENO) >= 0);
    inspect_lora(&arena, l, json);
    assert_true(dup2(out, STDOUT_FILENO) >= 0 && close(out) == 0 && close(file) == 0);
    st_close(l->file);
    size_t n;
    char *text = slurp(path, &n), *said = arena_alloc(&arena, n + 1);
    memcpy(said, text, n), said[n] = 0;
    free(text);
    const char *rest = strchr(said, json ? ',' : '\n');
    assert_non_null(rest);
    return rest + 1;
}

#define READS_TEXT(width)                                                                                                                 \
    {                                                                                                                                     \
        {"lora_unet_attn2_to_k.lora_down.weight", 2, {2, width}, 1, false}, {"lora_unet_attn2_to_k.lora_up.weight", 2, {3, 2}, 1, false}, \
        {                                                                                                                                 \
            .name = NULL                                                                                                                  \
        }                                                                                                                                 \
    }

static void test_inspected(void **state) {
    (void)state;
    static const struct {
        struct made tensors[TENSORS_MAX];
        const char *metadata, *said; /* a line of it */
    } rows[] = {
        {READS_TEXT(768), NULL, "base           SD 1.x\n"},
        {READS_TEXT(1024), NULL, "base           SD 2.x\n"},
        {READS_TEXT(2048), NULL, "base           SDXL\n"},
        {READS_TEXT(1280), NULL, "base           SDXL refiner\n"},
        {READS_TEXT(640), NULL, "base           not known\n"},
        {READS_TEXT(640), "\"ss_base_model_version\":\"\",\"modelspec.architecture\":\"x1\"", "base           x1\n"},
        {READS_TEXT(768), "\"ss_base_model_version\":\"sdxl_base_v1-0\"", "base           SD 1.x\n"}, /* its tensors know better */
        {READS_TEXT(768), "\"modelspec.title\":\"a\",\"ss_output_name\":\"b\"", "title          a\n"},
        {READS_TEXT(768), "\"ss_output_name\":\"b\\u001b[2J\"", "title          b\\x1b[2J\n"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"),
          {"lora_te_text_model_encoder_layers_3_mlp_fc1.lora_down.weight", 2, {1, 4}, 1, false},
          {"lora_te_text_model_encoder_layers_3_mlp_fc1.lora_up.weight", 2, {3, 1}, 1, false},
          {"lora_unet_a.alpha", 0, {0}, 3, false},
          {"lora_te_text_model_encoder_layers_3_mlp_fc1.alpha", 0, {0}, 0.5f, true},
          {.name = NULL}},
         NULL,
         "modules        2: 1 of the UNet, 1 of text encoders\nrank           1 to 2\nalpha          0.5 to 3\n"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"lora_unet_a.alpha", 0, {0}, 3, false}, {.name = NULL}},
         NULL,
         "rank           2\nalpha          3\n"},
        {{{"lora_unet_attn2_to_k.lokr_w1", 2, {3, 2}, 1, false}, {"lora_unet_attn2_to_k.lokr_w2", 2, {2, 384}, 1, false}, {.name = NULL}},
         NULL,
         "base           not known\n"},
        {{PAIR("unet.b.a.lora_A.weight", "unet.b.a.lora_B.weight"), {"unet.b.a.lora_magnitude_vector", 1, {3}, 1, false}, {.name = NULL}},
         NULL,
         "format         PEFT, DoRA\n"},
        {{PAIR("lora_unet_a.lora_down.weight", "lora_unet_a.lora_up.weight"), {"nobody", 1, {3}, 1, false}, {.name = NULL}},
         NULL,
         "other          1 tensors that are no module's\n"},
#define TAGS(text) READS_TEXT(768), "\"ss_tag_frequency\":\"{" text "}\""
        {TAGS("\\\"1_a\\\":{\\\"red\\\":2,\\\"snow\\\":9,\\\"fox\\\":2},\\\"1_b\\\":{\\\"sea\\\":5}"),
         "tags           snow, sea, fox, red\n"},
        {TAGS("\\\"1_a\\\":{\\\"red\\\":2,\\\"no\\\":-1,\\\"nor\\\":\\\"9\\\",\\\"deep\\\":{\\\"er\\\":8}}"), "tags           red\n"},
        {TAGS(
             "\\\"a\\\":{\\\"0\\\":1,\\\"1\\\":1,\\\"2\\\":1,\\\"3\\\":1,\\\"4\\\":1,\\\"5\\\":1,\\\"6\\\":1,\\\"7\\\":1,\\\"8\\\":1,\\\"9\\\":1,\\\"a\\\":1}"),
         "tags           0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *said = inspected(rows[i].tensors, rows[i].metadata, false);
        if (!strstr(said, rows[i].said)) fail_msg("row %zu: expected '%s', found '%s'", i, rows[i].said, said);
    }
    struct made one[] = READS_TEXT(768);
    assert_null(strstr(inspected(one, "\"ss_tag_frequency\":\"{\\\"a\\\":{\\\"red\\\":2}, x\"", false), "tags"));
    assert_string_equal(
        inspected(one, "\"modelspec.trigger_phrase\":\"f\\u00f6x\"", true),
        "\"format\":\"kohya\",\"dora\":false,\"title\":null,\"unet_modules\":1,\"text_modules\":0,\"other_tensors\":0,"
        "\"rank_min\":2,\"rank_max\":2,\"alpha_min\":null,\"alpha_max\":null,\"base\":\"SD 1.x\",\"trigger\":\"f\xc3\xb6x\","
        "\"tags\":null}\n");
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names, tear_down),
        cmocka_unit_test_teardown(test_alphas, tear_down),
        cmocka_unit_test_teardown(test_refused, tear_down),
        cmocka_unit_test_teardown(test_inspected, tear_down),
    };
    dir = strdup(temp_dir());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_tree(dir);
    free((char *)dir);
    return failed;
}
