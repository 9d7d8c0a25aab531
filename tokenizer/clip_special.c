/* Special and added tokens: which there are, by four files, as transformers 5 merges them. tokenizer_config.json names
 * the special tokens and may declare all added ones (added_tokens_decoder). Where it does not, special_tokens_map.json
 * overrides its names, and added_tokens.json and the added_tokens of tokenizer.json declare. A token with "normalized":
 * false is looked for in the text as it stands, one with true after NFC and lower case. Blanks around a token (lstrip,
 * rstrip) never become pieces, so those flags change nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/file.h"
#include "tokenizer/clip_read.h"
#include "tokenizer/clip_normal.h"

enum { KNOWN = 7, NAMED_MAX = 64, CONFIG_BYTES_MAX = 1 << 20 };

enum {
    NORMALIZED = 1,
    SPECIAL = 2,
    SINGLE_WORD = 4,
    LSTRIP = 8,
    RSTRIP = 16,
    PLAIN = 32 /* written as a mere string */
};

struct token {
    const char *name; /* "bos_token" …; in a list, that list's */
    const char *text; /* NULL: null */
    int64_t id;       /* -1: not declared */
    int flags, order; /* order: of declaration */
};

struct tokens {
    struct token *items; /* [capacity] */
    int n, capacity;
};

static struct token *push(struct reader *r, struct tokens *list, const char *name) {
    if (list->n == list->capacity) reader_fail(r, "too many special or added tokens");
    struct token *x = &list->items[list->n++];
    *x = (struct token){.name = arena_strdup(r->arena, name), .id = -1, .order = list->n};
    return x;
}

/* The named token, new if need be. */
static struct token *named(struct reader *r, struct tokens *list, const char *name) {
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return push(r, list, name);
}

static const struct token *find_text(const struct tokens *list, const char *text) {
    for (int i = 0; i < list->n; i++)
        if (list->items[i].text && strcmp(list->items[i].text, text) == 0) return &list->items[i];
    return NULL;
}

/* ---- the files --------------------------------------------------------------------------------------------------- */

static void read_flag(struct reader *r, int *flags, int flag) {
    enum json_token token = reader_next(r);
    if (token != JSON_TRUE && token != JSON_FALSE) reader_fail(r, "expected true or false");
    *flags = token == JSON_TRUE ? *flags | flag : *flags & ~flag;
}

static int64_t read_id(struct reader *r) {
    uint64_t id;
    if (reader_next(r) != JSON_NUMBER || !json_scan_u64(&r->s, &id) || id >= VOCAB_MAX + ADDED_MAX) reader_fail(r, "expected a token's id");
    return (int64_t)id;
}

/* {"content": …, "normalized": …, …} after its '{'. Left out, normalized is the opposite of special. */
static void read_token_fields(struct reader *r, struct token *x) {
    static const struct {
        const char *key;
        int flag;
    } options[] = {{"normalized", NORMALIZED}, {"special", SPECIAL}, {"single_word", SINGLE_WORD}, {"lstrip", LSTRIP}, {"rstrip", RSTRIP}};
    bool says_normalized = false;
    while (reader_next(r) == JSON_KEY) {
        size_t i = 0;
        while (i < 5 && strcmp(r->s.string, options[i].key) != 0) i++;
        if (strcmp(r->s.string, "content") == 0) {
            reader_want(r, JSON_STRING, "expected the token's text");
            x->text = arena_strdup(r->arena, r->s.string);
        } else if (strcmp(r->s.string, "id") == 0) x->id = read_id(r);
        else if (i < 5) read_flag(r, &x->flags, options[i].flag), says_normalized |= i == 0;
        else reader_skip(r);
    }
    if (!x->text) reader_fail(r, "a token without 'content'");
    if (!says_normalized && !(x->flags & SPECIAL)) x->flags |= NORMALIZED;
}

/* "text", {"content": "text", …} or null. */
static void read_token(struct reader *r, enum json_token first, struct token *x, int flags) {
    *x = (struct token){.name = x->name, .id = x->id, .flags = flags, .order = x->order};
    if (first == JSON_STRING) x->text = arena_strdup(r->arena, r->s.string), x->flags = SPECIAL | PLAIN;
    else if (first == JSON_OBJECT) read_token_fields(r, x);
    else if (first != JSON_NULL) reader_fail(r, "expected a token");
}

/* ["text", {…}, …] or {"name": "text", …}: special tokens beside the seven known names. */
static void read_extra(struct reader *r, struct tokens *names, const char *list) {
    enum json_token first = reader_next(r), token;
    if (first == JSON_NULL) return;
    if (first != JSON_ARRAY && first != JSON_OBJECT) reader_fail(r, "expected a list of tokens");
    while ((token = reader_next(r)) != JSON_ARRAY_END && token != JSON_OBJECT_END) {
        struct token *x = token == JSON_KEY ? named(r, names, r->s.string) : push(r, names, list);
        if (token == JSON_KEY) token = reader_next(r);
        read_token(r, token, x, first == JSON_OBJECT ? SPECIAL : 0);
    }
}

static void read_added_decoder(struct reader *r, struct tokens *declared) {
    reader_want(r, JSON_OBJECT, "expected an object of ids and tokens");
    while (reader_next(r) == JSON_KEY) {
        char *end;
        long id = strtol(r->s.string, &end, 10);
        if (r->s.string[0] < '0' || r->s.string[0] > '9' || *end || id >= VOCAB_MAX + ADDED_MAX) reader_fail(r, "expected a token's id");
        struct token *x = push(r, declared, "added");
        read_token(r, reader_next(r), x, 0);
        if (!x->text) reader_fail(r, "expected a token");
        x->id = id;
    }
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static const char additional[] = "additional_special_tokens", extra[] = "extra_special_tokens";

/* tokenizer_config.json, where the older name of the list means the newer, or special_tokens_map.json, where it does
 * not. Returns whether it declares the added tokens. */
static bool read_config(struct reader *r, struct tokens *names, struct tokens *declared, const char *older) {
    bool complete = false;
    reader_want(r, JSON_OBJECT, "expected an object");
    while (reader_next(r) == JSON_KEY) {
        const char *key = r->s.string;
        if (strcmp(key, "added_tokens_decoder") == 0) read_added_decoder(r, declared), complete = true;
        else if (strcmp(key, extra) == 0) read_extra(r, names, extra);
        else if (strcmp(key, additional) == 0) read_extra(r, names, older);
        else if (ends_with(key, "_token") && strncmp(key, "add_", 4) != 0) {
            struct token *x = named(r, names, key);
            read_token(r, reader_next(r), x, SPECIAL);
        } else reader_skip(r);
    }
    return complete;
}

/* {"text": id, …}: found after normalization, but for the seven and the extra special tokens. */
static void read_added_tokens(struct reader *r, const struct tokens *names, struct tokens *declared) {
    reader_want(r, JSON_OBJECT, "expected an object of tokens and ids");
    while (reader_next(r) == JSON_KEY) {
        struct token *x = push(r, declared, "added");
        x->text = arena_strdup(r->arena, r->s.string);
        x->id = read_id(r);
        x->flags = NORMALIZED;
        for (int i = 0; i < names->n; i++) {
            const struct token *y = &names->items[i];
            bool counts = i < KNOWN || strcmp(y->name, extra) == 0;
            if (counts && y->text && strcmp(y->text, x->text) == 0) x->flags = SPECIAL;
        }
    }
}

static void read_json_added(struct reader *r, struct tokens *declared) {
    enum json_token token;
    reader_want(r, JSON_ARRAY, "expected a list of tokens");
    while ((token = reader_next(r)) != JSON_ARRAY_END) {
        struct token *x = push(r, declared, "added");
        if (token != JSON_OBJECT) reader_fail(r, "expected a token");
        read_token(r, token, x, 0);
        if (x->id < 0) reader_fail(r, "a token without 'id'");
    }
}

/* ---- what becomes of them ---------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b) {
    const struct token *x = a, *y = b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->order - y->order;
}

/* added_tokens.json and tokenizer.json may both declare an id: the text must be the same, the later flags stand. */
static void sort_declared(const char *dir, struct tokens *d) {
    int n = 0;
    qsort(d->items, (size_t)d->n, sizeof *d->items, by_id);
    for (int i = 0; i < d->n; i++) {
        bool again = n && d->items[n - 1].id == d->items[i].id;
        if (again && strcmp(d->items[n - 1].text, d->items[i].text) != 0)
            die(FAIL_DATA, "%s: added tokens '%s' and '%s' have the same id %jd", dir, d->items[n - 1].text, d->items[i].text,
                (intmax_t)d->items[i].id);
        d->items[again ? n - 1 : n++] = d->items[i];
    }
    d->n = n;
}

/* The token's id in the vocabulary, where it goes to the end if it is not there yet. */
static int32_t add_to_vocab(struct clip_bpe *t, const char *dir, const struct token *x) {
    size_t bytes = strlen(x->text);
    int32_t id = vocab_find(&t->vocab, x->text, bytes);
    bool is_new = id < 0;
    if (is_new) id = t->vocab.n;
    if (x->id >= 0 && x->id != id) die(FAIL_DATA, "%s: added token '%s': id %jd declared, expected %d", dir, x->text, (intmax_t)x->id, id);
    if (is_new && id == t->vocab.capacity) die(FAIL_DATA, "%s: more than %d added tokens", dir, ADDED_MAX);
    if (is_new) vocab_put(&t->vocab, x->text, bytes, id);
    return id;
}

/* A later declaration of a token takes the place of an earlier one. */
static void forget_added(struct added_set *s, int32_t id) {
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (s->items[i].id != id) s->items[n++] = s->items[i];
    s->n = n;
}

static void add_token(struct clip_bpe *t, const char *dir, const struct token *x) {
    if (!*x->text) return;
    if (x->flags & SINGLE_WORD) die(FAIL_UNSUPPORTED, "%s: added token '%s': option 'single_word' is not supported", dir, x->text);
    bool normalized = x->flags & NORMALIZED;
    struct added_set *s = normalized ? &t->normalized : &t->raw;
    struct added item = {x->text, strlen(x->text), add_to_vocab(t, dir, x)};
    if (normalized) {
        struct clip_normal text = clip_normalize(t->arena, x->text, 0, item.bytes);
        item.text = text.bytes, item.bytes = text.n;
    }
    s->items[s->n++] = item;
    t->is_added[item.id] = true;
}

static bool same_token(const struct token *x, const struct token *y) {
    return x->text && y->text && strcmp(x->text, y->text) == 0 && x->flags == y->flags;
}

/* Declared tokens in the order of their ids, then the named ones that are not declared, each once. */
static void add_tokens(struct clip_bpe *t, const char *dir, const struct tokens *declared, const struct tokens *names) {
    size_t n = (size_t)(declared->n + names->n);
    t->is_added = arena_array(t->arena, (size_t)t->vocab.capacity, sizeof *t->is_added);
    t->raw.items = arena_array(t->arena, n, sizeof *t->raw.items);
    t->normalized.items = arena_array(t->arena, n, sizeof *t->normalized.items);
    for (int i = 0; i < declared->n; i++) add_token(t, dir, &declared->items[i]);
    for (int i = 0; i < names->n; i++) {
        const struct token *x = &names->items[i];
        bool again = !x->text || find_text(declared, x->text);
        for (int j = 0; j < i && !again; j++) again = same_token(&names->items[j], x);
        if (again) continue;
        int32_t id = vocab_find(&t->vocab, x->text, strlen(x->text));
        forget_added(&t->raw, id);
        forget_added(&t->normalized, id);
        add_token(t, dir, x);
    }
    added_index(&t->raw);
    added_index(&t->normalized);
}

/* The id of one of the four tokens we cannot do without; in the vocabulary, or declared. */
static int32_t required_id(const struct clip_bpe *t, const char *dir, const struct token *x, const struct tokens *declared) {
    if (!x->text) die(FAIL_UNSUPPORTED, "%s: no %s", dir, x->name);
    int32_t id = vocab_find(&t->vocab, x->text, strlen(x->text));
    const struct token *d = declared && id < 0 ? find_text(declared, x->text) : NULL;
    if (d) id = (int32_t)d->id;
    if (id < 0) die(FAIL_UNSUPPORTED, "%s: %s '%s' is not in the vocabulary", dir, x->name, x->text);
    return id;
}

/* ---- options that are not tokens --------------------------------------------------------------------------------- */

static void require_right(const struct json *o, const char *key) {
    const char *side = json_string(o, key, "right");
    if (strcmp(side, "right") != 0) die(FAIL_UNSUPPORTED, "%s: %s: expected \"right\", found \"%s\"", json_path(o), key, side);
}

/* Returns model_max_length; 0 for none, which transformers writes as 1e30. */
static int read_options(const struct json *o) {
    require_right(o, "padding_side");
    require_right(o, "truncation_side");
    if (json_bool(o, "split_special_tokens", false)) die(FAIL_UNSUPPORTED, "%s: split_special_tokens: not supported", json_path(o));
    double length = json_number(o, "model_max_length", json_number(o, "max_len", 0, 0, 1e31), 0, 1e31);
    if (length != floor(length)) die(FAIL_DATA, "%s: field 'model_max_length': expected an integer, found %g", json_path(o), length);

    if (length == 1) /* no room for a beginning and an end */
        die(FAIL_UNSUPPORTED, "%s: field 'model_max_length': expected at least 2, found %g", json_path(o), length);
    return length <= VOCAB_MAX ? (int)length : 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Begins to read dir/name if it is there, after the strict checks of json_parse. */
static bool begin_file(struct reader *r, struct arena *a, const char *dir, const char *name, struct json **document) {
    const char *path = arena_printf(a, "%s/%s", dir, name);
    size_t length;
    if (!file_exists(path)) return false;
    const char *text = read_file(a, path, CONFIG_BYTES_MAX, &length);
    *document = json_parse(a, text, length, path);
    reader_begin(r, a, (struct json_span){path, text, 0, length}, TOKEN_MAX);
    return true;
}

/* The names there are, with the texts they have unless a file says otherwise. */
static struct tokens known_names(struct arena *a) {
    static const char *const known[KNOWN] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    static const char *const texts[KNOWN] = {"<|startoftext|>", "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", NULL, NULL};
    struct tokens names = {arena_array(a, NAMED_MAX, sizeof(struct token)), 0, NAMED_MAX};
    for (int i = 0; i < KNOWN; i++)
        names.items[names.n++] = (struct token){.name = known[i], .text = texts[i], .id = -1, .flags = SPECIAL | PLAIN};
    return names;
}

static void set_special(struct clip_bpe *t, const char *dir, struct tokens *declared, const struct tokens *names) {
    sort_declared(dir, declared);
    t->bos = required_id(t, dir, &names->items[0], declared);
    t->eos = required_id(t, dir, &names->items[1], declared);
    t->unk = required_id(t, dir, &names->items[2], NULL);
    t->pad = required_id(t, dir, &names->items[4], declared);
    add_tokens(t, dir, declared, names);
}

void clip_special_load(struct clip_bpe *t, const char *dir, struct json_span json_added) {
    struct arena *a = t->arena;
    struct tokens names = known_names(a), declared = {arena_array(a, ADDED_MAX, sizeof(struct token)), 0, ADDED_MAX};
    struct reader r;
    struct json *document;
    bool complete = false;
    if (begin_file(&r, a, dir, "tokenizer_config.json", &document)) {
        t->max_length = read_options(document);
        complete = read_config(&r, &names, &declared, extra);
    }
    if (!complete) {
        struct tokens none = {0};
        if (begin_file(&r, a, dir, "special_tokens_map.json", &document)) read_config(&r, &names, &none, additional);
        if (begin_file(&r, a, dir, "added_tokens.json", &document)) read_added_tokens(&r, &names, &declared);
        if (json_added.text) reader_begin(&r, a, json_added, TOKEN_MAX), read_json_added(&r, &declared);
    }
    set_special(t, dir, &declared, &names);
}

void clip_special_builtin(struct clip_bpe *t, const char *config) {
    struct tokens names = known_names(t->arena), declared = {0};
    struct reader r;
    struct json_span span = {"built-in tokenizer", config, 0, strlen(config)};
    t->max_length = read_options(json_parse(t->arena, config, span.end, span.path));
    reader_begin(&r, t->arena, span, TOKEN_MAX);
    read_config(&r, &names, &declared, extra);
    set_special(t, span.path, &declared, &names);
}
