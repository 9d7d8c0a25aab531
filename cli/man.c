#include "cli/man.h"

#include "cli/option_table.h"
#include "cli/version.h"
#include "engine/base/buffer.h"

/* Text as roff prints it: '-' as itself, no escape, no request at the start of a line. */
static void add_text(struct buffer *b, const char *text) {
    if (*text == '.' || *text == '\'') buffer_printf(b, "\\&");
    for (; *text; text++) {
        if (*text == '-') buffer_printf(b, "\\-");
        else if (*text == '\\') buffer_printf(b, "\\e");
        else buffer_add(b, text, 1);
    }
}

static void add_option(struct buffer *b, const struct field *f) {
    buffer_printf(b, ".TP\n");
    if (f->letter) buffer_printf(b, "\\fB\\-%c\\fR, ", f->letter);
    buffer_printf(b, "\\fB\\-\\-");
    add_text(b, f->name);
    buffer_printf(b, "\\fR");
    if (f->argument) buffer_printf(b, "=\\fI");
    if (f->argument) add_text(b, f->argument);
    buffer_printf(b, "\\fR\n");
    add_text(b, f->help);
    if (f->preset) buffer_printf(b, "; default ");
    if (f->preset) add_text(b, f->preset);
    buffer_printf(b, ".\n");
    if (f->kind == &kind_int || f->kind == &kind_number) buffer_printf(b, "From %.0f to %.0f.\n", f->min, f->max);
}

static void add_options(struct buffer *b) {
    buffer_printf(b, ".SH OPTIONS\n");
    for (int g = 0; g < N_GROUPS; g++) {
        buffer_printf(b, ".SS %s\n", field_group_titles[g]);
        for (int i = 0; i < option_count(); i++)
            if (option_row(i)->group == (enum field_group)g) add_option(b, option_row(i));
    }
}

/* Pairs of a term and what it means. */
static void add_list(struct buffer *b, const char *title, const char *const (*pairs)[2], int n) {
    buffer_printf(b, ".SH %s\n", title);
    for (int i = 0; i < n; i++) {
        buffer_printf(b, ".TP\n\\fB");
        add_text(b, pairs[i][0]);
        buffer_printf(b, "\\fR\n");
        add_text(b, pairs[i][1]);
        buffer_printf(b, "\n");
    }
}

static const char *const environment[][2] = {
    {"DIFFUSE_MODEL", "what -m says, where it is not given."},
    {"DIFFUSE_OPTIONS_FILE",
     "a file of options, as a shell's words on any number of lines (quotes, \\, also at a line's end, # comments); the command line's come after. "
     "/dev/null: none."},
    {"DIFFUSE_DEVICE", "what --device says, where it is not given."},
    {"DIFFUSE_ISA",
     "sse2, avx2, avx512 or amx: the instructions that the CPU device's own code is to use, in place of the best that the CPU has. "
     "ONEDNN_MAX_CPU_ISA=AVX2 and the like narrow oneDNN's and, with them, ours. "
     "A picture's metadata have, as isa, what was used: avx2, or avx2_sse2 where oneDNN's and ours are not the same."},
    {"HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME", "where Hugging Face's cache lies, as its own tools understand them."},
    {"DIFFUSE_PDL", "0: on GPUs of sm_90 and later, too, a kernel begins when the one before it has ended, not while it ends."},
    {"CUDA_VISIBLE_DEVICES", "the GPUs to choose from."},
    {"NO_COLOR", "no colour where --color says auto."},
};
static const char *const exit_codes[][2] = {
    {"0", "all is done."},
    {"1", "some images of several failed, or one that --verify drew again differs by more than one level."},
    {"2", "an option, its value or a combination is wrong."},
    {"65", "malformed data."},
    {"66", "an input is missing or unreadable."},
    {"69", "no usable device."},
    {"70", "an internal error, or an image that is not finite."},
    {"71", "out of memory, or of what else the system lends: open files."},
    {"73", "the output exists or cannot be created."},
    {"74", "a read or write failed."},
    {"75", "SIGUSR1 came and pictures are left: the same command, with --resume, goes on."},
    {"78", "a model or an option that is well-formed and not supported."},
};

const char *man_page(struct arena *a) {
    struct buffer b = {.arena = a};
    buffer_printf(&b,
                  ".TH DIFFUSE 1 \"\" \"diffuse " DIFFUSE_VERSION "\"\n.SH NAME\n"
                  "diffuse \\- draws a picture from a prompt with a diffusers checkpoint\n"
                  ".SH SYNOPSIS\n.B diffuse\n[\\fIOPTION\\fR]... \\fIPROMPT\\fR\n"
                  ".SH DESCRIPTION\nDraws what Hugging Face's diffusers would draw, sooner. A \\fIPROMPT\\fR of \\fB\\-\\fR is read from "
                  "standard input. Results alone, which are paths, JSON lines or the PNG, go to standard output. No file is overwritten "
                  "unasked, and nothing is ever downloaded.\n");
    add_options(&b);
    buffer_printf(
        &b, ".SH PICTURES' SETTINGS\nA picture carries the settings it was drawn with. \\fB\\-\\-from\\fR takes all of them, also those "
            "that AUTOMATIC1111 and its forks, ComfyUI (one sampler and plain nodes), InvokeAI, sd.cpp and mflux record; options behind it "
            "win, and what has no counterpart is told, a line each. \\fB\\-\\-info\\fR prints them. \\fB\\-\\-verify\\fR draws "
            "each picture again and says that it is bit\\-identical, or within one level of 255, or by how much it differs and "
            "which of model, version, type, device and what else is recorded is another now.\n"
            ".SH FILE NAMES\nIn \\fB\\-o\\fR, {seed}, {n}, {id}, {slug}, {model}, {scheduler}, {steps}, {step}, {w} and {h} stand for what "
            "they say, and {{ for a brace.\n");
    add_list(&b, "ENVIRONMENT", environment, sizeof environment / sizeof *environment);
    add_list(&b, "EXIT STATUS", exit_codes, sizeof exit_codes / sizeof *exit_codes);
    return b.data;
}
