#include "engine/pipelines/embeddings.h"

#include <string.h>
#include "engine/base/error.h"
#include "engine/base/sha256.h"
#include "engine/pipelines/request.h"

enum { FILES_MAX = 512, ROWS_STEP = 64 /* the table grows by so many rows */ };

struct embeddings {
    int n_files;
    struct opened {
        const char *path; /* as it was given */
        const struct embedding *embedding;
    } files[FILES_MAX];
    struct table {
        const struct tensor *base; /* the model's own */
        char applied[SHA256_HEX];  /* which vectors are below it; "": none */
        struct arena rows[2];      /* of the tensor in the weight; of the one before */
    } tables[TEXTS_MAX];
};

static struct embeddings *embeddings_of(struct model *m) {
    if (m->embeddings) return m->embeddings;
    m->embeddings = arena_alloc(m->arena, sizeof *m->embeddings);
    for (int i = 0; i < m->n_texts; i++) m->embeddings->tables[i].base = m->texts[i].net->token_embedding->parts[0];
    return m->embeddings;
}

void embeddings_close(struct embeddings *e) {
    for (int i = 0; e && i < TEXTS_MAX; i++) {
        arena_free(&e->tables[i].rows[0]);
        arena_free(&e->tables[i].rows[1]);
    }
}

static const struct embedding *open_file(struct model *m, const char *path) {
    struct embeddings *e = embeddings_of(m);
    for (int i = 0; i < e->n_files; i++)
        if (!strcmp(e->files[i].path, path)) return e->files[i].embedding;
    if (e->n_files == FILES_MAX) die(FAIL_USAGE, "--embedding: more than %d files", FILES_MAX);
    struct opened f = {arena_strdup(m->arena, path), embedding_open(m->arena, path)};
    e->files[e->n_files++] = f;
    return f.embedding;
}

const char *embeddings_hash(const struct model *m, const char *path) {
    for (int i = 0; m->embeddings && i < m->embeddings->n_files; i++)
        if (!strcmp(m->embeddings->files[i].path, path)) return m->embeddings->files[i].embedding->sha256;
    return NULL;
}

void embeddings_add(struct arena *a, struct embedding_list *list, const char *path, const char *token) {
    if (list->n == EMBEDDINGS_MAX) die(FAIL_USAGE, "--embedding: more than %d", EMBEDDINGS_MAX);
    struct embedding_item *items = arena_array(a, (size_t)list->n + 1, sizeof *items);
    for (int i = 0; i < list->n; i++) items[i] = list->items[i];
    items[list->n] = (struct embedding_item){path, token};
    *list = (struct embedding_list){list->n + 1, items};
}

/* ---- what goes where --------------------------------------------------------------------------------------------- */

/* Known by their width: of the text encoders there are. */
static const char *made_for(int width) {
    return width == 768    ? " (made for SD 1.x, or SDXL's first)"
           : width == 1024 ? " (made for SD 2.x)"
           : width == 1280 ? " (made for SDXL's second)"
                           : "";
}

static bool takes(const struct model *m, int text, const struct embedding_part *p) {
    bool second = !strcmp(m->texts[text].component->name, "text_encoder_2");
    if (p->place != EMBEDDING_ANY && second != (p->place == EMBEDDING_SECOND)) return false;
    return p->width == m->texts[text].net->layers.hidden_size;
}

static const struct embedding_part *part_for(const struct model *m, int text, const struct embedding *e) {
    for (int i = 0; i < e->n_parts; i++)
        if (takes(m, text, &e->parts[i])) return &e->parts[i];
    return NULL;
}

/* Every part has a text encoder; the refiner, which lacks the first, takes what is the second's. */
static void check_fits(struct arena *a, const struct model *m, const struct embedding *e) {
    const char *widths = "";
    int n = 0;
    for (int i = 0; i < m->n_texts; i++) {
        n += part_for(m, i, e) != NULL;
        widths = arena_printf(a, "%s%s%d", widths, i ? " and " : "", m->texts[i].net->layers.hidden_size);
    }
    if (n == e->n_parts || (n && m->scored)) return;
    if (e->n_parts > 1)
        die(FAIL_UNSUPPORTED, "%s: vectors of %d and %d values, made for SDXL, but %s's text encoder%s of %s", e->path, e->parts[0].width,
            e->parts[1].width, m->checkpoint->name, m->n_texts > 1 ? "s are" : " is", widths);
    die(FAIL_UNSUPPORTED, "%s: vectors of %d values%s, but %s's text encoder%s of %s", e->path, e->parts[0].width,
        made_for(e->parts[0].width), m->checkpoint->name, m->n_texts > 1 ? "s are" : " is", widths);
}

/* The word, word_1, word_2 …, behind the n there are. */
static int add_words(struct arena *a, const char **words, int n, const char *word, int n_vectors) {
    for (int i = 0; i < n_vectors; i++) words[n++] = i ? arena_printf(a, "%s_%d", word, i) : word;
    return n;
}

static const char *word_of(const struct embedding_item *item, const struct embedding *e) {
    return item->token ? item->token : e->token;
}

static int count_vectors(const struct request *r, int text) {
    int n = 0;
    for (int i = 0; i < r->settings.embeddings.n; i++) n += part_for(r->model, text, r->embeddings[i]) ? r->embeddings[i]->n : 0;
    return n;
}

static void blank(char *text, const char *word) {
    size_t n = strlen(word);
    for (char *at = text; (at = strcasestr(at, word)); at += n) memset(at, ' ', n);
}

void embeddings_blank(const struct request *r, char *text) {
    const struct embedding_list *list = &r->settings.embeddings;
    for (int i = 0; i < list->n; i++) {
        const char *word = word_of(&list->items[i], r->embeddings[i]);
        for (int k = r->embeddings[i]->n - 1; k > 0; k--) blank(text, arena_printf(r->arena, "%s_%d", word, k));
        blank(text, word);
    }
}

/* Two files of one word: the second would never be found. */
static void check_words(const struct embedding_list *list, const struct embedding *const *files) {
    for (int i = 0; i < list->n; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(word_of(&list->items[i], files[i]), word_of(&list->items[k], files[k])))
                die_hint(FAIL_USAGE, "--embedding FILE=WORD takes another word", "--embedding: %s and %s both have the word '%s'",
                         list->items[k].path, list->items[i].path, word_of(&list->items[i], files[i]));
}

/* diffusers refuses the tokens of a vocabulary alone: "fox</w>" is one, and "fox" may be none. */
static void note_replaced(const struct request *r) {
    const struct embedding_list *list = &r->settings.embeddings;
    for (int i = 0; i < list->n; i++) {
        const char *word = word_of(&list->items[i], r->embeddings[i]);
        int n;
        clip_bpe_pieces(r->arena, r->model->texts[0].tokenizer, word, &n);
        if (n == 1) warn("--embedding %s: '%s' is a word of the model, too: the file's vectors take its place", list->items[i].path, word);
    }
}

void embeddings_open(struct request *r) {
    const struct embedding_list *list = &r->settings.embeddings;
    struct model *m = r->model;
    for (int i = 0; i < m->n_texts; i++) r->tokenizers[i] = m->texts[i].tokenizer;
    if (!list->n) return;
    if (!m->n_texts) die(FAIL_USAGE, "--embedding: %s draws without a prompt", m->checkpoint->name);
    r->embeddings = arena_array(r->arena, (size_t)list->n, sizeof *r->embeddings);
    for (int i = 0; i < list->n; i++) {
        r->embeddings[i] = open_file(m, list->items[i].path);
        check_fits(r->arena, m, r->embeddings[i]);
    }
    check_words(list, r->embeddings);
    for (int text = 0; text < m->n_texts; text++) {
        const char **words = arena_array(r->arena, (size_t)count_vectors(r, text) + 1, sizeof *words);
        int n = 0;
        for (int i = 0; i < list->n; i++)
            if (part_for(m, text, r->embeddings[i]))
                n = add_words(r->arena, words, n, word_of(&list->items[i], r->embeddings[i]), r->embeddings[i]->n);
        if (n) r->tokenizers[text] = clip_bpe_with(r->arena, m->texts[text].tokenizer, words, n);
    }
    note_replaced(r);
}

const struct clip_bpe *embeddings_words(struct arena *a, const struct clip_bpe *t, const struct embedding_list *list) {
    const struct embedding **files = arena_array(a, (size_t)list->n + 1, sizeof *files);
    for (int i = 0; i < list->n; i++) files[i] = embedding_open(a, list->items[i].path);
    check_words(list, files);
    for (int i = 0; i < list->n; i++) {
        const struct embedding *e = files[i];
        const char **words = arena_array(a, (size_t)e->n, sizeof *words);
        t = clip_bpe_with(a, t, words, add_words(a, words, 0, word_of(&list->items[i], e), e->n));
    }
    return t;
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* Which vectors, in which order. */
static void mark(const struct request *r, int text, char hex[SHA256_HEX]) {
    struct sha256 h;
    sha256_begin(&h);
    for (int i = 0; i < r->settings.embeddings.n; i++) {
        const struct embedding_part *p = part_for(r->model, text, r->embeddings[i]);
        if (p) sha256_add(&h, r->embeddings[i]->sha256, SHA256_HEX);
    }
    sha256_end(&h, hex);
}

/* The model's words, the vectors, and rows of the former again up to a round number: a table that grows is read to another place, so it
 * grows seldom. */
static const struct tensor *grown(struct arena *a, const struct request *r, int text) {
    const struct tensor *base = r->model->embeddings->tables[text].base, *words, *all;
    int n_words = clip_bpe_vocab_size(r->model->texts[text].tokenizer), n = count_vectors(r, text), fill = ROWS_STEP - n % ROWS_STEP;
    all = words = tensor_sum(a, tensor_rows(a, base, 0, n_words), NULL, 0);
    for (int i = 0; i < r->settings.embeddings.n; i++) {
        const struct embedding_part *p = part_for(r->model, text, r->embeddings[i]);
        if (p) all = tensor_stack(a, all, p->vectors);
    }
    return tensor_stack(a, all, tensor_rows(a, words, 0, fill < n_words ? fill : n_words));
}

static void apply(struct request *r, int text) {
    struct model *m = r->model;
    struct table *table = &m->embeddings->tables[text];
    struct weight *w = m->texts[text].net->token_embedding;
    char hex[SHA256_HEX];
    mark(r, text, hex);
    if (!count_vectors(r, text) || !strcmp(hex, table->applied)) return;
    if (m->bytes_read) model_finish_load(m); /* it may still be reading what goes below */
    arena_free(&table->rows[1]);
    const struct tensor *t = grown(&table->rows[1], r, text);
    struct arena old = table->rows[0];
    table->rows[0] = table->rows[1];
    table->rows[1] = old;
    w->parts[0] = t;
    w->shape[0] = t->shape[0];
    if (w->packed) w->stale = true;
    memcpy(table->applied, hex, sizeof hex);
    m->planned = (struct picture_shape){0};
    m->prepared = 0;
    prompt_cache_free(&m->prompts);
}

void embeddings_apply(struct request *r) {
    for (int i = 0; i < r->model->n_texts && r->settings.embeddings.n; i++) apply(r, i);
}
