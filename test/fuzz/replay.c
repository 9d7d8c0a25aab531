/* Runs a fuzz target over its corpus, without libFuzzer: what `make check` does. The program's name replay_NAME says which. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "engine/base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs the target on a copy behind which memory ends: a byte too many is a fault, with or without a sanitizer. */
static void run(const char *text, size_t size) {
    enum { PAGE = 4096 };
    size_t pages = (size + PAGE - 1) / PAGE * PAGE;
    uint8_t *memory = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + pages, PAGE, PROT_NONE)) abort();
    memcpy(memory + pages - size, text, size);
    LLVMFuzzerTestOneInput(memory + pages - size, size);
    munmap(memory, pages + PAGE);
}

int main(int argc, char **argv) {
    struct arena a = {0};
    const char *name = argc ? strstr(argv[0], "replay_") : NULL;
    const char *dir = argc > 1 ? argv[1] : arena_printf(&a, "test/fuzz/corpus/%s", name ? name + strlen("replay_") : "");
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        size_t size;
        char *text = read_file(&a, arena_printf(&a, "%s/%s", dir, e->d_name), 1 << 24, &size);
        run(text, size);
        n++;
    }
    if (d) closedir(d);
    printf("%s: %d inputs\n", dir, n);
    arena_free(&a);
    return n ? 0 : 1;
}
