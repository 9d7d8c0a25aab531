#include <string.h>
#include "engine/error.h"
#include "engine/file.h"
#include "engine/json.h"
#include "engine/text.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_vocab.h"

static _Noreturn void fail_json(const struct json_scan *s, const char *path, const char *what) {
    size_t line, column;
    json_scan_place(s, s->at, &line, &column);
    die(FAIL_DATA, "%s: line %zu column %zu: %s", path, line, column, what);
}

static enum json_token next(struct json_scan *s, const char *path) {
    enum json_token token = json_scan_next(s);
    if (token == JSON_ERROR) fail_json(s, path, s->error);
    return token;
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------------------------------------ */

/* The token just read, kept at `token`, and its id. */
static void put_token(struct vocab *v, const char *path, const struct json_scan *s, const char *token) {
    uint64_t id;
    if (!s->string_length) fail_json(s, path, "empty token");
    if (!json_scan_u64(s, &id) || id >= (uint64_t)v->capacity)
        die(FAIL_DATA, "%s: token '%s': expected an id of 0…%d, found %.*s", path, s->string, v->capacity - 1,
            (int)(s->number_end - s->number_begin < 40 ? s->number_end - s->number_begin : 40), s->text + s->number_begin);
    enum vocab_put result = vocab_put(v, token, s->string_length, (int32_t)id);
    if (result == VOCAB_TOKEN_TWICE) die(FAIL_DATA, "%s: token '%s' stands twice", path, token);
    if (result == VOCAB_ID_TWICE) die(FAIL_DATA, "%s: token '%s': id %d is also that of another", path, token, (int)id);
}

/* {"token": id, …} with the ids 0…n-1, each once. */
static void load_vocab(struct clip_bpe *t, struct json_span span) {
    char string[TOKEN_MAX + 1];
    size_t size = span.end - span.begin;
    size_t n_quotes = 0;
    for (size_t i = span.begin; i < span.end; i++) n_quotes += span.text[i] == '"';
    int capacity = n_quotes / 2 < VOCAB_MAX ? (int)(n_quotes / 2) : VOCAB_MAX;
    struct json_scan s;
    struct vocab *v = &t->vocab;
    json_scan_begin(&s, span.text, span.end, string, TOKEN_MAX);
    s.at = span.begin;
    if (next(&s, span.path) != JSON_OBJECT) fail_json(&s, span.path, "expected an object of tokens and ids");
    vocab_init(v, t->arena, capacity + ADDED_MAX);
    v->capacity = capacity;
    char *pool = arena_alloc(t->arena, size);
    while (next(&s, span.path) == JSON_KEY) {
        if (v->n == VOCAB_MAX) die(FAIL_DATA, "%s: more than %d tokens", span.path, VOCAB_MAX);
        char *token = memcpy(pool, s.string, s.string_length + 1);
        pool += s.string_length + 1; /* at most its bytes in the file, with one quote */
        if (next(&s, span.path) != JSON_NUMBER) fail_json(&s, span.path, "expected a token's id");
        put_token(v, span.path, &s, token);
    }
    next(&s, span.path); /* the end, or dies */
    if (!v->n) die(FAIL_DATA, "%s: no tokens", span.path);
    for (int i = 0; i < v->n; i++)
        if (!v->tokens[i]) die(FAIL_DATA, "%s: no token has id %d, though there are %d tokens", span.path, i, v->n);
    v->capacity += ADDED_MAX;
}

/* ---- merges ---------------------------------------------------------------------------------------------------------------------------------- */

struct merge_reader {
    struct clip_bpe *t;
    const char *path;
    size_t n, capacity;   /* merges so far; n + 1 is the place in messages */
    int32_t last;         /* id of the last merge's result */
};

static int32_t find_part(const struct merge_reader *r, const char *token, size_t bytes) {
    int32_t id = vocab_find(&r->t->vocab, token, bytes);
    if (id < 0) die(FAIL_DATA, "%s: merge %zu: '%.*s' is not in the vocabulary", r->path, r->n + 1, (int)bytes, token);
    return id;
}

static void add_merge(struct merge_reader *r, const char *left, size_t n_left, const char *right, size_t n_right) {
    char both[LINE_BYTES_MAX];
    if (r->n == r->capacity) die(FAIL_DATA, "%s: more than %zu merges", r->path, r->capacity);
    if (n_left + n_right > sizeof both) die(FAIL_DATA, "%s: merge %zu: too long", r->path, r->n + 1);
    memcpy(both, left, n_left);
    memcpy(both + n_left, right, n_right);
    int32_t a = find_part(r, left, n_left), b = find_part(r, right, n_right), ab = r->last + 1;
    if (!vocab_is(&r->t->vocab, ab, both, n_left + n_right)) ab = find_part(r, both, n_left + n_right); /* in most files it is */
    r->last = ab;
    if (!merges_put(&r->t->merges, a, b, (uint32_t)r->n, ab))
        die(FAIL_DATA, "%s: merge %zu: '%.*s %.*s' stands twice", r->path, r->n + 1, (int)n_left, left, (int)n_right, right);
    r->n++;
}

/* "left right", one blank between and no other. */
static void add_merge_line(struct merge_reader *r, const char *line, size_t n) {
    const char *blank = memchr(line, ' ', n);
    if (n > LINE_BYTES_MAX) die(FAIL_DATA, "%s: merge %zu: line longer than %d bytes", r->path, r->n + 1, LINE_BYTES_MAX);
    if (!blank || memchr(blank + 1, ' ', n - (size_t)(blank + 1 - line)))
        die(FAIL_DATA, "%s: merge %zu: expected two tokens with one blank between, found '%.*s'", r->path, r->n + 1, (int)n, line);
    add_merge(r, line, (size_t)(blank - line), blank + 1, n - (size_t)(blank + 1 - line));
}

static struct merge_reader begin_merges(struct clip_bpe *t, const char *path, size_t at_most) {
    struct merge_reader r = {t, path, 0, at_most < VOCAB_MAX ? at_most : VOCAB_MAX, 0};
    merges_init(&t->merges, t->arena, r.capacity);
    return r;
}

static void load_merges_txt(struct clip_bpe *t, const char *path) {
    size_t length, n_lines = 1;
    char *text = read_file(t->arena, path, VOCAB_BYTES_MAX, &length), *end = text + length;
    for (char *p = text; (p = memchr(p, '\n', (size_t)(end - p))); p++) n_lines++;
    struct merge_reader r = begin_merges(t, path, n_lines);
    for (char *line = text, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - line);
        if (n && stop < end && line[n - 1] == '\r') n--;
        if (n < 8 || memcmp(line, "#version", 8) != 0) add_merge_line(&r, line, n);
    }
}

/* ["left", "right"], after its '[' */
static void add_merge_pair(struct merge_reader *r, struct json_scan *s) {
    char left[LINE_BYTES_MAX + 1];
    if (next(s, r->path) != JSON_STRING) fail_json(s, r->path, "expected a merge of two tokens");
    size_t n_left = s->string_length;
    memcpy(left, s->string, n_left);
    if (next(s, r->path) != JSON_STRING) fail_json(s, r->path, "expected a merge of two tokens");
    add_merge(r, left, n_left, s->string, s->string_length);
    if (next(s, r->path) != JSON_ARRAY_END) fail_json(s, r->path, "expected a merge of two tokens");
}

/* tokenizer.json has ["left right", …] or [["left", "right"], …]. */
static void load_merges_json(struct clip_bpe *t, struct json_span span) {
    char string[LINE_BYTES_MAX + 1];
    struct json_scan s;
    json_scan_begin(&s, span.text, span.end, string, LINE_BYTES_MAX);
    s.at = span.begin;
    if (next(&s, span.path) != JSON_ARRAY) fail_json(&s, span.path, "expected a list of merges");
    struct merge_reader r = begin_merges(t, span.path, (span.end - span.begin) / 4 + 1);
    for (enum json_token token; (token = next(&s, span.path)) != JSON_ARRAY_END;) {
        if (token == JSON_STRING) add_merge_line(&r, s.string, s.string_length);
        else if (token == JSON_ARRAY) add_merge_pair(&r, &s);
        else fail_json(&s, span.path, "expected a merge");
    }
}

/* ---- tokenizer.json ------------------------------------------------------------------------------------------------------------------------- */

struct field {
    const char *key;
    const char *const *forms; /* the values we implement, then NULL; NULL: any */
    struct json_span span;
};

static bool same_string(const struct json_scan *a, const struct json_scan *b) {
    return a->string_length == b->string_length && memcmp(a->string, b->string, a->string_length) == 0;
}

/* Whether the value is `form`, but for blanks. */
static bool same_json(struct json_span span, const char *form) {
    char strings[2][TOKEN_MAX + 1];
    struct json_scan s, f;
    json_scan_begin(&s, span.text, span.end, strings[0], TOKEN_MAX);
    s.at = span.begin;
    json_scan_begin(&f, form, strlen(form), strings[1], TOKEN_MAX);
    for (;;) {
        enum json_token token = json_scan_next(&s);
        if (token == JSON_ERROR || token == JSON_NUMBER || token != json_scan_next(&f)) return false;
        if (token == JSON_END) return true;
        if ((token == JSON_KEY || token == JSON_STRING) && !same_string(&s, &f)) return false;
    }
}

/* Finds the fields of the object in span and checks those that have forms. */
static void read_fields(struct json_span span, const char *prefix, struct field *fields) {
    char string[TOKEN_MAX + 1];
    struct json_scan s;
    json_scan_begin(&s, span.text, span.end, string, TOKEN_MAX);
    s.at = span.begin;
    if (next(&s, span.path) != JSON_OBJECT) fail_json(&s, span.path, "expected an object");
    while (next(&s, span.path) == JSON_KEY) {
        struct field *f = fields;
        while (f->key && strcmp(f->key, s.string) != 0) f++;
        if (f->key && f->span.text) die(FAIL_DATA, "%s: key '%s%s' stands twice", span.path, prefix, f->key);
        struct json_span value = {span.path, span.text, s.at, 0};
        s.buffer = NULL; /* values may be of any length */
        if (json_scan_skip(&s, json_scan_next(&s)) == JSON_ERROR) fail_json(&s, span.path, s.error);
        s.buffer = string;
        value.end = s.at;
        if (f->key) f->span = value;
    }
    next(&s, span.path); /* the end, or dies */
    for (struct field *f = fields; f->key; f++) {
        const char *const *form = f->forms;
        if (!f->span.text || !form) continue;
        while (*form && !same_json(f->span, *form)) form++;
        if (!*form) die(FAIL_UNSUPPORTED, "%s: %s%s: not the one CLIP uses", span.path, prefix, f->key);
    }
}

static void require_fields(const char *path, const char *prefix, const struct field *fields, int n) {
    for (int i = 0; i < n; i++)
        if (!fields[i].span.text) die(FAIL_UNSUPPORTED, "%s: no '%s%s'", path, prefix, fields[i].key);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"}"
#define SPLIT(special)                                                                                                              \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" special                                                                         \
    "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+\"},\"behavior\":\"Removed\",\"invert\":true}"
#define BYTE_LEVEL(more) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true" more "}"
#define SEQUENCE(first, second) "{\"type\":\"Sequence\",\"pretokenizers\":[" first "," second "]}"
#define SPECIAL "<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|"

/* transformers builds its own normalizer and pre-tokenizer whatever the file says; a file that says something else was made for another
 * program, and is refused. */
static void load_tokenizer_json(struct clip_bpe *t, const char *path, struct json_span *added) {
    size_t length;
    const char *text = read_file(t->arena, path, 2 * VOCAB_BYTES_MAX, &length);
    struct field file[] = {
        {"model", NULL, {0}},
        {"normalizer",
         LIST("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}," REPLACE ",{\"type\":\"Lowercase\"}]}"), {0}},
        {"pre_tokenizer",
         LIST(SEQUENCE(SPLIT(SPECIAL), BYTE_LEVEL(",\"use_regex\":true")), SEQUENCE(SPLIT(SPECIAL), BYTE_LEVEL("")),
              SEQUENCE(SPLIT(""), BYTE_LEVEL(",\"use_regex\":true")), SEQUENCE(SPLIT(""), BYTE_LEVEL(""))), {0}},
        {"post_processor", NULL, {0}},
        {"truncation", NULL, {0}},
        {"padding", NULL, {0}},
        {"added_tokens", NULL, {0}},
        {NULL, NULL, {0}},
    };
    struct field model[] = {
        {"vocab", NULL, {0}},
        {"merges", NULL, {0}},
        {"type", LIST("\"BPE\""), {0}},
        {"end_of_word_suffix", LIST("\"</w>\""), {0}},
        {"continuing_subword_prefix", LIST("\"\"", "null"), {0}},
        {"fuse_unk", LIST("false"), {0}},
        {"byte_fallback", LIST("false"), {0}},
        {"ignore_merges", LIST("false"), {0}},
        {NULL, NULL, {0}},
    };
    struct field post[] = {{"type", LIST("\"RobertaProcessing\""), {0}}, {NULL, NULL, {0}}};
    struct field side[] = {{"direction", LIST("\"Right\""), {0}}, {NULL, NULL, {0}}};
    read_fields((struct json_span){path, text, 0, length}, "", file);
    require_fields(path, "", file, 4);
    read_fields(file[0].span, "model.", model);
    require_fields(path, "model.", model, 4);
    if (same_json(file[3].span, "null")) die(FAIL_UNSUPPORTED, "%s: post_processor: not the one CLIP uses", path);
    read_fields(file[3].span, "post_processor.", post);
    for (int i = 4; i < 6; i++)
        if (file[i].span.text && !same_json(file[i].span, "null")) read_fields(file[i].span, "direction of ", side), side->span.text = NULL;
    load_vocab(t, model[0].span);
    load_merges_json(t, model[1].span);
    *added = file[6].span;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------------------------- */

/* GPT-2's printable stand-in for a byte: itself where it can be seen, else U+0100 and on, in order. */
static void set_byte_ids(struct clip_bpe *t) {
    uint32_t next_hidden = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        char token[8];
        size_t n = (size_t)utf8_encode(token, seen ? (uint32_t)byte : next_hidden++);
        memcpy(token + n, "</w>", 4);
        t->byte_id[0][byte] = vocab_find(&t->vocab, token, n);
        t->byte_id[1][byte] = vocab_find(&t->vocab, token, n + 4);
    }
}

struct clip_bpe *clip_bpe_open(struct arena *a, const char *dir) {
    struct clip_bpe *t = arena_alloc(a, sizeof *t);
    struct json_span added = {0};
    const char *json = arena_printf(a, "%s/tokenizer.json", dir);
    t->arena = a;
    if (file_exists(json)) load_tokenizer_json(t, json, &added);
    else {
        const char *path = arena_printf(a, "%s/vocab.json", dir);
        size_t length;
        const char *text = read_file(a, path, VOCAB_BYTES_MAX, &length);
        load_vocab(t, (struct json_span){path, text, 0, length});
        load_merges_txt(t, arena_printf(a, "%s/merges.txt", dir));
    }
    set_byte_ids(t);
    clip_special_load(t, dir, added);
    return t;
}
