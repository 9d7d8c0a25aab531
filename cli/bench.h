/* --bench: one request again and again, and what it takes. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/metadata.h"
#include "cli/report.h"

/* Draws the first picture of a request whose model is loaded once to warm up and o->bench times to be measured, keeps none of them, and
 * prints the report on stdout, as text or as one JSON object. */
void bench_run(struct request *r, const struct options *o, const struct startup *t, const struct metadata *m);

#endif
