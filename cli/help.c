#include "cli/help.h"

#include <cjson/cJSON.h>
#include <dnnl.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "engine/base/buffer.h"
#include "cli/option_table.h"
#include "cli/result.h"
#include "cli/version.h"

static void add_option(struct buffer *b, const struct field *f) {
    char name[64], letter[4] = "   ";
    if (f->letter) snprintf(letter, sizeof letter, "-%c,", f->letter);
    snprintf(name, sizeof name, "%s --%s%s%s", letter, f->name, f->argument ? "=" : "", f->argument ? f->argument : "");
    buffer_printf(b, "  %-26s %s", name, f->help);
    if (f->preset && strcmp(f->preset, "0")) buffer_printf(b, " (default %s)", f->preset);
    buffer_printf(b, "\n");
}

const char *help_text(struct arena *a) {
    struct buffer b = {.arena = a};
    buffer_printf(&b, "Usage: diffuse [OPTION]... PROMPT   draws PROMPT; - is standard input\n");
    for (int g = 0; g < N_GROUPS; g++) {
        buffer_printf(&b, "\n%s\n", field_group_titles[g]);
        for (int i = 0; i < option_count(); i++)
            if (option_row(i)->group == (enum field_group)g && !option_row(i)->rare) add_option(&b, option_row(i));
    }
    buffer_printf(&b, "Names: {seed} {n} {id} {slug} {model} {scheduler} {steps} {step} {w} {h}; {{ = {\n");
    return b.data;
}

const char *version_text(struct arena *a) {
    const dnnl_version_t *dnnl = dnnl_version();
    return arena_printf(a,
                        "diffuse %s\n"
                        "draws what diffusers 0.42 / transformers 5 / torch 2.15 draw\n"
                        "libpng %s, cJSON %s, oneDNN %d.%d.%d, utf8proc %s; built with %s\n"
                        "MIT licence\n",
                        DIFFUSE_VERSION, png_get_libpng_ver(NULL), cJSON_Version(), dnnl->major, dnnl->minor, dnnl->patch,
                        utf8proc_version(),
#ifdef __clang__
                        __VERSION__
#else
                        "gcc " __VERSION__
#endif
    );
}

void print_and_exit(const char *text) {
    result_write(text, strlen(text));
    result_close();
    exit(0);
}
