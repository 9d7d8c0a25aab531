/* What a picture says about how it was made: for AUTOMATIC1111's readers, for this program, and for those who must know it is synthetic. */
#ifndef CLI_METADATA_H
#define CLI_METADATA_H

#include <stdint.h>
#include "cli/json_out.h"
#include "engine/images/write.h"
#include "engine/pipelines/picture.h"
#include "engine/pipelines/request.h"

/* One image: the settings in force, defaults filled in, and what the run found out. */
struct metadata {
    const struct settings *settings; /* guidance NAN where there is no prompt to be guided by */
    uint64_t seed;                   /* this image's */
    int step;                        /* --save-every's: as it stood after so many model calls; 0: finished */
    const char *revision;            /* commit in the Hugging Face cache, or NULL */
    const char *scheduler_class;     /* "PNDMScheduler" */
    const char *sampler;             /* A1111's name for it (sched_config_sampler) */
    const char *schedule_type;       /* A1111's: "Karras" …; NULL is its default */
    const char *request;             /* request_hash, or NULL */
    const char *dtype, *device;      /* "fp32", "cpu" */
    const char *product, *isa;       /* one of them: what the last bits depend on, "NVIDIA H100" or "avx2". Not on the number of threads */
    const struct model *model;       /* whose weights' hashes are told where m->hashes knows them; or NULL */
    const struct control_use *controls; /* n_controls, whose hashes are told with the model's */
    int n_controls;
    const struct input_hashes *inputs; /* or NULL */
    int quality;                       /* of a JPEG or WebP; 0: none */
    enum verdict verdict;              /* the safety checker's, of the finished image */
};

enum { METADATA_COMMENTS_MAX = 3 };

/* level "full": `parameters`, `diffuse` and XMP; "minimal": the disclosure alone; "sheet": that of several pictures on
 * one; "none": nothing. Returns the number of comments. */
int metadata_comments(struct arena *a, const struct metadata *m, const char *level, struct image_comment comments[METADATA_COMMENTS_MAX]);

/* Does the text under "Software" (NULL: none) say that the file is a sheet, of any version of this program? */
bool metadata_is_sheet(const char *software);

/* The parts: A1111's infotext; the fields of one JSON object. */
const char *metadata_infotext(struct arena *a, const struct metadata *m);
void metadata_fields(struct json_out *j, const struct metadata *m);

#endif
