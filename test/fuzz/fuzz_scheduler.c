/* A scheduler_config.json and options from strangers: no crash, no hang, no row that is not finite without an error.
 * Input: two bytes choose the class to swap to and the steps, then lines: the JSON, then one "key=value" each. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "schedulers/scheduler.h"

enum { OVERRIDES_MAX = 8 };

static void check_rows(const struct schedule *s) {
    for (int i = 0; i < s->n_rows; i++) {
        const struct sched_row *r = &s->rows[i];
        float sum = r->t + r->sigma + r->in_scale + r->clip_value + r->clip_quantile + r->dx + r->de + r->ax + r->as + r->cx + r->ce +
                    r->cs + r->cz + r->add_x + r->add_z + r->min_log + r->max_log;
        for (int k = 0; k < SCHED_HISTORY; k++) sum += r->ad[k] + r->cd[k];
        if (!isfinite(sum)) abort();
    }
}

static void plan(struct arena *a, const struct scheduler *target, int n_steps, char *text) {
    const char *overrides[OVERRIDES_MAX + 1] = {0}, *json = text;
    int n = 0;
    for (char *line = strchr(text, '\n'); line && n < OVERRIDES_MAX; line = strchr(line, '\n')) {
        *line++ = 0;
        overrides[n++] = line;
    }
    const struct scheduler *found;
    struct json *stored = json_parse(a, json, strlen(json), "s.json");
    struct sched_config *c =
        sched_config_load(a, stored, "s.json", NULL, target, n_steps % 2 ? FIXUP_STABLE_DIFFUSION : FIXUP_NONE, overrides, &found);
    check_rows(schedule_plan(a, found, c, n_steps));
    check_rows(schedule_plan_from(a, found, c, n_steps, n_steps / 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    int n_schedulers = 0;
    while (schedulers[n_schedulers]) n_schedulers++;
    int choice = data[0] % (n_schedulers + 1), n_steps = data[1] < 200 ? data[1] + 1 : (data[1] - 199) * 20;
    struct arena a = {0};
    struct job job;
    error_quiet = 1;
    if (job_enter(&job)) {
        char *text = arena_alloc(&a, size);
        memcpy(text, data + 2, size - 2); /* ends with the NUL the arena put there */
        plan(&a, schedulers[choice], n_steps, text);
        job_leave(&job);
    }
    arena_free(&a);
    return 0;
}
