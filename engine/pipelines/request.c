#include "engine/pipelines/request.h"

#include <math.h>
#include <string.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/pipelines/embeddings.h"
#include "engine/nets/vae_tiles.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/latent.h"
#include "engine/pipelines/loras.h"
#include "engine/pipelines/safety.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void check_size(const struct model *m, int size, const char *what) {
    int multiple = m->size_multiple, least = m->size_least;
    if (size % multiple == 0 && size >= least) return;
    int below = size / multiple * multiple, above = below + multiple;
    if (size < least && least > multiple)
        die(FAIL_USAGE, "%s %d: this model makes multiples of %d from %d on; nearest: %d", what, size, multiple, least, least);
    if (size < least) die(FAIL_USAGE, "%s %d: this model makes multiples of %d; nearest: %d", what, size, multiple, least);
    die(FAIL_USAGE, "%s %d: this model makes multiples of %d; nearest: %d and %d", what, size, multiple, below, above);
}

/* What its maker recommends stands under what was asked for. */
static void fill_from_checkpoint(const struct model *m, struct settings *s) {
    const struct generation *g = &m->checkpoint->generation;
    if (s->steps == 0) s->steps = g->steps;
    if (m->class->takes_prompt && isnan(s->guidance)) s->guidance = g->guidance;
}

/* A side that was not given is the model's own, also where the other was. */
static void fill_size(const struct model *m, struct settings *s) {
    const struct generation *g = &m->checkpoint->generation;
    bool width_given = s->width, height_given = s->height;
    if (!width_given) s->width = g->width ? g->width : m->denoiser.sample_width * m->factor;
    if (!height_given) s->height = g->height ? g->height : m->denoiser.sample_height * m->factor;
    if (width_given && !height_given) warn("width alone was given: height is the model's own, %d", s->height);
    if (height_given && !width_given) warn("height alone was given: width is the model's own, %d", s->width);
}

static void report_untrained_size(const struct model *m, const struct settings *s) {
    const struct generation *g = &m->checkpoint->generation;
    int low = s->width < s->height ? s->width : s->height, high = s->width > s->height ? s->width : s->height;
    if (!g->size_max || (low >= g->size_min && high <= g->size_max)) return;
    if (g->size_min == g->size_max)
        warn("%dx%d: %s was trained on %dx%d alone: expect less", s->width, s->height, m->checkpoint->name, g->size_min, g->size_max);
    else
        warn("%dx%d: %s was trained on sides of %d to %d: expect less", s->width, s->height, m->checkpoint->name, g->size_min, g->size_max);
}

static void check_clip_skip(const struct model *m, int skip) {
    for (int i = 0; i < m->n_texts; i++) {
        int n_layers = m->texts[i].net->layers.n;
        if (skip + m->class->penultimate > n_layers)
            die(FAIL_USAGE, "--clip-skip %d: the text encoder has %d layers%s", skip, n_layers,
                m->class->penultimate ? ", and the last is never used" : "");
    }
}

/* Brooks et al.'s guidance is off where either of its scales is too low to lead anywhere. */
static int copies_of(const struct model *m, const struct settings *s) {
    if (!m->class->takes_prompt || s->guidance <= 1 || m->denoiser.takes_guidance) return 1;
    if (!m->class->image_guidance) return 2;
    return s->image_guidance >= 1 ? 3 : 1;
}

static void fill_defaults(struct request *r) {
    const struct model *m = r->model;
    struct settings *s = &r->settings;
    fill_from_checkpoint(m, s);
    if (s->clip_skip < 0) s->clip_skip = 0;
    struct task_defaults task = class_defaults(m->class, s->image, s->mask, r->n_controls);
    if (s->image && isnan(s->strength)) s->strength = task.strength;
    if (m->class->takes_prompt && isnan(s->guidance)) s->guidance = task.guidance;
    if (m->class->takes_prompt && !s->negative && !m->zeros_for_no_negative) s->negative = "";
    check_clip_skip(m, s->clip_skip);
    if (s->image_guidance > 0 && !m->class->image_guidance)
        die(FAIL_USAGE, "--image-guidance: %s is guided by no picture: it is a %s", m->checkpoint->name, m->class->name);
    if (isnan(s->image_guidance)) s->image_guidance = m->class->image_guidance;
    r->copies = copies_of(m, s);
    fill_size(m, s);
    check_size(m, s->width, "width");
    check_size(m, s->height, "height");
    if (m->safety) safety_check(r);
    report_untrained_size(m, s);
    r->width = s->width;
    r->height = s->height;
    r->latent_width = s->width / m->factor;
    r->latent_height = s->height / m->factor;
}

/* ---- the schedule ------------------------------------------------------------------------------------------------ */

/* Between base and refiner, in timesteps of the training (diffusers: denoising_end, denoising_start). */
static double cutoff_at(const struct request *r, double part) {
    double n = sched_config_train_timesteps(r->sched_config);
    return rint(n - part * n);
}

static int rows_from(const struct schedule *s, double cutoff) {
    int n = 0;
    for (int i = 0; i < s->n_rows; i++) n += s->rows[i].t >= cutoff;
    return n;
}

static double refined_from(const struct settings *s) {
    double at = isnan(s->refine_at) ? 0.8 : s->refine_at;
    if (at <= 0 || at >= 1) die(FAIL_USAGE, "--refine-at: expected a number between 0 and 1, found %g", at);
    return at;
}

/* The base's rows are those above the cutoff; it may lie between the two calls of a step. */
static void cut_end(struct request *r) {
    int n = rows_from(r->schedule, cutoff_at(r, r->to));
    if (n == 0 || n == r->schedule->n_rows)
        die(FAIL_USAGE, "--refine-at %g: of %d rows of the schedule the model has %d, the refiner %d", r->to, r->schedule->n_rows, n,
            r->schedule->n_rows - n);
    r->schedule->n_rows = n;
}

/* The steps the refiner leaves out: it begins with a whole one. */
static int refined_skip(const struct request *r, int n_steps) {
    const struct schedule *whole = schedule_plan(r->arena, r->scheduler, r->sched_config, n_steps);
    int n = whole->n_rows - rows_from(whole, cutoff_at(r, r->from));
    return (whole->n_rows - n) / whole->order; /* rounded down: a step of two calls that was cut is begun anew */
}

static void open_schedule(struct request *r, const struct component *stored, const struct pipeline_class *class) {
    struct sched_choice choice = sched_choice_parse(r->arena, r->settings.scheduler);
    bool led = r->settings.controls.n; /* diffusers' pipelines with a ControlNet put no scheduler right */
    if (!choice.target && class->scheduler) choice.target = scheduler_find(class->scheduler);
    r->sched_config = sched_config_load(r->arena, stored->config, json_path(stored->config), stored->class_name, choice.target,
                                        led                ? FIXUP_NONE
                                        : r->settings.mask ? class->masked_fixup
                                                           : class->fixup,
                                        choice.overrides, &r->scheduler);
    /* a pipeline without eta leaves its scheduler's own default to step() */
    if (class->takes_prompt || r->settings.eta > 0) sched_config_set_eta(r->sched_config, r->settings.eta);
    int most = sched_config_train_timesteps(r->sched_config);
    if (r->settings.steps == 0)
        r->settings.steps = class->steps < most ? class->steps : most; /* what nobody asked for must not be too much */
    bool kept = r->settings.image && class->strength_to_scheduler && sched_config_set_strength(r->sched_config, r->settings.strength);
    int steps = r->settings.steps, skip = kept ? 0 : r->from > 0 ? refined_skip(r, steps) : init_skip(r, steps);
    if (skip == steps && r->from == 0)
        die(FAIL_USAGE, "--strength %g: none of %d steps remain; at least %.3g", r->settings.strength, steps, 1.0 / steps);
    r->schedule = schedule_plan_from(r->arena, r->scheduler, r->sched_config, steps, skip);
    r->n_calls = r->schedule->n_rows;
    for (int i = 0; class->grey_mask && i < r->n_calls; i++) {
        r->schedule->rows[i].keep_x = r->schedule->rows[i].add_x;
        r->schedule->rows[i].keep_z = r->schedule->rows[i].add_z;
    }
    if (r->to > 0) cut_end(r);
}

/* from, to: as in struct request. */
static struct schedule *listed_schedule(struct arena *a, const struct settings *settings, double from, double to,
                                        const struct pipeline_class **class) {
    struct checkpoint *c = checkpoint_list(
        a, &(struct source){.model = settings->model, .config = settings->config, .swapped = settings_source(settings).swapped});
    *class = pipeline_class_of(a, c);
    struct request r = {.arena = a, .settings = *settings, .from = from, .to = to};
    if (r.settings.steps == 0) r.settings.steps = c->generation.steps;
    struct component *scheduler = model_part(c, &(*class)->parts[0]);
    component_open(c, scheduler, COMPONENT_SCHEDULER, NULL);
    open_schedule(&r, scheduler, *class);
    return r.schedule;
}

struct schedule *request_schedule(struct arena *a, const struct settings *settings, struct schedule **then) {
    const struct pipeline_class *class, *refiner_class;
    struct settings s = *settings;
    double to = settings->refiner ? refined_from(settings) : 0;
    struct schedule *schedule = listed_schedule(a, &s, 0, to, &class);
    *then = NULL;
    if (!settings->refiner) return schedule;
    s.model = settings->refiner;
    s.config = s.image = NULL;
    s.strength = NAN;
    s.steps = schedule->n_steps;
    *then = listed_schedule(a, &s, to, 0, &refiner_class);
    model_check_refiner(class, refiner_class);
    return schedule;
}

/* A model that predicts a variance does so in as many channels again: it goes with a scheduler that uses one, and only
 * with such a one. */
static void check_variance(const struct request *r) {
    const struct model *m = r->model;
    int C = m->channels, found = m->denoiser.out_channels;
    bool predicted = found != C, used = r->schedule->rows[0].variance != VARIANCE_PLANNED;
    if (predicted == used) return;
    die_hint(FAIL_UNSUPPORTED, used ? "-x ddpm,variance_type=fixed_small" : "-x ddpm,variance_type=learned_range",
             "%s: %d output channels for %d: the model predicts %s variance, which %s with these options %s", m->checkpoint->dir, found, C,
             predicted ? "a" : "no", r->scheduler->class_name, used ? "needs" : "does not use");
}

/* ---- what is given ----------------------------------------------------------------------------------------------- */

/* What of the text is read as words: no syntax, no weight, no word that an embedding has vectors for. */
static const char *words_read(const struct request *r, const char *what, const char *text) {
    struct wording w = prompt_syntaxes[r->settings.prompt_syntax].parse(r->arena, what, text);
    struct buffer b = {.arena = r->arena};
    buffer_add(&b, "", 0);
    for (const struct passage *p = w.passages; p < w.passages + w.n; p++)
        for (const struct phrases *t = p->texts; t < p->texts + p->n; t++)
            for (const struct phrase *one = t->items; one < t->items + t->n; one++)
                if (!one->breaks) buffer_printf(&b, "%s\n", one->text);
    embeddings_blank(r, b.data);
    return b.data;
}

static void report_unknown_words(const struct request *r, const char *what, const char *text) {
    const struct generation *g = &r->model->checkpoint->generation;
    const char *words = g->n_words ? generation_unknown_words(r->arena, g, words_read(r, what, text)) : NULL;
    if (words) warn("%s: words %s never learned: %s", what, r->model->checkpoint->name, words);
}

static const char *text_or(const char *text, const char *otherwise) {
    return text && *text ? text : otherwise;
}

static void read_prompts(struct request *r) {
    const struct settings *s = &r->settings;
    struct prompt negative = {0}; /* without ids: zeros */
    if (!s->prompt) die_hint(FAIL_USAGE, "try 'diffuse --help'", "expected a prompt, found none");
    const struct prompt_syntax *syntax = &prompt_syntaxes[s->prompt_syntax];
    int skip = syntax->skips_all && r->model->class->penultimate ? 0 : s->clip_skip, negative_skip = syntax->skips_all ? skip : 0;
    struct prompt prompt = prompt_read(r->arena, r->model, r->tokenizers, s, "prompt", s->prompt, text_or(s->prompt2, s->prompt), skip);
    report_unknown_words(r, "prompt", s->prompt);
    if (r->copies > 1 && s->negative) {
        negative = prompt_read(r->arena, r->model, r->tokenizers, s, "negative prompt", s->negative, text_or(s->negative2, s->negative),
                               negative_skip);
        report_unknown_words(r, "negative prompt", s->negative);
    }
    if (syntax->padded && negative.n) {
        prompt_fill(r->arena, r->model, &prompt, negative.n);
        prompt_fill(r->arena, r->model, &negative, prompt.n);
    }
    for (int i = 0; i < r->copies - 1; i++) r->prompts[i] = negative;
    r->prompts[r->copies - 1] = prompt;
    for (int i = 0; i < r->copies; i++) r->n_tokens[i] = r->model->n_tokens * (r->prompts[i].n ? r->prompts[i].n : 1);
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void check_tiling(const struct request *r) {
    const struct vae *vae = r->model->vae;
    if (r->settings.vae_tiling != TILING_ON) return;
    if (!vae) die(FAIL_USAGE, "--vae-tiling: %s has no VAE: it is a %s", r->model->checkpoint->name, r->model->class->name);
    if (!vae_can_tile(vae))
        die(FAIL_UNSUPPORTED, "%s/config.json: 'sample_size' %d: --vae-tiling needs a multiple of %d", r->model->parts[PART_VAE]->dir,
            vae->sample_size, 4 * vae->factor);
}

/* from, to: as in struct request. */
static struct request *open_part(struct arena *a, struct model *m, const struct settings *settings, double from, double to) {
    struct request *r = arena_alloc(a, sizeof *r);
    r->model = m;
    r->arena = a;
    r->settings = *settings;
    r->from = from;
    r->to = to;
    r->pictures = 1;
    r->number = ++m->n_requests;
    if (r->settings.prompt && !m->class->takes_prompt)
        die(FAIL_USAGE, "a prompt, but %s draws without one: it is a %s", m->checkpoint->name, m->class->name);
    loras_from_prompt(a, &r->settings);
    loras_open(r);
    embeddings_open(r);
    struct image image = init_read(r);
    controls_open(r);
    fill_defaults(r);
    open_schedule(r, m->parts[PART_SCHEDULER], m->class);
    check_variance(r);
    if (m->class->takes_prompt) read_prompts(r);
    check_tiling(r);
    if (r->settings.latents) r->given_noise = init_read_latents(r);
    r->init = init_open(r, &image);
    controls_fit(r);
    r->inputs = init_hash_inputs(a, settings);
    return r;
}

/* What it goes on with are latents: nothing is read, encoded or noised. LoRAs are the base's. */
static struct request *open_refiner(const struct request *base, const struct settings *settings) {
    struct settings s = *settings;
    if (s.mask) die(FAIL_USAGE, "--refiner: a picture painted anew in parts is not refined");
    s.image = s.latents = NULL;
    s.strength = NAN;
    s.resize = 0;
    s.prompt = base->settings.prompt;
    s.loras = (struct lora_list){0};
    s.lora_dir = NULL;
    s.controls = s.control_images = s.control_preprocess = (struct text_list){0};
    s.control_scales = s.control_starts = s.control_ends = (struct number_list){0};
    s.guess_mode = false;
    s.steps = base->settings.steps;
    s.width = base->settings.width;
    s.height = base->settings.height;
    return open_part(base->arena, base->model->refiner, &s, base->to, 0);
}

struct request *request_open(struct arena *a, struct model *m, const struct settings *settings) {
    if (!m->refiner) return open_part(a, m, settings, 0, 0);
    double at = refined_from(settings);
    struct request *r = open_part(a, m, settings, 0, at);
    r->then = open_refiner(r, settings);
    return r;
}

const char *request_dump_dir(const struct request *r, struct arena *a, int k) {
    const struct settings *s = &r->settings;
    if (s->count <= 1) return s->dump;
    return arena_printf(a, "%s/seed-%llu", s->dump, (unsigned long long)(s->seed + (uint64_t)k));
}
