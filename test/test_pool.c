/* Every item once, by few and many threads, with loops of all sizes one behind the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>
#include "engine/base/pool.h"

enum { ITEMS = 1000 };

struct counts {
    int n_threads;
    atomic_int items[ITEMS], wrong;
};

static void count(void *context, size_t begin, size_t end, int thread) {
    struct counts *c = context;
    if (thread < 0 || thread >= c->n_threads || begin >= end || end > ITEMS) atomic_fetch_add(&c->wrong, 1);
    for (size_t i = begin; i < end; i++) atomic_fetch_add(&c->items[i], 1);
}

static void run_loops(struct pool *pool, int loops) {
    static struct counts c;
    for (int i = 0; i < loops; i++) {
        size_t n = (size_t)(i * 37 % (ITEMS + 1));
        memset(&c, 0, sizeof c);
        c.n_threads = pool_threads(pool);
        pool_for(pool, n, i % 3 ? 1e5 : 10, count, &c);
        assert_int_equal(c.wrong, 0);
        for (size_t k = 0; k < ITEMS; k++) assert_int_equal(c.items[k], k < n);
    }
}

static void test_every_item_once(void **state) {
    (void)state;
    for (int n = 1; n <= 9; n += 2) {
        struct pool *pool = pool_new(n);
        assert_int_equal(pool_threads(pool), n);
        run_loops(pool, 600);
        pool_free(pool);
    }
    run_loops(NULL, 20);
}

/* Whoever still works is waited for. */
static void rest(void *context, size_t begin, size_t end, int thread) {
    atomic_int *n_done = context;
    usleep((unsigned)thread * 2000); /* one is last */
    atomic_fetch_add(n_done, (int)(end - begin));
}

static void test_the_slow_are_waited_for(void **state) {
    (void)state;
    struct pool *pool = pool_new(4);
    for (int i = 0; i < 50; i++) {
        atomic_int n_done = 0;
        pool_for(pool, 16, 1e6, rest, &n_done);
        assert_int_equal(n_done, 16);
        usleep(i % 2 * 2000); /* asleep, or not yet */
    }
    pool_free(pool);
}

/* No memory for stacks: fewer threads, and the loops are run all the same. */
static void test_refused(void **state) {
    (void)state;
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
    skip(); /* the sanitizers do not survive it */
#endif
    struct rlimit was, none = {1, 1};
    getrlimit(RLIMIT_AS, &was);
    none.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_AS, &none);
    struct pool *pool = pool_new(64);
    setrlimit(RLIMIT_AS, &was);
    assert_in_range(pool_threads(pool), 1, 63);
    run_loops(pool, 50);
    pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_item_once), cmocka_unit_test(test_the_slow_are_waited_for),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
