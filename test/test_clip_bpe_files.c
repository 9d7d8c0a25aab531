/* Tokenizer files from strangers: which are refused, with what code and words, and which are not (rows T1 to T15). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "tokenizer/clip_bpe.h"

static char dir[] = "/tmp/diffuse-test-XXXXXX";
static const char *const names[] = {"vocab.json",        "merges.txt",    "special_tokens_map.json", "tokenizer_config.json",
                                    "added_tokens.json", "tokenizer.json"};

#define BEGIN_END ",\"<|startoftext|>\":6,\"<|endoftext|>\":7}"
#define VOCAB "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,\"ab\":5" BEGIN_END
#define MERGES "#version: 0.2\na b</w>\na b\n"

static void put(const char *name, const char *text, size_t n) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void clear(void) {
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
}

/* Opens the directory; returns the exit code, 0 if it was accepted, and the message. With text, *n receives the number of its pieces. */
static int try_open(char message[ERROR_MAX], const char *text, int *n) {
    static struct arena a;
    struct job job;
    if (job_enter(&job)) {
        const struct clip_bpe *t = clip_bpe_open(&a, dir);
        if (text) clip_bpe_pieces(&a, t, text, n);
        job_leave(&job);
    }
    arena_free(&a);
    strcpy(message, job.message);
    return job.code;
}

/* code 0: and the prompt becomes two pieces. */
static void expect_prompt(const char *id, int code, const char *fragment, const char *prompt) {
    char message[ERROR_MAX];
    int n, found = try_open(message, code ? NULL : prompt, &n);
    if (found != code) fail_msg("%s: got %d (%s), want %d", id, found, message, code);
    if (code && !strstr(message, fragment)) fail_msg("%s: got '%s', want '%s'", id, message, fragment);
    if (code && !strstr(message, dir)) fail_msg("%s: '%s' names no file", id, message);
    if (!code && n != 2) fail_msg("%s: '%s' became %d pieces, want 2", id, prompt, n);
}

static void expect(const char *id, int code, const char *fragment) {
    expect_prompt(id, code, fragment, "ab a");
}

/* ---- small files ------------------------------------------------------------------------------------------------- */

struct row {
    const char *id;
    int code; /* 0: accepted, and "ab a" is two pieces */
    const char *fragment, *file, *text;
};

#define V "vocab.json"
#define M "merges.txt"
#define S "special_tokens_map.json"
#define C "tokenizer_config.json"
#define A "added_tokens.json"
#define END_FLAGS(more) "{\"content\":\"<|endoftext|>\"" more "}"

static const struct row rows[] = {
    {"good", 0, "", V, VOCAB},
    {"T1 negative", 65, "token 'a': expected an id of 0…7, found -1", V,
     "{\"a\":-1,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,\"ab\":5" BEGIN_END},
    {"T1 2^31", 65, "found 2147483648", V, "{\"a\":2147483648,\"b\":1}"},
    {"T1 2^53", 65, "found 9007199254740993", V, "{\"a\":9007199254740993,\"b\":1}"},
    {"T1 2^64", 65, "found 18446744073709551616", V, "{\"a\":18446744073709551616,\"b\":1}"},
    {"T1 fraction", 65, "found 0.0", V, "{\"a\":0.0,\"b\":1}"},
    {"T1 exponent", 65, "found 1e0", V, "{\"a\":0,\"b\":1e0}"},
    {"T1 string", 65, "expected a token's id", V, "{\"a\":\"0\",\"b\":1}"},
    {"T1 null", 65, "expected a token's id", V, "{\"a\":null}"},
    {"T1 nested", 65, "expected a token's id", V, "{\"a\":{\"b\":1}}"},
    {"T1 duplicate id", 65, "token 'b': id 0 is also that of another", V, "{\"a\":0,\"b\":0}"},
    {"T1 duplicate token", 65, "token 'a' stands twice", V, "{\"a\":0,\"a\":1}"},
    {"T1 hole", 65, "expected an id of 0…1, found 2", V, "{\"a\":0,\"b\":2}"},
    {"T3 eos", 78, "eos_token '<|endoftext|>' is not in the vocabulary", V,
     "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,\"ab\":5,\"<|startoftext|>\":6}"},
    {"T3 bos", 78, "bos_token '<s>' is not in the vocabulary", S, "{\"bos_token\":\"<s>\"}"},
    {"T3 pad", 78, "pad_token '!' is not in the vocabulary", S, "{\"pad_token\":\"!\"}"},
    {"T3 unk", 78, "unk_token '?' is not in the vocabulary", C, "{\"unk_token\":\"?\"}"},
    {"T3 pad null", 78, "no pad_token", S, "{\"pad_token\":null}"},
    {"T3 pad bos", 0, "", S, "{\"pad_token\":\"<|startoftext|>\"}"},
    {"T4 empty", 65, "no tokens", V, "{}"},
    {"T4 list", 65, "expected an object", V, "[\"a\"]"},
    {"T4 nothing", 65, "ends too soon", V, ""},
    {"T4 cut", 65, "line 1 column 8", V, "{\"a\":0,"},
    {"T4 more", 65, "something follows the end", V, VOCAB "x"},
    {"T4 html", 65, "line 1 column 1", V, "<!DOCTYPE html>"},
    {"T5 empty token", 65, "empty token", V, "{\"\":0}"},
    {"T5 NUL", 65, "\\u0000", V, "{\"a\\u0000\":0}"},
    {"T5 half a pair", 65, "surrogate", V, "{\"\\ud800\":0}"},
    {"T5 not UTF-8", 65, "not UTF-8", V, "{\"\xff\":0}"},
    {"T6 one field", 65, "merge 2: expected two tokens with one blank between, found 'a'", M, "#version: 0.2\na b\na\n"},
    {"T6 three fields", 65, "merge 1: expected two tokens", M, "a b c\n"},
    {"T6 tab", 65, "merge 1: expected two tokens", M, "a\tb\n"},
    {"T6 trailing blank", 65, "merge 1: expected two tokens", M, "a b \n"},
    {"T6 leading blank", 65, "merge 1: expected two tokens", M, " a b\n"},
    {"T6 two blanks", 65, "merge 1: expected two tokens", M, "a  b\n"},
    {"T6 empty line", 65, "merge 2: expected two tokens", M, "a b\n\na b</w>\n"},
    {"T6 empty last line", 65, "merge 2: expected two tokens", M, "a b</w>\n\n"},
    {"T6 one empty field", 65, "merge 1: '' is not in the vocabulary", M, " b\n"},
    {"T6 CRLF", 0, "", M, "#version: 0.2\r\na b</w>\r\na b\r\n"},
    {"T6 no newline", 0, "", M, "#version: 0.2\na b</w>"},
    {"T6 CR alone", 65, "is not in the vocabulary", M, "a b\na b</w>\r"}, /* no line's end without its newline */
    {"T6 no version", 0, "", M, "a b</w>\n"},
    {"T7 result", 65, "merge 1: 'ba' is not in the vocabulary", M, "b a\n"},
    {"T8 twice", 65, "merge 3: 'a b</w>' stands twice", M, "a b</w>\na b\na b</w>\n"},
    {"T9 left", 65, "merge 1: 'x' is not in the vocabulary", M, "x b\n"},
    {"T9 before another fault", 65, "merge 1: 'x' is not in the vocabulary", M, "x b\na\n"},
    {"T9 right", 65, "merge 1: 'y' is not in the vocabulary", M, "a y\n"},
    {"T10", 0, "", V,
     "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,\"ab\":5,\"<|startoftext|>\":6,\"<|endoftext|>\":7,\"<0x-1>\":8,\"<0xZZ>\":9}"},
    {"T14 0", 0, "", C, "{\"model_max_length\":0}"},
    {"T14 1e30", 0, "", C, "{\"model_max_length\":1000000000000000019884624838656}"},
    {"T14 1", 78, "field 'model_max_length': expected at least 2, found 1", C, "{\"model_max_length\":1}"},
    {"T14 -1", 65, "model_max_length", C, "{\"model_max_length\":-1}"},
    {"T14 fraction", 65, "model_max_length", C, "{\"model_max_length\":76.5}"},
    {"T14 string", 65, "model_max_length", C, "{\"model_max_length\":\"77\"}"},
    {"left padding", 78, "padding_side: expected \"right\", found \"left\"", C, "{\"padding_side\":\"left\"}"},
    {"left truncation", 78, "truncation_side", C, "{\"truncation_side\":\"left\"}"},
    {"split_special_tokens", 78, "split_special_tokens", C, "{\"split_special_tokens\":true}"},
    {"single_word", 78, "single_word", S, "{\"eos_token\":" END_FLAGS(",\"single_word\":true") "}"},
    {"token: number", 65, "expected a token", S, "{\"eos_token\":7}"},
    {"token: no content", 65, "without 'content'", S, "{\"eos_token\":{\"normalized\":true}}"},
    {"token: flag", 65, "expected true or false", S, "{\"eos_token\":" END_FLAGS(",\"normalized\":1") "}"},
    {"config: twice", 65, "stands twice", C, "{\"eos_token\":\"a\",\"eos_token\":\"b\"}"},
    {"config: list", 65, "expected an object", C, "[]"},
    {"map: cut", 65, "line 1", S, "{"},
    {"added: new", 0, "", A, "{\"<sks>\":8,\"<t>\":9}"},
    {"added: hole", 65, "added token '<t>': id 9 declared, expected 8", A, "{\"<t>\":9}"},
    {"added: known", 65, "added token 'a': id 8 declared, expected 0", A, "{\"a\":8}"},
    {"added: same id", 65, "have the same id 8", A, "{\"<s>\":8,\"<t>\":8}"},
    {"added: negative", 65, "expected a token's id", A, "{\"<s>\":-8}"},
    {"decoder: id", 65, "expected a token's id", C, "{\"added_tokens_decoder\":{\"x\":" END_FLAGS("") "}}"},
    {"decoder: negative", 65, "expected a token's id", C, "{\"added_tokens_decoder\":{\"-1\":" END_FLAGS("") "}}"},
    {"decoder: huge", 65, "expected a token's id", C, "{\"added_tokens_decoder\":{\"99999999999999999999\":" END_FLAGS("") "}}"},
    {"decoder: null", 65, "expected a token", C, "{\"added_tokens_decoder\":{\"7\":null}}"},
};

static void reset(void) {
    clear();
    put(V, VOCAB, strlen(VOCAB));
    put(M, MERGES, strlen(MERGES));
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reset();
        put(rows[i].file, rows[i].text, strlen(rows[i].text));
        expect(rows[i].id, rows[i].code, rows[i].fragment);
    }
}

static void test_missing(void **state) {
    (void)state;
    char path[128];
    reset();
    snprintf(path, sizeof path, "%s/" M, dir);
    unlink(path);
    expect("no merges", FAIL_INPUT, M);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect("FIFO", FAIL_INPUT, M);
    clear();
    expect("no vocabulary", FAIL_INPUT, V);
}

/* ---- large files ------------------------------------------------------------------------------------------------- */

/* T4, T11: n tokens more; 10^5 are no trouble, more than 2^20 are refused. */
static void put_many_tokens(int n) {
    char *text = malloc((size_t)n * 24 + sizeof VOCAB), *end = text + sprintf(text, "%.*s", (int)strlen(VOCAB) - 1, VOCAB);
    for (int i = 0; i < n; i++) end += sprintf(end, ",\"x%d\":%d", i, i + 8);
    *end++ = '}';
    put(V, text, (size_t)(end - text));
    free(text);
}

static void test_many_tokens(void **state) {
    (void)state;
    reset();
    put_many_tokens(100000);
    expect("T11", 0, "");
    put_many_tokens((1 << 20) - 7);
    expect("T4 2^20 + 1", FAIL_DATA, "more than 1048576 tokens");
}

static void put_repeated(const char *file, const char *before, char c, size_t n, const char *after) {
    size_t head = strlen(before), tail = strlen(after);
    char *text = malloc(head + n + tail + 1);
    memcpy(text, before, head);
    memset(text + head, c, n);
    memcpy(text + head + n, after, tail);
    put(file, text, head + n + tail);
    free(text);
}

static void test_large(void **state) {
    (void)state;
    reset();
    put_repeated(V, "{\"", 'a', 1 << 20, "\":0}");
    expect("T5 1 MiB", FAIL_DATA, "string too long");
    put_repeated(V, "{\"a\":0}", ' ', 32 << 20, "");
    expect("T4 32 MiB", FAIL_DATA, "expected at most 33554432");
    put_repeated(V, "", '[', 100000, "");
    expect("T4 deep", FAIL_DATA, "expected an object");
    reset();
    put_repeated(M, "a ", 'b', 2000, "\n");
    expect("T6 long line", FAIL_DATA, "longer than 1024 bytes");
    put_repeated(M, "", '\n', (1 << 20) + 1, "");
    expect("T6 empty lines", FAIL_DATA, "merge 1");
    reset();
    put_repeated(A, "{\"", 'a', 2000, "\":8}");
    expect("added: long", FAIL_DATA, "string too long");
}

/* T12: merges that make ever longer words of one letter */
static void test_chain(void **state) {
    (void)state;
    char vocab[4096] = "{\"a\":0,\"a</w>\":1,\"<|startoftext|>\":2,\"<|endoftext|>\":3", merges[4096] = "", message[ERROR_MAX];
    char *v = vocab + strlen(vocab), *m = merges, *text = malloc((64 << 10) + 1);
    for (int i = 0, n = 1; n <= 128; n *= 2, i++) {
        char word[257];
        memset(word, 'a', sizeof word);
        m += sprintf(m, "%.*s %.*s\n", n, word, n, word);
        v += sprintf(v, ",\"%.*s\":%d", 2 * n, word, i + 4);
    }
    strcpy(v, "}");
    clear();
    put(V, vocab, strlen(vocab));
    put(M, merges, strlen(merges));
    memset(text, 'a', 64 << 10);
    text[64 << 10] = 0;
    int n = 0, code = try_open(message, text, &n);
    free(text);
    if (code) fail_msg("%s", message);
    assert_int_equal(n, 255 + 8 + 1); /* 255 of 256 letters, one each of 128 … 1, and a</w> */
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

struct edit {
    int code;
    const char *fragment, *from, *to;
};

static const struct edit edits[] = {
    {0, "", "{", " {"},
    {0, "", "\"fuse_unk\":false,", ""},
    {78, "normalizer: not the one CLIP uses", "{\"type\":\"Lowercase\"}", "{\"type\":\"StripAccents\"}"},
    {78, "normalizer: not the one CLIP uses", "{\"type\":\"NFC\"}", "{\"type\":\"NFKC\"}"},
    {78, "pre_tokenizer: not the one CLIP uses", "'s|'t", "'s|'T"},
    {78, "pre_tokenizer: not the one CLIP uses", "\"add_prefix_space\":false,\"trim_offsets\":true}]",
     "\"add_prefix_space\":true,\"trim_offsets\":true}]"},
    {78, "no 'pre_tokenizer'", "\"pre_tokenizer\"", "\"pre_tokenizers\""},
    {78, "post_processor.type: not the one CLIP uses", "\"RobertaProcessing\"", "\"TemplateProcessing\""},
    {78, "post_processor: not the one CLIP uses", "\"post_processor\":", "\"post_processor\":null,\"x\":"},
    {78, "model.type: not the one CLIP uses", "\"BPE\"", "\"Unigram\""},
    {78, "model.end_of_word_suffix", "\"</w>\",\"fuse", "\"\",\"fuse"},
    {78, "model.fuse_unk", "\"fuse_unk\":false", "\"fuse_unk\":true"},
    {78, "model.byte_fallback", "\"fuse_unk\":false", "\"byte_fallback\":true"},
    {78, "no 'model.merges'", "\"merges\"", "\"mergers\""},
    {78, "direction", "\"truncation\":null", "\"truncation\":{\"direction\":\"Left\"}"},
    {0, "", "\"truncation\":null", "\"truncation\":{\"direction\":\"Right\",\"max_length\":5}"},
    {65, "key 'model' stands twice", "\"version\"", "\"model\":{},\"version\""},
    {65, "expected a list of merges", "\"merges\":[", "\"merges\":{},\"x\":["},
    {65, "expected a merge", "\"merges\":[", "\"merges\":[1,"},
    {65, "expected a merge of two tokens", "\"merges\":[", "\"merges\":[[\"a\"],"},
    {65, "expected a merge of two tokens", "\"merges\":[", "\"merges\":[[\"a\",\"t\",\"x\"],"},
    {65, "merge 1: expected two tokens", "\"merges\":[", "\"merges\":[\"a b c\","},
    {65, "token '!': expected an id", "\"vocab\":{\"!\":0", "\"vocab\":{\"!\":-1"},
    {65, "expected an object of tokens and ids", "\"vocab\":{", "\"vocab\":[],\"x\":{"},
    {65, "expected a token", "\"added_tokens\":[{", "\"added_tokens\":[7,{"},
    {65, "line 1 column 1", "{", "x{"},
};

static void test_tokenizer_json(void **state) {
    (void)state;
    struct arena a = {0};
    const char *text = read_file(&a, "test/fixtures/tokenizer/json_old/tokenizer.json", 1 << 20, NULL);
    clear();
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const struct edit *e = &edits[i];
        const char *at = strstr(text, e->from);
        if (!at) fail_msg("no '%s' to replace", e->from);
        const char *changed = arena_printf(&a, "%.*s%s%s", (int)(at - text), text, e->to, at + strlen(e->from));
        put("tokenizer.json", changed, strlen(changed));
        expect_prompt(e->to, e->code, e->fragment, "a cat");
    }
    arena_free(&a);
}

/* diffusers' own answers: test/reference/make_converted.py */
static void test_converted(void **state) {
    (void)state;
    struct arena a = {0};
    char prompt[512], converted[512];
    size_t length;
    const struct clip_bpe *t = clip_bpe_open(&a, "test/fixtures/tokenizer/converted");
    const char *text = read_file(&a, "test/fixtures/tokenizer/converted/converted.json", 1 << 16, &length);
    struct json_scan s;
    int n = 0;
    json_scan_begin(&s, text, length, prompt, sizeof prompt - 1);
    assert_int_equal(json_scan_next(&s), JSON_ARRAY);
    for (; json_scan_next(&s) == JSON_ARRAY; n++) {
        s.buffer = prompt;
        assert_int_equal(json_scan_next(&s), JSON_STRING);
        s.buffer = converted;
        assert_int_equal(json_scan_next(&s), JSON_STRING);
        assert_string_equal(clip_bpe_convert(&a, t, prompt), converted);
        assert_int_equal(json_scan_next(&s), JSON_ARRAY_END);
    }
    assert_int_equal(n, 13);
    /* a little text must not become an endless one */
    struct job job;
    char *many = arena_alloc(&a, 9 * 7000 + 1);
    for (int i = 0; i < 7000; i++) memcpy(many + 9 * i, "<cat-toy>", 9);
    if (job_enter(&job)) {
        clip_bpe_convert(&a, t, many);
        job_leave(&job);
    }
    assert_int_equal(job.code, 2);
    assert_non_null(strstr(job.message, "with all vectors of '<cat-toy>'"));
    arena_free(&a);
}

/* A word of the vocabulary that looks like a second vector is none: vectors are added tokens. */
static void test_no_vector(void **state) {
    (void)state;
    struct arena a = {0};
    static const char vocab[] = "{\"<c>_1\":8,\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab</w>\":4,\"ab\":5" BEGIN_END;
    static const char added[] = "{\"<c>\":9}", both[] = "{\"<c>\":8,\"<c>_1\":9}";
    clear();
    put("vocab.json", vocab, sizeof vocab - 1);
    put("merges.txt", MERGES, strlen(MERGES));
    put("added_tokens.json", added, sizeof added - 1);
    assert_string_equal(clip_bpe_convert(&a, clip_bpe_open(&a, dir), "a <c>"), "a <c>");
    put("vocab.json", VOCAB, strlen(VOCAB));
    put("added_tokens.json", both, sizeof both - 1);
    assert_string_equal(clip_bpe_convert(&a, clip_bpe_open(&a, dir), "a <c>"), "a <c> <c>_1");
    arena_free(&a);
    clear();
}

/* Thousands of added tokens that agree in all but their end, and a text that agrees with them again and again: in time that does not grow
   with the product of the two. Where it did, so many rounds would take minutes, and SIGPROF ends them. */
static void test_added_linear(void **state) {
    (void)state;
    enum { N = 2000, TEXT = 60000, ROUNDS = 40, CPU_SECONDS = 40 };
    struct arena a = {0};
    char *added = arena_alloc(&a, N * 340), *end = added, *text = arena_alloc(&a, TEXT + 1);
    for (int i = 0; i < N; i++) end += sprintf(end, "%s\"%0300d<%d>\":%d", i ? "," : "{", 0, i, 8 + i);
    strcpy(end, "}");
    memset(text, '0', TEXT);
    clear();
    put("vocab.json", VOCAB, strlen(VOCAB));
    put("merges.txt", MERGES, strlen(MERGES));
    put("added_tokens.json", added, strlen(added));
    const struct clip_bpe *t = clip_bpe_open(&a, dir);
    int n;
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = CPU_SECONDS}, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena scratch = {0};
        clip_bpe_pieces(&scratch, t, text, &n);
        assert_true(n > 0);
        arena_free(&scratch);
    }
    setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
    memcpy(text + 1000, text, 300);
    memcpy(text + 1300, "<1234>", 6);
    struct clip_piece *pieces = clip_bpe_pieces(&a, t, text, &n);
    int found = 0;
    for (int i = 0; i < n; i++) found += pieces[i].id == 8 + 1234 && pieces[i].begin == 1000 && pieces[i].end == 1306;
    assert_int_equal(found, 1);
    arena_free(&a);
    clear();
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    clear();
    return rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_missing),   cmocka_unit_test(test_many_tokens),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_chain),     cmocka_unit_test(test_tokenizer_json),
        cmocka_unit_test(test_converted), cmocka_unit_test(test_no_vector), cmocka_unit_test(test_added_linear),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
