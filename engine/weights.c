#include "engine/weights.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/bind.h"
#include "engine/base/pool.h"
#include "engine/base/sys.h"

enum { LINE = WEIGHT_PART_ALIGN };

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* What its parts take as the files have them. */
static size_t raw_bytes(const struct weight *w) {
    size_t n = 0;
    for (int i = 0; i < w->n_parts; i++) n += round_up(w->parts[i]->bytes, LINE);
    return n;
}

static size_t room_bytes(const struct device *dev, const struct weight *w) {
    return raw_bytes(w) + (dev->pack_room ? round_up(dev->pack_room(w), LINE) : 0);
}

uint64_t weights_reading_bytes(struct device *dev, struct binder *const binders[], int n) {
    size_t most = 0;
    for (int i = 0; i < n && dev->host_arena; i++)
        for (struct weight *w = binders[i]->first; w; w = w->next)
            if (dev->packed_bytes(dev, w) && room_bytes(dev, w) > most) most = room_bytes(dev, w);
    return (uint64_t)most * (uint64_t)pool_threads(dev->pool);
}

uint64_t weights_packed_bytes(struct device *dev, struct binder *const binders[], int n) {
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        for (struct weight *w = binders[i]->first; w; w = w->next) bytes += round_up(dev->packed_bytes(dev, w), LINE);
    return bytes;
}

/* Does a planned op use it, and it is not there yet? */
static bool is_wanted(struct device *dev, struct weight *w) {
    w->packed_bytes = dev->packed_bytes(dev, w);
    return w->packed_bytes && (!w->packed || w->stale);
}

/* The weights planned ops use that are not there yet; returns their number.   items: room for them, or NULL */
static int planned(struct device *dev, struct binder *const binders[], int n_binders, struct weight **items) {
    int n = 0;
    for (int i = 0; i < n_binders; i++)
        for (struct weight *w = binders[i]->first; w; w = w->next) {
            if (!is_wanted(dev, w)) continue;
            if (items) items[n] = w;
            n++;
        }
    return n;
}

/* The same as a list that lives with the first binder, and serves the next load. */
static struct weight **list_planned(struct device *dev, struct binder *const binders[], int n_binders, int *n) {
    struct binder *owner = binders[0];
    *n = planned(dev, binders, n_binders, NULL);
    if (*n > owner->list_room) {
        owner->list = arena_array(owner->arena, (size_t)*n, sizeof *owner->list);
        owner->list_room = *n;
    }
    planned(dev, binders, n_binders, owner->list);
    return owner->list;
}

/* Of those that have no room yet. */
static size_t room_wanted(struct device *dev, const struct binder *b) {
    size_t bytes = 0;
    for (struct weight *w = b->first; w; w = w->next)
        if (is_wanted(dev, w) && w->packed_bytes > w->packed_room) bytes += round_up(w->packed_bytes, LINE);
    return bytes;
}

/* One block for all of a binder's, in order of use. Until they are read, they are stale. */
static void place(struct device *dev, struct binder *b) {
    if (room_wanted(dev, b) && b->n_blocks == BINDER_BLOCKS) weights_release(dev, &b, 1);
    size_t bytes = room_wanted(dev, b);
    char *block = bytes ? dev->alloc(dev, bytes) : NULL;
    if (block) b->blocks[b->n_blocks++] = block;
    for (struct weight *w = b->first; w; w = w->next) {
        if (!is_wanted(dev, w)) continue;
        w->stale = true;
        if (w->packed_bytes <= w->packed_room) continue;
        w->packed = block;
        w->packed_room = round_up(w->packed_bytes, LINE);
        block += w->packed_room;
    }
}

void weights_release(struct device *dev, struct binder *const binders[], int n) {
    for (int i = 0; i < n; i++) {
        struct binder *b = binders[i];
        for (struct weight *w = b->first; w; w = w->next) w->packed = NULL, w->packed_room = 0, w->stale = false;
        while (b->n_blocks) dev->free(dev, b->blocks[--b->n_blocks]);
    }
}

uint64_t weights_held_bytes(struct binder *const binders[], int n) {
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        for (const struct weight *w = binders[i]->first; w; w = w->next) bytes += w->packed_room;
    return bytes;
}

static int compare_raw(const void *a, const void *b) {
    size_t x = raw_bytes(*(struct weight *const *)a), y = raw_bytes(*(struct weight *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Reads the parts one behind the other into the room, whose rest is for packing: 0, or an errno and *failed. */
static int load_one(struct device *dev, struct weight *w, char *room, const struct tensor **failed) {
    const void *raw[w->n_parts];
    for (int i = 0; i < w->n_parts; i++) {
        int error = tensor_read(w->parts[i], room);
        if (error) return *failed = w->parts[i], error;
        raw[i] = room;
        room += round_up(w->parts[i]->bytes, LINE);
    }
    return dev->pack(dev, w, raw, room) ? 0 : ENOMEM;
}

struct loading {
    struct device *dev;
    struct weight **items;
    char *rooms; /* each thread's, one behind the other, each of … */
    size_t room; /* … so many bytes */
    pthread_mutex_t lock;
    const struct tensor *failed; /* the first … */
    int error;                   /* … and why; under the lock */
};

static void load_items(void *context, size_t begin, size_t end, int thread) {
    struct loading *l = context;
    for (size_t i = begin; i < end; i++) {
        const struct tensor *at = NULL;
        int error = load_one(l->dev, l->items[i], l->rooms + (size_t)thread * l->room, &at);
        if (!error) continue;
        pthread_mutex_lock(&l->lock);
        if (!l->error) l->error = error, l->failed = at;
        pthread_mutex_unlock(&l->lock);
    }
}

/* Largest first, so that no thread is left with a big one at the end. */
static void pack_all(struct loading *l, int n) {
    enum { TENSOR_NS = 1000000 }; /* of the large ones, which come first: taken one by one */
    qsort(l->items, (size_t)n, sizeof *l->items, compare_raw);
    pool_for(l->dev->pool, (size_t)n, TENSOR_NS, load_items, l);
}

void weights_pack_all(struct device *dev, struct weight *const items[], int n) {
    struct loading l = {.dev = dev, .lock = PTHREAD_MUTEX_INITIALIZER};
    for (int i = 0; i < n; i++)
        if (room_bytes(dev, items[i]) > l.room) l.room = room_bytes(dev, items[i]);
    size_t bytes = l.room * (size_t)pool_threads(dev->pool);
    bool lent = dev->host_arena && dev->arena_capacity - dev->arena_used >= bytes;
    l.rooms = lent ? dev->arena_base + dev->arena_used : sys.aligned_alloc(LINE, bytes + LINE);
    l.items = sys.malloc((size_t)n * sizeof *l.items);
    bool there = l.rooms && l.items;
    if (there) memcpy(l.items, items, (size_t)n * sizeof *l.items), pack_all(&l, n);
    free(l.items);
    if (!lent) free(l.rooms);
    if (!there) die(FAIL_MEMORY, "out of memory: %zu bytes to read weights through", bytes);
    if (l.error == ENOMEM) die(FAIL_MEMORY, "out of memory: weights could not be read");
    if (l.error)
        die(FAIL_IO, "%s: tensor '%s': %s", l.failed->file->path, l.failed->name,
            l.error == ESTALE ? "the file changed while it was read" : strerror(l.error));
}

uint64_t weights_load(struct device *dev, struct binder *const binders[], int n) {
    uint64_t bytes = 0;
    if (!planned(dev, binders, n, NULL)) return 0;
    for (int i = 0; i < n; i++) place(dev, binders[i]);
    int n_items;
    struct weight **items = list_planned(dev, binders, n, &n_items);
    for (int i = 0; i < n_items; i++)
        for (int j = 0; j < items[i]->n_parts; j++) bytes += items[i]->parts[j]->bytes;
    dev->load(dev, items, n_items);
    for (int i = 0; i < n_items; i++) items[i]->stale = false;
    return bytes;
}

double weights_wait(struct device *dev, struct binder *const binders[], int n) {
    double ms = dev->load_wait(dev);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < binders[i]->component->n_files; j++) st_check_unchanged(binders[i]->component->files[j]);
    return ms;
}

static bool tensor_find_flaw(const struct tensor *t, void *found) {
    struct weight_flaw *flaw = found;
    float values[4096];
    uint64_t n = tensor_count(t), block = sizeof values / sizeof *values;
    for (uint64_t done = 0; done < n; done += block) {
        uint64_t count = n - done < block ? n - done : block;
        if (tensor_read_f32(t, values, done, count) != 0) return false;
        for (uint64_t i = 0; i < count; i++) {
            if (isfinite(values[i])) continue;
            *flaw = (struct weight_flaw){t, done + i, n};
            return true;
        }
    }
    return false;
}

bool weights_find_flaw(struct binder *const binders[], int n, struct weight_flaw *flaw) {
    for (int i = 0; i < n; i++)
        for (const struct weight *w = binders[i]->first; w; w = w->next)
            for (int j = 0; w->packed_bytes && j < w->n_parts; j++)
                if (tensor_sum_find(w->parts[j], tensor_find_flaw, flaw) || tensor_find_flaw(w->parts[j], flaw)) return true;
    return false;
}
