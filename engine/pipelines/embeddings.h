/* Textual inversions upon a model: words more for its tokenizers, and their vectors as further rows of its text encoders' tables. */
#ifndef ENGINE_PIPELINES_EMBEDDINGS_H
#define ENGINE_PIPELINES_EMBEDDINGS_H

#include "engine/files/embedding.h"
#include "engine/pipelines/settings.h"
#include "tokenizer/clip_bpe.h"

struct model;
struct request;

/* Opens the request's, each file once in a model's life, checks them against the model and gives the request tokenizers with their words.
 * Dies FAIL_UNSUPPORTED where a width fits no text encoder, and as embedding_open and clip_bpe_with do. */
void embeddings_open(struct request *r);
/* Puts the request's vectors in place of the former request's: tables that change are read anew by the next weights_load. A request without
 * any leaves them. */
void embeddings_apply(struct request *r);

/* Blanks in the text for the words of the request's embeddings, wherever they stand; case does not count. */
void embeddings_blank(const struct request *r, char *text);
/* The words of the list's files upon a tokenizer alone. */
const struct clip_bpe *embeddings_words(struct arena *a, const struct clip_bpe *t, const struct embedding_list *list);
/* The file's SHA-256; NULL: the model has not opened it. */
const char *embeddings_hash(const struct model *m, const char *path);
/* One more at the end of the list. Dies FAIL_USAGE where there are too many. */
void embeddings_add(struct arena *a, struct embedding_list *list, const char *path, const char *token);
/* Of a model that goes. */
struct embeddings;
void embeddings_close(struct embeddings *e);

#endif
