#include "cli/forecast.h"

#include <stdio.h>
#include "cli/generate.h"
#include "cli/json_out.h"
#include "cli/paths.h"
#include "cli/result.h"

typedef unsigned long long ull;

/* ---- one request --------------------------------------------------------------------------------------------------- */

static void print_text(struct arena *a, const struct request *r, const struct options *o) {
    int n = o->settings.count;
    for (int k = 0; k < n && k < FORECAST_FILES; k++)
        fprintf(stderr, "would write %s (seed %llu)\n", path_of_image(a, r, o, k, -1), (ull)(r->settings.seed + (uint64_t)k));
    if (n > FORECAST_FILES) fprintf(stderr, "… and %d more\n", n - FORECAST_FILES);
}

static void print_json_line(struct json_out *j) {
    json_out_close(j, '{');
    buffer_add(&j->text, "\n", 1);
    result_write(j->text.data, j->text.length);
}

static void write_memory(struct json_out *j, struct memory_plan plan, const struct model *m) {
    json_out_u64(j, "weight_bytes", plan.weights);
    json_out_u64(j, "activation_bytes", plan.activations);
    json_out_u64(j, "scratch_bytes", plan.scratch);
    if (m->device && !m->device->own_memory) json_out_u64(j, "program_bytes", model_program_bytes(m));
    if (m->device) json_out_u64(j, "free_bytes", m->device->memory_free(m->device));
}

static void print_json(struct arena *a, const struct request *r, const struct options *o) {
    struct json_out j = {.text.arena = a};
    struct metadata about = about_image(r, 0);
    json_out_open(&j, NULL, '{');
    json_out_bool(&j, "dry_run", true);
    metadata_fields(&j, &about);
    json_out_u64(&j, "count", (uint64_t)o->settings.count);
    json_out_open(&j, "files", '[');
    for (int k = 0; k < o->settings.count && k < FORECAST_FILES; k++) json_out_string(&j, NULL, path_of_image(a, r, o, k, -1));
    json_out_close(&j, '[');
    write_memory(&j, model_memory(r->model), r->model);
    print_json_line(&j);
}

void forecast_print(struct arena *a, const struct request *r, const struct options *o) {
    (o->json ? print_json : print_text)(a, r, o);
}

/* ---- many jobs ----------------------------------------------------------------------------------------------------- */

void forecast_add(struct forecast *f, const struct request *r, const struct options *o, uint64_t line) {
    struct memory_plan plan = model_memory(r->model);
    int n = o->settings.count;
    for (int k = 0; k < n && f->n_files < FORECAST_FILES; k++)
        f->files[f->n_files++] = (struct forecast_file){path_of_image(f->arena, r, o, k, -1), r->settings.seed + (uint64_t)k};
    f->n_jobs++;
    f->n_pictures += (uint64_t)n;
    f->n_calls += (uint64_t)n * (uint64_t)request_rows(r);
    if (f->most_line && memory_plan_sum(plan) <= memory_plan_sum(f->most)) return;
    f->most = plan;
    f->most_line = line;
}

static void print_all_text(const struct forecast *f, const struct model *m) {
    for (int i = 0; i < f->n_files; i++) fprintf(stderr, "would write %s (seed %llu)\n", f->files[i].path, (ull)f->files[i].seed);
    if (f->n_pictures > FORECAST_FILES) fprintf(stderr, "… and %llu more\n", (ull)f->n_pictures - FORECAST_FILES);
    fprintf(stderr, "in all: jobs %llu, pictures %llu, model calls %llu\n", (ull)f->n_jobs, (ull)f->n_pictures, (ull)f->n_calls);
    if (f->most_line)
        fprintf(stderr, "memory: at most %.3f GB, line %llu: weights %.3f GB, activations %.3f GB, scratch %.3f GB; %.3f GB free on %s\n",
                (double)memory_plan_sum(f->most) / 1e9, (ull)f->most_line, (double)f->most.weights / 1e9, (double)f->most.activations / 1e9,
                (double)f->most.scratch / 1e9, (double)model_memory_room(m) / 1e9, m->device->name);
}

static void print_all_json(const struct forecast *f, const struct model *m, uint64_t n_failed) {
    struct json_out j = {.text.arena = f->arena};
    json_out_open(&j, NULL, '{');
    json_out_bool(&j, "dry_run", true);
    json_out_u64(&j, "jobs", f->n_jobs);
    json_out_u64(&j, "failed", n_failed);
    json_out_u64(&j, "count", f->n_pictures);
    json_out_u64(&j, "model_calls", f->n_calls);
    json_out_open(&j, "files", '[');
    for (int i = 0; i < f->n_files; i++) json_out_string(&j, NULL, f->files[i].path);
    json_out_close(&j, '[');
    if (f->most_line) json_out_u64(&j, "largest_line", f->most_line);
    if (f->most_line) write_memory(&j, f->most, m);
    print_json_line(&j);
}

void forecast_print_all(const struct forecast *f, const struct model *m, const struct options *o, uint64_t n_failed) {
    if (o->json) print_all_json(f, m, n_failed);
    else print_all_text(f, m);
}
