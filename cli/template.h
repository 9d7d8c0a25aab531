/* Output names: a template with fields {seed} {n} {id} {slug} {model} {scheduler} {steps} {step} {w} {h}; "{{" is a brace. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <stdbool.h>
#include <stdint.h>
#include "engine/base/arena.h"

/* What the fields stand for; texts may be anything, they are made fit for a file name. */
struct template_fields {
    uint64_t seed;
    int n;              /* 1 … count */
    const char *id;     /* of a batch's job, checked; NULL elsewhere, where template_has_id is refused */
    const char *prompt; /* {slug}: its letters and digits, words joined by '-', at most 60 bytes */
    const char *model;  /* {model}: its last path component without @REV */
    const char *scheduler;
    int steps, width, height;
    int step; /* rows done so far, four digits: --save-every */
};

/* The template for -o's value: NULL is the default one, "DIR/" gets it appended, and with count > 1 a template without {seed} and {n}
 * gets "-{seed}" before its extension, so that no two images of a run share a name. Dies FAIL_USAGE on an unknown field, an open
 * brace, or the extension of another image format; FAIL_CREATE on the name
 * of a directory without a slash behind it. */
const char *template_resolve(struct arena *a, const char *output, int count);
/* That extension alone, of what the option names. */
void template_check_name(const char *option, const char *path);
/* One of ours, and a name of one file: dies FAIL_USAGE. */
void template_check_picture(const char *option, const char *path);
/* The -o of a batch's jobs before template_resolve: by default, and in "DIR/", a job is called {id}.png. */
const char *template_of_jobs(struct arena *a, const char *output);
bool template_has_id(const char *template);
bool template_has_seed(const char *template);
/* For many jobs: "-{id}" is put before its extension unless it has {id}, {seed} or {slug} already. */
const char *template_with_id(struct arena *a, const char *template);
/* The template for pictures saved on the way: "-step{step}" is put before its extension unless it has {step} already. */
const char *template_with_step(struct arena *a, const char *template);
/* Is there a field whose value is not known: a scheduler NULL, steps, width or height 0? */
bool template_needs_model(const char *template, const struct template_fields *fields);
/* Dies FAIL_USAGE where a path component becomes longer than 255 bytes, or the path as long as PATH_MAX. */
const char *template_expand(struct arena *a, const char *template, const struct template_fields *fields);

#endif
