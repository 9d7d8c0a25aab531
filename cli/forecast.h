/* --dry-run: what would be written, how much work it is, and the memory it takes. How long it takes only drawing tells, and no guess is
 * made: it is the denoiser's calls times --bench's step. */
#ifndef CLI_FORECAST_H
#define CLI_FORECAST_H

#include "cli/options.h"
#include "engine/pipelines/request.h"

enum { FORECAST_FILES = 20 /* of them are named */ };

/* Of many jobs. */
struct forecast {
    struct arena *arena;
    uint64_t n_jobs, n_pictures, n_calls; /* jobs of which a picture is to be drawn; calls of the denoiser */
    struct memory_plan most;              /* the largest job's … */
    uint64_t most_line;                   /* … and where it stands; 0: there is none */
    int n_files;
    struct forecast_file {
        const char *path;
        uint64_t seed;
    } files[FORECAST_FILES];
};

/* Of one request, planned: on stderr, or as a JSON object on stdout. */
void forecast_print(struct arena *a, const struct request *r, const struct options *o);
/* Adds the job of that line, planned. */
void forecast_add(struct forecast *f, const struct request *r, const struct options *o, uint64_t line);
/* Of all of them; n_failed: those that cannot be drawn. m has a device where any can. */
void forecast_print_all(const struct forecast *f, const struct model *m, const struct options *o, uint64_t n_failed);

#endif
