/* Prompt syntaxes: the phrases and weights a text is read as, where chunks end, and what is refused. */
#include "test/files.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "engine/base/file.h"
#include "tokenizer/chunks.h"
#include "test/support.h"

static struct arena arena;

static cJSON *fixture(const char *name) {
    cJSON *tree = cJSON_Parse(read_file(&arena, arena_printf(&arena, "test/fixtures/prompts/%s", name), 1 << 20, NULL));
    assert_non_null(tree);
    return tree;
}

static void compare_phrases(const char *prompt, const struct phrases *got, const cJSON *want) {
    const cJSON *phrase;
    int i = 0;
    if (got->n != cJSON_GetArraySize(want)) fail_msg("'%s': %d phrases, expected %d", prompt, got->n, cJSON_GetArraySize(want));
    cJSON_ArrayForEach(phrase, want) {
        const char *text = cJSON_GetArrayItem(phrase, 0)->valuestring;
        double weight = cJSON_GetArrayItem(phrase, 1)->valuedouble;
        if (strcmp(got->items[i].text, text) || got->items[i].weight != weight)
            fail_msg("'%s': phrase %d is '%s' x %.17g, expected '%s' x %.17g", prompt, i, got->items[i].text, got->items[i].weight, text,
                     weight);
        assert_int_equal(got->items[i].breaks, !strcmp(text, "BREAK") && weight == -1);
        i++;
    }
}

static void test_a1111(void **state) {
    (void)state;
    cJSON *tree = fixture("a1111.json");
    const cJSON *c, *cases = cJSON_GetObjectItem(tree, "cases");
    assert_int_equal(cJSON_GetArraySize(cases), 29);
    cJSON_ArrayForEach(c, cases) {
        const char *prompt = cJSON_GetArrayItem(c, 0)->valuestring;
        struct wording w = wording_a1111(&arena, "prompt", prompt);
        assert_int_equal(w.n, 1);
        assert_int_equal(w.passages->n, 1);
        compare_phrases(prompt, w.passages->texts, cJSON_GetArrayItem(c, 1));
    }
    cJSON_Delete(tree);
    arena_free(&arena);
}

/* Where compel fails so do we, or refuse what it takes silently: anything behind .and(), and .swap(). */
static void compare_compel(const char *prompt, const cJSON *want) {
    struct job job;
    if (!job_enter(&job)) {
        if (!cJSON_IsNull(want)) fail_msg("'%s': %s", prompt, job.message);
        return;
    }
    struct wording w = wording_compel(&arena, "prompt", prompt);
    job_leave(&job);
    if (w.n != cJSON_GetArraySize(want)) fail_msg("'%s': %d passages, expected %d", prompt, w.n, cJSON_GetArraySize(want));
    for (int i = 0; i < w.n; i++) {
        const cJSON *passage = cJSON_GetArrayItem(want, i), *texts = cJSON_GetArrayItem(passage, 1);
        if (w.passages[i].weight != cJSON_GetArrayItem(passage, 0)->valuedouble || w.passages[i].n != cJSON_GetArraySize(texts))
            fail_msg("'%s': passage %d of %d texts x %g", prompt, i, w.passages[i].n, w.passages[i].weight);
        for (int k = 0; k < w.passages[i].n; k++) {
            const cJSON *text = cJSON_GetArrayItem(texts, k);
            if (fabs(w.passages[i].texts[k].weight - cJSON_GetArrayItem(text, 0)->valuedouble) > 1e-12)
                fail_msg("'%s': text %d x %g", prompt, k, w.passages[i].texts[k].weight);
            compare_phrases(prompt, &w.passages[i].texts[k], cJSON_GetArrayItem(text, 1));
        }
    }
}

static void test_compel(void **state) {
    (void)state;
    cJSON *tree = fixture("compel.json");
    const cJSON *c;
    cJSON_ArrayForEach(c, cJSON_GetObjectItem(tree, "cases"))
        compare_compel(cJSON_GetArrayItem(c, 0)->valuestring, cJSON_GetArrayItem(c, 1));
    cJSON_Delete(tree);
    arena_free(&arena);
}

static void expect_refused(const char *prompt, const struct prompt_syntax *syntax, const char *says) {
    struct job job;
    if (job_enter(&job)) {
        syntax->parse(&arena, "prompt", prompt);
        fail_msg("'%s' is taken", prompt);
    }
    assert_int_equal(job.code, FAIL_USAGE);
    assert_string_equal(job.message, says);
}

static void test_a1111_refused(void **state) {
    (void)state;
    const struct prompt_syntax *s = &prompt_syntaxes[SYNTAX_A1111];
    expect_refused("a [cat:dog:0.5]", s, "prompt: '[cat:dog:0.5]': prompts that change from step to step are not supported");
    expect_refused("a [b: 3] c", s, "prompt: '[b: 3]': prompts that change from step to step are not supported");
    expect_refused("[(a:2):+3.5]", s, "prompt: '[(a:2):+3.5]': prompts that change from step to step are not supported");
    expect_refused("a [cat|dog]", s, "prompt: '[cat|dog]': prompts that change from step to step are not supported");
    expect_refused("a cat AND a dog", s, "prompt: AND, which draws by several prompts at once, is not supported");
    expect_refused("<lora:x:1> a", s, "prompt: <lora:…> is not supported here");
    expect_refused("(a:1.2.3)", s, "prompt: ':1.2.3)': expected a number before the bracket");
    expect_refused("(a:.)", s, "prompt: ':.)': expected a number before the bracket");
    s->parse(&arena, "prompt", "SAND HANDS [a:b] [a (b|c)] \\[a|b\\]"); /* none of these is one */
    arena_free(&arena);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------ */

static struct clip_bpe *tokenizer(void) {
    return clip_bpe_open(&arena, "test/fixtures/tiny-sd1/tokenizer");
}

/* n times the word, which is one token. */
static char *words(const char *word, int n) {
    char *text = arena_alloc(&arena, (size_t)n * (strlen(word) + 1) + 1), *end = text;
    *end = 0;
    for (int i = 0; i < n; i++) end += sprintf(end, "%s ", word);
    return text;
}

static struct chunks chunks_of(const char *text, int syntax, bool chunked) {
    const struct prompt_syntax *s = &prompt_syntaxes[syntax];
    return chunks_make(&arena, tokenizer(), s, "prompt", text, s->parse(&arena, "prompt", text), 77, chunked);
}

static void expect_chunks(const char *text, int n, const int *lengths) {
    struct chunks c = chunks_of(text, SYNTAX_A1111, false);
    int counts[CHUNKS_MAX] = {0};
    for (int i = 0; i < c.n_tokens; i++) counts[c.tokens[i].chunk]++;
    assert_int_equal(c.n, n);
    for (int i = 0; i < n; i++) assert_int_equal(counts[i], lengths[i]);
}
#define CHUNKS(text, ...) expect_chunks(text, sizeof((int[]){__VA_ARGS__}) / sizeof(int), (int[]){__VA_ARGS__})
#define TEXT(...) arena_printf(&arena, __VA_ARGS__)

static void test_chunks(void **state) {
    (void)state;
    CHUNKS("", 0);
    CHUNKS(words("a", 75), 75);
    CHUNKS(words("a", 76), 75, 1);
    CHUNKS("BREAK a", 0, 1);
    CHUNKS("a BREAK", 1);
    CHUNKS("a BREAK BREAK a", 1, 0, 1);
    CHUNKS(TEXT("%s, %s", words("a", 60), words("a", 30)), 61, 30);   /* the comma is 15 back */
    CHUNKS(TEXT("%s, %s", words("a", 55), words("a", 30)), 56, 30);   /* 20 */
    CHUNKS(TEXT("%s, %s", words("a", 54), words("a", 30)), 75, 10);   /* 21 */
    CHUNKS(TEXT("%s, %s", words("a", 74), words("a", 30)), 75, 30);   /* 1: nothing moves */
    CHUNKS(TEXT("%s, %s", words("a", 75), words("a", 30)), 75, 31);   /* the comma itself does not fit */
    CHUNKS(TEXT("%s, %s, a", words("a", 60), words("a", 14)), 75, 2); /* nor this one: the first is left alone */
    CHUNKS(TEXT("%s, %s BREAK a", words("a", 60), words("a", 30)), 61, 30, 1);
    arena_free(&arena);
}

/* Where compel cuts: behind a full stop, else a stop, else a word. */
static void test_compel_chunks(void **state) {
    (void)state;
    cJSON *tree = fixture("compel.json");
    const cJSON *c, *cases = cJSON_GetObjectItem(tree, "chunks");
    assert_int_equal(cJSON_GetArraySize(cases), 18);
    cJSON_ArrayForEach(c, cases) {
        const char *text = cJSON_GetArrayItem(c, 0)->valuestring;
        const cJSON *lengths = cJSON_GetArrayItem(c, 1);
        struct chunks got = chunks_of(text, SYNTAX_COMPEL, false);
        int counts[CHUNKS_MAX] = {0};
        for (int i = 0; i < got.n_tokens; i++) counts[got.tokens[i].chunk]++;
        if (got.n != cJSON_GetArraySize(lengths)) fail_msg("'%s': %d chunks", text, got.n);
        for (int i = 0; i < got.n; i++)
            if (counts[i] != cJSON_GetArrayItem(lengths, i)->valueint) fail_msg("'%s': chunk %d of %d tokens", text, i, counts[i]);
    }
    cJSON_Delete(tree);
    arena_free(&arena);
}

static void test_chunks_limits(void **state) {
    (void)state;
    struct job job;
    assert_int_equal(chunks_of(words("a", 75 * CHUNKS_MAX), SYNTAX_PLAIN, true).n, CHUNKS_MAX);
    if (job_enter(&job)) {
        chunks_of(words("a", 75 * CHUNKS_MAX + 1), SYNTAX_PLAIN, true);
        fail();
    }
    assert_string_equal(job.message, "prompt: more than 32 chunks of 75 tokens");
    struct chunks cut = chunks_of(words("a", 80), SYNTAX_PLAIN, false);
    assert_int_equal(cut.n, 1);
    assert_int_equal(cut.n_cut, 5);
    assert_string_equal(cut.cut, "a a a a a ");
    arena_free(&arena);
}

/* Weights stand at their tokens; where all are 1 there are none. */
static void test_weights(void **state) {
    (void)state;
    struct chunks c = chunks_of("a (red:1.5) fox", SYNTAX_A1111, false), plain = chunks_of("a red fox", SYNTAX_A1111, false);
    static const float want[5] = {1, 1, 1.5f, 1, 1};
    assert_memory_equal(c.items->terms->factors, want, sizeof want);
    assert_true(c.items->keeps_mean && !plain.items->keeps_mean && !plain.items->terms->factors);
    assert_memory_equal(c.items->terms->ids, plain.items->terms->ids, 77 * sizeof(int32_t));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a1111),   cmocka_unit_test(test_compel),        cmocka_unit_test(test_a1111_refused),
        cmocka_unit_test(test_chunks),  cmocka_unit_test(test_compel_chunks), cmocka_unit_test(test_chunks_limits),
        cmocka_unit_test(test_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
