#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/combinations.h"
#include "cli/events.h"
#include "cli/find_model.h"
#include "cli/foreign.h"
#include "cli/option_table.h"
#include "cli/options_file.h"
#include "cli/prompt_notes.h"
#include "cli/recorded.h"
#include "cli/settings_table.h"
#include "cli/resume.h"
#include "cli/sweep.h"
#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "engine/base/sys.h"
#include "engine/base/text.h"

enum { LONG_BASE = 256 /* getopt's value of row i is LONG_BASE + i */, OPERAND = 1 };

#define TRY_HELP "try 'diffuse --help'"

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const char *read_stdin(struct arena *a, const char *what) {
    char *text = arena_alloc(a, TEXT_MAX + 2);
    size_t n = 0;
    while (n <= TEXT_MAX) {
        ssize_t k = sys.read(STDIN_FILENO, text + n, TEXT_MAX + 1 - n);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) die(error_code(errno, FAIL_INPUT), "%s: standard input: %s", what, strerror(errno));
        if (k == 0) break;
        n += (size_t)k;
    }
    text[n] = 0;
    if (memchr(text, 0, n)) die(FAIL_USAGE, "%s: standard input: expected text, found a NUL byte at offset %zu", what, strlen(text));
    while (n && n <= TEXT_MAX && (text[n - 1] == '\n' || text[n - 1] == '\r')) text[--n] = 0;
    if (!n) warn("%s: standard input is empty", what);
    return text;
}

static bool is_dash(const char *text) {
    return text && !strcmp(text, "-");
}

/* "-" is read from stdin where may_read. */
static const char *take_text(struct arena *a, const char *text, const char *name, bool may_read) {
    if (may_read && is_dash(text)) text = read_stdin(a, name);
    options_check_text(name, text);
    return text;
}

/* ---- getopt ------------------------------------------------------------------------------------------------------ */

static struct option *long_options(struct arena *a) {
    struct option *list = arena_array(a, (size_t)option_count() + 1, sizeof *list);
    for (int i = 0; i < option_count(); i++) {
        const struct field *f = option_row(i);
        list[i] = (struct option){f->name, f->argument ? required_argument : no_argument, NULL, LONG_BASE + i};
    }
    return list;
}

/* "-" makes getopt return operands in place as OPERAND, whatever POSIXLY_CORRECT says; ":" makes it tell a missing argument from an
 * unknown option. */
static const char *short_options(struct arena *a) {
    const char *list = "-:";
    for (int i = 0; i < option_count(); i++)
        if (option_row(i)->letter) list = arena_printf(a, "%s%c%s", list, option_row(i)->letter, option_row(i)->argument ? ":" : "");
    return list;
}

/* The row for getopt's value, or -1. */
static int find_option(int value) {
    if (value >= LONG_BASE && value < LONG_BASE + option_count()) return value - LONG_BASE;
    for (int i = 0; i < option_count(); i++)
        if (value && option_row(i)->letter == value) return i;
    return -1;
}

/* The row with the n bytes as its name, '_' for '-' where `loose`; or -1. */
static int row_named(const char *name, size_t n, bool loose) {
    for (int i = 0; i < option_count(); i++) {
        const char *own = option_row(i)->name;
        size_t k = 0;
        while (k < n && own[k] && (own[k] == name[k] || (loose && own[k] == '-' && name[k] == '_'))) k++;
        if (k == n && !own[k]) return i;
    }
    return -1;
}

/* word: the whole argument; a blank in it makes it more likely a prompt. */
static const char *option_hint(struct arena *a, const char *name, const char *word) {
    const char **names = arena_array(a, (size_t)option_count() + 1, sizeof *names);
    for (int i = 0; i < option_count(); i++) names[i] = option_row(i)->name;
    const char *near = suggest(name, names);
    if (strchr(word, ' ')) return "a prompt that starts with '-' goes after '--'";
    return near ? arena_printf(a, "did you mean --%s?", near) : TRY_HELP;
}

/* The names that the ambiguous abbreviation could stand for, or "" where there is none. */
static const char *abbreviated(struct arena *a, const char *name, size_t n) {
    const char *list = "";
    for (int i = 0; i < option_count(); i++)
        if (n && !strncmp(option_row(i)->name, name, n)) list = arena_printf(a, "%s%s--%s", list, *list ? ", " : "", option_row(i)->name);
    return list;
}

static _Noreturn void die_unknown(struct arena *a, const char *word) {
    if (optopt >= LONG_BASE) die(FAIL_USAGE, "--%s: takes no value", option_row(find_option(optopt))->name);
    if (strncmp(word, "--", 2)) {
        const char *in = strlen(word) > 2 ? arena_printf(a, " in '%s'", word) : "", *ours = foreign_letter((char)optopt);
        die_hint(FAIL_USAGE, ours ? ours : option_hint(a, word + 1, word), "unknown option '-%c'%s", optopt, in);
    }
    size_t n = strcspn(word + 2, "=");
    const char *matches = abbreviated(a, word + 2, n);
    if (*matches) die_hint(FAIL_USAGE, matches, "ambiguous option '%.*s'", (int)n + 2, word);
    die_hint(FAIL_USAGE, option_hint(a, arena_printf(a, "%.*s", (int)n, word + 2), word), "unknown option '%.*s'", (int)n + 2, word);
}

/* What follows one dash is letters: a long option's name there, or a '=' before a letter's value, would be read as another value than is
 * meant
 * ("-output=x.png" as the file "utput=x.png"). */
static void check_letters(struct arena *a, const char *word) {
    const char *name = word + 1;
    size_t n = strcspn(name, "=");
    if (n > 2 && (row_named(name, n, true) >= 0 || foreign_option(name, n)))
        die_hint(FAIL_USAGE, arena_printf(a, "long options have two dashes: -%s", word), "unknown option '%.*s'", (int)n + 1, word);
    if (n == 1 && name[n] && find_option(*name) >= 0 && option_row(find_option(*name))->argument)
        die_hint(FAIL_USAGE, arena_printf(a, "-%c %s", *name, name + 2), "'%s': expected the value without '='", word);
}

/* A value in a word of its own that is an option: the value was forgotten. */
static void check_value(struct arena *a, const char *name, const struct field *f, const char *value) {
    bool letter = value[0] == '-' && value[1] && !value[2] && find_option(value[1]) >= 0;
    bool other = !strncmp(value, "--", 2) && (!value[2] || row_named(value + 2, strcspn(value + 2, "="), true) >= 0);
    if (letter || other)
        die_hint(FAIL_USAGE, arena_printf(a, "--%s=%s, if it is meant", f->name, value), "%s: expected %s after it, found the option '%s'",
                 name, f->argument, value);
}

struct operands {
    const char **words;
    int n;
};

static void take_operand(struct operands *o, const char *word) {
    o->words[o->n++] = word;
}

/* The later option holds; what it takes back is said. */
static void note_size(struct arena *a, struct options *o, const struct settings *before, const struct given *later) {
    bool elsewhere = before->width == o->elsewhere_width && before->height == o->elsewhere_height;
    int width = elsewhere ? 0 : before->width, height = elsewhere ? 0 : before->height;
    if ((!width || width == o->settings.width) && (!height || height == o->settings.height)) return;
    const char *earlier = width && height ? arena_printf(a, "%dx%d", width, height)
                                          : arena_printf(a, width ? "width %d" : "height %d", width ? width : height);
    o->size_note = arena_printf(a, "%s %s: given after %s, and holds", later->name, later->value, earlier);
}

/* typed: the name in full as it was typed, NULL for a letter; apart: the value is a word of its own. */
static void take_option(struct arena *a, struct options *o, int row, const char *typed, const char *value, bool apart) {
    const struct field *f = option_row(row);
    const char *name = arena_printf(a, "--%s", typed ? typed : f->name);
    if (apart) check_value(a, name, f, value);
    if (f->argument && !value) die(FAIL_USAGE, "%s: expected %s after it, found nothing", name, f->argument);
    struct given g = {.arena = a, .base = option_base(o, row), .field = f, .name = name, .value = value};
    struct settings before = o->settings;
    f->kind->set(&g);
    note_size(a, o, &before, &g);
    options_note(a, o, row, name, value);
}

static _Noreturn void die_foreign(const struct foreign_option *f, const char *word, size_t n) {
    const char *what = f->unsupported ? "option '%.*s' is not supported" : "unknown option '%.*s'";
    char message[256];
    snprintf(message, sizeof message, what, (int)n + 2, word);
    if (f->hint) die_hint(FAIL_USAGE, f->hint, "%s", message);
    die(FAIL_USAGE, "%s", message);
}

/* A long option, argv[at], that is none of ours as it stands, though getopt may take it for an abbreviation of one: ours with '_' for '-',
 * or another program's. False: neither. */
static bool take_foreign(struct arena *a, struct options *o, int argc, char **argv, int at) {
    const char *word = argv[at], *name = word + 2;
    if (strncmp(word, "--", 2)) return false;
    size_t n = strcspn(name, "=");
    int row = row_named(name, n, true);
    if (row >= 0 && row == row_named(name, n, false)) return false;
    const struct foreign_option *f = row < 0 ? foreign_option(name, n) : NULL;
    if (row < 0 && !f) return false;
    if (f && !f->ours) die_foreign(f, word, n);
    if (f) row = row_named(f->ours, strlen(f->ours), false);
    const char *value = name[n] ? name + n + 1 : NULL;
    bool takes_one = option_row(row)->argument, apart = takes_one && !value && at + 1 < argc;
    if (value && !takes_one) die(FAIL_USAGE, "%.*s: takes no value", (int)n + 2, word);
    optind = at + 1;
    if (apart) value = argv[optind++];
    take_option(a, o, row, arena_printf(a, "%.*s", (int)n, name), value, apart);
    return true;
}

/* Stores every option; returns the operands. */
static struct operands parse_words(struct arena *a, struct options *o, int argc, char **argv) {
    struct operands operands = {.words = arena_array(a, (size_t)argc, sizeof *operands.words)};
    const struct option *longs = long_options(a);
    const char *shorts = short_options(a);
    optind = 0; /* glibc: start over, for tests that parse twice */
    for (int c, at = 1, typed = -1; (c = getopt_long(argc, argv, shorts, longs, &typed)) != -1; at = optind, typed = -1) {
        if (c != OPERAND && take_foreign(a, o, argc, argv, at)) continue;
        if (c != OPERAND && argv[at][1] != '-') check_letters(a, argv[at]);
        if (c == '?') die_unknown(a, argv[at]);
        if (c == OPERAND) take_operand(&operands, optarg), o->behind_prompt = true;
        else
            take_option(a, o, find_option(c == ':' ? optopt : c), typed < 0 ? NULL : longs[typed].name, c == ':' ? NULL : optarg,
                        c != ':' && optarg && optarg == argv[optind - 1]);
    }
    while (optind < argc) take_operand(&operands, argv[optind++]);
    return operands;
}

struct file_options {
    struct arena *arena;
    struct options *options;
};

static void take_line(void *data, int argc, char **argv) {
    struct file_options *f = data;
    struct operands operands = parse_words(f->arena, f->options, argc, argv);
    if (f->options->json) events_enable(true); /* what is wrong behind it is an event */
    if (operands.n) die(FAIL_USAGE, "expected options, found '%s'", operands.words[0]);
}

/* DIFFUSE_OPTIONS_FILE's come before those of the command line. */
static void take_options_file(struct arena *a, struct options *o) {
    const char *path = getenv("DIFFUSE_OPTIONS_FILE");
    if (!path || !*path) return;
    options_file_read(a, path, take_line, &(struct file_options){a, o});
    o->elsewhere_width = o->settings.width;
    o->elsewhere_height = o->settings.height;
    o->of_drawing = o->before_from = o->exists_option = NULL;
    memset(o->given, 0, (size_t)option_count() * sizeof *o->given);
    memset(o->settled, 0, (size_t)option_count() * sizeof *o->settled);
    o->behind_prompt = false;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void options_take_dtype(struct options *o, const char *recorded) {
    for (int i = 0; recorded && compute_words[i]; i++)
        if (!strcmp(recorded, compute_words[i])) o->dtype = o->dtype_recorded = recorded;
}

/* The prompt, NULL where there is none; pictures are others' operands. */
static const char *check_operands(struct options *o, struct operands operands) {
    bool pictures = o->command == CMD_INFO || o->command == CMD_VERIFY;
    const char *name = o->command == CMD_INFO ? "--info" : "--verify";
    if (pictures && !operands.n) die(FAIL_USAGE, "%s: expected pictures, found none", name);
    if (pictures && (o->batch || o->from))
        die(FAIL_USAGE, "%s and %s: the operands are the pictures", name, o->batch ? "--batch" : "--from");
    if (pictures && o->of_drawing) die(FAIL_USAGE, "%s and %s: the pictures' own settings are what counts", name, o->of_drawing);
    if (pictures) {
        o->pictures = operands.words;
        o->n_pictures = operands.n;
        return NULL;
    }
    if (operands.n > 1)
        die_hint(FAIL_USAGE, "put a prompt of several words in quotes", "expected one prompt, found a second: '%s'", operands.words[1]);
    return operands.n ? operands.words[0] : NULL;
}

static void check_prompt(struct arena *a, struct options *o, const char *operand) {
    struct settings *s = &o->settings;
    const char *recorded = o->from ? recorded_value(o->from, "prompt") : NULL;
    if (s->prompt && operand && s->prompt != recorded) die(FAIL_USAGE, "--prompt and a prompt operand: expected one of them");
    if (o->tokens_text && (s->prompt || operand)) die(FAIL_USAGE, "--tokens and a prompt: expected one text");
    bool draws = o->command == CMD_GENERATE;
    const char *given = operand ? operand : s->prompt;
    bool may_read = draws && given != recorded;
    if (may_read && is_dash(given) && (is_dash(s->image) || is_dash(s->mask)))
        die(FAIL_USAGE, "--%s and the prompt: both read standard input", is_dash(s->image) ? "image" : "mask");
    s->prompt = take_text(a, given, "prompt", may_read);
    if (s->prompt && draws) prompt_notes(s->prompt, s->prompt != given, s);
    options_check_text("--negative", s->negative);
    if (s->negative && draws) negative_notes(s->negative, s);
    o->tokens_text = take_text(a, o->tokens_text, "--tokens", true);
}

/* DIFFUSE_DEVICE, where --device was not given. */
static void take_device_variable(struct arena *a, struct options *o) {
    const char *value = getenv("DIFFUSE_DEVICE");
    if (o->device_given || !value || !*value) return;
    int row = row_named("device", 6, false);
    struct given g = {.arena = a, .base = o, .field = option_row(row), .name = "DIFFUSE_DEVICE", .value = value};
    g.field->kind->set(&g);
}

bool options_ask_json(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        const char *word = argv[i];
        if (!strcmp(word, "--json")) return true;
        if (word[0] == '-' && word[1] && !word[1 + strspn(word + 1, "fjqv0")] && strchr(word, 'j')) return true;
    }
    return false;
}

int options_ask_progress(int argc, char **argv) {
    static const char name[] = "--progress-fd";
    uint64_t fd = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        const char *value = strncmp(argv[i], name, sizeof name - 1) ? NULL : argv[i] + sizeof name - 1;
        if (value && *value == '=') value++;
        else if (value && !*value && i + 1 < argc) value = argv[i + 1];
        else value = NULL;
        if (value && (!parse_digits(value, &fd) || fd > INT_MAX)) fd = 0;
    }
    return (int)fd;
}

void options_parse(struct arena *a, struct options *o, int argc, char **argv) {
    static char *no_words[] = {"diffuse", NULL};
    *o = options_defaults(a);
    take_options_file(a, o);
    struct operands operands = argc > 0 ? parse_words(a, o, argc, argv) : parse_words(a, o, 1, no_words);
    struct settings *s = &o->settings;
    error_quiet = o->quiet;
    const char *const notes[] = {o->size_note, o->exists_note, o->from_note, o->again_note};
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if (notes[i]) warn("%s", notes[i]);
    if (o->command != CMD_GENERATE) events_enable(false); /* these print one object, or nothing */
    take_device_variable(a, o);
    const char *operand = check_operands(o, operands);
    if (o->from) recorded_warn(o->from);
    if (o->command != CMD_VERIFY) s->model = find_model(a, s->model, o->from);
    options_check_combinations(a, o, operand ? operand : s->prompt);
    options_note_beside(o);
    check_prompt(a, o, operand);
    if (!s->model && !s->prompt && !options_many(o) && o->command == CMD_GENERATE)
        die_hint(FAIL_USAGE, TRY_HELP, "expected a prompt, found none");
    bool needs_model = o->command != CMD_LIST_SCHEDULERS && o->command != CMD_LIST_MODELS && o->command != CMD_INFO;
    if (!s->model && needs_model && o->command != CMD_VERIFY)
        die_hint(FAIL_USAGE, "-m DIR, or DIFFUSE_MODEL in the environment", "expected a model, found none");
    if (!options_many(o) && o->command == CMD_GENERATE) resume_check(o);
    if (!s->seed_given) s->seed = rng_random_seed();
    if (o->sweep && !s->seed_given && !sweep_has(o->sweep, "seed")) { /* one for all */
        if (o->resume) die_hint(FAIL_USAGE, "-s N", "--resume and --sweep: expected a seed, found none");
        if (!o->quiet) fprintf(stderr, "seed %llu\n", (unsigned long long)s->seed);
        s->seed_given = true;
    }
    if (!options_many(o)) options_check_picture(o); /* each job is checked by itself */
}
