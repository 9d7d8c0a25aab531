/* Which device computes, and whether the picture fits into its memory. */
#ifndef CLI_OPEN_DEVICE_H
#define CLI_OPEN_DEVICE_H

#include "cli/options.h"
#include "cli/report.h"
#include "engine/pipelines/request.h"

/* First thing of a run: a GPU takes its time to get ready, and the checkpoint's files are checked meanwhile. */
void device_start(const struct options *o);
/* What --device, --dtype and --vae-dtype ask for; says on stderr where --device auto finds no GPU. Dies FAIL_DEVICE. */
struct device *device_open(const struct options *o);
/* What the model is computed in, as --dtype names it. */
const char *dtype_computed(const struct model *m);
/* The files are read ahead while the device comes up, and the model is on it, offloaded as o says: for planning. *t: how long that took,
 * what memory is free. */
void model_start(struct model *m, const struct options *o, struct startup *t);

/* Dies FAIL_MEMORY where what was planned cannot be had, before any of it is asked for; prints the forecast with -v and --dry-run. */
void check_memory(struct request *r, const struct options *o);
/* "text 1.64 GB, denoise 5.86 GB, decode 3.99 GB": what each stage takes, planned so that each has the memory for itself; the refiner's
 * too. In a's memory. */
const char *stages_text(struct arena *a, const struct model *m);

#endif
