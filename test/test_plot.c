/* The plot of --show-schedule, on schedules made by hand. */
#include "test/support.h"

#include <string.h>
#include "cli/plot.h"

static const char *plot(struct arena *a, const float *sigmas, int n, int columns) {
    struct sched_row *rows = arena_array(a, (size_t)n, sizeof *rows);
    for (int i = 0; i < n; i++) rows[i].sigma = sigmas[i];
    struct schedule schedule = {.rows = rows, .n_rows = n};
    struct buffer b = {.arena = a};
    plot_sigmas(&b, &schedule, columns);
    return b.data ? b.data : "";
}

static void test_stairs(void **state) {
    (void)state;
    struct arena a = {0};
    assert_string_equal(plot(&a, (const float[]){128, 8, 1}, 3, 22), "\n          sigma, logarithmic\n"
                                                                     "     128 |****\n"
                                                                     "         |\n"
                                                                     "         |\n"
                                                                     "         |\n"
                                                                     "         |    ****\n"
                                                                     "         |\n"
                                                                     "         |\n"
                                                                     "       1 |        ****\n"
                                                                     "         +------------\n"
                                                                     "          1          3\n");
    arena_free(&a);
}

static void test_odd_levels(void **state) {
    (void)state;
    struct arena a = {0};
    assert_string_equal(plot(&a, (const float[]){1}, 1, 80), "");
    assert_string_equal(plot(&a, (const float[]){2, 2}, 2, 80), "");
    assert_string_equal(plot(&a, (const float[]){0, NAN, INFINITY, -1}, 4, 80), "");
    assert_non_null(strstr(plot(&a, (const float[]){128, 2.64f, 1}, 3, 22), "|    ****\n       1 |")); /* at 5.6 of 7 */
    const char *text = plot(&a, (const float[]){INFINITY, 4, 2, 0}, 4, 80);
    assert_non_null(strstr(text, "\n       4 |                ****************\n"));
    float many[1000];
    for (int i = 0; i < 1000; i++) many[i] = expf(-(float)i / 100);
    text = plot(&a, many, 1000, 500);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) assert_true(strcspn(line, "\n") <= 79);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stairs), cmocka_unit_test(test_odd_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
