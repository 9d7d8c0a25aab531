#include "cli/inspect.h"
#include "cli/json_out.h"
#include "cli/open_device.h"
#include "cli/result.h"
#include "engine/count_device.h"

#include <math.h>
#include <string.h>
#include "engine/base/text.h"

struct summary {
    uint64_t n_tensors, n_parameters, bytes;
    bool dtypes[DT_COUNT];
};

static struct summary summarise(const struct component *c) {
    struct summary s = {0};
    for (int i = 0; i < c->n_files; i++)
        for (int j = 0; j < c->files[i]->n_tensors; j++) {
            const struct tensor *t = &c->files[i]->tensors[j].tensor;
            const char *prefix = c->dialect ? c->dialect->prefix : "";
            if (strncmp(t->name, prefix, strlen(prefix))) continue; /* another component's, in a file of all */
            s.n_tensors++;
            if (t->dtype <= DT_F64) s.n_parameters += t->bytes / dtype_table[t->dtype].size; /* not position_ids */
            s.bytes += t->bytes;
            s.dtypes[t->dtype] = true;
        }
    return s;
}

/* A string of the checkpoint's, as it can be shown. */
static const char *shown(struct arena *a, const char *text) {
    size_t n = strlen(text), room = 4 * n + 1;
    char *safe = arena_alloc(a, room);
    escape_text(safe, room, text, n);
    return safe;
}

static void component_text(struct buffer *b, const struct component *c) {
    struct summary s = summarise(c);
    buffer_printf(b, "%-14s %s", shown(b->arena, c->name), shown(b->arena, c->class_name));
    if (c->n_files) {
        buffer_printf(b, ": %llu parameters in %llu tensors,", (unsigned long long)s.n_parameters, (unsigned long long)s.n_tensors);
        for (int i = 0; i < DT_COUNT; i++)
            if (s.dtypes[i]) buffer_printf(b, " %s", dtype_table[i].name);
        buffer_printf(b, ", %.1f MB in %d file%s", (double)s.bytes / 1e6, c->n_files, c->n_files > 1 ? "s" : "");
        if (c->variant) buffer_printf(b, ", variant %s", shown(b->arena, c->variant));
    }
    buffer_add(b, "\n", 1);
}

static void component_json(struct json_out *j, const struct component *c) {
    struct summary s = summarise(c);
    json_out_open(j, c->name, '{');
    json_out_string(j, "class", c->class_name);
    if (c->n_files) {
        json_out_u64(j, "parameters", s.n_parameters);
        json_out_u64(j, "tensors", s.n_tensors);
        json_out_u64(j, "bytes", s.bytes);
        json_out_u64(j, "files", (uint64_t)c->n_files);
        json_out_string(j, "variant", c->variant);
        json_out_open(j, "dtypes", '[');
        for (int i = 0; i < DT_COUNT; i++)
            if (s.dtypes[i]) json_out_string(j, NULL, dtype_table[i].name);
        json_out_close(j, '[');
    }
    json_out_close(j, '{');
}

static void components_json(struct json_out *j, const struct checkpoint *c) {
    json_out_open(j, "components", '{');
    for (int i = 0; i < c->n_components; i++) component_json(j, &c->components[i]);
    json_out_close(j, '{');
}

/* What is drawn with unless told otherwise. */
static void defaults_text(struct buffer *b, const struct request *r) {
    const struct generation *g = &r->model->checkpoint->generation;
    buffer_printf(b, "%-14s %d steps", "defaults", r->settings.steps);
    if (r->model->class->takes_prompt) buffer_printf(b, ", guidance %g", r->settings.guidance);
    bool own = /* no flag says otherwise */
        (!g->steps || g->steps == r->settings.steps) && (isnan(g->guidance) || g->guidance == r->settings.guidance);
    if (g->path && own) buffer_printf(b, " (generation_config.json)");
    buffer_add(b, "\n", 1);
    if (g->n_words) buffer_printf(b, "%-14s %d known\n", "words", g->n_words);
    if (g->size_max) buffer_printf(b, "%-14s sides of %d to %d\n", "trained on", g->size_min, g->size_max);
}

static const char *prediction_text(struct arena *a, const struct checkpoint *c) {
    if (c->config_dir) return arena_printf(a, "read by %s", shown(a, c->config_dir));
    return arena_printf(a, "%s, by %s", c->prediction.type, c->prediction.why);
}

static void checker_text(struct buffer *b, const struct model *m) {
    bool there = checkpoint_find(m->checkpoint, "safety_checker") != NULL;
    if (!m->class->takes_prompt) return;
    buffer_printf(b, "%-14s %s\n", "safety checker", m->safety ? "runs on every picture" : there ? "is there, does not run" : "none");
}

static void controls_text(struct buffer *b, const struct request *r) {
    for (int i = 0; i < r->n_controls; i++) {
        const struct checkpoint *c = r->controls[i].of->checkpoint;
        buffer_printf(b, "%-14s %s\n  ", "control", shown(b->arena, c->dir));
        component_text(b, &c->components[0]);
    }
}

static void controls_json(struct json_out *j, const struct request *r) {
    json_out_open(j, "controls", '[');
    for (int i = 0; i < r->n_controls; i++) {
        const struct checkpoint *c = r->controls[i].of->checkpoint;
        json_out_open(j, NULL, '{');
        json_out_string(j, "directory", c->dir);
        json_out_string(j, "revision", c->revision);
        components_json(j, c);
        json_out_close(j, '{');
    }
    json_out_close(j, '[');
}

static void refiner_text(struct buffer *b, const struct request *r) {
    const struct checkpoint *c = r->then->model->checkpoint;
    buffer_printf(b, "%-14s %s: %s draws the last %d of %d rows\n", "refiner", shown(b->arena, c->dir), shown(b->arena, c->pipeline_class),
                  r->then->schedule->n_rows, request_rows(r));
    for (int i = 0; i < c->n_components; i++) {
        buffer_printf(b, "  ");
        component_text(b, &c->components[i]);
    }
}

static void refiner_json(struct json_out *j, const struct request *r) {
    const struct checkpoint *c = r->then->model->checkpoint;
    json_out_open(j, "refiner", '{');
    json_out_string(j, "directory", c->dir);
    json_out_string(j, "revision", c->revision);
    json_out_string(j, "pipeline", c->pipeline_class);
    json_out_u64(j, "rows", (uint64_t)r->then->schedule->n_rows);
    json_out_u64(j, "of_rows", (uint64_t)request_rows(r));
    components_json(j, c);
    json_out_close(j, '{');
}

static void inspect_text(struct buffer *b, const struct request *r, struct memory_plan m) {
    const struct checkpoint *c = r->model->checkpoint;
    const char *version = c->diffusers_version;
    buffer_printf(b, "%s: %s%s%s\n", shown(b->arena, c->dir), c->pipeline_class ? shown(b->arena, c->pipeline_class) : "UNet2DModel",
                  version ? ", diffusers " : "", version ? shown(b->arena, version) : "");
    if (c->file) buffer_printf(b, "%-14s %s: %s\n", "file", c->kind->name, prediction_text(b->arena, c));
    for (int i = 0; i < c->n_components; i++) component_text(b, &c->components[i]);
    controls_text(b, r);
    if (r->then) refiner_text(b, r);
    buffer_printf(b, "%-14s %dx%d, multiples of %d", "size", r->settings.width, r->settings.height, r->model->size_multiple);
    if (r->model->size_least > r->model->size_multiple) buffer_printf(b, " from %d on", r->model->size_least);
    buffer_printf(b, "\n");
    defaults_text(b, r);
    checker_text(b, r->model);
    buffer_printf(b, "%-14s %s, %s, %d training steps\n", "schedule", r->scheduler->class_name,
                  sched_config_prediction_type(r->sched_config), sched_config_train_timesteps(r->sched_config));
    buffer_printf(b, "%-14s %.2f GB in fp32: weights %.2f, activations %.2f\n", "memory", (double)(m.weights + m.activations) / 1e9,
                  (double)m.weights / 1e9, (double)m.activations / 1e9);
    buffer_printf(b, "%-14s %s (--offload stage)\n", "by stage", stages_text(b->arena, r->model));
}

static void inspect_json(struct json_out *j, const struct request *r, struct memory_plan m) {
    const struct checkpoint *c = r->model->checkpoint;
    json_out_open(j, NULL, '{');
    json_out_string(j, "directory", c->dir);
    json_out_string(j, "revision", c->revision);
    json_out_string(j, "pipeline", c->pipeline_class);
    json_out_string(j, "diffusers_version", c->diffusers_version);
    if (c->file) json_out_string(j, "kind", c->kind->name);
    if (c->file) json_out_string(j, "prediction_by", c->config_dir ? "its configuration" : c->prediction.why);
    components_json(j, c);
    if (r->n_controls) controls_json(j, r);
    if (r->then) refiner_json(j, r);
    json_out_u64(j, "width", (uint64_t)r->settings.width);
    json_out_u64(j, "height", (uint64_t)r->settings.height);
    json_out_u64(j, "size_multiple", (uint64_t)r->model->size_multiple);
    json_out_u64(j, "size_least", (uint64_t)r->model->size_least);
    json_out_u64(j, "steps", (uint64_t)r->settings.steps);
    if (r->model->class->takes_prompt) json_out_number(j, "guidance", r->settings.guidance);
    json_out_string(j, "scheduler", r->scheduler->class_name);
    json_out_string(j, "prediction_type", sched_config_prediction_type(r->sched_config));
    json_out_u64(j, "train_timesteps", (uint64_t)sched_config_train_timesteps(r->sched_config));
    json_out_bool(j, "safety_checker", r->model->safety != NULL);
    json_out_u64(j, "weight_bytes", m.weights);
    json_out_u64(j, "activation_bytes", m.activations);
    json_out_open(j, "stage_bytes", '{');
    for (enum stage i = 0; i < N_STAGES; i++) {
        uint64_t bytes = memory_plan_sum(model_stage_memory(r->model, i));
        if (bytes) json_out_u64(j, stage_names[i], bytes);
    }
    json_out_close(j, '{');
    json_out_close(j, '{');
}

void inspect_print(struct request *r, bool json) {
    model_use(r->model, count_device_open(DT_F32));
    request_plan(r);
    struct memory_plan m = model_memory(r->model);
    request_plan_as(r, true, false);
    struct json_out j = {.text = {.arena = r->arena}};
    if (json) {
        inspect_json(&j, r, m);
        buffer_add(&j.text, "\n", 1);
    } else {
        inspect_text(&j.text, r, m);
    }
    result_write(j.text.data, j.text.length);
}
