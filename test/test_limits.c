/* Quotas and memory limits of control groups, read from made-up /proc and /sys, hostile ones too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "engine/base/limits.h"

static char root[] = "/tmp/limits-XXXXXX";

static void put(const char *path, const char *text) {
    char command[512], name[512];
    snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s%s')\"", root, path);
    assert_int_equal(system(command), 0);
    snprintf(name, sizeof name, "%s%s", root, path);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int clear(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'; mkdir '%s'", root, root);
    return system(command);
}

static void test_version_2(void **state) {
    (void)state;
    put("/proc/meminfo", "MemTotal: 64 kB\nMemAvailable:    8000 kB\n");
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/b/memory.current", "10\n");
    assert_int_equal(memory_available(root), 8000 * 1024);
    put("/sys/fs/cgroup/a/memory.max", "5000000\n");
    put("/sys/fs/cgroup/a/memory.current", "3000000\n");
    assert_int_equal(memory_available(root), 2000000);
    put("/sys/fs/cgroup/a/memory.stat", "anon 5\nactive_file 1000000\ninactive_file 500000\n");
    assert_int_equal(memory_available(root), 3500000);
    assert_true(cpu_quota(root) == 1.5);
    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"); /* the smallest holds, wherever it stands */
    assert_true(cpu_quota(root) == 1.5);
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    assert_true(cpu_quota(root) == 0.5);
}

/* The smallest counts, whichever group has it; what is in use already, though the limit came later, leaves the least there is. */
static void test_smallest(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_true(cpu_quota(root) == 0.5);
    put("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    assert_true(cpu_quota(root) == 1);
    put("/sys/fs/cgroup/a/memory.max", "1000\n");
    put("/sys/fs/cgroup/a/memory.current", "4000\n");
    assert_int_equal(memory_available(root), 1);
}

/* A group is a path below the mount. */
static void test_beside(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/../beside\n");
    put("/sys/fs/beside/cpu.max", "50000 100000\n");
    put("/sys/fs/cgroup/x", "");
    assert_true(cpu_quota(root) == 0);
}

static void test_version_1(void **state) {
    (void)state;
    put("/proc/self/cgroup", "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n");
    assert_int_equal(memory_available(root), 0);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n"); /* a container sees its own group at the top */
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "900\n");
    put("/sys/fs/cgroup/memory/memory.stat", "active_file 1\ntotal_active_file 50\n");
    put("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(memory_available(root), 150);
    assert_true(cpu_quota(root) == 0);
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(cpu_quota(root) == 0.5);
}

static void test_hostile(void **state) {
    (void)state;
    const char *groups[] = {
        "", ":", "::", "0::", "0:::::", "0::/../../etc\n", "x:memory:a\n", "4:,memory,cpu,:/\n0::/\n", "0::/\n0::/\n\n"};
    const char *numbers[] = {"",    "max", "-",     "99999999999999999999999", "18446744073709551615 18446744073709551615",
                             "0 0", "1 0", "\n\n\n"};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++) {
            put("/proc/self/cgroup", groups[i]);
            put("/sys/fs/cgroup/cpu.max", numbers[j]);
            put("/sys/fs/cgroup/memory.max", numbers[j]);
            put("/sys/fs/cgroup/memory.current", numbers[j]);
            double quota = cpu_quota(root);
            assert_true(quota >= 0 && quota <= 1);
            memory_available(root);
        }
    put("/proc/self/cgroup", "0::/../../../etc\n"); /* nothing outside is looked at */
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    put("/etc/cpu.max", "25000 100000\n");
    assert_true(cpu_quota(root) == 0);
    char *longer = malloc(40000);
    memset(longer, 'a', 39999);
    memcpy(longer, "0::/", 4);
    longer[39999] = 0;
    put("/proc/self/cgroup", longer);
    assert_true(cpu_quota(root) == 0);
    free(longer);
}

static void test_here(void **state) {
    (void)state;
    enum { BYTES = 64 << 20 };
    assert_true(cpu_count() >= 1 && memory_available("") > 0);
    uint64_t before = memory_resident();
    char *touched = malloc(BYTES);
    assert_non_null(touched);
    memset(touched, 1, BYTES);
    uint64_t after = memory_resident();
    assert_true(before > 0 && after >= before + BYTES / 2 && after < before + 2 * (uint64_t)BYTES && touched[BYTES - 1] == 1);
    free(touched);
}

int main(void) {
    if (!mkdtemp(root)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_version_2, clear), cmocka_unit_test_setup(test_version_1, clear),
        cmocka_unit_test_setup(test_smallest, clear),  cmocka_unit_test_setup(test_beside, clear),
        cmocka_unit_test_setup(test_hostile, clear),   cmocka_unit_test(test_here),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clear(NULL);
    return failed || rmdir(root);
}
