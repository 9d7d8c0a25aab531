#include "engine/pipelines/controls.h"

#include <string.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/images/preprocess.h"
#include "engine/images/process.h"
#include "engine/images/read.h"
#include "engine/nets/nets.h"
#include "engine/pipelines/control_depth.h"
#include "engine/pipelines/init.h"
#include "engine/pipelines/request.h"

/* ---- the nets ---------------------------------------------------------------------------------------------------- */

static void check_path(const char *path) {
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        die(FAIL_UNSUPPORTED, "%s: expected the directory of a ControlNet, config.json beside its weights, found a file", path);
}

static void check_fits(const struct model *m, const struct control_net *n) {
    if (!controlnet_fits(n->net, m->denoiser.led) || n->net->encoder.in_channels != m->channels)
        die(FAIL_UNSUPPORTED, "%s: made for another model: its blocks are not those of %s's unet", n->path, m->checkpoint->name);
    if (n->net->factor != m->factor)
        die(FAIL_UNSUPPORTED, "%s: 'conditioning_embedding_out_channels' makes 1/%d of a picture's size, but the VAE 1/%d",
            json_path(n->checkpoint->components[0].config), n->net->factor, m->factor);
}

static void open_led(struct model *m, struct control_net *n) {
    check_path(n->path);
    n->checkpoint = checkpoint_list_net(m->arena, "--control DIR", n->path, "controlnet", false);
    struct component *c = n->component = &n->checkpoint->components[0];
    if (strcmp(c->class_name, "ControlNetModel"))
        die(FAIL_UNSUPPORTED, "%s: expected class ControlNetModel, found '%s'", json_path(c->config), c->class_name);
    component_open(n->checkpoint, c, COMPONENT_NET, m->variant);
    n->binder = binder_new(c);
    n->net = net_find(c->class_name)->bind(n->binder);
    binder_check(n->binder);
    check_fits(m, n);
}

/* A ControlNet, or what estimates depth for one: once in the model's life. */
static const struct control_net *open_net(struct model *m, const char *path, bool depth) {
    if (!m->controls) m->controls = arena_alloc(m->arena, sizeof *m->controls);
    struct control_nets *nets = m->controls;
    for (int i = 0; i < nets->n; i++)
        if (!strcmp(nets->items[i].path, path) && (nets->items[i].depth != NULL) == depth) return &nets->items[i];
    if (nets->n == CONTROL_NETS_MAX) die(FAIL_USAGE, "--control: more than %d nets", nets->n);
    struct control_net *n = &nets->items[nets->n];
    *n = (struct control_net){.path = arena_strdup(m->arena, path)};
    if (depth) control_depth_open(m->arena, n);
    else open_led(m, n);
    nets->n++;
    return n;
}

/* What the checkpoint has of its own: "controlnet", and of several "controlnet_1" …; at most max. */
static int own_nets(const struct request *r, const char *paths[], int max) {
    const struct checkpoint *c = r->model->checkpoint;
    const struct component *own = c->file ? NULL : checkpoint_find(c, "controlnet");
    int n = 0;
    if (!own || !r->model->denoiser.led) return 0;
    paths[n++] = arena_printf(r->arena, "%s/controlnet", c->dir);
    if (strcmp(own->class_name, "MultiControlNetModel")) return n;
    for (const char *next; n < max && name_exists(next = arena_printf(r->arena, "%s/controlnet_%d", c->dir, n)); n++) paths[n] = next;
    return n;
}

void controls_close(struct control_nets *nets) {
    for (int i = 0; nets && i < nets->n; i++) {
        weight_hashes_close(nets->items[i].hashes);
        checkpoint_close(nets->items[i].checkpoint);
    }
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

/* The i-th of a list of one for all or one for each. */
static double number_of(const struct number_list *list, int i, double otherwise) {
    return list->n == 0 ? otherwise : list->items[list->n == 1 ? 0 : i];
}

static void check_count(const char *option, int found, int n) {
    if (found > 1 && found != n) die(FAIL_USAGE, "%s: %d of them for %d ControlNet%s", option, found, n, n > 1 ? "s" : "");
}

/* Nothing that was asked for is passed over. */
static void check_none(const struct settings *s) {
    const char *option = s->control_images.n       ? "--control-image"
                         : s->control_scales.n     ? "--control-scale"
                         : s->control_starts.n     ? "--control-start"
                         : s->control_ends.n       ? "--control-end"
                         : s->control_preprocess.n ? "--control-preprocess"
                         : s->guess_mode           ? "--guess-mode"
                                                   : NULL;
    if (option) die_hint(FAIL_USAGE, "--control DIR", "%s: there is no ControlNet", option);
}

static void check_images(const struct request *r, int n, bool own) {
    const struct settings *s = &r->settings;
    if (!s->control_images.n && own)
        die_hint(FAIL_USAGE, "--control-image FILE", "%s: a checkpoint with a ControlNet needs a picture for it",
                 r->model->checkpoint->name);
    if (s->control_images.n != n)
        die_hint(FAIL_USAGE, "--control-image FILE", "--control: expected a picture for each of %d ControlNet%s, found %d", n,
                 n > 1 ? "s" : "", s->control_images.n);
    for (int i = 0; i < n; i++)
        if (!strcmp(s->control_images.items[i], "-")) die(FAIL_USAGE, "--control-image -: expected a file");
}

static void read_window(struct control_use *u, const struct settings *s, int i) {
    u->scale = number_of(&s->control_scales, i, 1);
    u->start = number_of(&s->control_starts, i, 0);
    u->end = number_of(&s->control_ends, i, 1);
    if (u->start >= u->end) die(FAIL_USAGE, "--control-start %g and --control-end %g: expected a start before the end", u->start, u->end);
}

static void read_image(struct request *r, struct control_use *u, int i) {
    const struct settings *s = &r->settings;
    const struct text_list *how = &s->control_preprocess;
    struct preprocess p = {0};
    if (how->n) preprocess_parse(how->items[how->n == 1 ? 0 : i], &p);
    if (p.depth) u->depth.of = open_net(r->model, p.estimator ? p.estimator : r->model->checkpoint->name, true);
    if (i >= s->control_images.n) return;
    u->image = image_read(r->arena, s->control_images.items[i]);
    if (p.canny) u->image = image_canny(r->arena, &u->image, p.low, p.high);
    u->depth.name = s->control_images.items[i];
    if (p.depth) control_depth_see(r->arena, &u->depth, &u->image);
}

/* Where the task has its own. */
static void fill_scale(struct request *r) {
    struct settings *s = &r->settings;
    double scale = class_defaults(r->model->class, s->image, s->mask, true).control_scale;
    if (s->control_scales.n || scale == 1) return;
    double *item = arena_alloc(r->arena, sizeof *item);
    *item = scale;
    s->control_scales = (struct number_list){1, item};
}

void controls_open(struct request *r) {
    struct settings *s = &r->settings;
    const struct model *m = r->model;
    const char *own[CONTROLS_MAX];
    int n_own = s->controls.n ? 0 : own_nets(r, own, CONTROLS_MAX), n = s->controls.n + n_own;
    if (!n || r->from > 0) return check_none(s);
    if (!m->denoiser.led || m->class->beside != BESIDE_NOTHING)
        die(FAIL_USAGE, "--control: %s draws no picture that a ControlNet could lead: it is a %s", m->checkpoint->name, m->class->name);
    if (n > CONTROLS_MAX) die(FAIL_USAGE, "--control: more than %d", CONTROLS_MAX);
    check_count("--control-scale", s->control_scales.n, n);
    check_count("--control-start", s->control_starts.n, n);
    check_count("--control-end", s->control_ends.n, n);
    check_count("--control-preprocess", s->control_preprocess.n, n);
    bool pictures = !s->incomplete || s->control_images.n;
    if (pictures) check_images(r, n, n_own);
    fill_scale(r);
    r->controls = arena_array(r->arena, (size_t)n, sizeof *r->controls);
    r->n_controls = n;
    for (int i = 0; i < n; i++) {
        struct control_use *u = &r->controls[i];
        read_window(u, s, i);
        u->of = open_net(r->model, n_own ? own[i] : s->controls.items[i], false);
        read_image(r, u, i);
    }
    /* as diffusers' pipelines have it, all but SDXL's that paints in a mask */
    if (r->controls[0].of->net->pools && !(s->mask && m->class->penultimate)) s->guess_mode = true;
    if (pictures && !s->image) init_fill_size(r, s->control_images.items[0], &r->controls[0].image);
}

static void fit(struct request *r, struct control_use *u, const struct image *image) {
    size_t n = (size_t)r->settings.width * (size_t)r->settings.height;
    struct image sized = init_at_size(r, image);
    image_unit(u->pixels, &sized);
    for (size_t k = 0; u->of->net->bgr && k < n; k++) {
        float red = u->pixels[3 * k];
        u->pixels[3 * k] = u->pixels[3 * k + 2];
        u->pixels[3 * k + 2] = red;
    }
}

void controls_fit(struct request *r) {
    size_t n = (size_t)r->settings.width * (size_t)r->settings.height;
    for (int i = 0; i < r->n_controls; i++) {
        struct control_use *u = &r->controls[i];
        u->pixels = arena_array(r->arena, n, 3 * sizeof *u->pixels);
        if (u->image.pixels) fit(r, u, &u->image); /* where it is depth that is wanted, to know that it has the size for it */
    }
}

/* ---- in device memory -------------------------------------------------------------------------------------------- */

/* In guess mode the net leads the conditional image alone. */
static int n_led(const struct request *r) {
    return r->settings.guess_mode ? 1 : r->copies;
}

/* What the last M images are given. */
static struct conditions last_given(const struct request *r, int M) {
    struct conditions given = r->given;
    int first = r->copies - M;
    given.context = view_images(given.context, first, M);
    given.n_tokens += first;
    if (given.pooled.p) given.pooled = view_images(given.pooled, first, M);
    if (given.numbers) given.numbers += first * given.n_numbers;
    return given;
}

static void embed(struct request *r, struct control_use *u) {
    struct device *dev = r->model->device;
    if (u->depth.seen.pixels) {
        struct image map = control_depth_run(r->arena, dev, &u->depth, u->image.W, u->image.H);
        if (map.pixels) fit(r, u, &map);
    }
    u->picture = view_alloc(dev, n_led(r) * r->pictures, r->latent_height, r->latent_width, u->of->net->encoder.block_out_channels[0]);
    size_t mark = arena_mark(dev);
    struct view x = view_alloc(dev, 1, r->settings.height, r->settings.width, 3);
    dev->ops->upload(dev, x, u->pixels);
    controlnet_embed(dev, u->of->net, u->picture, x);
    arena_release(dev, mark);
}

void controls_prepare(struct request *r, const float *t, int n_rows) {
    struct device *dev = r->model->device;
    struct conditions given;
    int at = r->temb.C;
    if (!r->n_controls) return;
    given = last_given(r, n_led(r));
    for (int i = 0; i < r->n_controls; i++) {
        struct control_use *u = &r->controls[i];
        embed(r, u);
        u->run = unet_prepare(dev, &u->of->net->encoder, r->arena, &given, t, n_rows);
        u->temb_at = at;
        u->temb_dim = u->run->temb.C;
        at += u->temb_dim;
    }
    struct view all = view_alloc(dev, 1, 1, n_rows, at);
    dev->ops->modulate(dev, view_slice(all, 0, r->temb.C), r->temb, no_view, no_view, ACT_NONE);
    for (int i = 0; i < r->n_controls; i++) {
        const struct control_use *u = &r->controls[i];
        dev->ops->modulate(dev, view_slice(all, u->temb_at, u->temb_dim), u->run->temb, no_view, no_view, ACT_NONE);
    }
    r->temb = all;
}

/* Of the schedule's calls, of which a step may have two. */
static bool leads(const struct request *r, const struct control_use *u, int row) {
    double n = r->n_calls;
    return row < 0 || (row / n >= u->start && (row + 1) / n <= u->end && u->scale != 0);
}

int controls_rows(const struct request *r, int i) {
    int n = 0;
    for (int row = 0; row < r->schedule->n_rows; row++) n += leads(r, &r->controls[i], row);
    return n;
}

void controls_at(const struct request *r, int row, struct controls *y) {
    for (int i = 0; i < r->n_controls; i++) {
        const struct control_use *u = &r->controls[i];
        if (!leads(r, u, row)) continue;
        struct control *c = &y->items[y->n++];
        c->net = u->of->net;
        c->run = u->run;
        c->picture = u->picture;
        c->temb_at = u->temb_at;
        c->temb_dim = u->temb_dim;
        c->scale = (float)u->scale;
        c->guess = r->settings.guess_mode;
    }
}

/* From 1 on; 0: there is none. */
static uint64_t number_of_net(const struct request *r, const struct control_net *n) {
    return n ? 1 + (uint64_t)(n - r->model->controls->items) : 0;
}

uint64_t controls_shape(const struct request *r) {
    uint64_t shape = 0;
    for (int i = 0; i < r->n_controls; i++)
        shape = (shape * (CONTROL_NETS_MAX + 1) + number_of_net(r, r->controls[i].of)) * (CONTROL_NETS_MAX + 1) +
                number_of_net(r, r->controls[i].depth.of) + ((uint64_t)r->controls[i].depth.seen.W << 32);
    return 2 * shape + r->settings.guess_mode;
}
