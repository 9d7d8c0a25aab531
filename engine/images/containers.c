#include "engine/images/containers.h"

#include <string.h>
#include "engine/base/error.h"

enum { IFD_ENTRY = 12 };

static uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t little32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

struct image_chunk png_chunk(const struct image_file *f, size_t *at) {
    if (f->n < *at || f->n - *at < 12) die(FAIL_DATA, "%s: png: the file ends before its IEND", f->name);
    const uint8_t *p = f->data + *at;
    size_t n = big32(p);
    if (n > f->n - *at - 12) die(FAIL_DATA, "%s: png: the file ends within a chunk", f->name);
    *at += n + 12;
    return (struct image_chunk){p + 4, p + 8, n};
}

bool webp_chunk(const struct image_file *f, size_t *at, struct image_chunk *chunk) {
    if (f->n < *at || f->n - *at < 8) return false;
    const uint8_t *p = f->data + *at;
    size_t n = little32(p + 4), left = f->n - *at - 8, padded = n + (n & 1);
    if (n > left) return false;
    *at = padded > left ? f->n : *at + 8 + padded;
    *chunk = (struct image_chunk){p, p + 8, n};
    return true;
}

/* ---- Exif -------------------------------------------------------------------------------------------------------- */

/* 2 or 4 bytes; the caller has checked that they are there. */
static uint32_t get(const struct tiff *t, size_t at, int bytes) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | t->p[at + (size_t)(t->big_endian ? i : bytes - 1 - i)];
    return v;
}

bool tiff_open(struct tiff *t, const uint8_t *exif, size_t n) {
    while (n >= 6 && !memcmp(exif, "Exif\0\0", 6)) exif += 6, n -= 6;
    if (n < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0)) return false;
    *t = (struct tiff){exif, n, exif[0] == 'M', 0};
    t->ifd = get(t, 4, 4);
    return true;
}

bool tiff_entry(const struct tiff *t, size_t ifd, size_t i, struct tiff_entry *e) {
    if (ifd > t->n - 2 || i >= get(t, ifd, 2)) return false;
    size_t at = ifd + 2 + IFD_ENTRY * i;
    if (at + IFD_ENTRY > t->n) return false;
    *e = (struct tiff_entry){get(t, at, 2), get(t, at + 2, 2), get(t, at + 4, 4), at + 8};
    return true;
}

uint32_t tiff_number(const struct tiff *t, const struct tiff_entry *e) {
    return get(t, e->at, e->type == TIFF_SHORT ? 2 : 4);
}

const uint8_t *tiff_bytes(const struct tiff *t, const struct tiff_entry *e) {
    if (e->type != TIFF_BYTE && e->type != TIFF_ASCII && e->type != TIFF_UNDEFINED) return NULL;
    size_t at = e->count <= 4 ? e->at : get(t, e->at, 4);
    return at <= t->n && e->count <= t->n - at ? t->p + at : NULL;
}
