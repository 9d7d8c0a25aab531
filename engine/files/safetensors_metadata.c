/* The strings a safetensors file has about itself. The reader of headers drops them: few ask. */
#include <string.h>
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/files/safetensors.h"

const char *st_metadata(struct arena *a, const struct st_file *f, const char *key) {
    unsigned char length_bytes[8];
    uint64_t length = 0;
    struct json_scan s;
    if (read_at(f->fd, length_bytes, sizeof length_bytes, 0)) return NULL;
    for (int i = 7; i >= 0; i--) length = length << 8 | length_bytes[i];
    if (length > f->size - 8) return NULL; /* it was checked, and may have changed since */
    char *header = arena_alloc(a, (size_t)length), *string = arena_alloc(a, (size_t)length + 1);
    if (read_at(f->fd, header, length, 8)) return NULL;
    json_scan_begin(&s, header, (size_t)length, string, (size_t)length);
    if (json_scan_next(&s) != JSON_OBJECT) return NULL;
    while (json_scan_next(&s) == JSON_KEY) {
        bool wanted = !strcmp(s.string, "__metadata__");
        enum json_token value = json_scan_next(&s);
        if (!wanted) {
            if (json_scan_skip(&s, value) == JSON_ERROR) return NULL;
            continue;
        }
        while (json_scan_next(&s) == JSON_KEY) {
            bool found = !strcmp(s.string, key);
            if (json_scan_next(&s) != JSON_STRING) return NULL;
            if (found) return string;
        }
        return NULL;
    }
    return NULL;
}
