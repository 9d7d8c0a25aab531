/* SHA-256 (FIPS 180-4), as 64 hex digits. */
#ifndef ENGINE_BASE_SHA256_H
#define ENGINE_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include "engine/base/arena.h"

enum { SHA256_BLOCK = 64, SHA256_HEX = 65 /* with its NUL */ };

struct sha256 {
    uint32_t state[8];
    uint64_t n; /* bytes so far */
    uint8_t block[SHA256_BLOCK];
};

void sha256_begin(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t n);
void sha256_end(struct sha256 *h, char hex[SHA256_HEX]);
/* Of n bytes at once. */
void sha256(const void *data, size_t n, char hex[SHA256_HEX]);
/* Of the size bytes of an open file; returns errno, 0 if all went well. */
int sha256_open_file(int fd, uint64_t size, char hex[SHA256_HEX]);
/* Of a file's contents; path NULL: NULL. Dies where it cannot be read (open_regular). */
const char *sha256_file(struct arena *a, const char *path);

#endif
