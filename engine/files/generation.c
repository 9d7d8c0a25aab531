#include "engine/files/generation.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"

enum { WORDS_MAX = 4096, STEPS_MAX = 1000, SIDE_MAX = 1 << 16, TOLD_MAX = 8 };

static void check_keys(const struct json *o) {
    static const char *const known[] = {"num_inference_steps", "guidance_scale", "width", "height", "known_words", "trained_sizes"};
    for (int i = 0, n = json_n_keys(o); i < n; i++) {
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strcmp(known[k], json_key(o, i)) != 0) k++;
        if (k == sizeof known / sizeof *known && json_key(o, i)[0] != '_') warn("%s: '%s' is not read", json_path(o), json_key(o, i));
    }
}

static void read_words(struct arena *a, struct generation *g, const struct json *o) {
    g->words = arena_array(a, WORDS_MAX, sizeof *g->words);
    int n = json_string_array(o, "known_words", g->words, WORDS_MAX);
    for (int i = 0; i < n; i++)
        if (!g->words[i]) die(FAIL_DATA, "%s: field 'known_words': expected words, found null", g->path);
    g->n_words = n < 0 ? 0 : n;
}

static void read_sizes(struct generation *g, const struct json *o) {
    int64_t sizes[2];
    int n = json_int_array(o, "trained_sizes", sizes, 2, 1, SIDE_MAX, false);
    if (n < 0) return;
    if (n != 2 || sizes[0] > sizes[1]) die(FAIL_DATA, "%s: field 'trained_sizes': expected [smallest, largest]", g->path);
    g->size_min = (int)sizes[0];
    g->size_max = (int)sizes[1];
}

struct generation generation_load(struct arena *a, const char *dir) {
    struct generation g = {.guidance = NAN};
    const char *path = arena_printf(a, "%s/generation_config.json", dir);
    if (!name_exists(path)) return g;
    struct json *o = json_load(a, path);
    g.path = path;
    check_keys(o);
    g.steps = (int)json_int(o, "num_inference_steps", 0, 1, STEPS_MAX);
    g.guidance = json_number(o, "guidance_scale", NAN, 0, 100);
    g.width = (int)json_int(o, "width", 0, 1, SIDE_MAX);
    g.height = (int)json_int(o, "height", 0, 1, SIDE_MAX);
    read_words(a, &g, o);
    read_sizes(&g, o);
    return g;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* 0: between words; digits and letters are words of their own, every byte of a letter outside ASCII is a letter's. */
static int kind(char c) {
    unsigned char u = (unsigned char)c;
    return isdigit(u) ? 1 : isalpha(u) || u >= 0x80 ? 2 : 0;
}

static bool is_among(const char *word, const char *const *words, int n) {
    for (int i = 0; i < n; i++)
        if (!strcmp(word, words[i])) return true;
    return false;
}

/* The next word from *text on, in lower case, or NULL; *text moves behind it. */
static const char *next_word(struct arena *a, const char **text) {
    const char *from = *text;
    while (*from && !kind(*from)) from++;
    size_t n = 0;
    while (from[n] && kind(from[n]) == kind(*from)) n++;
    *text = from + n;
    if (n == 0) return NULL;
    char *word = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++) word[i] = (char)((unsigned char)from[i] < 0x80 ? tolower((unsigned char)from[i]) : from[i]);
    return word;
}

const char *generation_unknown_words(struct arena *a, const struct generation *g, const char *text) {
    const char *told[TOLD_MAX];
    struct buffer b = {.arena = a};
    int n = 0;
    if (g->n_words == 0) return NULL;
    for (const char *word; (word = next_word(a, &text)) != NULL;) {
        if (is_among(word, g->words, g->n_words) || is_among(word, told, n)) continue;
        if (n == TOLD_MAX) {
            buffer_printf(&b, ", …");
            break;
        }
        buffer_printf(&b, "%s%s", n ? ", " : "", word);
        told[n++] = word;
    }
    return n ? b.data : NULL;
}
