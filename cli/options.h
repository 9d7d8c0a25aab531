/* The command line: the tables of settings and options (settings_table.c, option_table.c), from which parsing, --help and --completion
 * come. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include "cli/shard.h"
#include "engine/base/arena.h"
#include "engine/base/file.h"
#include "engine/pipelines/settings.h"

enum { TEXT_MAX = 64 << 10 }; /* of a prompt, bytes */

enum command { CMD_GENERATE, CMD_INSPECT, CMD_TOKENS, CMD_SHOW_SCHEDULE, CMD_LIST_SCHEDULERS, CMD_LIST_MODELS, CMD_INFO, CMD_VERIFY };
enum device_kind { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };
enum archive { ARCHIVE_NONE, ARCHIVE_TAR };
enum halt { HALT_NEVER, HALT_SOON, HALT_NOW };
enum when { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

struct recorded;
struct scheduler;
struct sweep;

struct options {
    enum command command;
    /* prompt: valid UTF-8, at most 64 KiB; read from stdin already where it was "-"; NULL where none was given: some models take none.
     * negative NULL: absent, which some pipelines tell apart from "". model: -m, else DIFFUSE_MODEL, else the shipped one; NULL only with
     * CMD_LIST_SCHEDULERS, CMD_LIST_MODELS and CMD_INFO, and with CMD_VERIFY, where it is what -m says alone. scheduler:
     * "NAME[,key=value…]", NAME known to scheduler_find. seed + count - 1 does not wrap. */
    struct settings settings;
    const char *output;                    /* template, checked and completed by template_resolve; "-" = PNG on stdout */
    const char *batch;                     /* jobs, a line each: a file, or "-"; NULL: none. output is then the default of each */
    struct sweep *sweep;                   /* --sweep: its jobs are drawn as a batch's; NULL: none */
    const char *sheet;                     /* all pictures on one, in this file; NULL: no */
    const char *id;                        /* of the job under way */
    struct shard shard;                    /* which of the jobs */
    enum halt halt;                        /* what a job that fails does to those behind it */
    const char *manifest;                  /* a file, or NULL */
    enum archive archive;                  /* of the batch's pictures, on stdout; output names the entries */
    bool resume;                           /* what is there of the same request stays and is not drawn */
    const struct recorded *from;           /* --from: the picture whose settings these are where nothing else was said; NULL: none */
    int elsewhere_width, elsewhere_height; /* given by it or DIFFUSE_OPTIONS_FILE: there to be changed unsaid */
    const char **pictures;                 /* of CMD_INFO and CMD_VERIFY */
    int n_pictures;
    const char *tokens_text;    /* --tokens TEXT, checked as the prompt is */
    const char *dtype;          /* one of compute_words */
    const char *dtype_recorded; /* == dtype: a picture's, taken where the device can */
    enum device_kind device;
    bool device_given;              /* by --device or DIFFUSE_DEVICE */
    int device_index;               /* -1: any */
    int threads;                    /* 0: one per core */
    int offload;                    /* enum offload */
    const char *preview;            /* a file with the picture on its way, or NULL */
    int save_every;                 /* also save the picture after every so many rows; 0: no */
    int quality;                    /* 1 to 100, of JPEG and WebP; 0: not given */
    int bench;                      /* runs to measure; 0: draw */
    const struct scheduler *listed; /* --list schedulers=NAME, or NULL */
    bool mkdirs;
    bool dry_run, json, null_separated;
    bool tsv; /* with CMD_SHOW_SCHEDULE alone */
    enum on_exists on_exists;
    int verbose; /* -v count */
    bool quiet;
    const char *size_note, *exists_note, *from_note, *again_note; /* what is odd about the order they were given in, or NULL */
    /* Names as they were given on the command line, or NULL: the first option of drawing, the first setting that a --from behind it would
     * replace, the one that said on_exists. */
    const char *of_drawing, *before_from, *exists_option;
    const char *
        *given; /* [option_count()] the value the command line gave the row last, "" where it takes none, NULL where it is not there */
    const char **settled; /* the same of what was given behind the prompt: of no alias, there to be changed */
    bool behind_prompt;   /* what is being read */
    enum when progress, color;
    const char *metadata; /* "full", "minimal", "none" */
};

/* Parses and checks argv; dies FAIL_USAGE with one line that names the option. --help, --version and --completion print to stdout
 * and exit 0. Sets error_quiet. What is odd about the prompt is said on stderr. */
void options_parse(struct arena *a, struct options *o, int argc, char **argv);
/* Many jobs with one model: of a batch or a sweep. */
static inline bool options_many(const struct options *o) {
    return o->batch || o->sweep;
}

/* The type a picture was drawn in becomes o's, where it is one; NULL: none. */
extern const char *const compute_words[]; /* what --dtype takes, "auto" first */
void options_take_dtype(struct options *o, const char *recorded);
/* Is -j or --json among the words, as far as can be told before they are parsed: what is wrong with them is then said as an event. */
bool options_ask_json(int argc, char **argv);
/* The same of --progress-fd; 0: no. */
int options_ask_progress(int argc, char **argv);

#endif
