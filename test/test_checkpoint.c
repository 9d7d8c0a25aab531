/* Checkpoint directories: layouts, variants, shards, old names, the Hugging Face cache; binding and loading weights. */
#include "engine/base/arena.h"
#include "engine/base/sys.h"
#include "engine/files/checkpoint.h"
#include "engine/bind.h"
#include "test/files.h"

static struct arena arena;
#define in_dir(...) path_in(dir, __VA_ARGS__)
static char dir[PATH_MAX];

static void put_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

static int set_up(void **state) {
    (void)state;
    strcpy(dir, temp_dir());
    must(mkdir(in_dir("unet"), 0755) == 0 && mkdir(in_dir("vae"), 0755) == 0, dir);
    put_text(
        in_dir("model_index.json"),
        "{\"_class_name\":\"DDPMPipeline\",\"_diffusers_version\":\"0.1.0\",\"flag\":true,\"gone\":[null,null],\"_names\":[\"a\",\"b\"],"
        "\"unet\":[\"diffusers\",\"UNet2DModel\"],\"vae\":[\"diffusers\",\"AutoencoderKL\"]}");
    put_text(in_dir("unet/config.json"), "{\"_class_name\":\"UNet2DModel\"}");
    put_text(in_dir("vae/config.json"), "{\"_class_name\":\"AutoencoderKL\"}");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove_tree(dir);
    arena_free(&arena);
    return 0;
}

/* A weight file at path with F32 tensors of the names given, each [2,2] and filled with its own number. */
static void put_weights(const char *path, int first, int n, const char *const *names) {
    static float values[16][4];
    struct st_writer *w = st_writer_new(&arena);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < 4; j++) values[i][j] = (float)(10 * (first + i) + j);
        st_writer_add(w, names[i], DT_F32, 2, (const int64_t[]){2, 2}, values[i]);
    }
    st_write(w, path);
}
#define NAMES(...)                                                                         \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]) { \
        __VA_ARGS__                                                                        \
    }

static struct checkpoint *open_dir(const char *variant) {
    struct checkpoint *c = checkpoint_list(&arena, &(struct source){.model = dir});
    checkpoint_check_modules(c);
    for (int i = 0; i < c->n_components; i++) {
        const char *name = c->components[i].name;
        bool net = !strcmp(name, "unet") || !strcmp(name, "vae");
        if (net || !strcmp(name, "scheduler")) component_open(c, &c->components[i], net ? COMPONENT_NET : COMPONENT_SCHEDULER, variant);
    }
    checkpoint_check_variant(c, variant);
    return c;
}

/* The last part of the path of the component's only file. */
static const char *file_of(struct checkpoint *c, const char *component) {
    struct component *m = checkpoint_find(c, component);
    assert_int_equal(m->n_files, 1);
    return strrchr(m->files[0]->path, '/') + 1;
}

#define BASE "diffusion_pytorch_model"

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

static void test_layout(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("a"));
    put_weights(in_dir("vae/" BASE ".safetensors"), 0, NAMES("b"));
    struct checkpoint *c = open_dir(NULL);
    assert_string_equal(c->pipeline_class, "DDPMPipeline");
    assert_string_equal(c->diffusers_version, "0.1.0");
    assert_true(json_bool(c->index, "flag", false));
    assert_int_equal(c->n_components, 2);
    assert_null(checkpoint_find(c, "gone"));
    assert_null(checkpoint_find(c, "_class_name"));
    struct component *unet = checkpoint_find(c, "unet");
    assert_string_equal(unet->class_name, "UNet2DModel");
    assert_string_equal(unet->dir, in_dir("unet"));
    assert_true(component_find(unet, "a") && !component_find(unet, "b") && !unet->variant);
    assert_string_equal(json_string(unet->config, "_class_name", ""), "UNet2DModel");
    checkpoint_close(c);
}

/* google/ddpm-*: one model, its files beside model_index.json; and the same without a model_index.json. */
static void test_root_layout(void **state) {
    (void)state;
    remove_tree(in_dir("unet"));
    remove_tree(in_dir("vae"));
    put_text(in_dir("model_index.json"), "{\"_class_name\":\"DDPMPipeline\",\"unet\":[\"diffusers\",\"UNet2DModel\"],"
                                         "\"scheduler\":[\"diffusers\",\"DDPMScheduler\"]}");
    put_text(in_dir("config.json"), "{\"_class_name\":\"UNet2DModel\"}");
    put_text(in_dir("scheduler_config.json"), "{\"_class_name\":\"DDPMScheduler\"}");
    put_weights(in_dir(BASE ".safetensors"), 0, NAMES("a"));
    struct checkpoint *c = open_dir(NULL);
    assert_string_equal(checkpoint_find(c, "unet")->dir, dir);
    assert_string_equal(json_string(checkpoint_find(c, "scheduler")->config, "_class_name", ""), "DDPMScheduler");
    remove_tree(in_dir("model_index.json"));
    c = open_dir(NULL);
    assert_true(!c->index && !c->pipeline_class && c->n_components == 2 /* and a scheduler */);
    assert_string_equal(checkpoint_find(c, "unet")->class_name, "UNet2DModel");
    put_text(in_dir("config.json"), "{\"model_type\":\"clip\"}");
    assert_dies(78, "config.json: no '_class_name'", open_dir(NULL));
}

static void test_missing(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("a"));
    remove_tree(in_dir("vae"));
    assert_dies(66, "/vae: model_index.json names it, and it is not there", open_dir(NULL));
    put_text(in_dir("vae"), "a file");
    assert_dies(66, "/vae: expected a directory, found a file", open_dir(NULL));
    put_text(in_dir("model_index.json"), "{\"_class_name\":\"X\",\"unet\":[\"mine\",\"UNet2DModel\"]}");
    assert_dies(78, "'unet' comes from module 'mine': custom code is never run", open_dir(NULL));
}

/* A safety checker and the like may be listed and not be there. */
static void test_unused_components(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("a"));
    put_text(in_dir("model_index.json"), "{\"_class_name\":\"X\",\"unet\":[\"diffusers\",\"UNet2DModel\"],\"feature_"
                                         "extractor\":[\"transformers\",\"CLIPImageProcessor\"],"
                                         "\"safety_checker\":[\"stable_diffusion\",\"StableDiffusionSafetyChecker\"]}");
    struct component *checker = checkpoint_find(open_dir(NULL), "safety_checker");
    assert_true(checker && checker->n_files == 0 && !checker->config);
}

/* ---- variants and shards ----------------------------------------------------------------------------------------- */

static void test_variant(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("a"));
    put_weights(in_dir("vae/" BASE ".safetensors"), 0, NAMES("a"));
    assert_dies(66, "no component has files of variant 'fp16'", open_dir("fp16"));
    put_weights(in_dir("unet/" BASE ".fp16.safetensors"), 0, NAMES("a"));
    struct checkpoint *c = open_dir("fp16");
    assert_string_equal(file_of(c, "unet"), BASE ".fp16.safetensors");
    assert_string_equal(checkpoint_find(c, "unet")->variant, "fp16");
    assert_string_equal(file_of(c, "vae"), BASE ".safetensors");
    assert_null(checkpoint_find(c, "vae")->variant);
    assert_string_equal(file_of(open_dir(NULL), "unet"), BASE ".safetensors");
    assert_dies(2, "--variant", open_dir("../x"));
    remove_tree(in_dir("vae/" BASE ".safetensors"));
    put_weights(in_dir("vae/" BASE ".fp16.safetensors"), 0, NAMES("a"));
    assert_dies(66, "vae/" BASE ".safetensors: missing", open_dir(NULL));
}

/* Two shards at vae/STEM-0000i-of-00002END with tensors a b and c, mapped by the index. */
static void put_shards(const char *index, const char *stem, const char *end) {
    put_weights(in_dir("vae/%s-00001-of-00002%s", stem, end), 0, NAMES("a", "b"));
    put_weights(in_dir("vae/%s-00002-of-00002%s", stem, end), 2, NAMES("c"));
    put_text(in_dir("vae/%s", index), arena_printf(&arena,
                                                   "{\"metadata\":{\"total_size\":48},\"weight_map\":{\"a\":\"%s-00001-"
                                                   "of-00002%s\",\"b\":\"%s-00001-of-00002%s\","
                                                   "\"c\":\"%s-00002-of-00002%s\"}}",
                                                   stem, end, stem, end, stem, end));
}

static void expect_shards(const char *variant, const char *first) {
    struct checkpoint *c = open_dir(variant);
    struct component *vae = checkpoint_find(c, "vae");
    assert_int_equal(vae->n_files, 2);
    assert_string_equal(strrchr(vae->files[0]->path, '/') + 1, first);
    assert_true(component_find(vae, "a")->file == vae->files[0] && component_find(vae, "c")->file == vae->files[1]);
    assert_true(!component_find(vae, "d") && !vae->dialect);
    checkpoint_close(c);
}

static void test_shards(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("a"));
    put_shards(BASE ".safetensors.index.json", BASE, ".safetensors");
    expect_shards(NULL, BASE "-00001-of-00002.safetensors");
    put_shards(BASE ".safetensors.fp16.index.json", BASE, ".fp16.safetensors"); /* both older spellings */
    expect_shards("fp16", BASE "-00001-of-00002.fp16.safetensors");
    put_shards(BASE ".safetensors.index.fp16.json", BASE ".fp16", ".safetensors"); /* and today's, which is looked for first */
    expect_shards("fp16", BASE ".fp16-00001-of-00002.safetensors");
    put_weights(in_dir("vae/" BASE ".safetensors"), 0, NAMES("z")); /* the index goes before a single file */
    expect_shards(NULL, BASE "-00001-of-00002.safetensors");
    remove_tree(in_dir("vae/" BASE "-00002-of-00002.safetensors"));
    assert_dies(66, "/vae: 1 of 2 shards missing: " BASE "-00002-of-00002.safetensors", open_dir(NULL));
}

/* ---- names of attention layers ----------------------------------------------------------------------------------- */

#define MID "decoder.mid_block.attentions.0."

static void test_old_names(void **state) {
    (void)state;
    put_weights(in_dir("unet/" BASE ".safetensors"), 0,
                NAMES("down_blocks.10.attentions.12.query.weight", "x.attentions.0.attn1.query.weight"));
    put_weights(
        in_dir("vae/" BASE ".safetensors"), 0,
        NAMES(MID "query.weight", MID "key.bias", MID "value.weight", MID "proj_attn.bias", MID "to_v.weight", MID "group_norm.weight"));
    struct checkpoint *c = open_dir(NULL);
    struct component *vae = checkpoint_find(c, "vae"), *unet = checkpoint_find(c, "unet");
    assert_string_equal(component_find(vae, MID "to_q.weight")->name, MID "query.weight");
    assert_string_equal(component_find(vae, MID "to_k.bias")->name, MID "key.bias");
    assert_string_equal(component_find(vae, MID "to_out.0.bias")->name, MID "proj_attn.bias");
    assert_string_equal(component_find(vae, MID "to_v.weight")->name, MID "to_v.weight"); /* the new name where both are there */
    assert_string_equal(component_find(vae, MID "group_norm.weight")->name, MID "group_norm.weight");
    assert_null(component_find(vae, MID "to_k.weight"));
    assert_string_equal(component_find(unet, "down_blocks.10.attentions.12.to_q.weight")->name,
                        "down_blocks.10.attentions.12.query.weight");
    assert_null(component_find(unet, "x.attentions.0.attn1.to_q.weight"));
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* A device that packs by copying the parts one behind the other as f32. */
static size_t copy_bytes(struct device *dev, const struct weight *w) {
    size_t n = sizeof(float);
    for (int i = 0; i < w->rank; i++) n *= (size_t)w->shape[i];
    return w->kind == WEIGHT_TABLE ? 0 : n + 0 * (size_t)dev->planning; /* no planned op uses a table */
}

static bool copy_pack(struct device *dev, struct weight *w, const void *const raw[], void *room) {
    (void)dev, (void)room;
    float *dst = w->packed;
    for (int i = 0; i < w->n_parts; i++) {
        size_t n = w->parts[i]->bytes / dtype_table[w->parts[i]->dtype].size;
        dtype_to_f32(dst, raw[i], w->parts[i]->dtype, n);
        dst += n;
    }
    return true;
}

static void *copy_alloc(struct device *dev, size_t bytes) {
    (void)dev;
    return arena_alloc(&arena, bytes);
}

static double copied(struct device *dev) {
    (void)dev;
    return 1;
}

static struct device copy_device = {
    .name = "copy", .packed_bytes = copy_bytes, .load = weights_pack_all, .load_wait = copied, .pack = copy_pack, .alloc = copy_alloc};

static struct component *bare_component(const char *name, int n, const char *const *names) {
    put_weights(in_dir("vae/" BASE ".safetensors"), 0, n, names);
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("u"));
    return checkpoint_find(open_dir(NULL), name);
}

static void test_bind(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("a", "b", "c"));
    struct binder *binder = binder_new(c);
    struct weight *a = weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "%s", "a");
    struct weight *b = weight_get(binder, WEIGHT_CONV, SHAPE(2, 2, 1, 1), "%c", 'b'); /* a matrix as a 1x1 convolution */
    assert_true(a->rank == 2 && a->n_parts == 1 && a->parts[0] == component_find(c, "a") && a->kind == WEIGHT_MATRIX);
    assert_true(b->rank == 4 && b->shape[3] == 1);
    assert_string_equal(a->name, "a");
    assert_true(binder->first == a && a->next == b && binder->last == b && !b->next);
    assert_dies(78, "vae/" BASE ".safetensors: tensor 'c': expected [2,3], found [2,2]",
                weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 3), "c"));
    assert_dies(78, "expected [2], found [2,2]", weight_get(binder, WEIGHT_VECTOR, SHAPE(2), "c"));
    assert_dies(78, "expected [2,2,1], found [2,2]", weight_get(binder, WEIGHT_CONV, SHAPE(2, 2, 1), "c"));
    assert_dies(78, "expected [2,2,3,3], found [2,2]", weight_get(binder, WEIGHT_CONV, SHAPE(2, 2, 3, 3), "c"));
    binder_check(binder);
    for (int i = 0; i < 7; i++) weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "gone.%d", i);
    assert_dies(78, "vae/" BASE ".safetensors: 7 tensors missing: gone.0, gone.1, gone.2, gone.3, gone.4, …", (binder_check(binder), 0));
}

/* A name nobody asked for is a better guess than one that is somebody's. */
static void test_misspelt(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("conv_in.weight", "conv_im.bias"));
    struct binder *binder = binder_new(c);
    weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "conv_in.weight");
    weight_get(binder, WEIGHT_VECTOR, SHAPE(2), "conv_in.bias");
    assert_dies(78, "1 tensor missing: conv_in.bias; found 'conv_im.bias', which is nobody's", (binder_check(binder), 0));
}

/* A file that was saved from within another model has a prefix on all names. */
static void test_prefixed(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("unet.0", "unet.1", "unet.2", "unet.3", "unet.4", "unet.in.weight", "begin.weight"));
    struct binder *binder = binder_new(c);
    weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "in.weight");
    for (int i = 0; i < 5; i++) weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "%d", i);
    assert_dies(78, "6 tensors missing: in.weight, 0, 1, 2, 3, …; found 'unet.in.weight', which is nobody's", (binder_check(binder), 0));
}

static void test_bind_types(void **state) {
    (void)state;
    static const uint8_t bytes[32];
    struct st_writer *w = st_writer_new(&arena);
    st_writer_add(w, "i", DT_I64, 2, (const int64_t[]){2, 2}, bytes);
    st_writer_add(w, "flag", DT_BOOL, 1, (const int64_t[]){4}, bytes);
    static const uint8_t eights[] = {0x50, 0xd0, 0x38, 0x01}; /* 8, -8, 1, 2^-9 */
    static const float quarter = 0.25f;
    st_writer_add(w, "f8.weight", DT_F8_E4M3, 1, (const int64_t[]){4}, eights);
    st_writer_add(w, "f8.scale_weight", DT_F32, 0, NULL, &quarter);
    st_writer_add(w, "f8.bias", DT_F8_E5M2, 1, (const int64_t[]){2}, (const uint8_t[]){0x3c, 0xbe}); /* 1, -1.5 */
    st_writer_add(w, "conv", DT_F64, 4, (const int64_t[]){2, 2, 1, 1}, bytes);
    st_writer_add(w, "wide", DT_U8, 4, (const int64_t[]){2, 2, 2, 2}, bytes);
    st_write(w, in_dir("unet/" BASE ".safetensors"));
    put_weights(in_dir("vae/" BASE ".safetensors"), 0, NAMES("a"));
    struct component *c = checkpoint_find(open_dir(NULL), "unet");
    struct binder *binder = binder_new(c);
    assert_dies(78, "tensor 'i': unsupported dtype I64", weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "i"));
    assert_dies(78, "tensor 'flag': unsupported dtype BOOL", weight_get(binder, WEIGHT_VECTOR, SHAPE(4), "flag"));
    float x[4];
    assert_int_equal(tensor_read(weight_get(binder, WEIGHT_VECTOR, SHAPE(4), "f8.weight")->parts[0], x), 0);
    assert_true(x[0] == 2 && x[1] == -2 && x[2] == 0.25f && x[3] == 0x1p-11f);
    assert_int_equal(tensor_read(weight_get(binder, WEIGHT_VECTOR, SHAPE(2), "f8.bias")->parts[0], x), 0);
    assert_true(x[0] == 1 && x[1] == -1.5f);
    assert_int_equal(weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "conv")->rank, 2); /* a 1x1 convolution as a matrix */
    assert_dies(78, "tensor 'wide': expected [2,2], found [2,2,2,2]", weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "wide"));
}

static void test_load(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("q", "k", "v", "x", "table"));
    struct binder *binder = binder_new(c);
    struct weight *x = weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "x");
    struct weight *qkv = weight_get_stacked(binder, WEIGHT_MATRIX, 3, (const char *const[]){"q", "k", "v"}, (const int64_t[]){2, 2, 2}, 2);
    struct weight *table = weight_get(binder, WEIGHT_TABLE, SHAPE(2, 2), "table");
    assert_true(qkv->n_parts == 3 && qkv->rank == 2 && qkv->shape[0] == 6 && qkv->shape[1] == 2);
    assert_int_equal(weights_packed_bytes(&copy_device, &binder, 1), 128);
    assert_int_equal(weights_load(&copy_device, &binder, 1), 64);
    const float *got = qkv->packed;
    for (int i = 0; i < 12; i++) assert_true(got[i] == (float)(10 * (i / 4) + i % 4));
    assert_true(((float *)x->packed)[3] == 33 && !table->packed);
    assert_true((uintptr_t)x->packed % 64 == 0 && (uintptr_t)qkv->packed % 64 == 0);
    assert_dies(78, "expected [3,2], found [2,2]",
                weight_get_stacked(binder, WEIGHT_MATRIX, 2, (const char *const[]){"q", "k"}, (const int64_t[]){2, 3}, 2));
}

static void *no_memory(size_t align, size_t n) {
    (void)align, (void)n;
    return NULL;
}

/* Weights are read through the device's arena where the host may write there, and else through memory that is asked for. */
static void test_load_room(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("q", "k", "v"));
    struct binder *binder = binder_new(c);
    struct weight *qkv = weight_get_stacked(binder, WEIGHT_MATRIX, 3, (const char *const[]){"q", "k", "v"}, (const int64_t[]){2, 2, 2}, 2);
    struct device dev = copy_device;
    assert_int_equal(weights_reading_bytes(&dev, &binder, 1), 0);
    dev.host_arena = true;
    size_t bytes = (size_t)weights_reading_bytes(&dev, &binder, 1);
    assert_int_equal(bytes, 3 * WEIGHT_PART_ALIGN);
    dev.arena_used = WEIGHT_PART_ALIGN;
    dev.arena_base = memset(arena_alloc(&arena, 2 * WEIGHT_PART_ALIGN + bytes), 0x55, 2 * WEIGHT_PART_ALIGN + bytes);
    dev.arena_capacity = WEIGHT_PART_ALIGN + bytes - 1;
    void *(*ask)(size_t, size_t) = sys.aligned_alloc;
    sys.aligned_alloc = no_memory;
    assert_dies(71, "out of memory: 192 bytes to read weights through", weights_load(&dev, &binder, 1));
    dev.arena_capacity++;
    weights_load(&dev, &binder, 1);
    sys.aligned_alloc = ask;
    assert_true(((const float *)qkv->packed)[11] == 23);
    for (size_t i = 0; i < WEIGHT_PART_ALIGN; i++) assert_true(dev.arena_base[i] == 0x55 && dev.arena_base[dev.arena_capacity + i] == 0x55);
}

/* The file must be the one whose header was read. */
static void test_load_changed(void **state) {
    (void)state;
    struct component *c = bare_component("vae", NAMES("a", "b"));
    struct binder *binder = binder_new(c);
    weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "a");
    weight_get(binder, WEIGHT_MATRIX, SHAPE(2, 2), "b");
    must(truncate(c->files[0]->path, (off_t)c->files[0]->size - 1) == 0, dir);
    assert_dies(74, "vae/" BASE ".safetensors: tensor 'b': the file changed while it was read", weights_load(&copy_device, &binder, 1));
    must(truncate(c->files[0]->path, (off_t)c->files[0]->size) == 0, dir);
    weights_load(&copy_device, &binder, 1); /* every byte is there again, but not since the same moment */
    assert_dies(74, "changed while it was read", weights_wait(&copy_device, &binder, 1));
}

/* ---- dialects ---------------------------------------------------------------------------------------------------- */

/* Some rows of OpenCLIP's names and of CompVis's for UNets of three layers a level and VAEs of four levels. */
static const struct rename open_clip[] = {
    {"embeddings.position_embedding.weight", "positional_embedding", TAKE_ALL},
    {"encoder.layers.#.self_attn.q_proj.", "transformer.resblocks.{a}.attn.in_proj_", TAKE_THIRD_1},
    {"encoder.layers.#.self_attn.k_proj.", "transformer.resblocks.{a}.attn.in_proj_", TAKE_THIRD_2},
    {"encoder.layers.#.self_attn.v_proj.", "transformer.resblocks.{a}.attn.in_proj_", TAKE_THIRD_3},
    {"encoder.layers.#.mlp.fc1.", "transformer.resblocks.{a}.mlp.c_fc.", TAKE_ALL},
    {"text_projection.weight", "text_projection", TAKE_TRANSPOSED},
    {.ours = NULL},
};
static const struct rename comp_vis[] = {
    {"down_blocks.#.resnets.#.norm1.", "input_blocks.{1+3a+b}.0.in_layers.0.", TAKE_ALL},
    {"down_blocks.#.attentions.#.", "input_blocks.{1+3a+b}.1.", TAKE_ALL},
    {"down_blocks.#.downsamplers.0.conv.", "input_blocks.{3a+3}.0.op.", TAKE_ALL},
    {"up_blocks.0.upsamplers.0.", "output_blocks.2.1.", TAKE_ALL},
    {"up_blocks.#.upsamplers.0.", "output_blocks.{3a+2}.2.", TAKE_ALL},
    {"decoder.up_blocks.#.resnets.#.", "decoder.up.{3-a}.block.{b}.", TAKE_ALL},
    {.ours = NULL},
};

static void test_dialect_names(void **state) {
    (void)state;
    static const struct dialect unet = {"model.diffusion_model.", comp_vis}, text = {"", open_clip}, plain = {"", comp_vis};
    static const struct {
        const struct dialect *dialect;
        const char *ours, *theirs;
        enum take take;
    } rows[] = {
        {&unet, "down_blocks.2.resnets.1.norm1.weight", "model.diffusion_model.input_blocks.8.0.in_layers.0.weight", TAKE_ALL},
        {&unet, "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
         "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight", TAKE_ALL},
        {&unet, "down_blocks.2.downsamplers.0.conv.bias", "model.diffusion_model.input_blocks.9.0.op.bias", TAKE_ALL},
        {&unet, "up_blocks.0.upsamplers.0.conv.weight", "model.diffusion_model.output_blocks.2.1.conv.weight", TAKE_ALL},
        {&unet, "up_blocks.10.upsamplers.0.conv.weight", "model.diffusion_model.output_blocks.32.2.conv.weight", TAKE_ALL},
        {&unet, "decoder.up_blocks.3.resnets.2.conv1.bias", "model.diffusion_model.decoder.up.0.block.2.conv1.bias", TAKE_ALL},
        {&unet, "decoder.up_blocks.4.resnets.2.conv1.bias", NULL, TAKE_ALL},
        {&unet, "down_blocks.x.resnets.1.norm1.weight", "model.diffusion_model.down_blocks.x.resnets.1.norm1.weight", TAKE_ALL},
        {&unet, "down_blocks.12345678.attentions.1.norm1.weight", "model.diffusion_model.down_blocks.12345678.attentions.1.norm1.weight",
         TAKE_ALL},
        {&unet, "sdown_blocks.2.resnets.1.norm1.weight", "model.diffusion_model.sdown_blocks.2.resnets.1.norm1.weight", TAKE_ALL},
        {&unet, "conv_in.weight", "model.diffusion_model.conv_in.weight", TAKE_ALL},
        {&plain, "conv_in.weight", NULL, TAKE_ALL},
        {&text, "encoder.layers.22.self_attn.k_proj.bias", "transformer.resblocks.22.attn.in_proj_bias", TAKE_THIRD_2},
        {&text, "encoder.layers.0.mlp.fc1.weight", "transformer.resblocks.0.mlp.c_fc.weight", TAKE_ALL},
        {&dialect_old_attention, "a.attentions.7.to_q.bias", "a.attentions.7.query.bias", TAKE_ALL},
        {&dialect_old_attention, "a.attentions.7.to_k.bias", "a.attentions.7.key.bias", TAKE_ALL},
        {&dialect_old_attention, "a.attentions.7.to_v.bias", "a.attentions.7.value.bias", TAKE_ALL},
        {&dialect_old_attention, "a.attentions.7.to_out.0.bias", "a.attentions.7.proj_attn.bias", TAKE_ALL},
        {&dialect_old_attention, "a.attentions.7.attn1.to_q.bias", NULL, TAKE_ALL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum take take = TAKE_ALL;
        const char *got = dialect_name(&arena, rows[i].dialect, rows[i].ours, &take);
        if (!got != !rows[i].theirs || (got && strcmp(got, rows[i].theirs) != 0)) fail_msg("%s: %s", rows[i].ours, got ? got : "NULL");
        assert_int_equal(take, rows[i].take);
    }
}

/* Parts of their tensors through component_find: values[i][k] = 10 i + k, two by two. */
static void test_dialect_parts(void **state) {
    (void)state;
    static const struct dialect text = {"", open_clip};
    float fused[12], x[4];
    for (int i = 0; i < 12; i++) fused[i] = (float)i;
    struct st_writer *w = st_writer_new(&arena);
    st_writer_add(w, "transformer.resblocks.1.attn.in_proj_weight", DT_F32, 2, (int64_t[]){6, 2}, fused);
    st_writer_add(w, "transformer.resblocks.2.attn.in_proj_weight", DT_F32, 2, (int64_t[]){4, 3}, fused);
    st_writer_add(w, "text_projection", DT_F32, 2, (int64_t[]){2, 2}, fused);
    st_write(w, in_dir("vae/" BASE ".safetensors"));
    put_weights(in_dir("unet/" BASE ".safetensors"), 0, NAMES("u"));
    struct component *c = checkpoint_find(open_dir(NULL), "vae");
    c->dialect = &text;
    static const char *const qkv[] = {"encoder.layers.1.self_attn.q_proj.weight", "encoder.layers.1.self_attn.k_proj.weight",
                                      "encoder.layers.1.self_attn.v_proj.weight"};
    for (int i = 0; i < 3; i++) {
        const struct tensor *t = component_find(c, qkv[i]);
        assert_true(t && t->shape[0] == 2 && t->shape[1] == 2 && tensor_read(t, x) == 0);
        for (int k = 0; k < 4; k++) assert_true(x[k] == (float)(4 * i + k));
    }
    const struct tensor *t = component_find(c, "text_projection.weight");
    assert_true(t && tensor_read(t, x) == 0 && x[0] == 0 && x[1] == 2 && x[2] == 1 && x[3] == 3);
    assert_null(component_find(c, "encoder.layers.2.self_attn.q_proj.weight")); /* four rows have no thirds */
    assert_null(component_find(c, "encoder.layers.3.self_attn.q_proj.weight"));
}

/* ---- the Hugging Face cache -------------------------------------------------------------------------------------- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void expect_no_revision(const char *revision) {
    const char *commit;
    assert_dies(2, "not a revision", hub_cache_find(&arena, "model", arena_printf(&arena, "org/name@%s", revision), &commit));
}

static void test_hub_cache(void **state) {
    (void)state;
    const char *revision = NULL;
    setenv("HF_HUB_CACHE", dir, 1);
    must(mkdir(in_dir("models--org--name"), 0755) == 0 && mkdir(in_dir("models--org--name/refs"), 0755) == 0, dir);
    must(mkdir(in_dir("models--org--name/snapshots"), 0755) == 0 && mkdir(in_dir("models--org--name/snapshots/" COMMIT), 0755) == 0, dir);
    assert_null(hub_cache_find(&arena, "model", "org/name", &revision));
    put_text(in_dir("models--org--name/refs/main"), COMMIT);
    put_text(in_dir("models--org--name/refs/v1"), COMMIT "\n");
    assert_string_equal(hub_cache_find(&arena, "model", "org/name", &revision), in_dir("models--org--name/snapshots/" COMMIT));
    assert_string_equal(revision, COMMIT);
    assert_non_null(hub_cache_find(&arena, "model", "org/name@v1", &revision));
    assert_non_null(hub_cache_find(&arena, "model", "org/name@" COMMIT, &revision));
    assert_null(hub_cache_find(&arena, "model", "org/name@v2", &revision));
    assert_null(hub_cache_find(&arena, "model", "name", &revision));
    put_text(in_dir("models--org--name/refs/main"), "fedcba9876543210fedcba9876543210fedcba98");
    assert_null(hub_cache_find(&arena, "model", "org/name", &revision)); /* the snapshot is not there */
    static const char *const bad[] = {"a/b/c", "/a",     "a/",   "a//b", "-a/b",      "a/b-", ".a/b",
                                      "a/b.",  "a--b/c", "a..b", "a b",  "a\xc3\xa9", "@v1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_dies(2, "not the name of a repository", hub_cache_find(&arena, "model", bad[i], &revision));
    static const char *const revisions[] = {"a/../b", "/a", ".a", "a b", "", "a\xc3\xa9"};
    for (size_t i = 0; i < sizeof revisions / sizeof *revisions; i++) expect_no_revision(revisions[i]);
    char longer[300] = "";
    memset(longer, 'a', 256);
    expect_no_revision(longer);
    longer[97] = 0;
    assert_dies(2, "not the name of a repository", hub_cache_find(&arena, "model", longer, &revision));
    longer[96] = 0;
    assert_null(hub_cache_find(&arena, "model", longer, &revision));
    put_text(in_dir("models--org--name/snapshots/fedcba9876543210fedcba9876543210fedcba98"), "a file");
    assert_null(hub_cache_find(&arena, "model", "org/name", &revision));
    unsetenv("HF_HUB_CACHE");
}

static void test_local_wins(void **state) {
    (void)state;
    const char *revision = "x";
    char before[PATH_MAX];
    must(mkdir(in_dir("org"), 0755) == 0 && mkdir(in_dir("org/name"), 0755) == 0, dir);
    must(getcwd(before, sizeof before) && chdir(dir) == 0, dir);
    const char *found = checkpoint_locate(&arena, "-m DIR", "org/name", &revision);
    must(chdir(before) == 0, before);
    assert_string_equal(found, "org/name");
    assert_null(revision);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_layout),        TEST(test_root_layout),   TEST(test_unused_components), TEST(test_variant),  TEST(test_shards),
        TEST(test_old_names),     TEST(test_bind),          TEST(test_misspelt),          TEST(test_prefixed), TEST(test_missing),
        TEST(test_dialect_names), TEST(test_dialect_parts), TEST(test_bind_types),        TEST(test_load),     TEST(test_load_room),
        TEST(test_load_changed),  TEST(test_hub_cache),     TEST(test_local_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
