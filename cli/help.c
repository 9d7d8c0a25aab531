#include "cli/help.h"

#include <cjson/cJSON.h>
#include <dnnl.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "cli/option_table.h"
#include "cli/result.h"
#include "cli/version.h"

static const char *option_line(struct arena *a, const struct option_spec *s) {
    const char *letter = s->letter ? arena_printf(a, "-%c,", s->letter) : "   ";
    const char *name = arena_printf(a, "%s --%s%s%s", letter, s->name, s->argument ? "=" : "", s->argument ? s->argument : "");
    return arena_printf(a, "  %-26s %s\n", name, s->help);
}

const char *help_text(struct arena *a) {
    const char *text = "Usage: diffuse -m MODEL [OPTION]... PROMPT   draws PROMPT; - is standard input\n"
                       "  diffuse -m sd15 'a squirrel in Picasso style' -o squirrel.png\n"
                       "  diffuse -m org/name -c 4 -s 7 --steps 20 -x ddim -o 'out/{slug}-{seed}.png' …\n";
    for (int g = 0; g < N_GROUPS; g++) {
        text = arena_printf(a, "%s\n%s\n", text, option_group_titles[g]);
        for (int i = 0; i < n_options; i++)
            if (option_table[i].group == (enum option_group)g && option_table[i].help)
                text = arena_printf(a, "%s%s", text, option_line(a, &option_table[i]));
    }
    return arena_printf(a,
                        "%s\nFile names: {seed} {n} {slug} {model} {scheduler} {steps} {w} {h}; {{ is {.\n"
                        "DIFFUSE_MODEL is the model where there is no -m.\n",
                        text);
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
