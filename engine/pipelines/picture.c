#include "engine/pipelines/picture.h"

#include <math.h>
#include <string.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/pipelines/depth.h"
#include "engine/pipelines/dump.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/safety.h"
#include "engine/weights.h"

/* ---- one row ----------------------------------------------------------------------------------------------------- */

/* All that one row of the loop's launches and operands depend on: the same for every row, since what changes lies with the device. */
struct step {
    struct device *device;
    const struct denoiser *denoiser;
    const void *denoiser_run;
    struct view input, context, temb;
    struct latents latents;
    int copies;
    struct guidance guidance;
};

static struct step step_of(const struct request *r, const struct latents *l) {
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
    struct view out = view_alloc(dev, s->copies, l->H, l->W, d->out_channels), temb = view_alloc(dev, 1, 1, 1, s->temb.C);
    op->next_row(dev, temb, s->temb);
    op->row_input(dev, view_slice(s->input, 0, l->C), l, s->copies);
    d->forward(dev, d->net, s->denoiser_run, out, s->input, temb);
    op->sched_step(dev, l, out, s->guidance);
    arena_release(dev, mark);
}

static struct latents alloc_latents(const struct request *r) {
    struct device *dev = r->model->device;
    size_t bytes = request_latent_count(r) * sizeof(float);
    struct latents l = {.N = 1, .H = r->latent_height, .W = r->latent_width, .C = r->model->channels};
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

void picture_plan(struct request *r) {
    struct latents l = alloc_latents(r);
    struct step step = step_of(r, &l);
    run_step(&step);
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
    if (weights_find_flaw(m->binders, m->n_binders, &flaw))
        die(FAIL_INTERNAL, "%s: tensor '%s': value %llu of %llu is not finite, nor %s: no picture made", flaw.tensor->file->path,
            flaw.tensor->name, (unsigned long long)flaw.at, (unsigned long long)flaw.n, what);
}

/* After `step` rows. */
static void check_latents(const struct picture *p, int step) {
    const struct request *r = p->request;
    const struct latents *l = &p->latents;
    size_t n = request_latent_count(r), i = 0;
    r->model->device->ops->download_latents(r->model->device, p->noise, l->x, 1, l->H, l->W, l->C);
    while (i < n && isfinite(p->noise[i])) i++;
    if (i == n) return;
    blame_weights(r->model, arena_printf(p->arena, "are the latents after step %d", step));
    die_hint(FAIL_INTERNAL, range_hint(r->model->dtype, "--dtype bf16, or fp32"),
             "latents: value %zu of %zu is not finite after step %d: no picture made", i, n, step);
}

/* rgb: host bytes [height,width,picture_channels], of the latents as they stand. The image stays in the device's arena. */
static struct view decode_rgb(const struct picture *p, uint8_t *rgb) {
    const struct request *r = request_decoder(p->request);
    struct latents l = latents_to_decode(r, p->latents, p->noise);
    struct view image = r->model->class->decode(r, &l);
    int64_t bad = r->model->device->ops->to_rgb8(r->model->device, rgb, image);
    if (!bad) return image;
    blame_weights(r->model, "is the decoded image");
    die_hint(FAIL_INTERNAL, range_hint(image.dtype, r->model->vae ? "--vae-dtype fp32, or bf16" : "--dtype bf16, or fp32"),
             "decoded image: %lld of %zu values are not finite: no picture made", (long long)bad, request_drawn_count(r));
}

/* As in diffusers the flagged picture is black, not the grey that zeros decode to. */
static void check_safety(struct picture *p, uint8_t *rgb) {
    const struct request *r = request_decoder(p->request);
    if (!r->model->safety) return;
    double start = clock_ms();
    p->verdict = safety_flags(r, p->arena, rgb) ? VERDICT_FLAGGED : VERDICT_HARMLESS;
    if (p->verdict == VERDICT_FLAGGED) memset(rgb, 0, request_drawn_count(r));
    p->timings.safety_ms = clock_ms() - start;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

/* Row i has been given to the device, and `ahead` more: waits for it and says so. */
static void finish_row(struct picture *p, int i, int ahead) {
    struct device *dev = p->request->model->device;
    int row = p->first_row + i;
    p->timings.step_ms[row] = dev->time_wait(dev, i + 1);
    if (!ahead) check_latents(p, row + 1);
    if (p->on_step) p->on_step(p->on_step_data, p, row);
    if (p->request->snapshots) dev->time_mark(dev, i + 1); /* a snapshot is not the next row's time */
}

static void draw_noise(struct picture *p) {
    rng_normal(&p->rng, p->noise, request_latent_count(p->request), p->request->settings.rng_dtype);
}

static void row_noise(struct picture *p, const struct sched_row *row) {
    struct device *dev = p->request->model->device;
    const struct latents *l = &p->latents;
    if (!row->noise) return;
    draw_noise(p);
    dev->ops->upload_latents(dev, l->z, p->noise, 1, l->H, l->W, l->C);
}

/* Rows [from,to). A device that works behind our back is kept one row ahead of what is reported, so that it never waits for us. */
static void denoise(struct picture *p, int from, int to, struct dump *dump) {
    const struct request *r = p->request;
    const struct sched_row *rows = r->schedule->rows;
    struct device *dev = r->model->device;
    int ahead = dev->async && !p->request->snapshots && !dump;
    struct step step = step_of(r, &p->latents);
    dev->ops->set_schedule(dev, rows + from, to - from, r->schedule->history);
    dev->time_begin(dev, to + 1);
    dev->time_mark(dev, from);
    for (int i = from; i < to; i++) {
        row_noise(p, &rows[i]);
        if (dump) run_step(&step);
        else dev->replay(dev, r->model->recording, run_step, &step, sizeof step);
        if (dump) dump_step(dump, dev, p->first_row + i, rows[i].t, r->input, &p->latents);
        dev->time_mark(dev, i + 1);
        if (i >= from + ahead) finish_row(p, i - ahead, ahead);
    }
    if (ahead && to > from) finish_row(p, to - 1, ahead);
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

/* Spent on bringing parts in, which is not their stages' time. */
static double loading_ms(const struct picture *p) {
    const struct model *m = p->request->model;
    return model_refines(m) ? m->partner->load_ms : m->load_ms;
}

static void prepare_timed(struct picture *p) {
    struct device *dev = p->request->model->device;
    double loaded = loading_ms(p);
    dev->time_begin(dev, 2);
    dev->time_mark(dev, 0);
    if (!request_prepare(p->request)) return;
    dev->time_mark(dev, 1);
    p->timings.text_ms = dev->time_wait(dev, 1) - (loading_ms(p) - loaded);
}

struct picture *picture_open(struct arena *a, struct request *r, int k) {
    struct picture *p = arena_alloc(a, sizeof *p);
    const struct settings *s = &r->settings;
    p->request = r;
    p->k = k;
    p->arena = a;
    p->noise = arena_array(a, request_latent_count(r), sizeof *p->noise);
    if (r->init && r->init->cropped) {
        p->into = r->init;
        p->drawn = image_new(a, s->width, s->height, 3);
    }
    p->timings.step_ms = arena_array(a, (size_t)request_rows(r), sizeof *p->timings.step_ms);
    rng_init(&p->rng, s->rng, s->seed + (uint64_t)k, s->rng_gpu);
    r->model->device->recover(r->model->device); /* the picture before may have died anywhere */
    prepare_timed(p);
    p->latents = alloc_latents(r);
    return p;
}

/* Without a picture: noise. */
static void start_from_noise(const struct picture *p, float *x) {
    const struct request *r = p->request;
    for (size_t i = 0; i < request_latent_count(r); i++) x[i] = p->noise[i] * r->schedule->init_noise_sigma;
}

static void start_from_image(const struct picture *p, float *x, const float *clean) {
    const struct sched_row *first = &p->request->schedule->rows[0];
    for (size_t i = 0; i < request_latent_count(p->request); i++) x[i] = first->add_x * clean[i] + first->add_z * p->noise[i];
}

/* What the rows of 4-channel inpainting hold the rest of the picture to. */
static void upload_kept(const struct picture *p, const float *clean) {
    struct device *dev = p->request->model->device;
    const struct latents *l = &p->latents;
    dev->ops->upload_latents(dev, l->mask, p->request->init->mask, 1, l->H, l->W, 1);
    dev->ops->upload_latents(dev, l->clean, clean, 1, l->H, l->W, l->C);
    dev->ops->upload_latents(dev, l->noise, p->noise, 1, l->H, l->W, l->C);
}

/* Channels [c,c+C) of a copy's input. values: [H,W,C] */
static void upload_beside(const struct picture *p, int copy, int c, int C, const float *values) {
    const struct request *r = p->request;
    r->model->device->ops->upload(r->model->device, view_slice(view_images(r->input, copy, 1), c, C), values);
}

/* Mask and masked latents, beside the latents of every copy. masked: [C,H,W] */
static void upload_masked(const struct picture *p, const float *masked) {
    const struct request *r = p->request;
    int C = p->latents.C;
    float *nhwc = arena_array(p->arena, request_latent_count(r), sizeof *nhwc);
    latents_to_nhwc(nhwc, masked, 1, (size_t)r->latent_height * (size_t)r->latent_width, C);
    for (int i = 0; i < r->copies; i++) {
        upload_beside(p, i, C, 1, r->init->mask);
        upload_beside(p, i, C + 1, C, nhwc);
    }
}

/* The mean of the picture's latents, unscaled; with guidance the first copy is shown nothing. */
static void upload_seen(const struct picture *p) {
    const struct request *r = p->request;
    size_t C = (size_t)p->latents.C, n = request_latent_count(r);
    float *mean = arena_array(p->arena, n, sizeof *mean), *nothing = arena_array(p->arena, n, sizeof *nothing);
    for (size_t i = 0; i < n; i++) mean[i] = r->init->moments[i / C * 2 * C + i % C];
    for (int i = 0; i < r->copies; i++) upload_beside(p, i, p->latents.C, p->latents.C, i || r->copies == 1 ? mean : nothing);
}

/* The draws in diffusers' order: the picture's latents, the noise, the masked picture's latents (drawn also where nothing reads them). */
static void start_latents(struct picture *p) {
    const struct request *r = p->request;
    const struct init *init = r->init;
    const struct latents *l = &p->latents;
    size_t n = request_latent_count(r);
    float *x = arena_array(p->arena, n, sizeof *x), *clean = arena_array(p->arena, n, sizeof *clean),
          *masked = arena_array(p->arena, n, sizeof *masked);
    bool seen = init && r->model->class->beside == BESIDE_PICTURE;
    bool whole = !init || seen || (init->mask && r->settings.strength == 1); /* nothing of the picture is in the first latents */
    if (init && !seen && !(whole && init->masked)) init_sample(r, init->moments, &p->rng, clean);
    if (r->given_noise) memcpy(p->noise, r->given_noise, n * sizeof *p->noise);
    else draw_noise(p);
    if (init && init->mask) init_sample(r, init->masked ? init->masked_moments : init->moments, &p->rng, masked);
    if (whole) start_from_noise(p, x);
    else start_from_image(p, x, clean);
    r->model->device->ops->upload_latents(r->model->device, l->x, x, 1, l->H, l->W, l->C);
    if (l->mask) upload_kept(p, clean);
    if (init && init->masked) upload_masked(p, masked);
    if (seen) upload_seen(p);
    for (int i = 0; init && init->depth && i < r->copies; i++) upload_beside(p, i, l->C, 1, init->depth->map);
}

static struct dump *start_dump(struct picture *p) {
    const struct request *r = p->request;
    struct device *dev = r->model->device;
    if (!r->settings.dump) return NULL;
    if (r->settings.count > 1) dump_open(p->arena, r->settings.dump);
    struct dump *dump = dump_open(p->arena, request_dump_dir(r, p->arena, p->k));
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
    dump_noise(dump, p->noise, p->latents.C, p->latents.H, p->latents.W);
    return dump;
}

/* Now that the device waits for us anyway. */
static void remember_prompts(const struct request *r) {
    for (int i = 0; r->given.context.p && i < r->copies; i++)
        prompt_remember(r->model, &r->prompts[i], request_context(r, i), request_pooled(r, i));
}

static void decode(struct picture *p, struct dump *dump, uint8_t *rgb) {
    const struct request *r = p->request;
    struct device *dev = r->model->device;
    double start = clock_ms(), loaded = loading_ms(p);
    struct view image = decode_rgb(p, rgb);
    p->timings.vae_ms = clock_ms() - start - (loading_ms(p) - loaded);
    float *decoded = dump ? arena_array(p->arena, request_drawn_count(r), sizeof *decoded) : NULL;
    if (dump) dev->ops->download(dev, decoded, image);
    check_safety(p, rgb);
    if (dump) dump_image(dump, decoded, rgb, image.H, image.W, image.C);
}

/* All rows of p->request; the latents come to lie in p->noise, too. */
static void denoise_all(struct picture *p, struct dump *dump) {
    const struct request *r = p->request;
    denoise(p, 0, r->schedule->n_rows, dump);
    model_finish_load(r->model);
    check_latents(p, p->first_row + r->schedule->n_rows);
    remember_prompts(r);
}

/* The refiner goes on with the latents as they stand, and with the generator. */
static void refine(struct picture *p, struct dump *dump) {
    struct device *dev = p->request->model->device;
    p->first_row = p->request->schedule->n_rows;
    p->request = p->request->then;
    request_prepare(p->request);
    p->latents = alloc_latents(p->request);
    const struct latents *l = &p->latents;
    dev->ops->upload_latents(dev, l->x, p->noise, 1, l->H, l->W, l->C);
    denoise_all(p, dump);
}

void picture_draw(struct picture *p, uint8_t *rgb) {
    struct request *r = p->request;
    start_latents(p);
    struct dump *dump = start_dump(p);
    denoise_all(p, dump);
    if (r->then) refine(p, dump);
    decode(p, dump, p->into ? p->drawn.pixels : rgb);
    p->request = r;
    if (p->into) init_overlay(p->into, p->arena, rgb, &p->drawn);
}

void picture_snapshot(struct picture *p, uint8_t *rgb) {
    struct device *dev = p->request->model->device;
    size_t mark = arena_mark(dev);
    uint8_t *drawn = p->into ? p->drawn.pixels : rgb;
    decode_rgb(p, drawn);
    check_safety(p, drawn);
    if (p->into) init_overlay(p->into, p->arena, rgb, &p->drawn);
    arena_release(dev, mark);
}
