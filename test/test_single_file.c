/* Single files: what they are recognised as, and that every tensor of the true models is found under its name there, by a table that
 * diffusers' own converters made (test/reference/make_key_maps.py). */
#include "test/files.h"

#include <zlib.h>

#include "engine/files/checkpoint.h"
#include "engine/files/safetensors.h"
#include "test/support.h"

static struct arena arena;

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *family;
    const struct single_kind *kind;
    int n_stored; /* tensors of the file that some part asks for */
} families[] = {{"sd15", &single_sd1, 1130},
                {"sd21", &single_sd2, 686 + 248 + 280},
                {"xl", &single_xl, 1680 + 248 + 196 + 389},
                {"refiner", &single_xl_refiner, 1220 + 248 + 389}};

static enum take take_of(const char *letter) {
    return *letter == 'T' ? TAKE_TRANSPOSED : *letter == '-' ? TAKE_ALL : (enum take)(TAKE_THIRD_1 + *letter - '1');
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every name of ours leads to theirs, and all of theirs are led to. */
static void test_key_maps(void **state) {
    (void)state;
    static char line[1024];
    char **stored[4];
    int n[4] = {0};
    for (int i = 0; i < 4; i++) stored[i] = arena_array(&arena, 4096, sizeof(char *));
    gzFile f = gzopen("test/fixtures/key_maps.txt.gz", "rb");
    must(f != NULL, "test/fixtures/key_maps.txt.gz");
    while (gzgets(f, line, sizeof line)) {
        char family[16], part[32], ours[256], letter[4], theirs[256];
        assert_int_equal(sscanf(line, "%15s %31s %255s %3s %255s", family, part, ours, letter, theirs), 5);
        int k = 0;
        while (strcmp(families[k].family, family)) k++;
        const struct single_part *p = single_part_find(families[k].kind, part);
        assert_non_null(p);
        enum take take;
        const char *got = dialect_name(&arena, &(struct dialect){p->prefixes[0], p->renames}, ours, &take);
        if (!got || strcmp(got, theirs) != 0 || take != take_of(letter))
            fail_msg("%s %s: %s, expected %s (%s)", family, ours, got ? got : "none", theirs, letter);
        stored[k][n[k]++] = arena_strdup(&arena, theirs);
    }
    gzclose(f);
    for (int k = 0; k < 4; k++) {
        int different = 0;
        qsort(stored[k], (size_t)n[k], sizeof(char *), compare_texts);
        for (int i = 0; i < n[k]; i++) different += i == 0 || strcmp(stored[k][i - 1], stored[k][i]) != 0;
        assert_int_equal(different, families[k].n_stored);
    }
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

#define UNET "model.diffusion_model."
#define CROSS UNET "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"

struct named {
    const char *name;
    int64_t rows, columns;
};

/* A file of these tensors, [rows,columns], all `value`s of turning sign. */
static struct st_file *file_of(const char *dir, const struct named *tensors, float value) {
    struct st_writer *w = st_writer_new(&arena);
    for (; tensors->name; tensors++) {
        size_t n = (size_t)(tensors->rows * tensors->columns);
        float *x = arena_array(&arena, n, sizeof *x);
        for (size_t i = 0; i < n; i++) x[i] = i % 2 ? value : -value;
        st_writer_add(w, tensors->name, DT_F32, 2, (const int64_t[]){tensors->rows, tensors->columns}, x);
    }
    const char *path = path_in(dir, "a.safetensors");
    st_write(w, path);
    return st_open(&arena, path);
}

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        struct named tensors[4];
        float value;
        const struct single_kind *kind;
        const char *prediction;
    } rows[] = {
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {CROSS, 1, 768}}, 1, &single_sd1, "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 9}, {CROSS, 1, 768}}, 1, &single_sd1_inpaint, "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {CROSS, 1, 1024}}, 1, &single_sd2_base, "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {CROSS, 1, 1024}, {UNET "output_blocks.11.1.transformer_blocks.0.norm1.bias", 1, 320}},
         0.08f,
         &single_sd2_base,
         "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {CROSS, 1, 1024}, {UNET "output_blocks.11.1.transformer_blocks.0.norm1.bias", 1, 320}},
         0.1f,
         &single_sd2,
         "v_prediction"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {CROSS, 1, 1024}, {"v_pred", 0, 1}}, 1, &single_sd2_base, "v_prediction"},
        {{{UNET "input_blocks.0.0.weight", 2, 9}, {CROSS, 1, 1024}}, 1, &single_sd2_inpaint, "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {"conditioner.embedders.1.model.positional_embedding", 1, 1}}, 1, &single_xl, "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {"conditioner.embedders.1.model.positional_embedding", 1, 1}, {"v_pred", 0, 1}},
         1,
         &single_xl,
         "v_prediction"},
        {{{UNET "input_blocks.0.0.weight", 2, 9}, {"conditioner.embedders.1.model.positional_embedding", 1, 1}},
         1,
         &single_xl_inpaint,
         "epsilon"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {"conditioner.embedders.0.model.positional_embedding", 1, 1}},
         1,
         &single_xl_refiner,
         "epsilon"},
    };
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct st_file *f = file_of(dir, rows[i].tensors, rows[i].value);
        const struct single_kind *kind = single_kind_of(f);
        if (kind != rows[i].kind) fail_msg("row %zu: %s", i, kind->name);
        assert_string_equal(single_prediction_of(f, kind).type, rows[i].prediction);
        st_close(f);
    }
    remove_tree(dir);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        struct named tensors[4];
        const char *message;
    } rows[] = {
        {{{UNET "input_blocks.0.0.weight", 2, 8}}, "8 input channels"},
        {{{UNET "input_blocks.0.0.weight", 2, 4}, {UNET "input_blocks.10.0.skip_connection.bias", 1, 1}}, "an x4 upscaler"},
        {{{"control_model.time_embed.0.weight", 1, 1}}, "a ControlNet"},
        {{{"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", 1, 1}}, "a LoRA"},
        {{{"encoder.down.0.block.0.conv1.bias", 1, 1}, {"decoder.up.0.block.0.conv1.bias", 1, 1}}, "a VAE"},
        {{{"double_blocks.0.img_attn.norm.key_norm.scale", 1, 1}}, "a Flux checkpoint"},
        {{{"down_blocks.0.resnets.0.conv1.weight", 1, 1}}, "one model of a directory"},
        {{{"a", 1, 1}}, "no tensor 'model.diffusion_model.input_blocks.0.0.weight'"},
    };
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct st_file *f = file_of(dir, rows[i].tensors, 1);
        assert_dies(78, rows[i].message, single_kind_of(f));
        st_close(f);
    }
    remove_tree(dir);
}

/* Each kind's built-in configurations are well-formed, its index too, and its schedule says what is predicted. */
static void test_configurations(void **state) {
    (void)state;
    static const struct named sd1[] = {{UNET "input_blocks.0.0.weight", 2, 4}, {"v_pred", 0, 1}, {"ztsnr", 0, 1}, {NULL, 0, 0}};
    const struct single_kind *const kinds[] = {&single_sd1,         &single_sd1_inpaint, &single_sd2,        &single_sd2_base,
                                               &single_sd2_inpaint, &single_xl,          &single_xl_inpaint, &single_xl_refiner};
    const char *dir = temp_dir();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (const struct single_part *p = kinds[i]->parts; p->name; p++)
            assert_true(json_n_keys(json_parse(&arena, p->config, strlen(p->config), p->name)) > 4);
    st_close(file_of(dir, sd1, 1));
    struct checkpoint *c = checkpoint_list(&arena, &(struct source){.model = path_in(dir, "a.safetensors")});
    assert_string_equal(c->pipeline_class, "StableDiffusionPipeline");
    struct component *scheduler = checkpoint_find(c, "scheduler"), *unet = checkpoint_find(c, "unet"), *vae = checkpoint_find(c, "vae");
    component_open(c, scheduler, COMPONENT_SCHEDULER, NULL);
    assert_string_equal(json_string(scheduler->config, "prediction_type", ""), "v_prediction");
    assert_true(json_bool(scheduler->config, "rescale_betas_zero_snr", false));
    component_open(c, unet, COMPONENT_NET, NULL);
    assert_int_equal(json_int(unet->config, "cross_attention_dim", 0, 0, 9999), 768);
    assert_dies(66, "a.safetensors: holds no vae", component_open(c, vae, COMPONENT_NET, NULL));
    st_close(c->file);
    remove_tree(dir);
}

static int tear_down(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_key_maps, tear_down),
        cmocka_unit_test_teardown(test_kinds, tear_down),
        cmocka_unit_test_teardown(test_refused, tear_down),
        cmocka_unit_test_teardown(test_configurations, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
