#include "engine/pipelines/dump.h"
#include "engine/base/error.h"
#include "engine/files/safetensors.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dump {
    struct arena *arena;
    const char *dir;
};

/* [N,H*W,C] -> [N,C,H*W] */
static float *to_nchw(struct arena *a, const float *x, int N, size_t pixels, int C) {
    float *y = arena_array(a, (size_t)N * pixels * (size_t)C, sizeof *y);
    for (int n = 0; n < N; n++)
        for (size_t i = 0; i < pixels; i++)
            for (int c = 0; c < C; c++)
                y[((size_t)n * (size_t)C + (size_t)c) * pixels + i] = x[((size_t)n * pixels + i) * (size_t)C + (size_t)c];
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

static void add_latents(struct dump *d, struct st_writer *w, struct device *dev, const char *name, const struct latents *l,
                        const float *x) {
    float *y = arena_array(d->arena, (size_t)l->N * (size_t)l->H * (size_t)l->W * (size_t)l->C, sizeof *y);
    dev->ops->download_latents(dev, y, x, l->N, l->H, l->W, l->C);
    add_f32(w, name, (const int64_t[]){l->N, l->C, l->H, l->W}, y);
}

static void add_prompt(struct dump *d, struct st_writer *w, struct device *dev, const struct dump_prompt *prompt) {
    const struct prompt *p = prompt->prompt;
    int n_ids = prompt->embeddings.W, length = p->n ? n_ids / p->n : 0;
    for (int k = 0; k < TEXTS_MAX && p->n && p->chunks[k]; k++) {
        int64_t *wide = arena_array(d->arena, (size_t)n_ids, sizeof *wide);
        for (int i = 0; i < n_ids; i++) wide[i] = prompt_ids(p, k, i / length)[i % length];
        st_writer_add(w, arena_printf(d->arena, "%sids%s", prompt->prefix, k ? "_2" : ""), DT_I64, 2, (const int64_t[]){1, n_ids}, wide);
    }
    st_writer_add(w, arena_printf(d->arena, "%sembeddings", prompt->prefix), DT_F32, 3, (const int64_t[]){1, n_ids, prompt->embeddings.C},
                  download(d, dev, prompt->embeddings));
    if (!prompt->pooled.p) return;
    st_writer_add(w, arena_printf(d->arena, "%spooled", prompt->prefix), DT_F32, 2, (const int64_t[]){1, prompt->pooled.C},
                  download(d, dev, prompt->pooled));
    st_writer_add(w, arena_printf(d->arena, "%snumbers", prompt->prefix), DT_F32, 2, (const int64_t[]){1, prompt->n_numbers},
                  prompt->numbers);
}

static const char *step_path(const struct dump *d, int row) {
    return arena_printf(d->arena, "%s/step-%04d.safetensors", d->dir, row);
}

struct dump *dump_open(struct arena *a, const char *dir) {
    struct dump *d = arena_alloc(a, sizeof *d);
    *d = (struct dump){a, dir};
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) die(FAIL_CREATE, "%s: %s", dir, strerror(errno));
    for (int row = 0; unlink(step_path(d, row)) == 0; row++)
        ; /* of an older dump, which may have had more */
    return d;
}

void dump_text(struct dump *d, struct device *dev, const struct dump_prompt *prompts, int n_prompts) {
    struct st_writer *w = st_writer_new(d->arena);
    for (int i = 0; i < n_prompts; i++) add_prompt(d, w, dev, &prompts[i]);
    st_write(w, arena_printf(d->arena, "%s/text.safetensors", d->dir));
}

void dump_noise(struct dump *d, const float *noise, int C, int H, int W) {
    struct st_writer *w = st_writer_new(d->arena);
    add_f32(w, "noise", (const int64_t[]){1, C, H, W}, noise);
    st_write(w, arena_printf(d->arena, "%s/noise.safetensors", d->dir));
}

void dump_step(struct dump *d, struct device *dev, int row, float t, struct view model_input, const struct latents *l) {
    struct st_writer *w = st_writer_new(d->arena);
    struct view x = model_input;
    st_writer_add(w, "timestep", DT_F32, 1, (const int64_t[]){1}, &t);
    add_f32(w, "model_input", (const int64_t[]){x.N, x.C, x.H, x.W},
            to_nchw(d->arena, download(d, dev, x), x.N, (size_t)x.H * (size_t)x.W, x.C));
    add_latents(d, w, dev, "guided", l, l->e);
    add_latents(d, w, dev, "latents", l, l->x);
    st_write(w, step_path(d, row));
}

void dump_image(struct dump *d, const float *decoded, const uint8_t *rgb, int height, int width, int channels) {
    struct st_writer *w = st_writer_new(d->arena);
    add_f32(w, "decoded", (const int64_t[]){1, channels, height, width},
            to_nchw(d->arena, decoded, 1, (size_t)height * (size_t)width, channels));
    st_writer_add(w, "image", DT_U8, 3, (const int64_t[]){height, width, channels}, rgb);
    st_write(w, arena_printf(d->arena, "%s/image.safetensors", d->dir));
}
