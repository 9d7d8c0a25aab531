/* The CLIP tokenizer against transformers: ids, padding, what is cut off, the bytes behind each piece; and every code
 * point's class, lower case and NFC against the tokenizers library. Fixtures by test/reference/make_tokenizer.py. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "tokenizer/clip_bpe.h"
#include "tokenizer/clip_normal.h"

#define FIXTURES "test/fixtures/tokenizer/"
enum { LENGTH = 77 };

static cJSON *load_fixture(const char *path) {
    struct arena a = {0};
    cJSON *tree = cJSON_Parse(read_file(&a, path, 64 << 20, NULL));
    arena_free(&a);
    if (!tree) fail_msg("%s: not JSON", path);
    return tree;
}

static int number(const cJSON *o, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(o, key)->valueint;
}
static const cJSON *list(const cJSON *o, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static void check_pieces(const char *name, const cJSON *c, const struct clip_piece *pieces, int n) {
    const char *text = list(c, "text")->valuestring;
    const cJSON *want = list(c, "ids")->child;
    for (int i = 0; i < n && want; i++, want = want->next)
        if (pieces[i].id != want->valueint) fail_msg("%s: '%s': id %d: got %d, want %d", name, text, i, pieces[i].id, want->valueint);
    if (n != cJSON_GetArraySize(list(c, "ids")))
        fail_msg("%s: '%s': got %d ids, want %d", name, text, n, cJSON_GetArraySize(list(c, "ids")));
}

/* The library gives a composed character the range of its first code point; ours must contain that, and be equal where
 * nothing is composed. */
static void check_ranges(const char *name, const cJSON *c, const struct clip_piece *pieces, int n) {
    bool exact = cJSON_IsTrue(list(c, "nfc"));
    const cJSON *begin = list(c, "begin")->child, *end = list(c, "end")->child;
    for (int i = 0; i < n; i++, begin = begin->next, end = end->next) {
        int b = (int)pieces[i].begin, e = (int)pieces[i].end;
        bool good = exact ? b == begin->valueint && e == end->valueint : b <= begin->valueint && e >= end->valueint;
        if (!good)
            fail_msg("%s: '%s': piece %d: got bytes %d..%d, want %d..%d", name, list(c, "text")->valuestring, i, b, e, begin->valueint,
                     end->valueint);
    }
}

static void check_padded(const char *name, const cJSON *c, const struct clip_bpe *t, const struct clip_piece *pieces, int n, int pad) {
    struct arena a = {0};
    int32_t ids[LENGTH];
    size_t cut_at;
    const char *text = list(c, "text")->valuestring;
    int n_cut = clip_bpe_encode(&a, t, text, ids, LENGTH, &cut_at), want_cut = n > LENGTH - 2 ? n - (LENGTH - 2) : 0;
    const cJSON *want = list(c, "padded")->child;
    for (int i = 0; i < LENGTH; i++, want = want ? want->next : NULL) {
        int id = want ? want->valueint : pad; /* the fixture leaves out the pads at the end */
        if (ids[i] != id) fail_msg("%s: '%s': padded id %d: got %d, want %d", name, text, i, ids[i], id);
    }
    if (n_cut != want_cut) fail_msg("%s: '%s': got %d pieces cut off, want %d", name, text, n_cut, want_cut);
    size_t want_at = want_cut ? pieces[LENGTH - 2].begin : strlen(text);
    if (cut_at != want_at) fail_msg("%s: '%s': cut at byte %zu, want %zu", name, text, cut_at, want_at);
    arena_free(&a);
}

static void check_case(const char *name, const cJSON *c, const struct clip_bpe *t, int pad) {
    struct arena a = {0};
    int n;
    const struct clip_piece *pieces = clip_bpe_pieces(&a, t, list(c, "text")->valuestring, &n);
    check_pieces(name, c, pieces, n);
    if (list(c, "begin")) check_ranges(name, c, pieces, n);
    check_padded(name, c, t, pieces, n, pad);
    arena_free(&a);
}

static void check_cases(const char *name, const char *dir, int max_length, int at_least) {
    struct arena a = {0};
    char path[128];
    snprintf(path, sizeof path, FIXTURES "%s.json", name);
    cJSON *fixture = load_fixture(path);
    const struct clip_bpe *t = clip_bpe_open(&a, dir);
    const cJSON *c;
    int n = 0;
    assert_int_equal(clip_bpe_vocab_size(t), number(fixture, "vocab_size"));
    assert_int_equal(clip_bpe_max_length(t), max_length);
    cJSON_ArrayForEach(c, list(fixture, "cases")) check_case(name, c, t, number(fixture, "pad")), n++;
    assert_true(n >= at_least);
    cJSON_Delete(fixture);
    arena_free(&a);
}

/* The real vocabulary, padded with <|endoftext|> (Stable Diffusion 1.x) … */
static void test_clip(void **state) {
    (void)state;
    check_cases("clip", FIXTURES "clip", LENGTH, 250);
}

static void link_file(const char *from, const char *dir, const char *name) {
    char target[PATH_MAX], source[PATH_MAX], path[256];
    snprintf(source, sizeof source, "%s/%s", from, name);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!realpath(source, target) || symlink(target, path) != 0) fail_msg("%s: %s", path, strerror(errno));
}

/* … and with "!" (2.x): the same vocabulary, linked to beside other configs. */
static void test_sd2(void **state) {
    (void)state;
    static const char *const files[][2] = {
        {"clip", "vocab.json"}, {"clip", "merges.txt"}, {"sd2", "tokenizer_config.json"}, {"sd2", "special_tokens_map.json"}};
    char dir[] = "/tmp/diffuse-test-XXXXXX", path[128];
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, FIXTURES "%s", files[i][0]);
        link_file(path, dir, files[i][1]);
    }
    check_cases("sd2", dir, LENGTH, 250);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i][1]);
        unlink(path);
    }
    rmdir(dir);
}

static void test_small(void **state) {
    (void)state;
    check_cases("tiny-sd1", "test/fixtures/tiny-sd1/tokenizer", LENGTH, 250);
    check_cases("tiny-sd2", "test/fixtures/tiny-sd2/tokenizer", LENGTH, 250);
}

/* added_tokens_decoder; added_tokens.json; tokenizer.json as transformers 5 saves it, and as it used to be */
static void test_variants(void **state) {
    (void)state;
    check_cases("decoder", FIXTURES "decoder", 0, 50);
    check_cases("added", FIXTURES "added", 0, 50);
    check_cases("json", FIXTURES "json", 0, 50);
    check_cases("json_old", FIXTURES "json_old", LENGTH, 50);
}

static void test_token(void **state) {
    (void)state;
    struct arena a = {0};
    const struct clip_bpe *t = clip_bpe_open(&a, FIXTURES "clip");
    assert_string_equal(clip_bpe_token(t, 0), "!");
    assert_string_equal(clip_bpe_token(t, 2368), "cat</w>");
    assert_string_equal(clip_bpe_token(t, 49407), "<|endoftext|>");
    arena_free(&a);
}

/* The built-in vocabulary is the one of the files, token by token, and does with prompts what they do. */
static void test_builtin(void **state) {
    (void)state;
    struct arena a = {0};
    size_t length, cut;
    const char *config = read_file(&a, FIXTURES "clip/tokenizer_config.json", 1 << 20, &length);
    const struct clip_bpe *t = clip_bpe_open(&a, FIXTURES "clip"), *built_in = clip_bpe_builtin(&a, config);
    static const char *const prompts[] = {"a photo of a cat", "Crème brûlée, 東京 🦊 isn't 1234 <|endoftext|> !", "\u00ad\x7f\x01"};
    assert_int_equal(clip_bpe_vocab_size(built_in), 49408);
    for (int32_t i = 0; i < 49408; i++) assert_string_equal(clip_bpe_token(t, i), clip_bpe_token(built_in, i));
    assert_int_equal(clip_bpe_max_length(built_in), 77);
    for (int i = 0; i < 3; i++) {
        int32_t want[77], got[77];
        clip_bpe_encode(&a, t, prompts[i], want, 77, &cut);
        clip_bpe_encode(&a, built_in, prompts[i], got, 77, &cut);
        assert_memory_equal(want, got, sizeof want);
    }
    int32_t padded[4];
    clip_bpe_encode(&a, clip_bpe_builtin(&a, "{\"pad_token\": \"!\"}"), "cat", padded, 4, &cut);
    assert_true(padded[0] == 49406 && padded[1] == 2368 && padded[2] == 49407 && padded[3] == 0);
    arena_free(&a);
}

/* ---- Unicode ----------------------------------------------------------------------------------------------------- */

static void check_ranges_of(const cJSON *ranges, const char *name, enum clip_class class) {
    const cJSON *r = ranges->child;
    for (uint32_t cp = 1; cp < 0x110000; cp++) {
        if (cp >= 0xd800 && cp < 0xe000) continue;
        while (r && cp > (uint32_t)cJSON_GetArrayItem(r, 1)->valueint) r = r->next;
        bool want = r && cp >= (uint32_t)cJSON_GetArrayItem(r, 0)->valueint;
        if ((clip_class_of(cp) == class) != want)
            fail_msg("U+%04X: got class %d, want %s%s", cp, clip_class_of(cp), want ? "" : "not ", name);
    }
}

/* The hash of the block's code points, each in the form before + cp + after, joined by '|' and normalized. */
static uint64_t block_hash(uint32_t block, const char *before, const char *after) {
    enum { BLOCK = 4096 };
    struct arena a = {0};
    char *text = arena_alloc(&a, BLOCK * 16);
    size_t n = 0;
    for (uint32_t cp = block * BLOCK; cp < (block + 1) * BLOCK; cp++) {
        if (cp == 0 || (cp >= 0xd800 && cp < 0xe000)) continue;
        if (n) text[n++] = '|';
        n += (size_t)sprintf(text + n, "%s", before);
        n += (size_t)utf8_encode(text + n, cp);
        n += (size_t)sprintf(text + n, "%s", after);
    }
    struct clip_normal t = clip_normalize(&a, text, 0, n);
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < t.n; i++) hash = (hash ^ (unsigned char)t.bytes[i]) * 0x100000001b3;
    arena_free(&a);
    return hash;
}

/* Every code point alone; between marks that sort before and after every other; after a Hangul syllable without a
 * final. */
static void check_normalized(const cJSON *hashes) {
    static const char *const forms[][2] = {{"", ""}, {"x\u0345", "\u0334\u0301"}, {"\u1100\u1161", ""}};
    const cJSON *block;
    uint32_t b = 0;
    cJSON_ArrayForEach(block, hashes) {
        for (int f = 0; f < 3; f++) {
            char hash[17];
            const char *want = cJSON_GetArrayItem(block, f)->valuestring;
            snprintf(hash, sizeof hash, "%016jx", (uintmax_t)block_hash(b, forms[f][0], forms[f][1]));
            if (*want && strcmp(hash, want) != 0)
                fail_msg("U+%04X…U+%04X, form %d: normalized to %s, want %s", b << 12, (b << 12) + 0xfff, f, hash, want);
        }
        b++;
    }
    assert_int_equal(b, 0x110);
}

static void test_unicode(void **state) {
    (void)state;
    cJSON *fixture = load_fixture(FIXTURES "unicode.json");
    check_ranges_of(list(fixture, "letters"), "a letter", CLIP_LETTER);
    check_ranges_of(list(fixture, "numbers"), "a number", CLIP_NUMBER);
    check_ranges_of(list(fixture, "spaces"), "a space", CLIP_SPACE);
    check_normalized(list(fixture, "hashes"));
    cJSON_Delete(fixture);
}

/* ---- hostile prompts --------------------------------------------------------------------------------------------- */

static void expect_refusal(const struct clip_bpe *t, const char *text, const char *fragment) {
    static struct arena a;
    struct job job;
    int n;
    if (job_enter(&job)) {
        clip_bpe_pieces(&a, t, text, &n);
        job_leave(&job);
        fail_msg("accepted, want '%s'", fragment);
    }
    assert_int_equal(job.code, FAIL_USAGE);
    if (!strstr(job.message, fragment)) fail_msg("got '%s', want '%s'", job.message, fragment);
    arena_free(&a);
}

static void test_refused_prompts(void **state) {
    (void)state;
    struct arena a = {0};
    const struct clip_bpe *t = clip_bpe_open(&a, "test/fixtures/tiny-sd1/tokenizer");
    char *text = arena_alloc(&a, (64 << 10) + 2);
    memset(text, 'a', (64 << 10) + 1);
    expect_refusal(t, text, "more than 65536 bytes");
    expect_refusal(t, "cat \xff", "not UTF-8 at byte 4");
    expect_refusal(t, "\xed\xa0\x80", "not UTF-8 at byte 0");
    expect_refusal(t, "a\xc3", "not UTF-8 at byte 1");
    arena_free(&a);
}

/* 64 KiB of one letter, of marks in the wrong order, of special tokens: all in n log n. */
static void test_long_prompts(void **state) {
    (void)state;
    static const char *const parts[] = {"a", "\u0301\u0323", "<|endoftext|>", "!", "<|", "ab", " ", "\u0130", "'", "\U0001d160"};
    struct arena a = {0};
    const struct clip_bpe *t = clip_bpe_open(&a, FIXTURES "clip");
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        size_t n = strlen(parts[k]);
        char *text = arena_alloc(&a, (64 << 10) + 1);
        for (size_t at = 0; at + n <= 64 << 10; at += n) memcpy(text + at, parts[k], n);
        int n_pieces;
        const struct clip_piece *pieces = clip_bpe_pieces(&a, t, text, &n_pieces);
        for (int i = 0; i < n_pieces; i++)
            if (pieces[i].begin >= pieces[i].end || pieces[i].end > strlen(text) || (i && pieces[i].begin < pieces[i - 1].begin))
                fail_msg("'%s'…: piece %d: bytes %zu..%zu of %zu", parts[k], i, pieces[i].begin, pieces[i].end, strlen(text));
        if (k == 2) assert_int_equal(n_pieces, (64 << 10) / 13);
        if (k == 6) assert_int_equal(n_pieces, 0);
    }
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clip),         cmocka_unit_test(test_sd2),
        cmocka_unit_test(test_small),        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_token),        cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_unicode),      cmocka_unit_test(test_refused_prompts),
        cmocka_unit_test(test_long_prompts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
