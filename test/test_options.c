#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/option_table.h"
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "schedulers/scheduler.h"

enum { WORDS_MAX = 32 };

static struct arena arena;
static struct options options;
static struct job job;

/* Returns the exit code, 0 where the words are good. What they say is in `options`, the message in `job`. */
static int parse_argv(int argc, char **argv) {
    arena_free(&arena);
    if (job_enter(&job)) {
        options_parse(&arena, &options, argc, argv);
        job_leave(&job);
        return 0;
    }
    return job.code;
}

/* The blank-separated words ("~" stands for an empty one), then the prompt. */
static int parse_with(const char *words, const char *prompt) {
    static char copy[4096];
    char *argv[WORDS_MAX + 3] = {"diffuse"}, *rest = copy;
    int argc = 1;
    assert_true(strlen(words) < sizeof copy);
    strcpy(copy, words);
    for (char *word; *copy && (word = strsep(&rest, " ")); argc++) {
        assert_true(argc <= WORDS_MAX);
        argv[argc] = strcmp(word, "~") ? word : "";
    }
    if (prompt) argv[argc++] = (char *)prompt;
    return parse_argv(argc, argv);
}

static int parse(const char *words) {
    return parse_with(words, "x");
}

static void expect_usage(const char *words, const char *message) {
    int code = parse(words);
    if (code != FAIL_USAGE) fail_msg("%s: got exit code %d, want %d", words, code, FAIL_USAGE);
    if (strcmp(job.message, message)) fail_msg("%s:\n got  %s\n want %s", words, job.message, message);
}

static int set_up(void **state) {
    (void)state;
    setenv("DIFFUSE_MODEL", "some-model", 1);
    return 0;
}

static void test_defaults(void **state) {
    (void)state;
    assert_int_equal(parse(""), 0);
    assert_int_equal(options.command, CMD_GENERATE);
    assert_string_equal(options.settings.prompt, "x");
    assert_null(options.settings.negative);
    assert_string_equal(options.output, "diffuse-{seed}.png");
    assert_string_equal(options.settings.model, "some-model");
    assert_false(options.settings.seed_given);
    assert_int_equal(options.settings.count, 1);
    assert_int_equal(options.settings.steps, 0);
    assert_true(isnan(options.settings.guidance));
    assert_int_equal(options.settings.clip_skip, 0);
    assert_int_equal(options.settings.width + options.settings.height, 0);
    assert_null(options.settings.scheduler);
    assert_int_equal(options.settings.rng, RNG_CPU);
    assert_int_equal(options.settings.rng_gpu.n_sms, 0);
    assert_int_equal(options.settings.rng_dtype, DT_F32);
    assert_string_equal(options.dtype, "auto");
    assert_false(options.settings.vae_dtype_given);
    assert_int_equal(options.bench, 0);
    assert_int_equal(options.device, DEVICE_AUTO);
    assert_int_equal(options.device_index, -1);
    assert_int_equal(options.on_exists, EXISTS_ERROR);
    assert_string_equal(options.metadata, "full");
}

static void test_values(void **state) {
    (void)state;
    assert_int_equal(parse("-m dir -n bad -s 0xff -c 3 --steps 7 -g 1e1 --guidance-rescale .5 -W 64 -H 72 --rng cuda:108"), 0);
    assert_string_equal(options.settings.model, "dir");
    assert_string_equal(options.settings.negative, "bad");
    assert_true(options.settings.seed_given && options.settings.seed == 255);
    assert_int_equal(options.settings.count, 3);
    assert_int_equal(options.settings.steps, 7);
    assert_true(options.settings.guidance == 10 && options.settings.guidance_rescale == 0.5);
    assert_int_equal(options.settings.width, 64);
    assert_int_equal(options.settings.height, 72);
    assert_int_equal(options.settings.rng, RNG_CUDA);
    assert_true(options.settings.rng_gpu.n_sms == 108 && options.settings.rng_gpu.threads_per_sm == 2048);
    assert_int_equal(parse("--cfg-scale=3 --size 512X768 --eta 1 --clip-skip 2 --device cuda:1 --threads 2 --rng-dtype bf16 -qvv0"), 0);
    assert_true(options.settings.guidance == 3 && options.settings.eta == 1);
    assert_int_equal(options.settings.width, 512);
    assert_int_equal(options.settings.height, 768);
    assert_int_equal(options.settings.clip_skip, 2);
    assert_int_equal(options.device, DEVICE_CUDA);
    assert_int_equal(options.device_index, 1);
    assert_int_equal(options.threads, 2);
    assert_int_equal(options.settings.rng_dtype, DT_BF16);
    assert_int_equal(options.verbose, 2);
    assert_true(options.quiet && options.null_separated);
    assert_int_equal(parse("-s 18446744073709551615 --dump d --latents l --variant v --progress never --color always --metadata none"), 0);
    assert_true(options.settings.seed == UINT64_MAX);
    assert_string_equal(options.settings.dump, "d");
    assert_string_equal(options.settings.latents, "l");
    assert_string_equal(options.settings.variant, "v");
    assert_int_equal(options.progress, WHEN_NEVER);
    assert_int_equal(options.color, WHEN_ALWAYS);
    assert_string_equal(options.metadata, "none");
    assert_int_equal(parse("--dtype fp16 --vae-dtype bf16 --bench 7"), 0);
    assert_string_equal(options.dtype, "fp16");
    assert_true(options.settings.vae_dtype_given && options.settings.vae_dtype == DT_BF16);
    assert_int_equal(options.bench, 7);
}

static void test_last_one_wins(void **state) {
    (void)state;
    assert_int_equal(parse("--steps 5 -f --steps 6 --on-exists skip --device cuda:3 --device cuda"), 0);
    assert_int_equal(options.settings.steps, 6);
    assert_int_equal(options.on_exists, EXISTS_SKIP);
    assert_int_equal(options.device_index, -1);
    assert_int_equal(parse("--on-exists skip -f"), 0);
    assert_int_equal(options.on_exists, EXISTS_OVERWRITE);
    assert_int_equal(parse("-f --no-clobber"), 0);
    assert_int_equal(options.on_exists, EXISTS_NUMBER);
}

/* The GPU whose noise is drawn. */
static void test_rng(void **state) {
    (void)state;
    static const struct {
        const char *words;
        struct rng_gpu gpu;
    } good[] = {{"--rng cuda", {0, 0}},
                {"--rng cuda:t4", {40, 1024}},
                {"--rng cuda:RTX-3060", {28, 1536}},
                {"--rng cuda:NVIDIA_GeForce_RTX_4090", {128, 1536}},
                {"--rng cuda:28x1536", {28, 1536}},
                {"--rng cuda:1X256", {1, 256}},
                {"--rng cuda:1024x4096", {1024, 4096}}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(parse(good[i].words), 0);
        struct rng_gpu gpu = options.settings.rng_gpu;
        assert_true(options.settings.rng == RNG_CUDA && gpu.n_sms == good[i].gpu.n_sms && gpu.threads_per_sm == good[i].gpu.threads_per_sm);
    }
    static const char *const bad[] = {"", "0", "1025", "28x", "28x255", "28x4097", "x1536", "28x1536x", "-1", "28 x1536", "t"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char value[64];
        snprintf(value, sizeof value, "--rng=cuda:%s", bad[i]);
        char *argv[] = {"diffuse", value, "x"};
        if (parse_argv(3, argv) != FAIL_USAGE) fail_msg("%s is taken", value);
    }
    expect_usage("--rng cuda:rtx3061", "--rng: unknown GPU 'cuda:rtx3061'");
    assert_string_equal(job.hint, "did you mean cuda:rtx3060?");
}

static void test_scheduler(void **state) {
    (void)state;
    const char *known = schedulers[0]->names[0];
    char words[256];
    snprintf(words, sizeof words, "-x %s,eta=1,beta=2", known);
    assert_int_equal(parse(words), 0);
    assert_string_equal(options.settings.scheduler, words + 3);
    assert_int_equal(parse("-x ,eta=1"), 0);
    assert_int_equal(parse("-x dpm++2m:karras"), 0); /* options are the scheduler's to judge */
    expect_usage("-x nonesuch", "--scheduler: unknown scheduler 'nonesuch'");
}

static void test_bad_values(void **state) {
    (void)state;
#define SEED "--seed: expected a whole number from 0 to 18446744073709551615, found "
    expect_usage("-s -2", SEED "'-2'");
    expect_usage("-s 18446744073709551616", SEED "'18446744073709551616'");
    expect_usage("-s 1.5", SEED "'1.5'");
    expect_usage("-s 7x", SEED "'7x'");
    expect_usage("-s ~", SEED "''");
    expect_usage("-s 0x", SEED "'0x'");
    char *blank[] = {"diffuse", "-s", " 7", "x", NULL};
    assert_int_equal(parse_argv(4, blank), FAIL_USAGE);
    assert_string_equal(job.message, SEED "' 7'");
#define STEPS "--steps: expected a whole number from 1 to 1000000, found "
    expect_usage("--steps 0", STEPS "'0'");
    expect_usage("--steps -3", STEPS "'-3'");
    expect_usage("--steps 1000000000", STEPS "'1000000000'");
    expect_usage("--steps 1.5", STEPS "'1.5'");
    expect_usage("--steps 0x10", STEPS "'0x10'");
    expect_usage("--steps 99999999999999999999", STEPS "'99999999999999999999'");
    expect_usage("--steps +1", STEPS "'+1'");
#define GUIDANCE "--guidance: expected a number from 0 to 100, found "
    expect_usage("-g nan", GUIDANCE "'nan'");
    expect_usage("-g inf", GUIDANCE "'inf'");
    expect_usage("-g 1e39", GUIDANCE "'1e39'");
    expect_usage("-g ~", GUIDANCE "''");
    expect_usage("-g 7,5", GUIDANCE "'7,5'");
    expect_usage("-g -1", GUIDANCE "'-1'");
    expect_usage("--cfg-scale 101", "--cfg-scale: expected a number from 0 to 100, found '101'");
    expect_usage("--eta 1.1", "--eta: expected a number from 0 to 1, found '1.1'");
    expect_usage("-c 0", "--count: expected a whole number from 1 to 1000000000, found '0'");
    expect_usage("--threads 0", "--threads: expected a whole number from 1 to 1024, found '0'");
    expect_usage(
        "--rng cuda:0",
        "--rng: expected cuda:N or cuda:NxT, N multiprocessors (1 to 1024) of T threads (256 to 4096), or a GPU's name, found 'cuda:0'");
    expect_usage("--rng cpu:4", "--rng: expected cpu or cuda, found 'cpu:4'");
    expect_usage("--device cuda:x", "--device: expected cuda:N with N from 0 to 255, found 'cuda:x'");
    expect_usage("--dtype fp61", "--dtype: expected auto, fp32, fp16, bf16 or bf16x3, found 'fp61'");
    expect_usage("--dtype q8_0", "--dtype: expected auto, fp32, fp16, bf16 or bf16x3, found 'q8_0'");
    expect_usage("--vae-dtype int8", "--vae-dtype: expected auto, fp32, fp16 or bf16, found 'int8'");
    expect_usage("--bench 0", "--bench: expected a whole number from 1 to 1000000, found '0'");
    expect_usage("-o ~", "--output: expected FILE, found an empty string");
    expect_usage("--list samplers", "--list: expected schedulers or models, found 'samplers'");
}

static void test_bad_sizes(void **state) {
    (void)state;
#define SIDE ": expected a multiple of 8 from 8 to 8192, found "
    expect_usage("-W 0", "--width" SIDE "'0'; the nearest is 8");
    expect_usage("-W 7", "--width" SIDE "'7'; the nearest is 8");
    expect_usage("-H 511", "--height" SIDE "'511'; the nearest are 504 and 512");
    expect_usage("-H 8191", "--height" SIDE "'8191'; the nearest are 8184 and 8192");
    expect_usage("-W 1000000", "--width" SIDE "'1000000'; the nearest is 8192");
    expect_usage("-W 0x40", "--width" SIDE "'0x40'");
    expect_usage("--size 512x", "--size: height" SIDE "''");
    expect_usage("--size 512X512x1", "--size: height" SIDE "'512x1'");
    expect_usage("--size 511", "--size" SIDE "'511'; the nearest are 504 and 512");
    assert_int_equal(parse("--size 512"), 0);
    assert_true(options.settings.width == 512 && options.settings.height == 512);
    const char *const same[] = {"512*768", "512 x 768",
                                "512\xc3\x97"
                                "768",
                                "512 X768"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char *words[] = {"diffuse", "--size", (char *)same[i], "x"};
        assert_int_equal(parse_argv(4, words), 0);
        assert_true(options.settings.width == 512 && options.settings.height == 768);
    }
#define BOTH "--size: expected WIDTHxHEIGHT, or one number, found "
    expect_usage("--size 512,768", BOTH "'512,768'");
    expect_usage("--size 512:768", BOTH "'512:768'");
    expect_usage("--size x512", BOTH "'x512'");
    expect_usage("--size ~", BOTH "''");
    expect_usage("--size 512px", BOTH "'512px'");
}

/* A long option's name behind one dash, a letter's value behind '=', an option where a value is due: what getopt takes for another value.
 */
static void test_values_that_are_not_meant(void **state) {
    (void)state;
    expect_usage("-output=y.png", "unknown option '-output'");
    expect_usage("-steps 4", "unknown option '-steps'");
    expect_usage("-prompt", "unknown option '-prompt'");
    expect_usage("-negative_prompt=bad", "unknown option '-negative_prompt'");
    expect_usage("-n=bad", "'-n=bad': expected the value without '='");
    expect_usage("-o=y.png", "'-o=y.png': expected the value without '='");
    expect_usage("-s=7", "'-s=7': expected the value without '='");
    expect_usage("-n -s 7", "--negative: expected TEXT after it, found the option '-s'");
    expect_usage("-o --dry-run", "--output: expected FILE after it, found the option '--dry-run'");
    expect_usage("--negative_prompt --steps=4", "--negative_prompt: expected TEXT after it, found the option '--steps=4'");
    expect_usage("-n -- y", "--negative: expected TEXT after it, found the option '--'");
    assert_int_equal(parse("--negative=-s -p=-s"), FAIL_USAGE);
    assert_int_equal(parse("--negative=-s -o -Q -n--rain"), 0);
    assert_string_equal(options.settings.negative, "--rain");
    assert_string_equal(options.output, "-Q");
}

static void test_unknown_options(void **state) {
    (void)state;
    expect_usage("-rf", "unknown option '-r' in '-rf'");
    expect_usage("-qZ", "unknown option '-Z' in '-qZ'");
    expect_usage("-r", "unknown option '-r'");
    expect_usage("--stepz=4", "unknown option '--stepz'");
    expect_usage("--quiet=1", "--quiet: takes no value");
    expect_usage("--st 4", "ambiguous option '--st'");
    assert_int_equal(parse("--ste 4"), 0);
    assert_int_equal(options.settings.steps, 4);
    assert_int_equal(parse_with("-o", NULL), FAIL_USAGE);
    assert_string_equal(job.message, "--output: expected FILE after it, found nothing");
}

static void test_combinations(void **state) {
    (void)state;
    expect_usage("-o - -c 2", "--output - and --count: expected one image on standard output");
    expect_usage("-o - -j", "--output - and --json: both write to standard output");
    expect_usage("-j -0", "--json and --null: JSON lines end with a newline");
    expect_usage("-p y", "--prompt and a prompt operand: expected one of them");
    expect_usage("--tokens y", "--tokens and a prompt: expected one text");
    expect_usage("y", "expected one prompt, found a second: 'x'");
    expect_usage("--bench 3 -o y", "--bench and --output: no picture is written");
    expect_usage("--bench 3 --inspect", "--bench: expected a picture to measure, found another command");
    expect_usage("--inspect --list schedulers",
                 "--list: another of --inspect, --info, --verify, --tokens, --show-schedule and --list is given too, expected one");
    expect_usage("-s 18446744073709551615 -c 2", "--seed and --count: the last seed would be beyond 18446744073709551615");
    assert_int_equal(parse("-s 18446744073709551614 -c 2"), 0);
}

static void test_prompts(void **state) {
    (void)state;
    static char long_text[(64 << 10) + 2];
    assert_int_equal(parse_with("", NULL), 0); /* some models take none: the pipeline decides */
    assert_null(options.settings.prompt);
    assert_int_equal(parse_with("", ""), 0);
    assert_string_equal(options.settings.prompt, "");
    assert_int_equal(parse_with("--", "-rf"), 0);
    assert_string_equal(options.settings.prompt, "-rf");
    assert_int_equal(parse_with("", "%s%n {seed} $(x) `x`"), 0);
    assert_string_equal(options.settings.prompt, "%s%n {seed} $(x) `x`");
    assert_int_equal(parse_with("", "ab\xff"), FAIL_USAGE);
    assert_string_equal(job.message, "prompt: expected UTF-8, found an invalid byte at offset 2");
    assert_int_equal(parse_with("-n \xc0\x80", "x"), FAIL_USAGE);
    assert_string_equal(job.message, "--negative: expected UTF-8, found an invalid byte at offset 0");
    memset(long_text, 'a', sizeof long_text - 2);
    assert_int_equal(parse_with("", long_text), 0);
    memset(long_text, 'a', sizeof long_text - 1);
    assert_int_equal(parse_with("", long_text), FAIL_USAGE);
    assert_string_equal(job.message, "prompt: expected at most 65536 bytes, found more");
}

static void test_order_does_not_matter(void **state) {
    (void)state;
    setenv("POSIXLY_CORRECT", "1", 1);
    char *argv[] = {"diffuse", "x", "--steps", "9", NULL};
    assert_int_equal(parse_argv(4, argv), 0);
    assert_int_equal(options.settings.steps, 9);
    assert_string_equal(options.settings.prompt, "x");
    unsetenv("POSIXLY_CORRECT");
}

/* Parses `-` with the n bytes on stdin; keeps the process's own. */
static int parse_stdin(const char *bytes, size_t n) {
    int saved = dup(STDIN_FILENO), file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(file >= 0 && write(file, bytes, n) == (ssize_t)n && lseek(file, 0, SEEK_SET) == 0);
    dup2(file, STDIN_FILENO);
    int code = parse_with("-q", "-");
    dup2(saved, STDIN_FILENO);
    close(file);
    close(saved);
    return code;
}

static void test_stdin(void **state) {
    (void)state;
    static char text[(64 << 10) + 2];
    assert_int_equal(parse_stdin("two\nlines\r\n\n", 12), 0);
    assert_string_equal(options.settings.prompt, "two\nlines");
    assert_int_equal(parse_stdin("", 0), 0);
    assert_string_equal(options.settings.prompt, "");
    assert_int_equal(parse_stdin("a\0b", 3), FAIL_USAGE);
    assert_string_equal(job.message, "prompt: standard input: expected text, found a NUL byte at offset 1");
    memset(text, 'a', sizeof text);
    assert_int_equal(parse_stdin(text, 64 << 10), 0);
    assert_int_equal(strlen(options.settings.prompt), 64 << 10);
    assert_int_equal(parse_stdin(text, sizeof text), FAIL_USAGE);
    assert_string_equal(job.message, "prompt: expected at most 65536 bytes, found more");
}

static void test_commands(void **state) {
    (void)state;
    assert_int_equal(parse("--show-schedule"), 0);
    assert_int_equal(options.command, CMD_SHOW_SCHEDULE);
    assert_int_equal(parse("--show-schedule --tsv"), 0);
    assert_true(options.tsv && options.command == CMD_SHOW_SCHEDULE);
    expect_usage("--show-schedule --tsv --json", "--json and --tsv: expected one of them");
    expect_usage("--tsv", "--tsv: expected --show-schedule with it, found none");
    assert_int_equal(parse_with("--inspect", NULL), 0);
    assert_int_equal(options.command, CMD_INSPECT);
    assert_int_equal(parse_with("--tokens", "a b"), 0);
    assert_int_equal(options.command, CMD_TOKENS);
    assert_string_equal(options.tokens_text, "a b");
    unsetenv("DIFFUSE_MODEL");
    assert_int_equal(parse_with("--list schedulers", NULL), 0);
    assert_int_equal(options.command, CMD_LIST_SCHEDULERS);
    for (int i = 0; i < 2; i++) { /* the shipped one */
        assert_int_equal(parse(""), 0);
        assert_non_null(strstr(options.settings.model, "models/doodle"));
        setenv("DIFFUSE_MODEL", "", 1);
    }
    setenv("DIFFUSE_MODEL", "some-model", 1);
}

static void test_odd_argv(void **state) {
    (void)state;
    char *none[] = {NULL};
    assert_int_equal(parse_argv(0, none), 0);
    assert_null(options.settings.prompt);
    size_t n = 2 << 20;
    char *huge = malloc(n + 1);
    memset(huge, 'a', n);
    huge[n] = 0;
    char *argv[] = {"diffuse", "--steps", huge, "x", NULL};
    assert_int_equal(parse_argv(4, argv), FAIL_USAGE);
    argv[1] = "-x";
    assert_int_equal(parse_argv(4, argv), FAIL_USAGE);
    argv[1] = "-W";
    assert_int_equal(parse_argv(4, argv), FAIL_USAGE);
    memcpy(huge, "--", 2);
    assert_int_equal(parse_argv(3, argv + 1), FAIL_USAGE);
    free(huge);
}

static void test_random_seeds_differ(void **state) {
    (void)state;
    assert_int_equal(parse(""), 0);
    uint64_t first = options.settings.seed;
    assert_int_equal(parse(""), 0);
    assert_true(first != options.settings.seed || parse("") || options.settings.seed != first); /* one in 2^64 */
}

static void test_table(void **state) {
    (void)state;
    for (int i = 0; i < option_count(); i++) {
        const struct field *s = option_row(i);
        assert_non_null(s->kind->set);
        assert_true(!s->recorded || (s->kind->write && i < n_settings_fields));
        assert_true(s->argument || !s->words);
        assert_true(s->help && *s->help);
        for (int k = 0; k < i; k++) {
            if (!strcmp(s->name, option_row(k)->name)) fail_msg("--%s is there twice", s->name);
            if (s->letter && s->letter == option_row(k)->letter) fail_msg("-%c is there twice", s->letter);
        }
    }
}

static void test_help(void **state) {
    (void)state;
    arena_free(&arena);
    const char *help = help_text(&arena);
    int lines = 0;
    for (const char *s = help; *s; lines++) {
        size_t n = strcspn(s, "\n"), columns = 0;
        for (size_t i = 0; i < n; i++) columns += (s[i] & 0xc0) != 0x80;
        if (columns > 80) fail_msg("%zu columns: %.*s", columns, (int)n, s);
        s += n + 1;
    }
    assert_true(lines > 40 && lines <= 64);
    for (int i = 0; i < option_count(); i++) {
        char name[64];
        snprintf(name, sizeof name, "--%s%s", option_row(i)->name, option_row(i)->argument ? "=" : " ");
        if (!strstr(help, name) != option_row(i)->rare) fail_msg("%s: in --help or not, against the table", name);
    }
    assert_non_null(strstr(version_text(&arena), "diffuse 0.1.0\n"));
}

static void test_completion(void **state) {
    (void)state;
    arena_free(&arena);
    const char *scripts[] = {completion_bash(&arena), completion_zsh(&arena), completion_fish(&arena)};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < option_count(); i++) {
            const char *name = arena_printf(&arena, k == 2 ? "-l %s " : "--%s", option_row(i)->name);
            if (!strstr(scripts[k], name)) fail_msg("script %d lacks %s", k, name);
        }
        assert_non_null(strstr(scripts[k], schedulers[0]->names[0]));
        assert_non_null(strstr(scripts[k], "full minimal none"));
    }
}

static int set_whole(struct options *o, int row, double value) {
    const struct field *f = option_row(row);
    struct given g = {
        .arena = &arena, .base = option_base(o, row), .field = f, .name = f->name, .value = arena_printf(&arena, "%.0f", value)};
    if (job_enter(&job)) {
        f->kind->set(&g);
        job_leave(&job);
        assert_int_equal(*(int *)field_value(&g), (int)value);
        return 0;
    }
    return job.code;
}

/* Both ends are allowed, and nothing beyond. */
static void test_ends(void **state) {
    (void)state;
    int n = 0;
    for (int i = 0; i < option_count(); i++) {
        const struct field *f = option_row(i);
        struct options o = options_defaults(&arena);
        if (f->kind != &kind_int) continue;
        if (set_whole(&o, i, f->min) || set_whole(&o, i, f->max)) fail_msg("--%s: an end is refused", f->name);
        if (!set_whole(&o, i, f->max + 1) || (f->min > 0 && !set_whole(&o, i, f->min - 1))) fail_msg("--%s: beyond its ends", f->name);
        n++;
    }
    assert_true(n >= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_last_one_wins),
        cmocka_unit_test(test_rng),
        cmocka_unit_test(test_scheduler),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_values_that_are_not_meant),
        cmocka_unit_test(test_unknown_options),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_stdin),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_odd_argv),
        cmocka_unit_test(test_random_seeds_differ),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_completion),
    };
    int failed = cmocka_run_group_tests(tests, set_up, NULL);
    arena_free(&arena);
    return failed;
}
