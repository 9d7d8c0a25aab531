/* What the kinds of tensors share. */
#include "engine/files/tensor.h"
#include "engine/base/sys.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ITEM_MAX = 8 };

/* Bytes [offset, offset + n) of one element. */
static int read_inside(const struct tensor *t, char *dst, uint64_t offset, uint64_t n, tensor_elements *elements) {
    char item[ITEM_MAX];
    size_t size = dtype_table[t->dtype].size;
    int error = elements(t, item, offset / size, 1);
    if (!error) memcpy(dst, item + offset % size, n);
    return error;
}

int tensor_read_elements(const struct tensor *t, void *dst, uint64_t offset, uint64_t n, tensor_elements *elements) {
    uint64_t size = dtype_table[t->dtype].size, head = (size - offset % size) % size;
    char *p = dst;
    int error = 0;
    if (head > n) head = n;
    if (head) error = read_inside(t, p, offset, head, elements);
    p += head, offset += head, n -= head;
    uint64_t tail = n % size, whole = n - tail;
    if (whole && !error) error = elements(t, p, offset / size, whole / size);
    if (tail && !error) error = read_inside(t, p + whole, offset + whole, tail, elements);
    return error;
}

int tensor_read_f32(const struct tensor *t, float *dst, uint64_t first, uint64_t n) {
    size_t size = dtype_table[t->dtype].size;
    assert(tensor_is_float(t));
    if (t->dtype == DT_F32) return t->read(t, dst, first * size, n * size);
    enum { CHUNK = 1 << 16 };
    char *raw = sys.malloc(CHUNK);
    int error = raw ? 0 : ENOMEM;
    for (uint64_t done = 0, count; done < n && !error; done += count) {
        count = n - done < CHUNK / size ? n - done : CHUNK / size;
        error = t->read(t, raw, (first + done) * size, count * size);
        if (!error) dtype_to_f32(dst + done, raw, t->dtype, count);
    }
    free(raw);
    return error;
}
