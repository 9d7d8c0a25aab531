/* --inspect --embedding FILE: what a textual inversion is. */
#ifndef CLI_INSPECT_EMBEDDING_H
#define CLI_INSPECT_EMBEDDING_H

#include "engine/files/embedding.h"

/* On standard output: the word, how many vectors of which widths, the base they were made for; one JSON object with `json`.
 * token: the word asked for, or NULL: the file's own. */
void inspect_embedding(struct arena *a, const struct embedding *e, const char *token, bool json);

#endif
