#include "engine/files/weight_hash.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/sys.h"

enum { SMALL = 32 << 20 /* bytes: done before the first picture is */, STEP = 1 << 20, ENTRY_MAX = 256 };

struct hashed_file {
    const struct st_file *file;
    const char *entry; /* its file in the cache; NULL: nowhere to keep it */
    struct sha256 sum; /* so far */
    bool changed;      /* since the entry was read */
    bool usable;       /* hex may be told: known from the beginning, or small */
    atomic_bool done;  /* hex holds */
    char hex[SHA256_HEX];
};

struct weight_hashes {
    int n;
    struct hashed_file *files; /* small ones first */
    uint8_t *block;            /* STEP */
    bool running;
    atomic_bool stop;
    pthread_t thread;
};

/* ---- what is known ----------------------------------------------------------------------------------------------- */

static bool is_hash(const char *s) {
    return strlen(s) == SHA256_HEX - 1 && strspn(s, "0123456789abcdef") == SHA256_HEX - 1;
}

/* A link to …/blobs/HASH. */
static bool from_blob(struct hashed_file *f) {
    char link[PATH_MAX];
    ssize_t n = readlink(f->file->path, link, sizeof link - 1);
    if (n <= 0) return false;
    link[n] = 0;
    const char *name = strrchr(link, '/');
    if (!name || name - link < 6 || strncmp(name - 6, "/blobs", 6) || !is_hash(name + 1)) return false;
    memcpy(f->hex, name + 1, SHA256_HEX);
    return true;
}

/* $XDG_CACHE_HOME where it is absolute, as its specification wants, else ~/.cache; NULL where there is none. */
static const char *cache_dir(struct arena *a) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/') return arena_printf(a, "%s/diffuse/sha256", cache);
    return home && *home == '/' ? arena_printf(a, "%s/.cache/diffuse/sha256", home) : NULL;
}

static const char *entry_of(struct arena *a, const struct st_file *file) {
    char real[PATH_MAX], name[SHA256_HEX];
    const char *dir = cache_dir(a);
    if (!dir || !realpath(file->path, real)) return NULL;
    sha256(real, strlen(real), name);
    return arena_printf(a, "%s/%.32s", dir, name);
}

/* "2 SIZE MTIME CTIME OFFSET STATE", times as SECONDS.NANOSECONDS; who sets mtime back changes ctime. Of a whole file STATE is its hash,
 * else the eight words after OFFSET bytes. What is anything else is passed over. */
static void read_entry(struct hashed_file *f) {
    unsigned long long size, offset;
    struct timespec m, c;
    char text[ENTRY_MAX], state[SHA256_HEX];
    int fd = f->entry ? sys.open(f->entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    if (fd < 0) return;
    ssize_t n = sys.read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return;
    text[n] = 0;
    if (sscanf(text, "2 %llu %ld.%ld %ld.%ld %llu %64s", &size, &m.tv_sec, &m.tv_nsec, &c.tv_sec, &c.tv_nsec, &offset, state) != 7) return;
    if (!is_hash(state) || size != f->file->size || !same_time(m, f->file->mtime) || !same_time(c, f->file->ctime)) return;
    if (offset == size) {
        memcpy(f->hex, state, SHA256_HEX);
        atomic_store(&f->done, true);
    } else if (offset < size && offset % STEP == 0) {
        for (int i = 0; i < 8; i++) sscanf(state + 8 * i, "%8x", &f->sum.state[i]);
        f->sum.n = offset;
    }
}

/* ---- computing --------------------------------------------------------------------------------------------------- */

/* False where it cannot be read to its end, or was told to stop. */
static bool hash_file(struct weight_hashes *h, struct hashed_file *f) {
    while (f->sum.n < f->file->size) {
        uint64_t left = f->file->size - f->sum.n, n = left < STEP ? left : STEP;
        if (atomic_load(&h->stop) || read_at(f->file->fd, h->block, n, f->sum.n)) return false;
        sha256_add(&f->sum, h->block, n);
        f->changed = true;
    }
    struct sha256 whole = f->sum;
    sha256_end(&whole, f->hex);
    atomic_store(&f->done, true);
    return true;
}

static void *run(void *data) {
    struct weight_hashes *h = data;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
    for (int i = 0; i < h->n; i++)
        if (!atomic_load(&h->files[i].done) && (h->files[i].entry || h->files[i].usable)) hash_file(h, &h->files[i]);
    return NULL;
}

static void begin_thread(struct weight_hashes *h) {
    sigset_t all, before;
    bool wanted = false;
    for (int i = 0; i < h->n; i++) wanted |= !atomic_load(&h->files[i].done);
    if (!wanted) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals go to the others */
    h->running = sys.pthread_create(&h->thread, NULL, run, h) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void end_thread(struct weight_hashes *h) {
    if (h->running) pthread_join(h->thread, NULL);
    h->running = false;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static struct hashed_file *find(struct weight_hashes *h, const struct st_file *file) {
    for (int i = 0; i < h->n; i++)
        if (h->files[i].file == file || !strcmp(h->files[i].file->path, file->path)) return &h->files[i];
    return NULL;
}

static void add(struct arena *a, struct weight_hashes *h, const struct st_file *file) {
    if (find(h, file)) return;
    struct hashed_file *f = &h->files[h->n++];
    f->file = file;
    sha256_begin(&f->sum);
    if (from_blob(f)) atomic_store(&f->done, true);
    else f->entry = entry_of(a, file);
    if (!atomic_load(&f->done)) read_entry(f);
    f->usable = atomic_load(&f->done) || file->size <= SMALL;
}

static int count_files(const struct checkpoint *c) {
    int n = 0;
    for (int i = 0; i < c->n_components; i++) n += c->components[i].n_files;
    return n;
}

struct weight_hashes *weight_hashes_open(struct arena *a, const struct checkpoint *c) {
    struct weight_hashes *h = arena_alloc(a, sizeof *h);
    h->files = arena_array(a, (size_t)count_files(c), sizeof *h->files);
    h->block = arena_alloc(a, STEP);
    for (int small = 1; small >= 0; small--)
        for (int i = 0; i < c->n_components; i++)
            for (int k = 0; k < c->components[i].n_files; k++) {
                const struct st_file *file = c->components[i].files[k];
                if ((file->size <= SMALL) == small) add(a, h, file);
            }
    begin_thread(h);
    return h;
}

/* Small ones are done in no time; without a thread, here. */
static void wait_for(struct weight_hashes *h, struct hashed_file *f) {
    while (h->running && !atomic_load(&f->done) && f->file->size <= SMALL && !usleep(1000)) {
    }
    if (!h->running && !atomic_load(&f->done)) hash_file(h, f);
}

const char *weight_hash(struct arena *a, struct weight_hashes *h, const struct component *m) {
    struct sha256 sum;
    char *hex = arena_alloc(a, SHA256_HEX);
    sha256_begin(&sum);
    for (int i = 0; i < m->n_files; i++) {
        struct hashed_file *f = find(h, m->files[i]);
        if (!f || !f->usable) return NULL;
        wait_for(h, f);
        if (!atomic_load(&f->done)) return NULL;
        if (m->n_files == 1) return f->hex;
        sha256_add(&sum, f->hex, SHA256_HEX - 1);
        sha256_add(&sum, "\n", 1);
    }
    sha256_end(&sum, hex);
    return m->n_files ? hex : NULL;
}

uint64_t weight_hashes_unknown(const struct weight_hashes *h) {
    uint64_t bytes = 0;
    for (int i = 0; i < h->n; i++) bytes += h->files[i].usable ? 0 : h->files[i].file->size;
    return bytes;
}

/* What is waited for is no business of the background: it goes on here, from where the thread came. */
void weight_hashes_finish(struct weight_hashes *h) {
    atomic_store(&h->stop, true);
    end_thread(h);
    atomic_store(&h->stop, false);
    for (int i = 0; i < h->n; i++) {
        if (!atomic_load(&h->files[i].done)) hash_file(h, &h->files[i]);
        h->files[i].usable = true;
    }
}

static void make_dirs(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
}

/* Where it cannot be kept it is computed again. */
static void keep(struct hashed_file *f) {
    struct arena a = {0};
    struct job job;
    if (job_enter(&job)) {
        const struct sha256 *s = &f->sum;
        char *path = arena_strdup(&a, f->entry),
             *text = arena_printf(&a, "2 %llu %ld.%ld %ld.%ld %llu ", (unsigned long long)f->file->size, f->file->mtime.tv_sec,
                                  f->file->mtime.tv_nsec, f->file->ctime.tv_sec, f->file->ctime.tv_nsec, (unsigned long long)s->n);
        for (int i = 0; i < 8 && !atomic_load(&f->done); i++) text = arena_printf(&a, "%s%08x", text, s->state[i]);
        text = arena_printf(&a, "%s%s\n", text, atomic_load(&f->done) ? f->hex : "");
        make_dirs(path);
        publish_file(&a, f->entry, text, strlen(text), EXISTS_OVERWRITE);
        job_leave(&job);
    }
    arena_free(&a);
}

void weight_hashes_close(struct weight_hashes *h) {
    if (!h) return;
    atomic_store(&h->stop, true);
    end_thread(h);
    for (int i = 0; i < h->n; i++)
        if (h->files[i].entry && h->files[i].changed && h->files[i].sum.n) keep(&h->files[i]);
}
