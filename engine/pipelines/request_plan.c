/* What a request takes of the device: planned, whole or part by part, and prepared. */
#include <string.h>
#include "engine/base/error.h"
#include "engine/nets/vae_tiles.h"
#include "engine/pipelines/depth.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/latent.h"
#include "engine/pipelines/loras.h"
#include "engine/pipelines/picture.h"

/* What text encoders, VAE and depth estimator make, each in its stage; it lies in host memory then. */
static void prepare_apart(struct request *r) {
    struct model *m = r->model;
    for (int i = 0; m->class->takes_prompt && i < r->copies; i++) prompt_encode_apart(m, &r->prompts[i]);
    if (!r->init || (r->init->prepared && !m->device->planning)) return;
    stage_begin(m, STAGE_IMAGE);
    init_prepare(r);
    r->init->prepared = !m->device->planning;
}

/* All that lies in the device's arena until the next request. */
static void prepare(struct request *r) {
    struct model *m = r->model;
    const struct schedule *s = r->schedule;
    float *t = arena_array(r->arena, (size_t)s->n_rows, sizeof *t);
    for (int i = 0; i < s->n_rows; i++) t[i] = s->rows[i].t;
    arena_release(m->device, 0);
    if (m->stages->on) prepare_apart(r);
    stage_begin(m, STAGE_DENOISE);
    r->input = view_alloc(m->device, r->copies * r->pictures, r->latent_height, r->latent_width, m->denoiser.in_channels);
    if (m->class->prepare) m->class->prepare(r);
    if (!m->stages->on) init_prepare(r);
    r->given.pictures = r->pictures;
    r->given.guidance = r->settings.guidance;
    r->denoiser_run = m->denoiser.prepare(m->device, m->denoiser.net, r->arena, &r->given, t, s->n_rows, &r->temb);
    r->denoiser_temb = r->temb.C;
    controls_prepare(r, t, s->n_rows);
    r->mark = arena_mark(m->device);
}

void request_encode(struct request *r) {
    struct model *m = r->model;
    struct conditions *given = &r->given;
    int longest = 0;
    for (int i = 0; i < r->copies; i++) longest = r->n_tokens[i] > longest ? r->n_tokens[i] : longest;
    given->context = view_alloc(m->device, r->copies, 1, longest, m->context_dim);
    given->n_tokens = r->n_tokens;
    if (m->pooled_dim) given->pooled = view_alloc(m->device, r->copies, 1, 1, m->pooled_dim);
    for (int i = 0; i < r->copies; i++) prompt_encode(m, &r->prompts[i], request_context(r, i), request_pooled(r, i));
}

bool request_prepare(struct request *r) {
    struct model *m = r->model;
    bool there = m->prepared == r->number;
    if (!there) {
        m->prepared = 0;
        if (m->partner) m->partner->prepared = 0;
        prepare(r);
        m->prepared = r->number;
    }
    arena_release(m->device, r->mark);
    return !there;
}

/* What the text encoders' shapes depend on beside lengths. */
static uint64_t hidden_of(const struct request *r) {
    uint64_t hash = 0;
    for (int i = 0; i < r->copies; i++)
        for (int k = 0; k < r->model->n_texts * r->prompts[i].n; k++) {
            const struct chunk *c = &r->prompts[i].chunks[k / r->prompts[i].n][k % r->prompts[i].n];
            for (int t = 0; t < c->n; t++)
                if (c->terms[t].n_hidden) hash = (hash ^ (uint64_t)(c->terms[t].hidden << 16 | c->terms[t].n_hidden)) * 0x100000001b3;
        }
    return hash;
}

static struct picture_shape shape_of(const struct request *r) {
    const struct schedule *schedule = r->schedule;
    int task = !r->init ? 0 : r->init->depth && r->init->depth->seen.pixels ? 4 : !r->init->mask ? 1 : r->init->masked ? 3 : 2;
    return (struct picture_shape){.pictures = r->pictures,
                                  .copies = r->copies,
                                  .height = r->latent_height,
                                  .width = r->latent_width,
                                  .n_rows = schedule->n_rows,
                                  .history = schedule->history,
                                  .saves = schedule->saves,
                                  .n_tokens = {r->n_tokens[0], r->n_tokens[1], r->n_tokens[2]},
                                  .hidden = hidden_of(r),
                                  .task = task,
                                  .controls = controls_shape(r),
                                  .vae_dtype = latent_decode_dtype(r),
                                  .offload = r->model->offload,
                                  .tiling = r->settings.vae_tiling,
                                  .snapshots = r->snapshots};
}

static bool same_shape(struct picture_shape a, struct picture_shape b) {
    return a.pictures == b.pictures && a.copies == b.copies && a.height == b.height && a.width == b.width && a.n_rows == b.n_rows &&
           a.history == b.history && a.saves == b.saves && !memcmp(a.n_tokens, b.n_tokens, sizeof a.n_tokens) && a.hidden == b.hidden &&
           a.task == b.task && a.vae_dtype == b.vae_dtype && a.offload == b.offload && a.tiling == b.tiling && a.snapshots == b.snapshots &&
           a.controls == b.controls;
}

bool request_is_planned(const struct request *r) {
    return same_shape(shape_of(r), r->model->planned) && (!r->then || request_is_planned(r->then));
}

void request_set_pictures(struct request *r, int n) {
    for (; r; r = r->then) r->pictures = n;
}

/* Whose noise is drawn where none was named. */
static void find_gpu(struct request *r) {
    struct rng_gpu *gpu = &r->settings.rng_gpu;
    if (!gpu->n_sms) *gpu = r->model->device->gpu.n_sms ? r->model->device->gpu : rng_gpu_h100;
}

/* staged: one part in memory after the other; tiled: the VAE in tiles. */
void request_plan_as(struct request *r, bool staged, bool tiled) {
    struct model *m = r->model;
    m->device->plan_begin(m->device);
    stages_plan_begin(m, staged, r->snapshots);
    for (struct request *each = r; each; each = each->then) {
        each->model->tiled = tiled;
        prepare(each);
        picture_plan(each);
        arena_release(m->device, 0);
    }
    stages_plan_end(m);
}

/* The VAE has a smaller way to work. */
static bool has_tiles(const struct request *r) {
    const struct request *decoder = request_decoder(r);
    const struct vae *vae = decoder->model->vae;
    return vae && vae_has_tiles(vae, decoder->latent_height, decoder->latent_width);
}

/* The first of the ways to draw it that fits: as a whole, in stages, which costs time, and last in tiles, which is another picture. */
static void plan_to_fit(struct request *r) {
    struct model *m = r->model;
    enum offload offload = m->offload;
    int tiling = r->settings.vae_tiling;
    uint64_t room = m->device->memory_free ? model_memory_room(m) : 0;
    for (int way = 0; way < 4; way++) {
        bool staged = way % 2, tiled = way / 2;
        if ((staged && offload == OFFLOAD_NONE) || (!staged && offload == OFFLOAD_STAGE)) continue;
        if ((tiled && tiling == TILING_OFF) || (!tiled && tiling == TILING_ON)) continue;
        if (tiled && tiling == TILING_AUTO && !has_tiles(r)) continue;
        request_plan_as(r, staged, tiled);
        if (!room || memory_plan_sum(model_memory(m)) <= room) return;
    }
}

/* What was not asked for is said, and recorded. */
static void note_tiles(struct request *r) {
    if (!r->model->tiled || r->settings.vae_tiling == TILING_ON) return;
    for (struct request *each = r; each; each = each->then) each->settings.vae_tiling = TILING_ON;
    warn("the VAE works in tiles, which changes the picture a little: in one piece it does not fit into memory (--vae-tiling off%s)",
         r->model->device->own_memory ? ", or --device cpu" : "");
}

void request_plan(struct request *r) {
    struct device *dev = r->model->device;
    for (struct request *each = r; each; each = each->then) find_gpu(each);
    loras_apply(r);
    for (struct request *each = r; each; each = each->then) embeddings_apply(each);
    if (request_is_planned(r)) return note_tiles(r);
    for (struct request *each = r; each; each = each->then) {
        each->model->planned = (struct picture_shape){0};
        each->model->prepared = 0;
    }
    r->model->n_plans++;
    dev->recover(dev); /* a picture may have died anywhere */
    plan_to_fit(r);
    for (struct request *each = r; each; each = each->then) each->model->planned = shape_of(each);
    note_tiles(r);
}
