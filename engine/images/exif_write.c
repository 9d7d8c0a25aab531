/* Exif as piexif lays it out, which AUTOMATIC1111 writes with: big-endian, IFD0 and the Exif IFD, values behind their entries. */
#include <string.h>
#include "engine/base/buffer.h"
#include "engine/base/text.h"
#include "engine/images/write.h"

enum { TYPE_ASCII = 2, TYPE_LONG = 4, TYPE_UNDEFINED = 7 };
enum { TAG_SOFTWARE = 0x131, TAG_EXIF_IFD = 0x8769, TAG_MAKER_NOTE = 0x927c, TAG_USER_COMMENT = 0x9286 };

struct entry {
    int tag, type;
    struct buffer value; /* empty: not there */
};

static void put(struct buffer *b, uint32_t v, int bytes) {
    while (bytes--) buffer_add(b, &(char){(char)(v >> 8 * bytes)}, 1);
}

/* An IFD at offset `at`: entries in ascending order of tags, values of more than 4 bytes behind it. */
static void put_ifd(struct buffer *b, size_t at, const struct entry *entries, int n) {
    int there = 0;
    for (int i = 0; i < n; i++) there += entries[i].value.length > 0;
    size_t values = at + 2 + 12 * (size_t)there + 4;
    put(b, (uint32_t)there, 2);
    for (int i = 0; i < n; i++) {
        size_t length = entries[i].value.length;
        if (!length) continue;
        put(b, (uint32_t)entries[i].tag, 2);
        put(b, (uint32_t)entries[i].type, 2);
        put(b, entries[i].type == TYPE_LONG ? 1 : (uint32_t)length, 4);
        if (length > 4) put(b, (uint32_t)values, 4);
        else buffer_add(b, (char[4]){0}, 4), memcpy(b->data + b->length - 4, entries[i].value.data, length);
        values += length > 4 ? length + (length & 1) : 0;
    }
    put(b, 0, 4);
    for (int i = 0; i < n; i++) {
        if (entries[i].value.length <= 4) continue;
        buffer_add(b, entries[i].value.data, entries[i].value.length);
        if (entries[i].value.length & 1) buffer_add(b, "", 1);
    }
}

/* "UNICODE\0" and UTF-16. Bytes that are not UTF-8 go as they would in Latin-1. */
static void put_user_comment(struct buffer *b, const char *text) {
    buffer_add(b, "UNICODE", 8);
    bool valid = utf8_valid(text, strlen(text), NULL);
    while (*text) {
        uint32_t cp = (unsigned char)*text;
        text += valid ? utf8_decode(text, &cp) : 1;
        if (cp >= 0x10000) {
            put(b, 0xd800 + ((cp - 0x10000) >> 10), 2);
            cp = 0xdc00 + (cp & 0x3ff);
        }
        put(b, cp, 2);
    }
}

const void *exif_encode(struct arena *a, struct image_comments comments, size_t *size) {
    const char *parameters = comment_text(comments, "parameters"), *own = comment_text(comments, "diffuse");
    const char *software = comment_text(comments, "Software");
    struct entry exif[] = {{TAG_MAKER_NOTE, TYPE_UNDEFINED, {.arena = a}}, {TAG_USER_COMMENT, TYPE_UNDEFINED, {.arena = a}}};
    struct entry ifd0[] = {{TAG_SOFTWARE, TYPE_ASCII, {.arena = a}}, {TAG_EXIF_IFD, TYPE_LONG, {.arena = a}}};
    struct buffer b = {.arena = a};
    if (!parameters && !own && !software) return NULL;
    if (own) buffer_add(&exif[0].value, "diffuse", 8), buffer_add(&exif[0].value, own, strlen(own));
    if (parameters) put_user_comment(&exif[1].value, parameters);
    if (software) buffer_add(&ifd0[0].value, software, strlen(software) + 1);
    size_t at = 8 + 2 + 12 * (size_t)((software != NULL) + (parameters || own)) + 4;
    if (ifd0[0].value.length > 4) at += ifd0[0].value.length + (ifd0[0].value.length & 1);
    if (parameters || own) put(&ifd0[1].value, (uint32_t)at, 4);
    buffer_add(&b, "MM\0*", 4);
    put(&b, 8, 4);
    put_ifd(&b, 8, ifd0, 2);
    if (parameters || own) put_ifd(&b, at, exif, 2);
    *size = b.length;
    return b.data;
}
