/* What the kernel's files say of control groups and memory, as a container or a strange kernel may have them: the files' texts with NULs
 * between, an empty one is not there. */
#include <assert.h>
#include <math.h>
#include "engine/base/limits.h"
#include "test/fuzz/folder.h"

static const char *const folders[] = {
    "proc", "proc/self", "sys", "sys/fs", "sys/fs/cgroup", "sys/fs/cgroup/a", "sys/fs/cgroup/cpu", "sys/fs/cgroup/memory", NULL};
static const char *const names[] = {"proc/self/cgroup",
                                    "proc/meminfo",
                                    "sys/fs/cgroup/cpu.max",
                                    "sys/fs/cgroup/memory.max",
                                    "sys/fs/cgroup/memory.current",
                                    "sys/fs/cgroup/memory.stat",
                                    "sys/fs/cgroup/a/cpu.max",
                                    "sys/fs/cgroup/a/memory.max",
                                    "sys/fs/cgroup/a/memory.current",
                                    "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                    "sys/fs/cgroup/cpu/cpu.cfs_period_us",
                                    "sys/fs/cgroup/memory/memory.limit_in_bytes",
                                    "sys/fs/cgroup/memory/memory.usage_in_bytes",
                                    "sys/fs/cgroup/memory/memory.stat"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct parts parts = parts_of(data, n);
    folder_make(folders);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length;
        const char *text = part_next(&parts, &length);
        folder_put(names[i], text, length);
    }
    double quota = cpu_quota(folder);
    assert(isfinite(quota) && quota >= 0);
    memory_available(folder);
    return 0;
}
