/* What --show-schedule and --list print: an aligned table, tab-separated values, or one JSON object. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include "engine/base/json.h"
#include "engine/files/checkpoint.h"
#include "schedulers/scheduler.h"

enum print_format { PRINT_TEXT, PRINT_TSV, PRINT_JSON };

/* PRINT_TEXT leaves out columns of zeros and, on a terminal, adds a plot of the noise levels. then: the refiner's rows, or NULL. */
void print_schedule(const struct schedule *schedule, const struct schedule *then, enum print_format format);
/* A line for each scheduler; or, of `one` alone where it is not NULL, its names, model calls and options. JSON has all of them always. */
void print_schedulers(const struct scheduler *one, bool json);
/* On stderr: what a checkpoint in one file was taken for; nothing of others. */
void print_single(const struct checkpoint *c);
/* A line for each pipeline in Hugging Face's cache, or one JSON object. */
void print_models(bool json);
/* On stderr, for -v: what the checkpoint itself asks for, where it does. */
void print_generation(const struct generation *g);
/* On stderr, for -v: which options of the scheduler in force came from the checkpoint's config, which are its own defaults or the command
 * line's, and which of the config's keys it has no use for. */
void print_origins(struct arena *a, const struct scheduler *scheduler, const struct sched_config *config, const struct json *stored);

#endif
