/* The CPU device's memory: huge pages where the kernel has them, zero as the kernel gives it. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "engine/cpu/cpu.h"
#include "engine/base/error.h"
#include "engine/base/limits.h"
#include "engine/base/sys.h"
#include "engine/cpu/dnnl_util.h"

enum { HUGE_PAGE = 2 << 20, PAGE = 4096 };

struct cpu_block {
    void *map;
    size_t map_bytes;
    void *p;
    size_t bytes; /* at p */
    struct cpu_block *next;
};

void *cpu_alloc(struct device *base, size_t bytes) {
    struct cpu_device *dev = cpu_of(base);
    size_t extra = bytes >= HUGE_PAGE ? HUGE_PAGE : 0; /* room to start on a huge page */
    struct cpu_block *block = sys.calloc(1, sizeof *block);
    void *map = MAP_FAILED;
    if (block && bytes <= SIZE_MAX / 2)
        map = sys.mmap(NULL, bytes + extra + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        free(block);
        die(FAIL_MEMORY, "cpu: out of memory: %.2f GB more needed", (double)bytes / 1e9);
    }
    size_t skip = extra ? -(uintptr_t)map % HUGE_PAGE : 0;
    if (extra) madvise((char *)map + skip, bytes, MADV_HUGEPAGE);
    *block = (struct cpu_block){map, bytes + extra + PAGE, (char *)map + skip, bytes, dev->blocks};
    dev->blocks = block;
    return block->p;
}

void cpu_free(struct device *base, void *p) {
    for (struct cpu_block **at = &cpu_of(base)->blocks; p && *at; at = &(*at)->next) {
        struct cpu_block *block = *at;
        if (block->p != p) continue;
        *at = block->next;
        munmap(block->map, block->map_bytes);
        free(block);
        return;
    }
    assert(!p);
}

void cpu_free_all(struct device *base) {
    while (cpu_of(base)->blocks) cpu_free(base, cpu_of(base)->blocks->p);
}

size_t cpu_memory_free(struct device *base) {
    (void)base;
    return (size_t)memory_available("");
}

uint64_t cpu_program_bytes(struct device *base) {
    struct cpu_device *dev = cpu_of(base);
    cpu_primitives_warm(dev);
    uint64_t resident = memory_resident(), held = 0;
    for (const struct cpu_block *block = dev->blocks; block; block = block->next) held += block->bytes;
    return resident > held ? resident - held : 0;
}

static void touch_pages(void *context, size_t begin, size_t end, int thread) {
    (void)thread;
    char *p = context;
    for (size_t i = begin; i < end; i++) p[i * PAGE] = 0;
}

void cpu_touch(struct device *base, void *p, size_t bytes) {
    enum { PAGE_NS = 500 };
    pool_for(base->pool, bytes / PAGE, PAGE_NS, touch_pages, p);
}
