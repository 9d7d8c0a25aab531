#include "cli/together.h"

#include <stdio.h>
#include <string.h>
#include "cli/open_device.h"
#include "cli/outputs.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/pipelines/stages.h"

/* ---- how many ---------------------------------------------------------------------------------------------------- */

/* One picture's latents in a call, all its copies, up to which the CPU gains by more: the small products of the lower levels get larger. Of
 * the doodle on two cores of AVX2, CPU time of 8 pictures drawn 8 at once to that of 8 alone: 0.54 at 64x64 (128 latents), 0.66 at 96x96
 * (288), 0.78 at 128x128 (512); 0.91 at 192x192 (1152), 0.96 at 256x256 (2048). */
enum { SMALL_LATENTS = 1024, AUTO_MOST = 8 };

/* Why the pictures have to be drawn one by one, or NULL. */
static const char *reason_alone(const struct request *r, const struct options *o) {
    const struct device *dev = r->model->device;
    if (o->bench) return "--bench measures one picture";
    if (o->save_every) return "--save-every looks at each on its way";
    if (r->settings.dump) return "--dump writes what belongs to one";
    if (!dev->images_alone) return "here an image's last bits depend on what is computed with it";
    return NULL;
}

static int best_for(const struct request *r) {
    return r->copies * r->latent_width * r->latent_height <= SMALL_LATENTS ? AUTO_MOST : 1;
}

/* In as many groups, each is as large as the next where that can be. */
static int even(int n, int count) {
    int groups = (count + n - 1) / n;
    return (count + groups - 1) / groups;
}

static int wanted(const struct request *r, const struct options *o) {
    int asked = r->settings.batch_size, count = r->settings.count;
    const char *alone = reason_alone(r, o);
    if (count == 1) return 1;
    if (alone && asked > 1) warn("--batch-size %d: pictures are drawn one by one on %s: %s", asked, r->model->device->name, alone);
    else if (alone && o->verbose) fprintf(stderr, "pictures are drawn one by one on %s: %s\n", r->model->device->name, alone);
    if (alone) return 1;
    return even(asked ? asked : best_for(r), count);
}

/* Of n as many as fit beside the weights, as one was planned: a picture is not brought to another way of being drawn. */
static int that_fit(const struct model *m, int n) {
    struct memory_plan plan = model_memory(m);
    uint64_t room = model_memory_room(m), each = plan.activations + plan.scratch;
    if (m->stages->on) return 1;
    while (room && n > 1 && plan.weights + (uint64_t)n * each > room) n--;
    return n;
}

static void plan(struct request *r, int n) {
    request_set_pictures(r, n);
    request_plan(r);
}

void together_plan(struct request *r, const struct options *o) {
    int most = wanted(r, o), asked = r->settings.batch_size;
    r->snapshots = o->save_every > 0 || o->preview;
    request_set_pictures(r, most);
    bool known = request_is_planned(r);
    if (!known) plan(r, 1);
    int n = known ? most : that_fit(r->model, most);
    plan(r, n);
    const char *why = r->model->stages->on ? "a part of the model is in memory at a time" : "memory is short";
    if (n < most && asked > 1) warn("--batch-size %d: pictures drawn at once: %d: %s", asked, n, why);
    else if (most > 1 && o->verbose) fprintf(stderr, "pictures drawn at once: %d\n", n);
    check_memory(r, o);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* The picture of image run->k, if it is drawn already. */
static struct picture *find(const struct run *run) {
    struct drawing *d = run->drawing;
    for (int i = 0; d && i < d->n; i++)
        if (d->pictures[i].k == run->k) return &d->pictures[i];
    return NULL;
}

bool together_has(const struct run *run) {
    return find(run);
}

/* Will image k be drawn when its turn comes? What is wrong is said then. */
static bool is_wanted(const struct run *run, int k) {
    struct arena a = {0};
    struct job job;
    volatile bool wanted = false;
    if (job_enter(&job)) {
        const char *path = path_of_image(&a, run->request, run->options, k, -1);
        wanted = !strcmp(path, "-") || run->options->archive || !output_stays(&a, run, k, path);
        job_leave(&job);
    }
    arena_free(&a);
    return wanted;
}

/* run->k and those behind it: their number. */
static int choose(const struct run *run, int ks[], int most) {
    int n = 0;
    ks[n++] = run->k;
    for (int k = run->k + 1; k < run->options->settings.count && n < most; k++)
        if (is_wanted(run, k)) ks[n++] = k;
    return n;
}

struct picture *together_draw(struct run *run, void (*on_step)(void *run, struct picture *p, int row)) {
    struct request *r = run->request;
    struct picture *there = find(run);
    if (there) return there;
    together_end(run);
    if (!run->at_once) run->at_once = r->pictures;
    int *ks = arena_array(&run->drawn, (size_t)run->at_once, sizeof *ks), n = choose(run, ks, run->at_once);
    if (n != r->pictures) {
        plan(r, n);
        model_load(r->model);
    }
    progress_image(run->k, n, r->settings.count, request_rows(r));
    double start = clock_ms();
    struct drawing *d = drawing_open(&run->drawn, r, ks, n);
    d->on_step = on_step;
    d->on_step_data = run;
    drawing_run(d);
    run->drawing = d;
    run->drawn_ms = (clock_ms() - start) / n;
    return d->pictures;
}

void together_end(struct run *run) {
    run->drawing = NULL;
    arena_free(&run->drawn);
}
