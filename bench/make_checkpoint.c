/* Writes a checkpoint directory of the true shape of Stable Diffusion 1.5 or 2.1, or of google/ddpm-cat-256, with seeded random weights,
 * for measuring.
 *
 *     make_checkpoint sd15|sd21|ddpm-cat DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse]
 *     make_checkpoint sd15|sd21|ddpm-cat --list          every tensor: COMPONENT NAME SHAPE
 *
 * Matrices are uniform with the variance that keeps activations O(1), norms 1, biases small. --sparse leaves the data a hole in the file
 * (zeros): names, shapes and sizes as real, no disk used. */
#include "bench/checkpoint_tensors.h"
#include "engine/base/dtype.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"
#include "engine/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct shape models[] = {
    {"sd15", 4, {320, 640, 1280, 1280}, 4, 768, 12, 3072, 12, "quick_gelu", "8", false, 64, "epsilon"},
    {"sd21", 4, {320, 640, 1280, 1280}, 4, 1024, 23, 4096, 16, "gelu", "[5, 10, 20, 20]", true, 96, "v_prediction"},
    {.name = "ddpm-cat", .n_levels = 6, .channels = {128, 128, 256, 256, 512, 512}, .pixel_channels = 3},
};

/* ---- values and files -------------------------------------------------------------------------------------------- */

static size_t element_count(const struct listed *t) {
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= (size_t)t->shape[i];
    return n;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill(float *x, size_t n, const struct listed *t, uint64_t *state) {
    size_t fan_in = t->rank > 1 ? n / (size_t)t->shape[0] : 1;
    bool embedding = strstr(t->name, "embedding.weight") != NULL, norm_scale = t->rank == 1 && ends_with(t->name, ".weight");
    float width = t->rank == 1 || embedding ? 0.02f : sqrtf(1.5f / (float)fan_in);
    for (size_t i = 0; i < n; i++) x[i] = (float)norm_scale + width * ((float)(random_next(state) >> 40) * 0x1p-23f - 1);
}

static void put(int fd, const void *data, size_t n, const char *path) {
    int error = write_all(fd, data, n);
    if (error) die(FAIL_IO, "%s: %s", path, strerror(error));
}

static char *header(const struct listing *l, enum dtype dtype, size_t *header_bytes, size_t *data_bytes) {
    char *text = NULL;
    FILE *f = open_memstream(&text, header_bytes);
    if (!f) die(FAIL_MEMORY, "out of memory");
    fputc('{', f);
    for (int i = 0; i < l->n; i++) {
        const struct listed *t = &l->tensors[i];
        size_t bytes = element_count(t) * dtype_table[dtype].size;
        fprintf(f, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "", t->name, dtype_table[dtype].name);
        for (int j = 0; j < t->rank; j++) fprintf(f, "%s%lld", j ? "," : "", (long long)t->shape[j]);
        fprintf(f, "],\"data_offsets\":[%zu,%zu]}", *data_bytes, *data_bytes + bytes);
        *data_bytes += bytes;
    }
    fputc('}', f);
    fclose(f);
    return text;
}

static void write_tensors(int fd, const char *path, const struct listing *l, enum dtype dtype, uint64_t seed) {
    for (int i = 0; i < l->n; i++) {
        size_t n = element_count(&l->tensors[i]);
        float *x = malloc(n * sizeof *x);
        if (!x) die(FAIL_MEMORY, "out of memory");
        fill(x, n, &l->tensors[i], &seed);
        uint16_t *half = (uint16_t *)x; /* narrowed in place, front to back */
        for (size_t j = 0; dtype == DT_F16 && j < n; j++) half[j] = f32_to_f16(x[j]);
        put(fd, x, n * dtype_table[dtype].size, path);
        free(x);
    }
}

struct order {
    const struct shape *model;
    const char *dir;
    enum dtype dtype;
    uint64_t seed;
    bool sparse;
};

static void write_component(struct arena *a, const struct order *r, const struct listing *l, const char *file) {
    size_t header_bytes = 0, data_bytes = 0;
    char *text = header(l, r->dtype, &header_bytes, &data_bytes), *path = arena_printf(a, "%s/%s/%s", r->dir, l->component, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) die(FAIL_CREATE, "%s: %s", path, strerror(errno));
    uint64_t length = header_bytes; /* little-endian as the machines this runs on */
    put(fd, &length, sizeof length, path);
    put(fd, text, header_bytes, path);
    if (r->sparse && ftruncate(fd, (off_t)(sizeof length + header_bytes + data_bytes)) != 0) die(FAIL_IO, "%s: %s", path, strerror(errno));
    if (!r->sparse) write_tensors(fd, path, l, r->dtype, r->seed + (uint64_t)l->component[0]);
    if (close(fd) != 0) die(FAIL_IO, "%s: %s", path, strerror(errno));
    free(text);
}

static void write_text(struct arena *a, const struct order *r, const char *name, const char *text) {
    publish_file(a, arena_printf(a, "%s/%s", r->dir, name), text, strlen(text), EXISTS_OVERWRITE);
}

static void make_dir(struct arena *a, const char *dir, const char *name) {
    char *path = arena_printf(a, "%s/%s", dir, name);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) die(FAIL_CREATE, "%s: %s", path, strerror(errno));
}

static void copy_tokenizer(struct arena *a, const struct order *r, const char *from) {
    static const char *const files[] = {"vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"};
    for (int i = 0; i < 4; i++) {
        size_t n;
        char *path = arena_printf(a, "%s/%s", from, files[i]);
        if (i >= 2 && !file_exists(path)) continue;
        char *text = read_file(a, path, 32 << 20, &n);
        publish_file(a, arena_printf(a, "%s/tokenizer/%s", r->dir, files[i]), text, n, EXISTS_OVERWRITE);
    }
}

/* The published ddpm-cat-256's, but for its folders. */
static void write_unconditional_configs(struct arena *a, const struct order *r) {
    write_text(
        a, r, "model_index.json",
        "{\"_class_name\": \"DDPMPipeline\", \"_diffusers_version\": \"0.42.1\", \"scheduler\": [\"diffusers\", \"DDPMScheduler\"],\n"
        " \"unet\": [\"diffusers\", \"UNet2DModel\"]}\n");
    write_text(a, r, "scheduler/scheduler_config.json",
               "{\"_class_name\": \"DDPMScheduler\", \"beta_start\": 0.0001, \"beta_end\": 0.02, \"beta_schedule\": \"linear\",\n"
               " \"num_train_timesteps\": 1000, \"clip_sample\": true, \"trained_betas\": null, \"variance_type\": \"fixed_small\"}\n");
    write_text(
        a, r, "unet/config.json",
        "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 256, \"in_channels\": 3, \"out_channels\": 3, \"center_input_sample\": false,\n"
        " \"time_embedding_type\": \"positional\", \"freq_shift\": 1, \"flip_sin_to_cos\": false, \"act_fn\": \"silu\",\n"
        " \"block_out_channels\": [128, 128, 256, 256, 512, 512], \"layers_per_block\": 2, \"attention_head_dim\": null,\n"
        " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\", \"DownBlock2D\"],\n"
        " \"up_block_types\": [\"UpBlock2D\", \"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"],\n"
        " \"downsample_padding\": 0, \"mid_block_scale_factor\": 1, \"norm_eps\": 1e-06, \"norm_num_groups\": 32}\n");
}

static void write_configs(struct arena *a, const struct order *r) {
    const struct shape *m = r->model;
    if (!m->text_layers) {
        write_unconditional_configs(a, r);
        return;
    }
    write_text(
        a, r, "model_index.json",
        "{\"_class_name\": \"StableDiffusionPipeline\", \"_diffusers_version\": \"0.42.1\", \"requires_safety_checker\": false,\n"
        " \"safety_checker\": [null, null], \"feature_extractor\": [null, null], \"scheduler\": [\"diffusers\", \"PNDMScheduler\"],\n"
        " \"text_encoder\": [\"transformers\", \"CLIPTextModel\"], \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"],\n"
        " \"unet\": [\"diffusers\", \"UNet2DConditionModel\"], \"vae\": [\"diffusers\", \"AutoencoderKL\"]}\n");
    write_text(
        a, r, "scheduler/scheduler_config.json",
        arena_printf(
            a,
            "{\"_class_name\": \"PNDMScheduler\", \"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\",\n"
            " \"num_train_timesteps\": 1000, \"set_alpha_to_one\": false, \"skip_prk_steps\": true, \"steps_offset\": 1,\n"
            " \"clip_sample\": false, \"trained_betas\": null, \"prediction_type\": \"%s\"}\n",
            m->prediction));
    write_text(
        a, r, "text_encoder/config.json",
        arena_printf(
            a,
            "{\"architectures\": [\"CLIPTextModel\"], \"model_type\": \"clip_text_model\", \"vocab_size\": %d, \"hidden_size\": %d,\n"
            " \"intermediate_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d, \"max_position_embeddings\": %d,\n"
            " \"hidden_act\": \"%s\", \"layer_norm_eps\": 1e-05, \"bos_token_id\": 49406, \"eos_token_id\": 49407,\n"
            " \"pad_token_id\": 1}\n",
            VOCABULARY, m->text_hidden, m->text_intermediate, m->text_layers, m->text_heads, POSITIONS, m->text_act));
    write_text(a, r, "unet/config.json",
               arena_printf(a,
                            "{\"_class_name\": \"UNet2DConditionModel\", \"sample_size\": %d, \"in_channels\": 4, \"out_channels\": 4,\n"
                            " \"block_out_channels\": [320, 640, 1280, 1280], \"layers_per_block\": 2, \"cross_attention_dim\": %d,\n"
                            " \"attention_head_dim\": %s, \"use_linear_projection\": %s}\n",
                            m->sample_size, m->text_hidden, m->heads, m->linear_projection ? "true" : "false"));
    write_text(a, r, "vae/config.json",
               "{\"_class_name\": \"AutoencoderKL\", \"block_out_channels\": [128, 256, 512, 512], \"layers_per_block\": 2,\n"
               " \"latent_channels\": 4, \"scaling_factor\": 0.18215, \"sample_size\": 512,\n"
               " \"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\"],\n"
               " \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\"]}\n");
}

static void print_list(const struct listing *l) {
    for (int i = 0; i < l->n; i++) {
        printf("%s %s ", l->component, l->tensors[i].name);
        for (int j = 0; j < l->tensors[i].rank; j++) printf("%s%lld", j ? "," : "", (long long)l->tensors[i].shape[j]);
        putchar('\n');
    }
}

static void each_component(struct arena *a, const struct order *r) {
    static const struct {
        const char *name, *file;
        void (*list)(struct listing *l, const struct shape *m);
    } components[] = {{"unet", "diffusion_pytorch_model.safetensors", list_unet},
                      {"vae", "diffusion_pytorch_model.safetensors", list_vae},
                      {"text_encoder", "model.safetensors", list_text_encoder}};
    for (int i = 0; i < (r->model->text_layers ? 3 : 1); i++) {
        struct listing *l = arena_alloc(a, sizeof *l);
        l->arena = a;
        l->component = components[i].name;
        components[i].list(l, r->model);
        if (r->dir) write_component(a, r, l, components[i].file);
        else print_list(l);
    }
}

static const struct shape *find_model(const char *name) {
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0) return &models[i];
    die(FAIL_USAGE, "unknown model '%s': sd15, sd21 or ddpm-cat", name);
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc < 3) die(FAIL_USAGE, "usage: make_checkpoint sd15|sd21|ddpm-cat DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse]");
    struct order r = {.model = find_model(argv[1]), .dtype = DT_F32};
    if (strcmp(argv[2], "--list") != 0) {
        if (argc < 4) die(FAIL_USAGE, "no TOKENIZER_DIR given");
        r.dir = argv[2];
        for (int i = 4; i < argc; i++) {
            if (strcmp(argv[i], "--sparse") == 0) r.sparse = true;
            else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc && parse_u64(argv[i + 1], &r.seed)) i++;
            else if (strcmp(argv[i], "--dtype") == 0 && i + 1 < argc) r.dtype = strcmp(argv[++i], "F16") == 0 ? DT_F16 : DT_F32;
            else die(FAIL_USAGE, "unknown option '%s'", argv[i]);
        }
        const char *dirs[] = {"", "unet", "scheduler", "vae", "text_encoder", "tokenizer"};
        for (int i = 0; i < (r.model->text_layers ? 6 : 3); i++) make_dir(&a, r.dir, dirs[i]);
        write_configs(&a, &r);
        if (r.model->text_layers) copy_tokenizer(&a, &r, argv[3]);
    }
    each_component(&a, &r);
    arena_free(&a);
    return 0;
}
