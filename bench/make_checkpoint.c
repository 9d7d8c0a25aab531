/* Writes a checkpoint directory of the true shape of Stable Diffusion 1.5 or 2.1, or of google/ddpm-cat-256, with seeded random weights,
 * for measuring.
 *
 *     make_checkpoint sd15|sd21|ddpm-cat DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse]
 *     make_checkpoint sd15|sd21|ddpm-cat --list          every tensor: COMPONENT NAME SHAPE
 *
 * Matrices are uniform with the variance that keeps activations O(1), norms 1, biases small. --sparse leaves the data a hole in the file
 * (zeros): names, shapes and sizes as real, no disk used. */
#include "engine/base/arena.h"
#include "engine/base/dtype.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct model {
    const char *name;
    int n_levels, channels[6];                                   /* of the UNet */
    int pixel_channels;                                          /* of what it denoises */
    int text_hidden, text_layers, text_intermediate, text_heads; /* text_layers 0: no text, no VAE */
    const char *text_act;
    const char *heads; /* attention_head_dim of unet/config.json */
    bool linear_projection;
    int sample_size;
    const char *prediction;
};

static const struct model models[] = {
    {"sd15", 4, {320, 640, 1280, 1280}, 4, 768, 12, 3072, 12, "quick_gelu", "8", false, 64, "epsilon"},
    {"sd21", 4, {320, 640, 1280, 1280}, 4, 1024, 23, 4096, 16, "gelu", "[5, 10, 20, 20]", true, 96, "v_prediction"},
    {.name = "ddpm-cat", .n_levels = 6, .channels = {128, 128, 256, 256, 512, 512}, .pixel_channels = 3},
};

enum { VOCABULARY = 49408, POSITIONS = 77, TENSORS_MAX = 1024 };
static const int vae_channels[4] = {128, 256, 512, 512};

/* ---- the tensors of one component -------------------------------------------------------------------------------- */

struct tensor {
    char *name;
    int rank;
    int64_t shape[4];
};

struct list {
    struct arena *arena;
    const char *component;
    int n;
    struct tensor tensors[TENSORS_MAX];
};

static void add(struct list *l, const char *prefix, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    if (l->n == TENSORS_MAX) die(FAIL_INTERNAL, "too many tensors");
    l->tensors[l->n++] = (struct tensor){arena_printf(l->arena, "%s%s", prefix, name), rank, {a, b, c, c}};
}

static void add_linear(struct list *l, const char *prefix, const char *name, int out, int in, bool bias) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 2, out, in, 0);
    if (bias) add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, out, 0, 0);
}

static void add_conv(struct list *l, const char *prefix, const char *name, int out, int in, int kernel) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 4, out, in, kernel);
    add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, out, 0, 0);
}

static void add_norm(struct list *l, const char *prefix, const char *name, int C) {
    add(l, prefix, arena_printf(l->arena, "%s.weight", name), 1, C, 0, 0);
    add(l, prefix, arena_printf(l->arena, "%s.bias", name), 1, C, 0, 0);
}

static void add_resnet(struct list *l, const char *prefix, int in, int out, int temb) {
    add_norm(l, prefix, "norm1", in);
    add_conv(l, prefix, "conv1", out, in, 3);
    if (temb) add_linear(l, prefix, "time_emb_proj", out, temb, true);
    add_norm(l, prefix, "norm2", out);
    add_conv(l, prefix, "conv2", out, out, 3);
    if (in != out) add_conv(l, prefix, "conv_shortcut", out, in, 1);
}

static void add_projection(struct list *l, const char *prefix, const char *name, int C, bool linear) {
    if (linear) add_linear(l, prefix, name, C, C, true);
    else add_conv(l, prefix, name, C, C, 1);
}

static void add_transformer(struct list *l, const char *prefix, int C, int cross, bool linear) {
    const char *block = arena_printf(l->arena, "%stransformer_blocks.0.", prefix);
    add_norm(l, prefix, "norm", C);
    add_projection(l, prefix, "proj_in", C, linear);
    for (int i = 0; i < 3; i++) add_norm(l, block, (const char *[]){"norm1", "norm2", "norm3"}[i], C);
    for (int i = 0; i < 2; i++) {
        const char *attention = arena_printf(l->arena, "%sattn%d.", block, i + 1);
        add_linear(l, attention, "to_q", C, C, false);
        add_linear(l, attention, "to_k", C, i ? cross : C, false);
        add_linear(l, attention, "to_v", C, i ? cross : C, false);
        add_linear(l, attention, "to_out.0", C, C, true);
    }
    add_linear(l, block, "ff.net.0.proj", 8 * C, C, true);
    add_linear(l, block, "ff.net.2", C, 4 * C, true);
    add_projection(l, prefix, "proj_out", C, linear);
}

/* One self-attention over all pixels. */
static void add_self_attention(struct list *l, const char *prefix, int C) {
    add_norm(l, prefix, "group_norm", C);
    for (int i = 0; i < 4; i++) add_linear(l, prefix, (const char *[]){"to_q", "to_k", "to_v", "to_out.0"}[i], C, C, true);
}

static void add_attention(struct list *l, const struct model *m, const char *prefix, int C) {
    if (m->text_layers) add_transformer(l, prefix, C, m->text_hidden, m->linear_projection);
    else add_self_attention(l, prefix, C);
}

static bool has_attention(const struct model *m, int level) {
    return m->text_layers ? level < 3 : level == 4;
}

static void list_unet(struct list *l, const struct model *m) {
    const int *C = m->channels, n = m->n_levels, E = 4 * C[0];
#define NAME(...) arena_printf(l->arena, __VA_ARGS__)
    add_conv(l, "", "conv_in", C[0], m->pixel_channels, 3);
    add_linear(l, "", "time_embedding.linear_1", E, C[0], true);
    add_linear(l, "", "time_embedding.linear_2", E, E, true);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < 2; j++) {
            add_resnet(l, NAME("down_blocks.%d.resnets.%d.", i, j), j ? C[i] : C[i ? i - 1 : 0], C[i], E);
            if (has_attention(m, i)) add_attention(l, m, NAME("down_blocks.%d.attentions.%d.", i, j), C[i]);
        }
        if (i < n - 1) add_conv(l, NAME("down_blocks.%d.downsamplers.0.", i), "conv", C[i], C[i], 3);
    }
    add_resnet(l, "mid_block.resnets.0.", C[n - 1], C[n - 1], E);
    add_attention(l, m, "mid_block.attentions.0.", C[n - 1]);
    add_resnet(l, "mid_block.resnets.1.", C[n - 1], C[n - 1], E);
    for (int i = 0; i < n; i++) {
        int level = n - 1 - i, before = C[i ? level + 1 : n - 1];
        for (int j = 0; j < 3; j++) {
            int skip = C[j < 2 ? level : level ? level - 1 : 0];
            add_resnet(l, NAME("up_blocks.%d.resnets.%d.", i, j), (j ? C[level] : before) + skip, C[level], E);
            if (has_attention(m, level)) add_attention(l, m, NAME("up_blocks.%d.attentions.%d.", i, j), C[level]);
        }
        if (i < n - 1) add_conv(l, NAME("up_blocks.%d.upsamplers.0.", i), "conv", C[level], C[level], 3);
    }
    add_norm(l, "", "conv_norm_out", C[0]);
    add_conv(l, "", "conv_out", m->pixel_channels, C[0], 3);
}

static void add_vae_mid(struct list *l, const char *half) {
    add_resnet(l, NAME("%s.mid_block.resnets.0.", half), 512, 512, 0);
    add_self_attention(l, NAME("%s.mid_block.attentions.0.", half), 512);
    add_resnet(l, NAME("%s.mid_block.resnets.1.", half), 512, 512, 0);
}

static void list_vae(struct list *l, const struct model *m) {
    (void)m;
    const int *C = vae_channels;
    add_conv(l, "encoder.", "conv_in", C[0], 3, 3);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 2; j++) add_resnet(l, NAME("encoder.down_blocks.%d.resnets.%d.", i, j), j ? C[i] : C[i ? i - 1 : 0], C[i], 0);
        if (i < 3) add_conv(l, NAME("encoder.down_blocks.%d.downsamplers.0.", i), "conv", C[i], C[i], 3);
    }
    add_vae_mid(l, "encoder");
    add_norm(l, "encoder.", "conv_norm_out", C[3]);
    add_conv(l, "encoder.", "conv_out", 8, C[3], 3);
    add_conv(l, "decoder.", "conv_in", C[3], 4, 3);
    add_vae_mid(l, "decoder");
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 3; j++)
            add_resnet(l, NAME("decoder.up_blocks.%d.resnets.%d.", i, j), j ? C[3 - i] : C[i ? 4 - i : 3], C[3 - i], 0);
        if (i < 3) add_conv(l, NAME("decoder.up_blocks.%d.upsamplers.0.", i), "conv", C[3 - i], C[3 - i], 3);
    }
    add_norm(l, "decoder.", "conv_norm_out", C[0]);
    add_conv(l, "decoder.", "conv_out", 3, C[0], 3);
    add_conv(l, "", "quant_conv", 8, 8, 1);
    add_conv(l, "", "post_quant_conv", 4, 4, 1);
}

static void list_text_encoder(struct list *l, const struct model *m) {
    int C = m->text_hidden;
    add(l, "text_model.embeddings.", "token_embedding.weight", 2, VOCABULARY, C, 0);
    add(l, "text_model.embeddings.", "position_embedding.weight", 2, POSITIONS, C, 0);
    for (int i = 0; i < m->text_layers; i++) {
        const char *layer = NAME("text_model.encoder.layers.%d.", i);
        for (int j = 0; j < 4; j++)
            add_linear(l, layer, (const char *[]){"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"}[j], C,
                       C, true);
        add_norm(l, layer, "layer_norm1", C);
        add_linear(l, layer, "mlp.fc1", m->text_intermediate, C, true);
        add_linear(l, layer, "mlp.fc2", C, m->text_intermediate, true);
        add_norm(l, layer, "layer_norm2", C);
    }
    add_norm(l, "text_model.", "final_layer_norm", C);
}
#undef NAME

/* ---- values and files -------------------------------------------------------------------------------------------- */

static size_t element_count(const struct tensor *t) {
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

static void fill(float *x, size_t n, const struct tensor *t, uint64_t *state) {
    size_t fan_in = t->rank > 1 ? n / (size_t)t->shape[0] : 1;
    bool embedding = strstr(t->name, "embedding.weight") != NULL, norm_scale = t->rank == 1 && ends_with(t->name, ".weight");
    float width = t->rank == 1 || embedding ? 0.02f : sqrtf(1.5f / (float)fan_in);
    for (size_t i = 0; i < n; i++) x[i] = (float)norm_scale + width * ((float)(random_next(state) >> 40) * 0x1p-23f - 1);
}

static void write_all(int fd, const void *data, size_t n, const char *path) {
    for (const char *p = data; n;) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) die(FAIL_IO, "%s: %s", path, strerror(errno));
        p += k;
        n -= (size_t)k;
    }
}

static char *header(const struct list *l, enum dtype dtype, size_t *header_bytes, size_t *data_bytes) {
    char *text = NULL;
    FILE *f = open_memstream(&text, header_bytes);
    if (!f) die(FAIL_MEMORY, "out of memory");
    fputc('{', f);
    for (int i = 0; i < l->n; i++) {
        const struct tensor *t = &l->tensors[i];
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

static void write_tensors(int fd, const char *path, const struct list *l, enum dtype dtype, uint64_t seed) {
    for (int i = 0; i < l->n; i++) {
        size_t n = element_count(&l->tensors[i]);
        float *x = malloc(n * sizeof *x);
        if (!x) die(FAIL_MEMORY, "out of memory");
        fill(x, n, &l->tensors[i], &seed);
        uint16_t *half = (uint16_t *)x; /* narrowed in place, front to back */
        for (size_t j = 0; dtype == DT_F16 && j < n; j++) half[j] = f32_to_f16(x[j]);
        write_all(fd, x, n * dtype_table[dtype].size, path);
        free(x);
    }
}

struct request {
    const struct model *model;
    const char *dir;
    enum dtype dtype;
    uint64_t seed;
    bool sparse;
};

static void write_component(struct arena *a, const struct request *r, const struct list *l, const char *file) {
    size_t header_bytes = 0, data_bytes = 0;
    char *text = header(l, r->dtype, &header_bytes, &data_bytes), *path = arena_printf(a, "%s/%s/%s", r->dir, l->component, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) die(FAIL_CREATE, "%s: %s", path, strerror(errno));
    uint64_t length = header_bytes; /* little-endian as the machines this runs on */
    write_all(fd, &length, sizeof length, path);
    write_all(fd, text, header_bytes, path);
    if (r->sparse && ftruncate(fd, (off_t)(sizeof length + header_bytes + data_bytes)) != 0) die(FAIL_IO, "%s: %s", path, strerror(errno));
    if (!r->sparse) write_tensors(fd, path, l, r->dtype, r->seed + (uint64_t)l->component[0]);
    if (close(fd) != 0) die(FAIL_IO, "%s: %s", path, strerror(errno));
    free(text);
}

static void write_text(struct arena *a, const struct request *r, const char *name, const char *text) {
    publish_file(a, arena_printf(a, "%s/%s", r->dir, name), text, strlen(text), EXISTS_OVERWRITE);
}

static void make_dir(struct arena *a, const char *dir, const char *name) {
    char *path = arena_printf(a, "%s/%s", dir, name);
    if (mkdir(path, 0777) != 0 && errno != EEXIST) die(FAIL_CREATE, "%s: %s", path, strerror(errno));
}

static void copy_tokenizer(struct arena *a, const struct request *r, const char *from) {
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
static void write_unconditional_configs(struct arena *a, const struct request *r) {
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

static void write_configs(struct arena *a, const struct request *r) {
    const struct model *m = r->model;
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

static void print_list(const struct list *l) {
    for (int i = 0; i < l->n; i++) {
        printf("%s %s ", l->component, l->tensors[i].name);
        for (int j = 0; j < l->tensors[i].rank; j++) printf("%s%lld", j ? "," : "", (long long)l->tensors[i].shape[j]);
        putchar('\n');
    }
}

static void each_component(struct arena *a, const struct request *r) {
    static const struct {
        const char *name, *file;
        void (*list)(struct list *l, const struct model *m);
    } components[] = {{"unet", "diffusion_pytorch_model.safetensors", list_unet},
                      {"vae", "diffusion_pytorch_model.safetensors", list_vae},
                      {"text_encoder", "model.safetensors", list_text_encoder}};
    for (int i = 0; i < (r->model->text_layers ? 3 : 1); i++) {
        struct list *l = arena_alloc(a, sizeof *l);
        l->arena = a;
        l->component = components[i].name;
        components[i].list(l, r->model);
        if (r->dir) write_component(a, r, l, components[i].file);
        else print_list(l);
    }
}

static const struct model *find_model(const char *name) {
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0) return &models[i];
    die(FAIL_USAGE, "unknown model '%s': sd15, sd21 or ddpm-cat", name);
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc < 3) die(FAIL_USAGE, "usage: make_checkpoint sd15|sd21|ddpm-cat DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse]");
    struct request r = {.model = find_model(argv[1]), .dtype = DT_F32};
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
