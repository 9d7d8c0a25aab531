/* Writes a checkpoint directory of the true shape of Stable Diffusion 1.5, 2.1 or 2-depth, SDXL, its refiner or their kin, or of
 * google/ddpm-cat-256, with seeded random weights, for measuring.
 *
 *     make_checkpoint MODEL DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse] [--lora RANK]
 *     make_checkpoint MODEL --list          every tensor: COMPONENT NAME SHAPE
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

static bool has_text(const struct shape *m) {
    return context_dim(m) > 0;
}

static bool is_refiner(const struct shape *m) {
    return m->added && !m->texts[0].layers;
}

/* A folder's name, of the first text encoder or the second. */
static const char *numbered(struct arena *a, const char *name, int i) {
    return i ? arena_printf(a, "%s_2", name) : name;
}

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
    int lora_rank; /* of a LoRA of all modules, DIR/lora.safetensors; 0: none */
};

/* file: within DIR */
static void write_listing(struct arena *a, const struct order *r, const struct listing *l, const char *file) {
    size_t header_bytes = 0, data_bytes = 0;
    char *text = header(l, r->dtype, &header_bytes, &data_bytes), *path = arena_printf(a, "%s/%s", r->dir, file);
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

/* SDXL's second tokenizer is the first but for its padding. */
static void copy_tokenizer(struct arena *a, const struct order *r, const char *from, int which) {
    static const char *const files[] = {"vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"};
    const char *folder = numbered(a, "tokenizer", which);
    for (int i = 0; i < 4; i++) {
        size_t n;
        char *path = arena_printf(a, "%s/%s", from, files[i]);
        if (i >= 2 && !file_exists(path)) continue;
        char *text = read_file(a, path, 32 << 20, &n);
        publish_file(a, arena_printf(a, "%s/%s/%s", r->dir, folder, files[i]), text, n, EXISTS_OVERWRITE);
    }
    if (which)
        write_text(a, r, arena_printf(a, "%s/special_tokens_map.json", folder),
                   "{\"bos_token\": \"<|startoftext|>\", \"eos_token\": \"<|endoftext|>\", \"unk_token\": \"<|endoftext|>\", "
                   "\"pad_token\": \"!\"}\n");
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

static const char *scheduler_of(const struct shape *m) {
    return m->scheduler ? m->scheduler : m->added ? "EulerDiscreteScheduler" : "PNDMScheduler";
}

static void write_index(struct arena *a, const struct order *r) {
    static const char *const parts = " \"unet\": [\"diffusers\", \"UNet2DConditionModel\"], \"vae\": [\"diffusers\", \"AutoencoderKL\"]}\n";
    const char *first = "\"text_encoder\": [\"transformers\", \"CLIPTextModel\"], \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"]",
               *second = "\"text_encoder_2\": [\"transformers\", \"CLIPTextModelWithProjection\"], \"tokenizer_2\": [\"transformers\", "
                         "\"CLIPTokenizer\"]";
    if (!r->model->added)
        write_text(a, r, "model_index.json",
                   arena_printf(a,
                                "{\"_class_name\": \"StableDiffusion%sPipeline\", \"_diffusers_version\": \"0.42.1\",\n %s,\n"
                                " \"scheduler\": [\"diffusers\", \"%s\"],\n %s,\n%s",
                                r->model->sees_depth ? "Depth2Img" : "",
                                r->model->sees_depth ? "\"depth_estimator\": [\"transformers\", \"DPTForDepthEstimation\"], "
                                                       "\"feature_extractor\": [\"transformers\", \"DPTImageProcessor\"]"
                                                     : "\"requires_safety_checker\": false, \"safety_checker\": [null, null], "
                                                       "\"feature_extractor\": [null, null]",
                                scheduler_of(r->model), first, parts));
    else
        write_text(a, r, "model_index.json",
                   arena_printf(a,
                                "{\"_class_name\": \"%s\", \"_diffusers_version\": \"0.42.1\", \"force_zeros_for_empty_prompt\": %s,\n"
                                " \"requires_aesthetics_score\": %s, \"scheduler\": [\"diffusers\", \"%s\"],\n"
                                " %s,\n %s,\n%s",
                                is_refiner(r->model) ? "StableDiffusionXLImg2ImgPipeline" : "StableDiffusionXLPipeline",
                                is_refiner(r->model) ? "false" : "true", is_refiner(r->model) ? "true" : "false", scheduler_of(r->model),
                                is_refiner(r->model) ? "\"text_encoder\": [null, null], \"tokenizer\": [null, null]" : first, second,
                                parts));
}

static void write_scheduler_config(struct arena *a, const struct order *r) {
    write_text(
        a, r, "scheduler/scheduler_config.json",
        arena_printf(a,
                     "{\"_class_name\": \"%s\", \"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\",\n"
                     " \"num_train_timesteps\": 1000, \"steps_offset\": 1, \"trained_betas\": null, \"prediction_type\": \"%s\",\n"
                     " %s}\n",
                     scheduler_of(r->model), r->model->prediction,
                     r->model->scheduler ? "\"timestep_spacing\": \"trailing\""
                     : r->model->added   ? "\"timestep_spacing\": \"leading\", \"interpolation_type\": \"linear\""
                                         : "\"set_alpha_to_one\": false, \"skip_prk_steps\": true, \"clip_sample\": false"));
}

static void write_text_config(struct arena *a, const struct order *r, int which) {
    const struct text_shape *t = &r->model->texts[which];
    write_text(
        a, r, arena_printf(a, "%s/config.json", numbered(a, "text_encoder", which)),
        arena_printf(a,
                     "{\"architectures\": [\"%s\"], \"model_type\": \"clip_text_model\", \"vocab_size\": %d,\n"
                     " \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d,\n"
                     " \"max_position_embeddings\": %d, \"hidden_act\": \"%s\", \"layer_norm_eps\": 1e-05, \"bos_token_id\": 49406,\n"
                     " \"eos_token_id\": 49407, \"pad_token_id\": 1, \"projection_dim\": %d}\n",
                     t->projection ? "CLIPTextModelWithProjection" : "CLIPTextModel", VOCABULARY, t->hidden, t->intermediate, t->layers,
                     t->heads, POSITIONS, t->act, t->projection ? t->projection : t->hidden));
}

/* What differs from the default: a middle without attention or none, and depths that are listed resnet by resnet. */
static const char *mid_config(struct arena *a, const struct shape *m) {
    const char *type = m->mid == MID_PLAIN  ? ",\n \"mid_block_type\": \"UNetMidBlock2D\""
                       : m->mid == MID_NONE ? ",\n \"mid_block_type\": null"
                                            : "";
    const char *lists = m->uneven ? ",\n \"reverse_transformer_layers_per_block\": [[4, 4, 10], [2, 1, 1], 1]" : "";
    return arena_printf(a, "%s%s", type, lists);
}

/* "[1, 2, 10]", and the names of the blocks with attention and without. */
static void write_unet_config(struct arena *a, const struct order *r) {
    const struct shape *m = r->model;
    const char *channels = "", *depths = "", *down = "", *up = "";
    for (int i = 0; i < m->n_levels; i++) {
        const char *comma = i ? ", " : "";
        bool attention = m->depths[i], attention_up = m->depths[m->n_levels - 1 - i];
        int depth = attention ? m->depths[i] : i + 1 == m->n_levels ? m->depths[i - 1] : 1; /* the last is the middle's */
        channels = arena_printf(a, "%s%s%d", channels, comma, m->channels[i]);
        depths = arena_printf(a, m->uneven && attention ? "%s%s[%d, %d]" : "%s%s%d", depths, comma, depth, depth);
        down = arena_printf(a, "%s%s\"%sDownBlock2D\"", down, comma, attention ? "CrossAttn" : "");
        up = arena_printf(a, "%s%s\"%sUpBlock2D\"", up, comma, attention_up ? "CrossAttn" : "");
    }
    const char *added = m->added ? arena_printf(a,
                                                ",\n \"addition_embed_type\": \"text_time\", \"addition_time_embed_dim\": 256,"
                                                " \"projection_class_embeddings_input_dim\": %d",
                                                m->added)
                                 : "";
    write_text(a, r, "unet/config.json",
               arena_printf(a,
                            "{\"_class_name\": \"UNet2DConditionModel\", \"sample_size\": %d, \"in_channels\": %d, \"out_channels\": 4,\n"
                            " \"block_out_channels\": [%s], \"layers_per_block\": %d, \"cross_attention_dim\": %d,\n"
                            " \"down_block_types\": [%s],\n \"up_block_types\": [%s],\n \"transformer_layers_per_block\": [%s],\n"
                            " \"attention_head_dim\": %s, \"use_linear_projection\": %s%s%s}\n",
                            m->sample_size, m->pixel_channels + m->sees_depth, channels, layers_of(m), context_dim(m), down, up, depths,
                            m->heads, m->linear_projection ? "true" : "false", added, mid_config(a, m)));
}

static void write_depth_configs(struct arena *a, const struct order *r) {
    write_text(a, r, "depth_estimator/config.json",
               "{\"architectures\": [\"DPTForDepthEstimation\"], \"model_type\": \"dpt\", \"is_hybrid\": true,\n"
               " \"neck_hidden_sizes\": [256, 512, 768, 768], \"reassemble_factors\": [1, 1, 1, 0.5]}\n");
    write_text(a, r, "feature_extractor/preprocessor_config.json",
               "{\"feature_extractor_type\": \"DPTFeatureExtractor\", \"size\": 384, \"resample\": 3,\n"
               " \"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.5, 0.5, 0.5]}\n");
}

static void write_configs(struct arena *a, const struct order *r) {
    if (!has_text(r->model)) {
        write_unconditional_configs(a, r);
        return;
    }
    write_index(a, r);
    write_scheduler_config(a, r);
    for (int i = 0; i < 2; i++)
        if (r->model->texts[i].layers) write_text_config(a, r, i);
    write_unet_config(a, r);
    if (r->model->sees_depth) write_depth_configs(a, r);
    write_text(
        a, r, "vae/config.json",
        arena_printf(
            a,
            "{\"_class_name\": \"AutoencoderKL\", \"block_out_channels\": [128, 256, 512, 512], \"layers_per_block\": 2,\n"
            " \"latent_channels\": 4, \"scaling_factor\": %s, \"sample_size\": %d, \"force_upcast\": true,\n"
            " \"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\"],\n"
            " \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\"]}\n",
            r->model->added ? "0.13025" : "0.18215", r->model->added ? 1024 : 512));
}

static void print_list(const struct listing *l) {
    for (int i = 0; i < l->n; i++) {
        printf("%s %s ", l->component, l->tensors[i].name);
        for (int j = 0; j < l->tensors[i].rank; j++) printf("%s%lld", j ? "," : "", (long long)l->tensors[i].shape[j]);
        putchar('\n');
    }
}

/* Factors for each linear layer and convolution of the component, under PEFT's names. */
static void add_lora(struct listing *lora, const struct listing *l, int64_t rank) {
    for (int i = 0; i < l->n; i++) {
        const struct listed *t = &l->tensors[i];
        if (t->rank < 2 || strstr(t->name, "embedding.weight")) continue;
        int n = (int)(strlen(t->name) - strlen(".weight"));
        struct listed down = *t, up = {.rank = t->rank, .shape = {t->shape[0], rank, 1, 1}};
        down.shape[0] = rank;
        down.name = arena_printf(lora->arena, "%s.%.*s.lora_A.weight", l->component, n, t->name);
        up.name = arena_printf(lora->arena, "%s.%.*s.lora_B.weight", l->component, n, t->name);
        if (lora->n + 2 > TENSORS_MAX) die(FAIL_INTERNAL, "too many tensors");
        lora->tensors[lora->n++] = down;
        lora->tensors[lora->n++] = up;
    }
}

/* lora: what the component's layers are added to where one is asked for, or NULL. */
static void put_component(struct arena *a, const struct order *r, const char *name, struct listing *l, const char *file,
                          struct listing *lora) {
    l->component = name;
    if (r->dir) write_listing(a, r, l, arena_printf(a, "%s/%s", name, file));
    else print_list(l);
    if (lora && r->lora_rank) add_lora(lora, l, r->lora_rank);
}

static struct listing *listing_new(struct arena *a) {
    struct listing *l = arena_alloc(a, sizeof *l);
    l->arena = a;
    return l;
}

static void each_component(struct arena *a, const struct order *r) {
    static const char *const file = "diffusion_pytorch_model.safetensors";
    struct listing *l = listing_new(a), *lora = listing_new(a);
    lora->component = "lora";
    list_unet(l, r->model);
    put_component(a, r, "unet", l, file, lora);
    if (!has_text(r->model)) return;
    l = listing_new(a);
    list_vae(l, r->model);
    put_component(a, r, "vae", l, file, NULL);
    if (r->model->sees_depth) {
        l = listing_new(a);
        list_depth_estimator(l);
        put_component(a, r, "depth_estimator", l, "model.safetensors", NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (!r->model->texts[i].layers) continue;
        l = listing_new(a);
        list_text_encoder(l, &r->model->texts[i]);
        put_component(a, r, numbered(a, "text_encoder", i), l, "model.safetensors", lora);
    }
    if (r->lora_rank) write_listing(a, r, lora, "lora.safetensors");
}

int main(int argc, char **argv) {
    struct arena a = {0};
    if (argc < 3)
        die(FAIL_USAGE, "usage: make_checkpoint MODEL DIR TOKENIZER_DIR [--seed N] [--dtype F32|F16] [--sparse] "
                        "[--lora RANK]");
    struct order r = {.model = find_shape(argv[1]), .dtype = DT_F32};
    if (strcmp(argv[2], "--list") != 0) {
        if (argc < 4) die(FAIL_USAGE, "no TOKENIZER_DIR given");
        r.dir = argv[2];
        for (int i = 4; i < argc; i++) {
            uint64_t rank;
            if (strcmp(argv[i], "--sparse") == 0) r.sparse = true;
            else if (strcmp(argv[i], "--lora") == 0 && i + 1 < argc && parse_u64(argv[i + 1], &rank)) r.lora_rank = (int)rank, i++;
            else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc && parse_u64(argv[i + 1], &r.seed)) i++;
            else if (strcmp(argv[i], "--dtype") == 0 && i + 1 < argc) r.dtype = strcmp(argv[++i], "F16") == 0 ? DT_F16 : DT_F32;
            else die(FAIL_USAGE, "unknown option '%s'", argv[i]);
        }
        const char *dirs[] = {"", "unet", "scheduler", "vae"};
        for (int i = 0; i < (has_text(r.model) ? 4 : 3); i++) make_dir(&a, r.dir, dirs[i]);
        if (r.model->sees_depth) make_dir(&a, r.dir, "depth_estimator"), make_dir(&a, r.dir, "feature_extractor");
        for (int i = 0; i < 2; i++) {
            if (!r.model->texts[i].layers) continue;
            make_dir(&a, r.dir, numbered(&a, "text_encoder", i));
            make_dir(&a, r.dir, numbered(&a, "tokenizer", i));
            copy_tokenizer(&a, &r, argv[3], i);
        }
        write_configs(&a, &r);
    }
    each_component(&a, &r);
    arena_free(&a);
    return 0;
}
