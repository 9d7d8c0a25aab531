#include "engine/pipelines/picture.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/pipelines/begin.h"
#include "engine/pipelines/dump.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/safety.h"
#include "engine/weights.h"

/* ---- one row ----------------------------------------------------------------------------------------------------- */

/* All that one row of the loop's launches and operands depend on: the same for every row, since what changes lies with the device, but for
 * the ControlNets that lead it. */
struct step {
    struct device *device;
    const struct denoiser *denoiser;
    const void *denoiser_run;
    struct view input, context, temb;
    struct latents latents;
    int copies;
    struct guidance guidance;
    int denoiser_temb; /* columns of temb; the rest is the controls' */
    struct controls controls;
};

/* row: the schedule's; -1: one that all ControlNets lead. */
static struct step step_of(const struct request *r, const struct latents *l, int row) {
    struct step s;
    memset(&s, 0, sizeof s); /* padding too: steps are compared as bytes */
    s.device = r->model->device;
    s.denoiser = &r->model->denoiser;
    s.denoiser_run = r->denoiser_run;
    s.input = r->input;
    s.context = r->given.context;
    s.temb = r->temb;
    s.latents = *l;
    s.copies = r->copies;
    s.guidance = (struct guidance){(float)r->settings.guidance, (float)r->settings.image_guidance, (float)r->settings.guidance_rescale};
    s.denoiser_temb = r->denoiser_temb;
    controls_at(r, row, &s.controls);
    return s;
}

/* The latents are denoised by one call of the net. */
static void run_step(void *data) {
    const struct step *s = data;
    const struct latents *l = &s->latents;
    const struct denoiser *d = s->denoiser;
    struct device *dev = s->device;
    const struct ops *op = dev->ops;
    size_t mark = arena_mark(dev);
    struct view out = view_alloc(dev, s->copies * l->N, l->H, l->W, d->out_channels), temb = view_alloc(dev, 1, 1, 1, s->temb.C);
    op->next_row(dev, temb, s->temb);
    op->row_input(dev, view_slice(s->input, 0, l->C), l, s->copies);
    struct controls controls = s->controls;
    controls.temb = temb;
    d->forward(dev, d->net, s->denoiser_run, out, s->input, view_slice(temb, 0, s->denoiser_temb), &controls);
    op->sched_step(dev, l, out, s->guidance);
    arena_release(dev, mark);
}

static struct latents alloc_latents(const struct request *r) {
    struct device *dev = r->model->device;
    size_t bytes = (size_t)r->pictures * request_latent_count(r) * sizeof(float);
    struct latents l = {.N = r->pictures, .H = r->latent_height, .W = r->latent_width, .C = r->model->channels};
    l.x = arena_push(dev, bytes);
    l.e = arena_push(dev, bytes);
    l.z = arena_push(dev, bytes);
    l.saved = r->schedule->saves ? arena_push(dev, bytes) : NULL;
    for (int i = 0; i < r->schedule->history; i++) l.d[i] = arena_push(dev, bytes);
    if (r->init && r->init->mask && !r->init->masked) {
        l.mask = arena_push(dev, bytes / (size_t)l.C);
        l.clean = arena_push(dev, bytes);
        l.noise = arena_push(dev, bytes);
    }
    return l;
}

/* l, or where that was lost with the stage before, the same from host memory.   x: [C,H,W], not touched while planning */
static struct latents latents_to_decode(const struct request *decoder, struct latents l, const float *x) {
    struct device *dev = decoder->model->device;
    if (!stage_begin(decoder->model, STAGE_DECODE)) return l;
    l = (struct latents){.N = 1, .H = l.H, .W = l.W, .C = l.C};
    l.x = arena_push(dev, request_latent_count(decoder) * sizeof(float));
    dev->ops->upload_latents(dev, l.x, x, 1, l.H, l.W, l.C);
    return l;
}

static float *at(float *p, size_t i) {
    return p ? p + i : NULL;
}

struct latents picture_latents(const struct picture *p) {
    struct latents l = p->drawing->latents;
    size_t pixels = (size_t)l.H * (size_t)l.W, i = (size_t)p->i * pixels * (size_t)l.C;
    l.N = 1;
    l.x = at(l.x, i), l.e = at(l.e, i), l.z = at(l.z, i), l.saved = at(l.saved, i);
    for (int k = 0; k < SCHED_HISTORY; k++) l.d[k] = at(l.d[k], i);
    l.mask = at(l.mask, (size_t)p->i * pixels), l.clean = at(l.clean, i), l.noise = at(l.noise, i);
    return l;
}

void picture_plan(struct request *r) {
    struct latents l = alloc_latents(r);
    struct step step = step_of(r, &l, -1);
    run_step(&step);
    l.N = 1;
    const struct request *decoder = request_decoder(r);
    l = latents_to_decode(decoder, l, NULL);
    decoder->model->class->decode(decoder, &l);
    if (decoder->model->safety) safety_plan(decoder);
}

/* ---- what is not finite ------------------------------------------------------------------------------------------- */

/* fp16 ends at 65504, where bf16 and fp32 go to 3e38. */
static const char *range_hint(enum dtype dtype, const char *wider) {
    return dtype == DT_F16 ? wider : NULL;
}

/* Dies naming the weight that is not finite, if one is. */
static void blame_weights(const struct model *m, const char *what) {
    struct weight_flaw flaw;
    if (model_find_flaw(m, &flaw))
        die(FAIL_INTERNAL, "%s: tensor '%s': value %llu of %llu is not finite, nor %s: no picture made", flaw.tensor->file->path,
            flaw.tensor->name, (unsigned long long)flaw.at, (unsigned long long)flaw.n, what);
}

static _Noreturn void die_flawed(const struct picture *p) {
    size_t n = request_latent_count(p->drawing->request);
    blame_weights(p->flawed, arena_printf(p->drawing->arena, "are the latents after step %d", p->flaw_step));
    die_hint(FAIL_INTERNAL, range_hint(p->flawed->dtype, "--dtype bf16, or fp32"),
             "latents: value %zu of %zu is not finite after step %d: no picture made", p->flaw, n, p->flaw_step);
}

/* After `step` rows; the latents come to lie in p->noise. */
static void check_latents(struct picture *p, int step) {
    const struct model *m = p->drawing->request->model;
    struct latents l = picture_latents(p);
    size_t n = request_latent_count(p->drawing->request), i = 0;
    if (p->flawed) return;
    m->device->ops->download_latents(m->device, p->noise, l.x, 1, l.H, l.W, l.C);
    while (i < n && isfinite(p->noise[i])) i++;
    if (i == n) return;
    p->flawed = m;
    p->flaw = i;
    p->flaw_step = step;
}

static void check_all(struct drawing *d, int step) {
    for (int i = 0; i < d->n; i++) check_latents(&d->pictures[i], step);
}

/* Is there a picture worth going on for? */
static bool any_sound(const struct drawing *d) {
    int i = 0;
    while (i < d->n && d->pictures[i].flawed) i++;
    return i < d->n;
}

/* rgb: host bytes [height,width,picture_channels], of the latents as they stand. The image stays in the device's arena. */
static struct view decode_rgb(const struct picture *p, uint8_t *rgb) {
    const struct request *r = request_decoder(p->drawing->request);
    struct latents l = latents_to_decode(r, picture_latents(p), p->noise);
    struct view image = r->model->class->decode(r, &l);
    int64_t bad = r->model->device->ops->to_rgb8(r->model->device, rgb, image);
    if (!bad) return image;
    blame_weights(r->model, "is the decoded image");
    die_hint(FAIL_INTERNAL, range_hint(image.dtype, r->model->vae ? "--vae-dtype fp32, or bf16" : "--dtype bf16, or fp32"),
             "decoded image: %lld of %zu values are not finite: no picture made", (long long)bad, request_drawn_count(r));
}

/* As in diffusers the flagged picture is black, not the grey that zeros decode to. */
static void check_safety(struct picture *p, uint8_t *rgb) {
    const struct request *r = request_decoder(p->drawing->request);
    if (!r->model->safety) return;
    double start = clock_ms();
    p->verdict = safety_flags(r, p->drawing->arena, rgb) ? VERDICT_FLAGGED : VERDICT_HARMLESS;
    if (p->verdict == VERDICT_FLAGGED) memset(rgb, 0, request_drawn_count(r));
    p->timings.safety_ms = clock_ms() - start;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Row i has been given to the device, and `ahead` more: waits for it and says so. */
static void finish_row(struct drawing *d, int i, int ahead) {
    struct device *dev = d->request->model->device;
    int row = d->first_row + i;
    double ms = dev->time_wait(dev, i + 1) / d->n;
    if (!ahead) check_all(d, row + 1);
    for (struct picture *p = d->pictures; p < d->pictures + d->n; p++) {
        p->timings.step_ms[row] = ms;
        if (d->on_step && !p->flawed) d->on_step(d->on_step_data, p, row);
    }
    if (d->request->snapshots) dev->time_mark(dev, i + 1); /* a snapshot is not the next row's time */
}

void picture_noise(struct picture *p) {
    const struct request *r = p->drawing->request;
    rng_normal(&p->rng, p->noise, request_latent_count(r), r->settings.rng_dtype);
}

static void row_noise(struct drawing *d, const struct sched_row *row) {
    struct device *dev = d->request->model->device;
    for (int i = 0; i < d->n && row->noise; i++) {
        struct latents l = picture_latents(&d->pictures[i]);
        picture_noise(&d->pictures[i]);
        dev->ops->upload_latents(dev, l.z, d->pictures[i].noise, 1, l.H, l.W, l.C);
    }
}

/* Rows [from,to). A device that works behind our back is kept one row ahead of what is reported, so that it never waits for us. */
static void denoise(struct drawing *d, int from, int to, struct dump *dump) {
    const struct request *r = d->request;
    const struct sched_row *rows = r->schedule->rows;
    struct device *dev = r->model->device;
    int ahead = dev->async && !r->snapshots && !dump;
    dev->ops->set_schedule(dev, rows + from, to - from, r->schedule->history);
    dev->time_begin(dev, to + 1);
    dev->time_mark(dev, from);
    for (int i = from; i < to && any_sound(d); i++) {
        struct step step = step_of(r, &d->latents, i);
        row_noise(d, &rows[i]);
        if (dump) run_step(&step);
        else dev->replay(dev, r->model->recording, run_step, &step, sizeof step);
        if (dump) dump_step(dump, dev, d->first_row + i, rows[i].t, r->input, &d->latents);
        dev->time_mark(dev, i + 1);
        if (i >= from + ahead) finish_row(d, i - ahead, ahead);
    }
    if (ahead && to > from) finish_row(d, to - 1, ahead);
}

/* ---- the pictures ------------------------------------------------------------------------------------------------ */

/* Spent on bringing parts in, which is not their stages' time. */
static double loading_ms(const struct model *m) {
    return model_refines(m) ? m->partner->load_ms : m->load_ms;
}

static double prepare_timed(struct request *r) {
    struct device *dev = r->model->device;
    double loaded = loading_ms(r->model);
    dev->time_begin(dev, 2);
    dev->time_mark(dev, 0);
    if (!request_prepare(r)) return 0;
    dev->time_mark(dev, 1);
    return dev->time_wait(dev, 1) - (loading_ms(r->model) - loaded);
}

static void open_picture(struct drawing *d, int i, int k) {
    const struct request *r = d->request;
    const struct settings *s = &r->settings;
    struct picture *p = &d->pictures[i];
    p->drawing = d;
    p->i = i;
    p->k = k;
    p->noise = arena_array(d->arena, request_latent_count(r), sizeof *p->noise);
    if (d->into) p->drawn = image_new(d->arena, s->width, s->height, 3);
    p->timings.step_ms = arena_array(d->arena, (size_t)request_rows(r), sizeof *p->timings.step_ms);
    rng_init(&p->rng, s->rng, s->seed + (uint64_t)k, s->rng_gpu);
}

struct drawing *drawing_open(struct arena *a, struct request *r, const int ks[], int n) {
    struct drawing *d = arena_alloc(a, sizeof *d);
    assert(n == r->pictures);
    d->request = r;
    d->arena = a;
    d->into = r->init && r->init->cropped ? r->init : NULL;
    d->n = n;
    d->pictures = arena_array(a, (size_t)n, sizeof *d->pictures);
    for (int i = 0; i < n; i++) open_picture(d, i, ks[i]);
    r->model->device->recover(r->model->device); /* the picture before may have died anywhere */
    d->pictures->timings.text_ms = prepare_timed(r);
    d->latents = alloc_latents(r);
    return d;
}

/* Of one picture alone. */
static struct dump *start_dump(struct drawing *d) {
    const struct request *r = d->request;
    struct device *dev = r->model->device;
    if (!r->settings.dump) return NULL;
    assert(d->n == 1);
    if (r->settings.count > 1) dump_open(d->arena, r->settings.dump);
    struct dump *dump = dump_open(d->arena, request_dump_dir(r, d->arena, d->pictures->k));
    struct dump_prompt prompts[2];
    int n = 0;
    for (int i = r->copies - 1; r->given.context.p && i >= 0; i -= r->copies > 1 ? r->copies - 1 : 1)
        prompts[n++] = (struct dump_prompt){.prefix = i == r->copies - 1 ? "" : "negative_",
                                            .prompt = &r->prompts[i],
                                            .embeddings = request_context(r, i),
                                            .pooled = request_pooled(r, i),
                                            .numbers = r->given.numbers + i * r->given.n_numbers,
                                            .n_numbers = r->given.n_numbers};
    if (n) dump_text(dump, dev, prompts, n);
    dump_noise(dump, d->pictures->noise, d->latents.C, d->latents.H, d->latents.W);
    return dump;
}

/* Now that the device waits for us anyway. */
static void remember_prompts(const struct request *r) {
    for (int i = 0; r->given.context.p && i < r->copies; i++)
        prompt_remember(r->model, &r->prompts[i], request_context(r, i), request_pooled(r, i));
}

static void decode(struct picture *p, uint8_t *rgb) {
    const struct drawing *d = p->drawing;
    const struct request *r = d->request;
    struct device *dev = r->model->device;
    double start = clock_ms(), loaded = loading_ms(r->model);
    struct view image = decode_rgb(p, rgb);
    p->timings.vae_ms = clock_ms() - start - (loading_ms(r->model) - loaded);
    float *decoded = d->dump ? arena_array(d->arena, request_drawn_count(r), sizeof *decoded) : NULL;
    if (d->dump) dev->ops->download(dev, decoded, image);
    check_safety(p, rgb);
    if (d->dump) dump_image(d->dump, decoded, rgb, image.H, image.W, image.C);
}

/* The picture itself under the latents, by the mask's degrees. */
static void lay_over(struct drawing *d) {
    const struct request *r = d->request;
    struct device *dev = r->model->device;
    size_t n = request_latent_count(r), pixels = n / (size_t)r->model->channels;
    float *y = arena_array(d->arena, n, sizeof *y), *clean = arena_array(d->arena, n, sizeof *clean);
    for (int k = 0; k < d->n; k++) {
        struct latents l = picture_latents(&d->pictures[k]);
        dev->ops->download_latents(dev, y, l.x, 1, l.H, l.W, l.C);
        dev->ops->download_latents(dev, clean, l.clean, 1, l.H, l.W, l.C);
        for (size_t i = 0; i < n; i++) y[i] = (1 - r->init->mask[i % pixels]) * clean[i] + r->init->mask[i % pixels] * y[i];
        dev->ops->upload_latents(dev, l.x, y, 1, l.H, l.W, l.C);
    }
}

/* All rows of d->request. */
static void denoise_all(struct drawing *d) {
    const struct request *r = d->request;
    denoise(d, 0, r->schedule->n_rows, d->dump);
    if (r->model->class->grey_mask && d->latents.mask) lay_over(d);
    model_finish_load(r->model);
    check_all(d, d->first_row + r->schedule->n_rows);
    if (any_sound(d)) remember_prompts(r);
}

/* The refiner goes on with the latents as they stand, and with the generators. */
static void refine(struct drawing *d) {
    struct request *r = d->request;
    struct device *dev = r->model->device;
    d->first_row = r->schedule->n_rows;
    d->request = r->then;
    request_prepare(d->request);
    d->latents = alloc_latents(d->request);
    for (int i = 0; i < d->n; i++) {
        struct latents l = picture_latents(&d->pictures[i]);
        dev->ops->upload_latents(dev, l.x, d->pictures[i].noise, 1, l.H, l.W, l.C);
    }
    denoise_all(d);
    d->request = r;
}

void drawing_run(struct drawing *d) {
    for (int i = 0; i < d->n; i++) picture_begin(&d->pictures[i]);
    d->dump = start_dump(d);
    denoise_all(d);
    if (d->request->then && any_sound(d)) refine(d);
    d->mark = arena_mark(d->request->model->device);
}

void picture_finish(struct picture *p, uint8_t *rgb) {
    struct drawing *d = p->drawing;
    if (p->flawed) die_flawed(p);
    arena_release(d->request->model->device, d->mark); /* the picture before may have died */
    decode(p, d->into ? p->drawn.pixels : rgb);
    if (d->into) init_overlay(d->into, d->arena, rgb, &p->drawn);
}

void picture_decode(struct picture *p, uint8_t *rgb) {
    struct device *dev = p->drawing->request->model->device;
    size_t mark = arena_mark(dev);
    decode_rgb(p, rgb);
    arena_release(dev, mark);
}

void picture_snapshot(struct picture *p, uint8_t *rgb) {
    const struct drawing *d = p->drawing;
    uint8_t *drawn = d->into ? p->drawn.pixels : rgb;
    picture_decode(p, drawn);
    check_safety(p, drawn);
    if (d->into) init_overlay(d->into, d->arena, rgb, &p->drawn);
}
