/* --sweep: the product of several settings' values, as the jobs of a batch. */
#ifndef CLI_SWEEP_H
#define CLI_SWEEP_H

#include "cli/field.h"
#include "cli/lines.h"

enum { SWEEP_AXES_MAX = 8, SWEEP_VALUES_MAX = 256, SWEEP_JOBS_MAX = 65536 };

struct sweep {
    int n_axes;
    struct sweep_axis {
        const struct field *field; /* of settings_fields */
        int n;
        const char **values; /* each one that the field takes */
    } axes[SWEEP_AXES_MAX];  /* in the order given; the last changes fastest */
    int n_jobs;
};

/* Adds the axis "NAME=VALUE,VALUE…"; in a value "\," stands for a comma. name: the option, for messages. Dies FAIL_USAGE. */
void sweep_add(struct arena *a, struct sweep *s, const char *name, const char *text);
/* The jobs as JSON lines: their ids say which values. */
void sweep_lines(struct arena *a, const struct sweep *s, struct lines *l);
/* Which of the axis's values job i has, from 0. */
int sweep_value(const struct sweep *s, int axis, int i);
/* Is the setting of that name an axis? */
bool sweep_has(const struct sweep *s, const char *field);
/* "steps=10"; a prompt is its own text. */
const char *sweep_label(struct arena *a, const struct sweep_axis *axis, int value);

#endif
