/* vocab.json and merges.txt, or the tokenizer.json that holds both. */
#include <stdio.h>
#include <string.h>
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_read.h"

/* ---- vocabulary -------------------------------------------------------------------------------------------------- */

/* Tokens that have been read, and are put into the vocabulary together. */
struct held_tokens {
    struct vocab_query items[VOCAB_AT_ONCE];
    int n;
};

static void put_held(struct vocab *v, const char *path, struct held_tokens *held) {
    vocab_seek(v, held->items, held->n);
    for (int i = 0; i < held->n; i++) {
        const struct vocab_query *x = &held->items[i];
        enum vocab_put result = vocab_put_sought(v, x);
        if (result == VOCAB_TOKEN_TWICE) die(FAIL_DATA, "%s: token '%s' stands twice", path, x->token);
        if (result == VOCAB_ID_TWICE) die(FAIL_DATA, "%s: token '%s': id %d is also that of another", path, x->token, (int)x->id);
    }
    held->n = 0;
}

/* The token at `token` and the id just read. */
static void hold_token(struct vocab *v, const struct reader *r, const char *token, struct held_tokens *held) {
    uint64_t id;
    size_t digits = r->s.number_end - r->s.number_begin;
    if (!*token) reader_fail(r, "empty token");
    if (!json_scan_u64(&r->s, &id) || id >= (uint64_t)v->capacity)
        die(FAIL_DATA, "%s: token '%s': expected an id of 0…%d, found %.*s", r->path, token, v->capacity - 1,
            (int)(digits < 40 ? digits : 40), r->s.text + r->s.number_begin);
    held->items[held->n++] = (struct vocab_query){.token = token, .bytes = strlen(token), .id = (int32_t)id};
    if (held->n == VOCAB_AT_ONCE) put_held(v, r->path, held);
}

/* No fewer than there are: half the quotes. */
static int count_strings(struct json_span span) {
    size_t n = 0;
    for (size_t i = span.begin; i < span.end; i++) n += span.text[i] == '"';
    return n / 2 < VOCAB_MAX ? (int)(n / 2) : VOCAB_MAX;
}

/* {"token": id, …} with the ids 0…n-1, each once. */
static void load_vocab(struct clip_bpe *t, struct json_span span) {
    struct reader r;
    struct vocab *v = &t->vocab;
    reader_begin(&r, t->arena, span, TOKEN_MAX);
    reader_want(&r, JSON_OBJECT, "expected an object of tokens and ids");
    vocab_init(v, t->arena, count_strings(span) + ADDED_MAX);
    v->capacity -= ADDED_MAX; /* which stays reserved */
    char *pool = arena_alloc(t->arena, span.end - span.begin);
    struct held_tokens held = {.n = 0};
    while (reader_next(&r) == JSON_KEY) {
        if (v->n + held.n == VOCAB_MAX) die(FAIL_DATA, "%s: more than %d tokens", span.path, VOCAB_MAX);
        char *token = memcpy(pool, r.s.string, r.s.string_length + 1);
        pool += r.s.string_length + 1; /* no more than it takes in the file, quotes included */
        reader_want(&r, JSON_NUMBER, "expected a token's id");
        hold_token(v, &r, token, &held);
    }
    put_held(v, span.path, &held);
    reader_next(&r); /* the end, or dies */
    if (!v->n) die(FAIL_DATA, "%s: no tokens", span.path);
    for (int i = 0; i < v->n; i++)
        if (!v->tokens[i]) die(FAIL_DATA, "%s: no token has id %d, though there are %d tokens", span.path, i, v->n);
    v->capacity += ADDED_MAX;
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

struct merge_list {
    struct clip_bpe *t;
    const char *path;
    size_t n, capacity;                         /* merges so far; n + 1 is the place in messages */
    int32_t last;                               /* id of the last merge's result */
    int n_held;                                 /* read, and not yet among them */
    struct vocab_query held[2 * VOCAB_AT_ONCE]; /* left and right of each */
};

static struct merge_list begin_merges(struct clip_bpe *t, const char *path, size_t at_most) {
    size_t capacity = at_most < VOCAB_MAX ? at_most : VOCAB_MAX;
    merges_init(&t->merges, t->arena, capacity);
    return (struct merge_list){.t = t, .path = path, .capacity = capacity};
}

static int32_t check_part(const struct merge_list *l, int32_t id, const char *token, size_t bytes) {
    if (id < 0) die(FAIL_DATA, "%s: merge %zu: '%.*s' is not in the vocabulary", l->path, l->n + 1, (int)bytes, token);
    return id;
}

static void add_merge(struct merge_list *l, const struct vocab_query *left, const struct vocab_query *right) {
    const struct vocab *v = &l->t->vocab;
    char both[LINE_BYTES_MAX];
    size_t bytes = left->bytes + right->bytes;
    if (l->n == l->capacity) die(FAIL_DATA, "%s: more than %zu merges", l->path, l->capacity);
    if (bytes > sizeof both) die(FAIL_DATA, "%s: merge %zu: too long", l->path, l->n + 1);
    memcpy(both, left->token, left->bytes);
    memcpy(both + left->bytes, right->token, right->bytes);
    int32_t a = check_part(l, left->id, left->token, left->bytes), b = check_part(l, right->id, right->token, right->bytes);
    int32_t ab = l->last + 1;
    if (!vocab_is(v, ab, both, bytes)) /* in CLIP's own files it nearly always is */
        ab = check_part(l, vocab_find(v, both, bytes), both, bytes);
    if (!merges_put(&l->t->merges, a, b, (uint32_t)l->n, ab))
        die(FAIL_DATA, "%s: merge %zu: '%.*s %.*s' stands twice", l->path, l->n + 1, (int)left->bytes, left->token, (int)right->bytes,
            right->token);
    l->last = ab;
    l->n++;
}

/* Those held become merges. */
static void add_held(struct merge_list *l) {
    vocab_find_all(&l->t->vocab, l->held, 2 * l->n_held);
    for (int i = 0; i < l->n_held; i++) merges_prefetch(&l->t->merges, l->held[2 * i].id, l->held[2 * i + 1].id);
    for (int i = 0; i < l->n_held; i++) add_merge(l, &l->held[2 * i], &l->held[2 * i + 1]);
    l->n_held = 0;
}

/* The two tokens stay where they are until add_held. */
static void hold_merge(struct merge_list *l, const char *left, size_t n_left, const char *right, size_t n_right) {
    l->held[2 * l->n_held] = (struct vocab_query){.token = left, .bytes = n_left};
    l->held[2 * l->n_held + 1] = (struct vocab_query){.token = right, .bytes = n_right};
    if (++l->n_held == VOCAB_AT_ONCE) add_held(l);
}

/* "left right", one blank between and no other. */
static void hold_merge_line(struct merge_list *l, const char *line, size_t n) {
    const char *blank = memchr(line, ' ', n), *right = blank ? blank + 1 : line;
    size_t n_right = n - (size_t)(right - line);
    bool wrong = n > LINE_BYTES_MAX || !blank || memchr(right, ' ', n_right);
    if (wrong) add_held(l); /* what is wrong with an earlier one comes first */
    if (n > LINE_BYTES_MAX) die(FAIL_DATA, "%s: merge %zu: line longer than %d bytes", l->path, l->n + 1, LINE_BYTES_MAX);
    if (wrong) die(FAIL_DATA, "%s: merge %zu: expected two tokens with one blank between, found '%.*s'", l->path, l->n + 1, (int)n, line);
    hold_merge(l, line, (size_t)(blank - line), right, n_right);
}

static void load_merges_txt(struct clip_bpe *t, const char *path) {
    size_t length, n_lines = 1;
    char *text = read_file(t->arena, path, VOCAB_BYTES_MAX, &length), *end = text + length;
    for (char *p = text; (p = memchr(p, '\n', (size_t)(end - p))); p++) n_lines++;
    struct merge_list l = begin_merges(t, path, n_lines);
    for (char *line = text, *stop; line < end; line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - line);
        if (n && stop < end && line[n - 1] == '\r') n--;
        if (n < 8 || memcmp(line, "#version", 8) != 0) hold_merge_line(&l, line, n);
    }
    add_held(&l);
}

/* ["left", "right"], after its '[' */
static void add_merge_pair(struct merge_list *l, struct reader *r) {
    static const char what[] = "expected a merge of two tokens";
    char left[LINE_BYTES_MAX + 1];
    reader_want(r, JSON_STRING, what);
    size_t n_left = r->s.string_length;
    memcpy(left, r->s.string, n_left);
    reader_want(r, JSON_STRING, what);
    hold_merge(l, left, n_left, r->s.string, r->s.string_length);
    add_held(l);
    reader_want(r, JSON_ARRAY_END, what);
}

/* tokenizer.json has ["left right", …] or [["left", "right"], …]. */
static void load_merges_json(struct clip_bpe *t, struct json_span span) {
    struct reader r;
    reader_begin(&r, t->arena, span, LINE_BYTES_MAX);
    reader_want(&r, JSON_ARRAY, "expected a list of merges");
    struct merge_list l = begin_merges(t, span.path, count_strings(span));
    for (enum json_token token; (token = reader_next(&r)) != JSON_ARRAY_END;) {
        if (token == JSON_STRING) hold_merge_line(&l, r.s.string, r.s.string_length), add_held(&l);
        else if (token == JSON_ARRAY) add_merge_pair(&l, &r);
        else reader_fail(&r, "expected a merge");
    }
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

struct field {
    const char *key;
    const char *const *forms; /* the values we implement, then NULL; NULL: any */
    struct field *inner;      /* of the object it must be, the last without key; NULL: not looked into */
    struct json_span span;    /* receives where the value is; no text if there is none */
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

static void check_form(const struct field *f, const char *prefix) {
    const char *const *form = f->forms;
    while (*form && !same_json(f->span, *form)) form++;
    if (!*form) die(FAIL_UNSUPPORTED, "%s: %s%s: not the one CLIP uses", f->span.path, prefix, f->key);
}

static void read_fields(struct reader *r, const char *prefix, struct field *fields);

/* Steps over the value that follows the key just read, which is field f, or none of ours. */
static void read_field(struct reader *r, const char *prefix, struct field *f) {
    if (f->span.text) die(FAIL_DATA, "%s: key '%s%s' stands twice", r->path, prefix, f->key);
    struct json_span value = {r->path, r->s.text, r->s.at, 0};
    if (f->inner) {
        char inner[32];
        snprintf(inner, sizeof inner, "%s.", f->key);
        reader_want(r, JSON_OBJECT, "expected an object");
        read_fields(r, inner, f->inner);
    } else reader_skip(r);
    value.end = r->s.at;
    if (f->key) f->span = value;
}

/* Finds the fields of an object, after its '{', and checks those that have forms. */
static void read_fields(struct reader *r, const char *prefix, struct field *fields) {
    while (reader_next(r) == JSON_KEY) {
        struct field *f = fields;
        while (f->key && strcmp(f->key, r->s.string) != 0) f++;
        read_field(r, prefix, f);
    }
    for (struct field *f = fields; f->key; f++)
        if (f->span.text && f->forms) check_form(f, prefix);
}

static void read_object(struct json_span span, const char *prefix, struct field *fields) {
    struct reader r;
    reader_begin(&r, NULL, span, TOKEN_MAX);
    reader_want(&r, JSON_OBJECT, "expected an object");
    read_fields(&r, prefix, fields);
    reader_next(&r); /* the end, or dies */
}

static void require_fields(const char *path, const char *prefix, const struct field *fields, int n) {
    for (int i = 0; i < n; i++)
        if (!fields[i].span.text) die(FAIL_UNSUPPORTED, "%s: no '%s%s'", path, prefix, fields[i].key);
}

#define REPLACE "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\" \"}"
#define SPECIAL "<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|"
#define PATTERN "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+"
#define SPLIT(pattern) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Removed\",\"invert\":true}"
#define BYTE_LEVEL(more) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true" more "}"
#define PRE(pattern, more) "{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(pattern) "," BYTE_LEVEL(more) "]}"

static const char *const normalizers[] = {
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}," REPLACE ",{\"type\":\"Lowercase\"}]}", NULL};
static const char *const pre_tokenizers[] = {PRE(SPECIAL PATTERN, ",\"use_regex\":true"), PRE(SPECIAL PATTERN, ""),
                                             PRE(PATTERN, ",\"use_regex\":true"), PRE(PATTERN, ""), NULL};
static const char *const bpe[] = {"\"BPE\"", NULL}, *const word_end[] = {"\"</w>\"", NULL}, *const no_prefix[] = {"\"\"", "null", NULL},
                         *const no[] = {"false", NULL}, *const roberta[] = {"\"RobertaProcessing\"", NULL},
                         *const right[] = {"\"Right\"", NULL};

/* The object in span, if there is one, has no key with another value than `forms`. */
static void check_field(struct json_span span, const char *prefix, const char *key, const char *const *forms) {
    struct field fields[] = {{.key = key, .forms = forms}, {.key = NULL}};
    if (span.text && !same_json(span, "null")) read_object(span, prefix, fields);
}

/* transformers builds its own normalizer, pre-tokenizer and post-processor whatever the file says; a file that says
 * something else was made for another program, and is refused. Returns the added tokens. */
static struct json_span load_tokenizer_json(struct clip_bpe *t, const char *path) {
    size_t length;
    const char *text = read_file(t->arena, path, 2 * VOCAB_BYTES_MAX, &length);
    struct field model[] = {{.key = "vocab"},
                            {.key = "merges"},
                            {.key = "type", .forms = bpe},
                            {.key = "end_of_word_suffix", .forms = word_end},
                            {.key = "continuing_subword_prefix", .forms = no_prefix},
                            {.key = "fuse_unk", .forms = no},
                            {.key = "byte_fallback", .forms = no},
                            {.key = "ignore_merges", .forms = no},
                            {.key = NULL}};
    struct field file[] = {{.key = "model", .inner = model},
                           {.key = "normalizer", .forms = normalizers},
                           {.key = "pre_tokenizer", .forms = pre_tokenizers},
                           {.key = "post_processor"},
                           {.key = "truncation"},
                           {.key = "padding"},
                           {.key = "added_tokens"},
                           {.key = NULL}};
    read_object((struct json_span){path, text, 0, length}, "", file);
    require_fields(path, "", file, 4);
    require_fields(path, "model.", model, 4);
    if (same_json(file[3].span, "null")) die(FAIL_UNSUPPORTED, "%s: post_processor: not the one CLIP uses", path);
    check_field(file[3].span, "post_processor.", "type", roberta);
    check_field(file[4].span, "truncation.", "direction", right);
    check_field(file[5].span, "padding.", "direction", right);
    load_vocab(t, model[0].span);
    load_merges_json(t, model[1].span);
    return file[6].span;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

bool clip_byte_text(int byte, char text[CLIP_BYTE_TEXT]) {
    bool seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    int hidden_below = byte <= 32 ? byte : byte == 127 ? 33 : byte <= 160 ? byte - 94 : 67;
    text[utf8_encode(text, (uint32_t)(seen ? byte : 0x100 + hidden_below))] = 0;
    return seen;
}

void clip_set_byte_ids(struct clip_bpe *t) {
    for (int byte = 0; byte < 256; byte++) {
        char token[CLIP_BYTE_TEXT + 4];
        clip_byte_text(byte, token);
        size_t n = strlen(token);
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
    if (file_exists(json)) added = load_tokenizer_json(t, json);
    else {
        const char *path = arena_printf(a, "%s/vocab.json", dir);
        size_t length;
        const char *text = read_file(a, path, VOCAB_BYTES_MAX, &length);
        load_vocab(t, (struct json_span){path, text, 0, length});
        load_merges_txt(t, arena_printf(a, "%s/merges.txt", dir));
    }
    clip_set_byte_ids(t);
    clip_special_load(t, dir, added);
    return t;
}
