/* How long everything took, and how much memory: -v and --bench. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/options.h"
#include "engine/pipelines/picture.h"

/* How a run got under way; milliseconds. */
struct startup {
    double began;               /* clock_ms() when the process began */
    double files, device, plan; /* how long it took to check the files, to wait for the device and to plan */
    double ready;               /* from began to the end of the plan */
    uint64_t memory_free;       /* of a device with memory of its own, once open; else 0 */
};

/* clock_ms() when the process began, as far as its CPU time tells: to be asked before anything was waited for. */
double process_began(void);

struct spread {
    double median, p95, min;
};
/* Sorts the n > 0 values. */
struct spread spread_of(double *values, int n);

/* The most memory the process has held: on the device where it has its own, else in the system. */
uint64_t peak_memory(const struct model *m, const struct startup *t);

/* -v: where the scheduler's options come from, how each ControlNet leads, into how many tiles --vae-tiling on cuts the latents. */
void report_request(struct arena *a, const struct request *r);
/* -v: one line on stderr for each part of the time line. */
void report_start(const struct model *m, const struct startup *t);
void report_load(const struct model *m);
void report_picture(const struct picture *p, double png_ms);
/* What a job cost beside its steps: were shapes planned anew, how many texts went through the encoder, bytes of weights read. */
void report_change(const char *id, bool planned, uint64_t n_texts, uint64_t bytes);
void report_shard(const struct shard *s);
void report_end(const struct model *m, const struct startup *t);

#endif
