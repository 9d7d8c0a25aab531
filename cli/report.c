#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "cli/open_device.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "engine/base/clock.h"
#include "engine/base/text.h"
#include "engine/nets/vae_tiles.h"
#include "engine/pipelines/controls.h"

double process_began(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return clock_ms() - (double)used.tv_sec * 1e3 - (double)used.tv_nsec / 1e6;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread spread_of(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return (struct spread){values[n / 2], values[(int)(((int64_t)n * 95 + 99) / 100) - 1], values[0]};
}

uint64_t peak_memory(const struct model *m, const struct startup *t) {
    struct rusage usage;
    if (m->device->own_memory) { /* nothing is given back before the end */
        uint64_t now = m->device->memory_free(m->device);
        return t->memory_free > now ? t->memory_free - now : 0;
    }
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

static void report_controls(const struct request *r) {
    for (int i = 0; i < r->n_controls; i++) {
        const struct control_use *u = &r->controls[i];
        char safe[1024];
        escape_text(safe, sizeof safe, u->of->path, strlen(u->of->path));
        fprintf(stderr, "ControlNet %s: scale %g, from %g to %g of the steps%s\n", safe, u->scale, u->start, u->end,
                r->settings.guess_mode ? ", guess mode" : "");
    }
}

static void report_tiles(const struct request *r) {
    const struct request *decoder = request_decoder(r);
    const struct vae *vae = decoder->model->vae;
    if (r->settings.vae_tiling != TILING_ON || !vae) return;
    int n = vae_count_tiles(vae, decoder->latent_height, decoder->latent_width);
    fprintf(stderr, n > 1 ? "vae: %d tiles, which changes the picture a little\n" : "vae: %d tile, the whole picture\n", n);
}

void report_request(struct arena *a, const struct request *r) {
    print_origins(a, r->scheduler, r->sched_config, r->model->parts[PART_SCHEDULER]->config);
    report_controls(r);
    report_tiles(r);
}

void report_start(const struct model *m, const struct startup *t) {
    fprintf(stderr, "start: %.1f ms (files %.1f ms, %s %.1f ms, plan %.1f ms)\n", t->ready, t->files, m->device->name, t->device, t->plan);
}

void report_load(const struct model *m) {
    progress_clear();
    fprintf(stderr, "load: %.3f GB in %.1f ms (%.2f GB/s)\n", (double)m->bytes_read / 1e9, m->load_ms,
            m->load_ms > 0 ? (double)m->bytes_read / 1e6 / m->load_ms : 0);
}

void report_picture(const struct picture *p, double png_ms) {
    const struct request *r = p->drawing->request;
    int n = request_rows(r);
    struct arena a = {0};
    double *steps = arena_array(&a, (size_t)n, sizeof *steps), sum = 0;
    memcpy(steps, p->timings.step_ms, (size_t)n * sizeof *steps);
    for (int i = 0; i < n; i++) sum += steps[i];
    struct spread s = spread_of(steps, n);
    arena_free(&a);
    progress_clear();
    if (r->given.context.p && p->timings.text_ms > 0) fprintf(stderr, "text: %.1f ms\n", p->timings.text_ms);
    fprintf(stderr, "steps: %d, median %.2f ms, p95 %.2f ms, in all %.1f ms", n, s.median, s.p95, sum);
    if (p->drawing->n > 1) fprintf(stderr, ": its share of %d pictures drawn at once", p->drawing->n);
    fputc('\n', stderr);
    if (r->model->vae) fprintf(stderr, "vae: %.1f ms\n", p->timings.vae_ms);
    if (p->verdict) fprintf(stderr, "safety checker: %.1f ms\n", p->timings.safety_ms);
    fprintf(stderr, "png: %.1f ms\n", png_ms);
}

void report_change(const char *id, bool planned, uint64_t n_texts, uint64_t bytes) {
    char texts[64] = "", weights[64] = "";
    if (n_texts) snprintf(texts, sizeof texts, " texts %llu", (unsigned long long)n_texts);
    if (bytes) snprintf(weights, sizeof weights, " weights %.3f GB", (double)bytes / 1e9);
    progress_clear();
    fprintf(stderr, "%s: anew:%s%s%s\n", id, planned ? " plan" : *texts || bytes ? "" : " nothing", texts, weights);
}

void report_shard(const struct shard *s) {
    fprintf(stderr, "shard: %llu of %llu%s%s\n", (unsigned long long)s->index, (unsigned long long)s->count, s->from ? ", from " : "",
            s->from ? s->from : "");
}

void report_end(const struct model *m, const struct startup *t) {
    struct memory_plan plan = model_memory(m);
    progress_clear();
    if (m->device->products) fprintf(stderr, "products: %s\n", m->device->products(m->device));
    fprintf(stderr, "peak memory: %.4f GB (planned %.4f GB); %.1f ms since the start\n", (double)peak_memory(m, t) / 1e9,
            (double)(memory_plan_sum(plan) + model_program_bytes(m)) / 1e9, clock_ms() - t->began);
}
