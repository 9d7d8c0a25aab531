#include "engine/base/sha256.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sys.h"

/* The fractional parts of the first 64 primes' cube roots (4.2.2). */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

/* 6.2.2 */
static void add_block(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 16; t++, p += 4) w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    for (int t = 0; t < 64; t++) {
        uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[t] + w[t];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_begin(struct sha256 *h) {
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, first, sizeof first);
    h->n = 0;
}

void sha256_add(struct sha256 *h, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t have = h->n % SHA256_BLOCK;
    h->n += n;
    if (have && have + n >= SHA256_BLOCK) {
        memcpy(h->block + have, p, SHA256_BLOCK - have);
        add_block(h->state, h->block);
        p += SHA256_BLOCK - have, n -= SHA256_BLOCK - have, have = 0;
    }
    for (; !have && n >= SHA256_BLOCK; p += SHA256_BLOCK, n -= SHA256_BLOCK) add_block(h->state, p);
    if (n) memcpy(h->block + have, p, n);
}

void sha256_end(struct sha256 *h, char hex[SHA256_HEX]) {
    static const uint8_t padding[SHA256_BLOCK] = {0x80};
    uint64_t bits = h->n * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(h, padding, (size_t)(1 + (2 * SHA256_BLOCK - 1 - 8 - h->n % SHA256_BLOCK) % SHA256_BLOCK));
    sha256_add(h, length, sizeof length);
    for (int i = 0; i < 64; i++) hex[i] = "0123456789abcdef"[h->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = 0;
}

void sha256(const void *data, size_t n, char hex[SHA256_HEX]) {
    struct sha256 h;
    sha256_begin(&h);
    sha256_add(&h, data, n);
    sha256_end(&h, hex);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void close_descriptor(void *fd) {
    close(*(int *)fd);
}

int sha256_open_file(int fd, uint64_t size, char hex[SHA256_HEX]) {
    enum { PIECE = 64 << 10 };
    struct arena own = {0};
    char *piece = arena_alloc(&own, PIECE);
    struct sha256 h;
    sha256_begin(&h);
    int error = 0;
    for (uint64_t at = 0; at < size && !error; at += PIECE) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        error = read_at(fd, piece, n, at);
        if (!error) sha256_add(&h, piece, n);
    }
    sha256_end(&h, hex);
    arena_free(&own);
    return error;
}

const char *sha256_file(struct arena *a, const char *path) {
    if (!path) return NULL;
    struct arena own = {0};
    uint64_t size;
    int *fd = arena_alloc(a, sizeof *fd);
    *fd = open_regular(path, &size);
    arena_on_free(&own, close_descriptor, fd);
    char *hex = arena_alloc(a, SHA256_HEX);
    int error = sha256_open_file(*fd, size, hex);
    arena_free(&own);
    if (error) die(error_code(error, FAIL_IO), "%s: %s", path, strerror(error));
    return hex;
}
