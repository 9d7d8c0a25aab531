#include "engine/base/limits.h"
#include "engine/base/sys.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 16384, PATH_CAP = 4096 };

/* The kernel refuses a set too small for the machine: larger ones are tried. */
static int affinity_count(void) {
    for (size_t n = 1024; n <= 65536; n *= 4) {
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set) return 0;
        int error = sched_getaffinity(0, CPU_ALLOC_SIZE(n), set), count = error ? 0 : CPU_COUNT_S(CPU_ALLOC_SIZE(n), set);
        CPU_FREE(set);
        if (!error) return count;
    }
    return 0;
}

/* ---- small files of the kernel's --------------------------------------------------------------------------------- */

/* root/directory/name, cut at TEXT_MAX; "" if it is not there. */
static void read_text(char text[TEXT_MAX], const char *root, const char *directory, const char *name) {
    char path[PATH_CAP];
    *text = 0;
    if ((size_t)snprintf(path, sizeof path, "%s%s/%s", root, directory, name) >= sizeof path) return;
    FILE *f = sys.fopen(path, "re");
    if (!f) return;
    text[fread(text, 1, TEXT_MAX - 1, f)] = 0;
    fclose(f);
}

/* The number that follows `key` at the beginning of a line. */
static bool number_after(const char *text, const char *key, uint64_t *value) {
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key))) continue;
        const char *digits = line + strlen(key);
        digits += strspn(digits, " \t");
        errno = 0;
        *value = strtoull(digits, NULL, 10);
        return isdigit((unsigned char)*digits) && !errno;
    }
    return false;
}

static bool read_number(const char *root, const char *directory, const char *name, uint64_t *value) {
    char text[TEXT_MAX];
    read_text(text, root, directory, name);
    return number_after(text, "", value);
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* Whether the comma-separated list of `length` bytes has the controller; that of version 2 is empty. */
static bool lists(const char *list, size_t length, const char *controller) {
    size_t n = strlen(controller);
    for (const char *at = list, *end = list + length; at <= end; at += strcspn(at, ",:") + 1)
        if (!strncmp(at, controller, n) && (at[n] == ',' || at + n == end)) return true;
    return false;
}

/* Calls look for the process's group of this controller ("": version 2) and each above it. Where the group's path is not the one that is
 * mounted, as in a container, those that are not there say nothing. */
static void each_group(const char *root, const char *controller, void (*look)(const char *root, const char *directory, void *data),
                       void *data) {
    char text[TEXT_MAX], directory[PATH_CAP];
    read_text(text, root, "/proc/self", "cgroup");
    for (char *line = text, *next; line && *line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = 0;
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path || path[1] != '/' || strstr(path, "/..") || !lists(list + 1, (size_t)(path - list - 1), controller)) continue;
        int mount = snprintf(directory, sizeof directory, "/sys/fs/cgroup%s%s", *controller ? "/" : "", controller);
        if (strlen(path + 1) >= sizeof directory - (size_t)mount) continue;
        strcpy(directory + mount, path + 1);
        for (char *end; (end = strrchr(directory + mount, '/')); *end = 0) look(root, directory, data);
        look(root, directory, data);
    }
}

static void least(double *quota, uint64_t us, uint64_t period) {
    if (us && period && (!*quota || (double)us / (double)period < *quota)) *quota = (double)us / (double)period;
}

static void look_quota_v1(const char *root, const char *directory, void *quota) {
    uint64_t us, period;
    if (read_number(root, directory, "cpu.cfs_quota_us", &us) && read_number(root, directory, "cpu.cfs_period_us", &period))
        least(quota, us, period);
}

/* "50000 100000", or "max 100000" */
static void look_quota_v2(const char *root, const char *directory, void *quota) {
    char text[TEXT_MAX];
    uint64_t us, period;
    read_text(text, root, directory, "cpu.max");
    if (number_after(text, "", &us) && number_after(text + strcspn(text, " "), "", &period)) least(quota, us, period);
}

double cpu_quota(const char *root) {
    double quota = 0;
    each_group(root, "cpu", look_quota_v1, &quota);
    each_group(root, "", look_quota_v2, &quota);
    return quota;
}

int cpu_count(void) {
    int n = affinity_count();
    double quota = ceil(cpu_quota(""));
    if (quota > 0 && quota < n) n = (int)quota;
    return n > 0 ? n : 1;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void look_memory(const char *root, const char *directory, const char *limit_name, const char *usage_name, const char *prefix,
                        uint64_t *available) {
    uint64_t limit, usage, file = 0, pages;
    char text[TEXT_MAX], key[64];
    if (!read_number(root, directory, limit_name, &limit) || !read_number(root, directory, usage_name, &usage)) return;
    read_text(text, root, directory, "memory.stat");
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%s%s_file ", prefix, i ? "inactive" : "active");
        if (number_after(text, key, &pages) && pages <= usage - file) file += pages;
    }
    usage -= file;
    uint64_t left = limit > usage ? limit - usage : 1; /* 0 is "nobody says" */
    if (left < *available) *available = left;
}

static void look_memory_v1(const char *root, const char *directory, void *available) {
    look_memory(root, directory, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_", available);
}

static void look_memory_v2(const char *root, const char *directory, void *available) {
    look_memory(root, directory, "memory.max", "memory.current", "", available);
}

uint64_t memory_available(const char *root) {
    char text[TEXT_MAX];
    uint64_t kib, available = UINT64_MAX;
    read_text(text, root, "/proc", "meminfo");
    if (number_after(text, "MemAvailable:", &kib) && kib < UINT64_MAX / 1024) available = kib * 1024;
    each_group(root, "memory", look_memory_v1, &available);
    each_group(root, "", look_memory_v2, &available);
    return available == UINT64_MAX ? 0 : available;
}

uint64_t memory_resident(void) {
    unsigned long long pages = 0;
    FILE *f = sys.fopen("/proc/self/statm", "re");
    if (!f) return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1) pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
