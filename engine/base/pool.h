/* Threads that share a loop. What is computed never depends on how many there are: an item is the same work whichever thread takes it.
 *
 * Between loops they spin for some microseconds, for the next loop is near, and then sleep; while others want the CPU they sleep at once,
 * and loops too short to be worth waking them run on the caller alone. Items are claimed as threads come free, so that one that has lost
 * its CPU holds up no more than what it has begun. */
#ifndef ENGINE_BASE_POOL_H
#define ENGINE_BASE_POOL_H

#include <stddef.h>

struct pool;

/* Items [begin, end) of the loop; thread, 0 <= thread < pool_threads, is the caller's number, for scratch of its own. Must not die() nor
 * start another loop. */
typedef void pool_job(void *context, size_t begin, size_t end, int thread);

/* n_threads with the caller's, fewer where the system refuses some; NULL where there is no memory even to ask. Signals go to the threads
 * that were there before. */
struct pool *pool_new(int n_threads);
/* NULL: nothing. */
void pool_free(struct pool *pool);
/* 1 of NULL, which is the caller alone. */
int pool_threads(const struct pool *pool);

/* Runs items [0, n), each once, and returns when all are done. item_ns: what one takes on one thread, roughly; it decides how many are
 * claimed at a time and whether a second thread is worth while. One loop at a time. */
void pool_for(struct pool *pool, size_t n, double item_ns, pool_job *job, void *context);

#endif
