/* --resume: what was drawn for the same request is not drawn again. The picture itself tells: a file under its name is complete, and its
 * metadata has the hash of what was asked for (request_hash.h). */
#ifndef CLI_RESUME_H
#define CLI_RESUME_H

#include "cli/options.h"

enum resume { RESUME_ABSENT, RESUME_SAME, RESUME_OTHER /* of another request, or it does not say */ };

/* What lies at `path`, for image k of o, whose settings are as they were given. Where no seed was, any will do. model: model_identity. */
enum resume resume_look(struct arena *a, const struct options *o, int k, const char *path, const char *model);
/* Is every image there, as far as the names can be told before the model is known? */
bool resume_done(const struct options *o, const char *model);
/* Dies FAIL_USAGE where the options leave nothing to recognize a picture by. */
void resume_check(const struct options *o);

#endif
