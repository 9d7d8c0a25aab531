#include "engine/pipelines/pipeline.h"
#include "engine/base/clock.h"
#include "engine/pipelines/dump.h"
#include "engine/base/error.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- opening: everything that can be wrong is found here --------------------------------------------------------- */

static struct component *require_component(const struct checkpoint *c, const char *name) {
    struct component *component = checkpoint_find(c, name);
    if (!component) die(FAIL_UNSUPPORTED, "%s: the checkpoint has no '%s'", c->dir, name);
    return component;
}

/* The pipelines there are, and what sets them apart. */
struct pipeline_class {
    const char *name;
    bool takes_prompt;
    int default_steps;
    const char *scheduler; /* the class it converts any stored scheduler to, or NULL */
    enum sched_fixup fixup;
};

static const struct pipeline_class pipeline_classes[] = {
    {"StableDiffusionPipeline", true, 50, NULL, FIXUP_STABLE_DIFFUSION},
    {"DDPMPipeline", false, 1000, NULL, FIXUP_NONE},
    {"DDIMPipeline", false, 50, "DDIMScheduler", FIXUP_NONE},
};

/* A directory that holds a lone UNet2DModel is run as a DDPMPipeline. */
static const struct pipeline_class *find_pipeline_class(const struct checkpoint *c) {
    const char *name = c->pipeline_class ? c->pipeline_class : "DDPMPipeline";
    for (size_t i = 0; i < sizeof pipeline_classes / sizeof *pipeline_classes; i++)
        if (strcmp(pipeline_classes[i].name, name) == 0) return &pipeline_classes[i];
    die_hint(FAIL_UNSUPPORTED, "supported: StableDiffusionPipeline, DDPMPipeline, DDIMPipeline", "%s: pipeline class '%s' is not supported",
             c->dir, name);
}

static void check_text_to_image(const struct pipeline *p) {
    const char *dir = p->checkpoint->dir;
    if (!p->unet->conditional) die(FAIL_UNSUPPORTED, "%s: unet/config.json: a UNet2DModel takes no prompt", dir);
    if (p->text->hidden_size != p->unet->cross_dim)
        die(FAIL_UNSUPPORTED, "%s: text_encoder/config.json: 'hidden_size' %d, but unet/config.json: 'cross_attention_dim' %d", dir,
            p->text->hidden_size, p->unet->cross_dim);
    if (clip_bpe_vocab_size(p->tokenizer) > p->text->vocab_size)
        die(FAIL_UNSUPPORTED, "%s: tokenizer has %d tokens, but text_encoder/config.json: 'vocab_size' %d", dir,
            clip_bpe_vocab_size(p->tokenizer), p->text->vocab_size);
    if (p->unet->in_channels != p->vae->latent_channels || p->unet->out_channels != p->vae->latent_channels)
        die(FAIL_UNSUPPORTED, "%s: unet/config.json: %d input and %d output channels for %d latent channels: not a text-to-image model",
            dir, p->unet->in_channels, p->unet->out_channels, p->vae->latent_channels);
    if (p->vae->out_channels != 3)
        die(FAIL_UNSUPPORTED, "%s: vae/config.json: 'out_channels' %d: only 3 is supported", dir, p->vae->out_channels);
}

static void check_unconditional(const struct pipeline *p) {
    const char *dir = p->checkpoint->dir;
    if (p->unet->conditional) die(FAIL_UNSUPPORTED, "%s: a UNet2DConditionModel needs a text encoder", dir);
    if (p->unet->in_channels != 3 || (p->unet->out_channels != 3 && p->unet->out_channels != 6))
        die(FAIL_UNSUPPORTED, "%s: %d input and %d output channels: only pictures of 3 are supported", dir, p->unet->in_channels,
            p->unet->out_channels);
}

/* A model that predicts a variance does so in as many channels again: it goes with a scheduler that uses one, and only
 * with such a one. */
static void check_variance(const struct pipeline *p) {
    bool predicted = p->unet->out_channels != p->channels, used = p->schedule->rows[0].variance != VARIANCE_PLANNED;
    if (predicted == used) return;
    die_hint(FAIL_UNSUPPORTED, used ? "-x ddpm,variance_type=fixed_small" : "-x ddpm,variance_type=learned_range",
             "%s: %d output channels for %d: the model predicts %s variance, which %s with these options %s", p->checkpoint->dir,
             p->unet->out_channels, p->channels, predicted ? "a" : "no", p->scheduler->class_name, used ? "needs" : "does not use");
}

/* Old checkpoints say sample_size 32 and mean 64 (StableDiffusionPipeline.__init__). */
static void fix_sample_size(struct pipeline *p) {
    int major = 0, minor = 0;
    const char *version = p->checkpoint->diffusers_version;
    if (!version || sscanf(version, "%d.%d", &major, &minor) != 2 || major > 0 || minor >= 9) return;
    if (p->unet->sample_width < 64) p->unet->sample_width = p->unet->sample_height = 64;
}

static void check_size(const struct pipeline *p, int size, const char *what) {
    int multiple = p->size_multiple;
    if (size % multiple == 0 && size >= multiple) return;
    int below = size / multiple * multiple, above = below + multiple;
    if (below == 0) die(FAIL_USAGE, "%s %d: this model makes multiples of %d; nearest: %d", what, size, multiple, above);
    die(FAIL_USAGE, "%s %d: this model makes multiples of %d; nearest: %d and %d", what, size, multiple, below, above);
}

static void fill_text_defaults(struct pipeline *p) {
    struct settings *s = &p->settings;
    if (isnan(s->guidance)) s->guidance = 7.5;
    if (!s->negative) s->negative = "";
    if (s->clip_skip > p->text->n_layers)
        die(FAIL_USAGE, "--clip-skip %d: the text encoder has %d layers", s->clip_skip, p->text->n_layers);
    p->guided = s->guidance > 1;
    int limit = clip_bpe_max_length(p->tokenizer);
    p->n_tokens = limit > 0 && limit < p->text->max_positions ? limit : p->text->max_positions;
}

static void fill_defaults(struct pipeline *p, const struct pipeline_class *class) {
    struct settings *s = &p->settings;
    p->factor = p->vae ? p->vae->factor : 1;
    p->size_multiple = p->factor * p->unet->size_multiple;
    p->channels = p->unet->in_channels;
    if (s->steps == 0) s->steps = class->default_steps;
    if (s->clip_skip < 0) s->clip_skip = 0;
    if (p->text) fill_text_defaults(p);
    if (!s->width || !s->height) {
        s->width = p->unet->sample_width * p->factor;
        s->height = p->unet->sample_height * p->factor;
    }
    check_size(p, s->width, "width");
    check_size(p, s->height, "height");
    p->latent_width = s->width / p->factor;
    p->latent_height = s->height / p->factor;
}

enum { OVERRIDES_MAX = 32 };

/* "NAME,key=value,…" or "NAME:karras": the name may be empty for the checkpoint's own scheduler. */
static const struct scheduler *parse_scheduler(struct arena *a, const char *text, const char **overrides) {
    int n = 0;
    char *rest = arena_strdup(a, text ? text : ""), *name = strsep(&rest, ",:");
    for (char *item; (item = strsep(&rest, ",:")) != NULL;) {
        if (n == OVERRIDES_MAX) die(FAIL_USAGE, "--scheduler: more than %d options", OVERRIDES_MAX);
        overrides[n++] = item;
    }
    overrides[n] = NULL;
    if (!*name) return NULL;
    const struct scheduler *found = scheduler_find(name);
    if (!found) die(FAIL_USAGE, "unknown scheduler '%s'", name); /* the command line has suggested a near one already */
    return found;
}

static void open_schedule(struct pipeline *p, const struct component *stored, const struct pipeline_class *class) {
    const char *overrides[OVERRIDES_MAX + 1];
    const struct scheduler *target = parse_scheduler(p->arena, p->settings.scheduler, overrides);
    if (!target && class->scheduler) target = scheduler_find(class->scheduler);
    p->sched_config = sched_config_load(p->arena, stored->config, json_path(stored->config), stored->class_name, target, class->fixup,
                                        overrides, &p->scheduler);
    sched_config_set_eta(p->sched_config, p->settings.eta);
    p->schedule = schedule_plan(p->arena, p->scheduler, p->sched_config, p->settings.steps ? p->settings.steps : class->default_steps);
}

struct schedule *pipeline_schedule(struct arena *a, const struct settings *settings) {
    struct pipeline p = {.arena = a, .settings = *settings, .checkpoint = checkpoint_open_scheduler(a, settings->model)};
    struct component *scheduler = require_component(p.checkpoint, "scheduler");
    open_schedule(&p, scheduler, find_pipeline_class(p.checkpoint));
    return p.schedule;
}

static void report_truncated(const char *what, const char *text, int n_cut, size_t cut_at, bool strict) {
    if (n_cut <= 0) return;
    if (strict) die(FAIL_USAGE, "%s: %d token%s beyond the model's limit: \"%s\"", what, n_cut, n_cut > 1 ? "s" : "", text + cut_at);
    warn("%s: %d token%s beyond the model's limit ignored: \"%s\"", what, n_cut, n_cut > 1 ? "s" : "", text + cut_at);
}

static void tokenize(struct pipeline *p) {
    const char *texts[2] = {p->settings.prompt, p->settings.negative}, *names[2] = {"prompt", "negative prompt"};
    int32_t **ids[2] = {&p->ids, &p->negative_ids};
    for (int i = 0; i < 1 + p->guided; i++) {
        size_t cut_at = 0;
        *ids[i] = arena_array(p->arena, (size_t)p->n_tokens, sizeof **ids[i]);
        int n_cut = clip_bpe_encode(p->arena, p->tokenizer, texts[i], *ids[i], p->n_tokens, &cut_at);
        report_truncated(names[i], texts[i], n_cut, cut_at, p->settings.strict);
    }
}

/* The file's tensor "latents", or its only one: [1,C,H,W] or [C,H,W]. */
static const float *read_latents(struct pipeline *p) {
    struct st_file *f = st_open(p->arena, p->settings.latents);
    const struct st_tensor *t = f->n_tensors == 1 ? &f->tensors[0] : st_find(f, "latents");
    if (!t) die(FAIL_DATA, "%s: no tensor 'latents'", f->path);
    int C = p->channels, H = p->latent_height, W = p->latent_width, r = t->rank;
    if (r < 3 || r > 4 || (r == 4 && t->shape[0] != 1) || t->shape[r - 3] != C || t->shape[r - 2] != H || t->shape[r - 1] != W)
        die(FAIL_UNSUPPORTED, "%s: tensor '%s': expected shape [1,%d,%d,%d]", f->path, t->name, C, H, W);
    if (t->dtype > DT_F64) die(FAIL_UNSUPPORTED, "%s: tensor '%s': dtype %s", f->path, t->name, dtype_table[t->dtype].name);
    void *raw = arena_alloc(p->arena, t->bytes);
    float *noise = arena_array(p->arena, t->bytes / dtype_table[t->dtype].size, sizeof *noise);
    int error = st_read(t, raw);
    if (error) die(FAIL_IO, "%s: %s", f->path, strerror(error));
    dtype_to_f32(noise, raw, t->dtype, t->bytes / dtype_table[t->dtype].size);
    st_close(f);
    return noise;
}

static void open_text_and_vae(struct pipeline *p) {
    struct component *text = require_component(p->checkpoint, "text_encoder"), *vae = require_component(p->checkpoint, "vae");
    p->tokenizer = clip_bpe_open(p->arena, require_component(p->checkpoint, "tokenizer")->dir);
    p->text = clip_text_bind(text);
    component_check(text);
    p->vae = vae_bind(vae);
    component_check(vae);
}

struct pipeline *pipeline_open(struct arena *a, const struct settings *settings) {
    struct pipeline *p = arena_alloc(a, sizeof *p);
    p->arena = a;
    p->settings = *settings;
    p->checkpoint = checkpoint_open(a, settings->model, settings->variant);
    const struct pipeline_class *class = find_pipeline_class(p->checkpoint);
    struct component *unet = require_component(p->checkpoint, "unet"), *scheduler = require_component(p->checkpoint, "scheduler");
    p->unet = unet_bind(unet);
    component_check(unet);
    if (class->takes_prompt) {
        open_text_and_vae(p);
        check_text_to_image(p);
        fix_sample_size(p);
    } else {
        check_unconditional(p);
        if (p->settings.prompt) die(FAIL_USAGE, "a prompt, but %s draws without one: it is a %s", p->checkpoint->name, class->name);
    }
    fill_defaults(p, class);
    open_schedule(p, scheduler, class);
    check_variance(p);
    if (p->settings.prompt) tokenize(p);
    if (p->settings.latents) p->given_noise = read_latents(p);
    return p;
}

/* ---- the stages, run once for planning and once for each picture ------------------------------------------------- */

static void encode_text(struct pipeline *p) {
    struct device *dev = p->device;
    p->context = view_alloc(dev, 1 + p->guided, 1, p->n_tokens, p->text->hidden_size);
    if (p->guided) clip_text_forward(dev, p->text, view_images(dev, p->context, 0, 1), p->negative_ids, 0);
    clip_text_forward(dev, p->text, view_images(dev, p->context, p->guided, 1), p->ids, p->settings.clip_skip);
}

/* What all pictures share. */
static void prepare(struct pipeline *p) {
    const struct schedule *s = p->schedule;
    float *t = arena_array(p->arena, (size_t)s->n_rows, sizeof *t);
    for (int i = 0; i < s->n_rows; i++) t[i] = s->rows[i].t;
    if (p->text) encode_text(p);
    p->unet_run = unet_prepare(p->device, p->unet, p->arena, p->context, t, s->n_rows);
}

static void prepare_timed(struct pipeline *p) {
    struct device *dev = p->device;
    dev->time_begin(dev, 2);
    dev->time_mark(dev, 0);
    prepare(p);
    dev->time_mark(dev, 1);
    p->timings.text_ms = dev->time_wait(dev, 1);
}

static size_t latent_count(const struct pipeline *p) {
    return (size_t)p->channels * (size_t)p->latent_height * (size_t)p->latent_width;
}

static struct latents alloc_latents(struct pipeline *p) {
    struct device *dev = p->device;
    size_t bytes = latent_count(p) * sizeof(float);
    struct latents l = {.N = 1, .H = p->latent_height, .W = p->latent_width, .C = p->channels};
    l.x = arena_push(dev, bytes);
    l.e = arena_push(dev, bytes);
    l.z = arena_push(dev, bytes);
    l.saved = p->schedule->saves ? arena_push(dev, bytes) : NULL;
    for (int i = 0; i < p->schedule->history; i++) l.d[i] = arena_push(dev, bytes);
    return l;
}

/* One row: l->x is denoised by one model call. */
static void denoise_row(struct pipeline *p, const struct latents *l, struct dump *dump, int row) {
    struct device *dev = p->device;
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    int N = 1 + p->guided;
    struct view x = view_alloc(dev, N, l->H, l->W, p->unet->in_channels), out = view_alloc(dev, N, l->H, l->W, p->unet->out_channels);
    struct view temb = view_alloc(dev, 1, 1, 1, p->unet->n_temb);
    op->next_row(dev, temb, p->unet_run->temb);
    op->row_input(dev, x, l, N);
    unet_forward(dev, p->unet, p->unet_run, out, x, temb);
    op->sched_step(dev, l, out, (float)p->settings.guidance, (float)p->settings.guidance_rescale);
    if (dump) dump_step(dump, dev, row, p->schedule->rows[row].t, x, l);
    arena_release(dev, mark);
}

/* Decoded picture [1,height,width,3] in the arena, of the VAE's type, and the device with it: the caller reads the picture, then calls
 * decode_end. */
static struct view decode(struct pipeline *p, const struct latents *l) {
    struct device *dev = p->device;
    if (p->vae && p->settings.vae_dtype_given) dev->dtype = p->settings.vae_dtype;
    struct view image = view_alloc(dev, 1, p->settings.height, p->settings.width, 3);
    if (!p->vae) {
        dev->ops->model_input(dev, image, l->x, 1);
        return image;
    }
    size_t mark = arena_mark(dev);
    struct view z = view_alloc(dev, 1, l->H, l->W, l->C);
    dev->ops->model_input(dev, z, l->x, (float)(1 / p->vae->scaling_factor));
    vae_decode(dev, p->vae, image, z);
    arena_release(dev, mark);
    return image;
}

static void decode_end(struct pipeline *p) {
    p->device->dtype = p->dtype;
}

void pipeline_plan(struct pipeline *p, struct device *device) {
    p->device = device;
    p->dtype = device->dtype;
    p->prepared = false;
    device->plan_begin(device);
    prepare(p);
    struct latents l = alloc_latents(p);
    denoise_row(p, &l, NULL, 0);
    decode(p, &l);
    decode_end(p);
    device->arena_used = 0;
}

/* The components whose weights run; returns their number. */
static int model_components(const struct pipeline *p, struct component *components[3]) {
    int n = 0;
    if (p->text) components[n++] = checkpoint_find(p->checkpoint, "text_encoder");
    components[n++] = checkpoint_find(p->checkpoint, "unet");
    if (p->vae) components[n++] = checkpoint_find(p->checkpoint, "vae");
    return n;
}

void pipeline_read_ahead(const struct pipeline *p) {
    struct component *components[3];
    int n = model_components(p, components);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < components[i]->n_files; j++) posix_fadvise(components[i]->files[j]->fd, 0, 0, POSIX_FADV_WILLNEED);
}

struct memory_plan pipeline_memory(const struct pipeline *p) {
    struct component *components[3];
    int n = model_components(p, components);
    return (struct memory_plan){weights_packed_bytes(p->device, components, n), p->device->arena_peak, p->device->scratch_bytes(p->device)};
}

static void finish_load(struct pipeline *p) {
    struct component *components[3];
    p->timings.load_ms = weights_wait(p->device, components, model_components(p, components));
    p->loaded = true;
}

void pipeline_load(struct pipeline *p) {
    struct component *components[3];
    int n = model_components(p, components);
    p->device->plan_end(p->device);
    if (!p->recording) p->recording = p->device->recording_new(p->device);
    p->timings.bytes_read = weights_load(p->device, components, n);
    p->timings.step_ms = arena_array(p->arena, (size_t)p->schedule->n_rows, sizeof *p->timings.step_ms);
    if (!p->device->async) finish_load(p); /* else it goes on behind the first picture */
}

/* ---- one picture ------------------------------------------------------------------------------------------------- */

/* fp16 ends at 65504, where bf16 and fp32 go to 3e38. */
static const char *range_hint(enum dtype dtype, const char *wider) {
    return dtype == DT_F16 ? wider : NULL;
}

static void check_latents(const struct pipeline *p, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            die_hint(FAIL_INTERNAL, range_hint(p->dtype, "--dtype bf16, or fp32"),
                     "latents: value %zu of %zu is not finite: no picture made", i, n);
}

static void start_latents(struct pipeline *p, struct latents *l, struct rng *rng, float *noise) {
    size_t n = latent_count(p);
    if (p->given_noise) memcpy(noise, p->given_noise, n * sizeof *noise);
    else rng_normal(rng, noise, n, p->settings.rng_dtype);
    float *scaled = arena_array(&p->image_arena, n, sizeof *scaled);
    for (size_t i = 0; i < n; i++) scaled[i] = noise[i] * p->schedule->init_noise_sigma;
    p->device->ops->upload_latents(p->device, l->x, scaled, 1, l->H, l->W, l->C);
}

/* What a step's launches and operands depend on. */
struct step {
    struct pipeline *p;
    struct latents l;
    struct view context, temb, kv;
    double guidance, guidance_rescale;
};

static void denoise_step(void *data) {
    const struct step *step = data;
    denoise_row(step->p, &step->l, NULL, 0);
}

static struct step step_of(struct pipeline *p, const struct latents *l) {
    struct step step;
    memset(&step, 0, sizeof step); /* the padding too: a recording compares bytes */
    step.p = p;
    step.l = *l;
    step.context = p->context;
    step.temb = p->unet_run->temb;
    if (p->unet->n_transformer_blocks) step.kv = p->unet_run->kv[0]; /* the others lie behind it */
    step.guidance = p->settings.guidance;
    step.guidance_rescale = p->settings.guidance_rescale;
    return step;
}

/* Row i has been given to the device: waits for it and says so. */
static void finish_row(struct pipeline *p, int i) {
    struct device *dev = p->device;
    p->timings.step_ms[i] = dev->time_wait(dev, i + 1);
    if (p->on_step) p->on_step(p->on_step_data, i, p->schedule->n_rows);
    if (p->snapshots) dev->time_mark(dev, i + 1); /* a snapshot is not the next row's time */
}

/* A device that works behind our back is kept one row ahead of what is reported, so that it never waits for us. */
static void denoise(struct pipeline *p, struct latents *l, struct rng *rng, float *noise, struct dump *dump) {
    struct device *dev = p->device;
    int n_rows = p->schedule->n_rows, ahead = dev->async && !p->snapshots && !dump;
    struct step step = step_of(p, l);
    dev->ops->set_schedule(dev, p->schedule->rows, n_rows, p->schedule->history);
    dev->time_begin(dev, n_rows + 1);
    dev->time_mark(dev, 0);
    for (int i = 0; i < n_rows; i++) {
        if (p->schedule->rows[i].noise) {
            rng_normal(rng, noise, latent_count(p), p->settings.rng_dtype);
            dev->ops->upload_latents(dev, l->z, noise, 1, l->H, l->W, l->C);
        }
        if (dump) denoise_row(p, l, dump, i);
        else dev->replay(dev, p->recording, denoise_step, &step, sizeof step);
        dev->time_mark(dev, i + 1);
        if (i >= ahead) finish_row(p, i - ahead);
    }
    if (ahead) finish_row(p, n_rows - 1);
}

static struct dump *start_dump(struct pipeline *p, int k, const float *noise) {
    if (p->settings.count > 1) dump_open(&p->image_arena, p->settings.dump);
    struct dump *dump = dump_open(&p->image_arena, pipeline_dump_dir(p, &p->image_arena, k));
    if (p->text) {
        const struct dump_prompt prompts[] = {{"", p->ids, view_images(p->device, p->context, p->guided, 1)},
                                              {"negative_", p->negative_ids, view_images(p->device, p->context, 0, 1)}};
        dump_text(dump, p->device, prompts, 1 + p->guided, p->n_tokens);
    }
    dump_noise(dump, noise, p->channels, p->latent_height, p->latent_width);
    return dump;
}

/* The picture before may have died anywhere. */
static void start_picture(struct pipeline *p) {
    struct device *dev = p->device;
    dev->recover(dev);
    arena_free(&p->image_arena);
    dev->dtype = p->dtype;
    arena_release(dev, p->prepared ? p->image_mark : 0);
    p->timings.text_ms = 0;
    if (p->prepared) return;
    prepare_timed(p);
    p->image_mark = arena_mark(dev);
    p->prepared = true;
}

void pipeline_generate(struct pipeline *p, int k, uint8_t *rgb) {
    struct device *dev = p->device;
    start_picture(p);
    size_t n = latent_count(p), n_pixels = (size_t)p->settings.width * (size_t)p->settings.height;
    struct latents l = alloc_latents(p);
    p->latents = &l;
    struct rng rng;
    rng_init(&rng, p->settings.rng, p->settings.seed + (uint64_t)k, p->settings.rng_sms);
    float *noise = arena_array(&p->image_arena, n, sizeof *noise);
    start_latents(p, &l, &rng, noise);
    struct dump *dump = p->settings.dump ? start_dump(p, k, noise) : NULL;

    denoise(p, &l, &rng, noise, dump);
    if (!p->loaded) finish_load(p);
    dev->ops->download_latents(dev, noise, l.x, 1, l.H, l.W, l.C);
    check_latents(p, noise, n);

    double start = clock_ms();
    struct view image = decode(p, &l);
    int64_t bad = dev->ops->to_rgb8(dev, rgb, image);
    if (bad)
        die_hint(FAIL_INTERNAL, range_hint(dev->dtype, p->vae ? "--vae-dtype fp32, or bf16" : "--dtype bf16, or fp32"),
                 "decoded image: %lld of %zu values are not finite: no picture made", (long long)bad, 3 * n_pixels);
    p->timings.vae_ms = clock_ms() - start;
    if (dump) {
        float *decoded = arena_array(&p->image_arena, 3 * n_pixels, sizeof *decoded);
        dev->ops->download(dev, decoded, image);
        dump_image(dump, decoded, rgb, p->settings.height, p->settings.width);
    }
    decode_end(p);
}

void pipeline_snapshot(struct pipeline *p, uint8_t *rgb) {
    size_t mark = arena_mark(p->device);
    p->device->ops->to_rgb8(p->device, rgb, decode(p, p->latents));
    decode_end(p);
    arena_release(p->device, mark);
}

void pipeline_close(struct pipeline *p) {
    if (p->device) {
        p->device->recording_free(p->device, p->recording);
        p->device->close(p->device);
    }
    checkpoint_close(p->checkpoint);
    arena_free(&p->image_arena);
}

const char *pipeline_dump_dir(const struct pipeline *p, struct arena *a, int k) {
    if (p->settings.count <= 1) return p->settings.dump;
    return arena_printf(a, "%s/seed-%llu", p->settings.dump, (unsigned long long)(p->settings.seed + (uint64_t)k));
}
