#include "engine/dump.h"
#include "engine/error.h"
#include "engine/pipeline.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct dump {
    struct pipeline *pipeline;
    struct arena *arena;
    const char *dir;
};

static void make_dir(const char *path) {
    if (mkdir(path, 0777) != 0 && errno != EEXIST) die(FAIL_CREATE, "%s: %s", path, strerror(errno));
}

/* [N,H*W,C] -> [N,C,H*W] */
static float *to_nchw(struct arena *a, const float *x, int N, size_t pixels, int C) {
    float *y = arena_array(a, (size_t)N * pixels * (size_t)C, sizeof *y);
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < pixels; i++)
            for (int c = 0; c < C; c++) y[((size_t)n * (size_t)C + (size_t)c) * pixels + i] = x[((size_t)n * pixels + i) * (size_t)C + (size_t)c];
    return y;
}

static float *download(struct dump *d, struct device *dev, struct view x) {
    float *y = arena_array(d->arena, view_rows(x) * (size_t)x.C, sizeof *y);
    dev->ops->download(dev, y, x);
    return y;
}

static void add_f32(struct st_writer *w, const char *name, const int64_t shape[4], const float *data) {
    st_writer_add(w, name, DT_F32, 4, shape, data);
}

static void add_latents(struct dump *d, struct st_writer *w, struct device *dev, const char *name, const struct latents *l, const float *x) {
    float *y = arena_array(d->arena, (size_t)l->N * (size_t)l->H * (size_t)l->W * (size_t)l->C, sizeof *y);
    dev->ops->download_latents(dev, y, x, l->N, l->H, l->W, l->C);
    add_f32(w, name, (const int64_t[]){l->N, l->C, l->H, l->W}, y);
}

static void add_text(struct dump *d, struct st_writer *w, const char *prefix, const int32_t *ids, int image) {
    struct pipeline *p = d->pipeline;
    int64_t *wide = arena_array(d->arena, (size_t)p->n_tokens, sizeof *wide);
    for (int i = 0; i < p->n_tokens; i++) wide[i] = ids[i];
    st_writer_add(w, arena_printf(d->arena, "%sids", prefix), DT_I64, 2, (const int64_t[]){1, p->n_tokens}, wide);
    const float *embeddings = download(d, p->device, view_images(p->device, p->context, image, 1));
    st_writer_add(w, arena_printf(d->arena, "%sembeddings", prefix), DT_F32, 3, (const int64_t[]){1, p->n_tokens, p->context.C}, embeddings);
}

struct dump *dump_open(struct pipeline *p, int k, const float *noise) {
    struct dump *d = arena_alloc(&p->image_arena, sizeof *d);
    *d = (struct dump){p, &p->image_arena, pipeline_dump_dir(p, &p->image_arena, k)};
    make_dir(p->settings.dump);
    make_dir(d->dir);
    if (p->text) {
        struct st_writer *text = st_writer_new(d->arena);
        add_text(d, text, "", p->ids, p->guided);
        if (p->guided) add_text(d, text, "negative_", p->negative_ids, 0);
        st_write(text, arena_printf(d->arena, "%s/text.safetensors", d->dir));
    }
    struct st_writer *start = st_writer_new(d->arena);
    add_f32(start, "noise", (const int64_t[]){1, p->channels, p->latent_height, p->latent_width}, noise);
    st_write(start, arena_printf(d->arena, "%s/noise.safetensors", d->dir));
    return d;
}

void dump_step(struct dump *d, struct device *dev, int row, float t, struct view model_input, const struct latents *l) {
    struct st_writer *w = st_writer_new(d->arena);
    struct view x = model_input;
    st_writer_add(w, "timestep", DT_F32, 1, (const int64_t[]){1}, &t);
    add_f32(w, "model_input", (const int64_t[]){x.N, x.C, x.H, x.W},
            to_nchw(d->arena, download(d, dev, x), x.N, (size_t)x.H * (size_t)x.W, x.C));
    add_latents(d, w, dev, "guided", l, l->e);
    add_latents(d, w, dev, "latents", l, l->x);
    st_write(w, arena_printf(d->arena, "%s/step-%04d.safetensors", d->dir, row));
}

void dump_image(struct dump *d, const float *decoded, const uint8_t *rgb, int height, int width) {
    struct st_writer *w = st_writer_new(d->arena);
    add_f32(w, "decoded", (const int64_t[]){1, 3, height, width}, to_nchw(d->arena, decoded, 1, (size_t)height * (size_t)width, 3));
    st_writer_add(w, "image", DT_U8, 3, (const int64_t[]){height, width, 3}, rgb);
    st_write(w, arena_printf(d->arena, "%s/image.safetensors", d->dir));
}
