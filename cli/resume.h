/* --resume: what was drawn for the same request is not drawn again. The picture itself tells: the file under its name is whole, and its
 * metadata has the hash of what was asked for (request_hash.h). */
#ifndef CLI_RESUME_H
#define CLI_RESUME_H

#include "cli/options.h"
#include "engine/pipelines/request.h"

enum resume { RESUME_ABSENT, RESUME_SAME, RESUME_OTHER /* of another request, or it does not say */, RESUME_TORN /* its end is missing */ };

/* What it says of itself where it is the same. */
struct resumed {
    uint64_t seed;
    const char *request; /* the hash */
};

/* What lies at `path`, for image k. Where no seed was given any will do, and any type where none was. said: NULL if nobody asks. */
enum resume resume_look(struct arena *a, const struct options *o, const struct request *r, int k, const char *path, struct resumed *said);
/* What is wrong with such a file, as "PATH: the file exists, …" goes on; NULL: nothing. */
const char *resume_words(enum resume found);
/* The same of the file that --on-exists skip leaves in image k's place. */
const char *resume_differs(struct arena *a, const struct options *o, const struct request *r, int k, const char *path);
/* Is it a whole sheet of ours (--sheet), which is made of pictures that are there? */
bool resume_is_sheet(const char *path);
/* Dies FAIL_USAGE where the options leave nothing to recognize a picture by. */
void resume_check(const struct options *o);

#endif
