/* The SHA-256 of a checkpoint's weights, so that a picture can say which model drew it.
 *
 * In the hub's cache a file is a link to a blob that is named by its hash. Else it is computed, once, by a thread in the background that
 * leaves the CPU to whoever wants it, and kept in $XDG_CACHE_HOME/diffuse/sha256 (~/.cache) by path, size and time of the file; a process
 * that ends before keeps how far it came. Nobody waits for a large file's: it is told from the next process on. */
#ifndef ENGINE_FILES_WEIGHT_HASH_H
#define ENGINE_FILES_WEIGHT_HASH_H

#include "engine/files/checkpoint.h"

struct weight_hashes;

/* Of the opened components' files, which stay open until weight_hashes_close. Never dies but for want of memory. */
struct weight_hashes *weight_hashes_open(struct arena *a, const struct checkpoint *c);
/* 64 hex digits: of its file, or of the lines of hex digits of its shards, in order. NULL where it has no weights, or it was not known when
 * the hashes were opened and the file is large. Waits for small files'. */
const char *weight_hash(struct arena *a, struct weight_hashes *h, const struct component *m);
/* Bytes of the large files whose hash weight_hash does not tell, until somebody waits for them; 0: it tells of every component. */
uint64_t weight_hashes_unknown(const struct weight_hashes *h);
/* Waits for all of them. */
void weight_hashes_finish(struct weight_hashes *h);
/* Stops the thread and keeps how far it came. h NULL: nothing. */
void weight_hashes_close(struct weight_hashes *h);

#endif
