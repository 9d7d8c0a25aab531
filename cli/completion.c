#include "cli/completion.h"

#include <string.h>
#include "engine/base/buffer.h"
#include "cli/option_table.h"
#include "schedulers/scheduler.h"

/* The values of an option, blank-separated, or "" where they are free. */
static const char *values(struct arena *a, const struct field *s) {
    struct buffer b = {.arena = a};
    buffer_add(&b, "", 0);
    for (int i = 0; s->words && s->words[i]; i++) buffer_printf(&b, "%s%s", i ? " " : "", s->words[i]);
    for (int i = 0; s->completion == COMPLETE_SCHEDULER && schedulers[i]; i++)
        buffer_printf(&b, "%s%s", i ? " " : "", schedulers[i]->names[0]);
    return b.data;
}

/* "ddim,eta= …": every scheduler with each of its options. */
static const char *scheduler_options(struct arena *a) {
    struct buffer b = {.arena = a};
    for (int i = 0; schedulers[i]; i++)
        for (const char *const *o = schedulers[i]->options; *o; o++)
            buffer_printf(&b, "%s%s,%.*s=", b.length ? " " : "", schedulers[i]->names[0], (int)strcspn(*o, "="), *o);
    return b.data;
}

/* What the shells ask for the models that are there. */
#define CACHED_MODELS "diffuse --list models 2>/dev/null"

/* What each shell completes paths by. */
struct path_words {
    const char *bash, *zsh, *fish;
};

/* NULL: the value is no path. */
static const struct path_words *path_words(const struct field *s) {
    static const struct path_words kinds[] = {
        [COMPLETE_FILE] = {"-f", "_files", "-rF"},
        [COMPLETE_DIR] = {"-d", "_files -/", "-xa '(__fish_complete_directories)'"},
        [COMPLETE_TENSORS] = {"-f -X '!*.safetensors'", "_files -g \"*.safetensors\"", "-xa '(__fish_complete_suffix .safetensors)'"},
    };
    return s->completion < sizeof kinds / sizeof *kinds && kinds[s->completion].bash ? &kinds[s->completion] : NULL;
}

const char *completion_bash(struct arena *a) {
    struct buffer names = {.arena = a}, cases = {.arena = a};
    for (int i = 0; i < option_count(); i++) {
        const struct field *s = option_row(i);
        buffer_printf(&names, "--%s ", s->name);
        if (!s->argument) continue;
        buffer_printf(&cases, "        --%s", s->name);
        if (s->letter) buffer_printf(&cases, "|-%c", s->letter);
        buffer_printf(&cases, ") ");
        const struct path_words *path = path_words(s);
        const char *words = path ? path->bash : arena_printf(a, "-W '%s'", values(a, s));
        if (s->completion == COMPLETE_MODEL) words = "-f -W \"$(" CACHED_MODELS ")\"";
        if (s->completion == COMPLETE_SCHEDULER)
            buffer_printf(
                &cases, "[[ $word != *,* ]] || { compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W '%s' -- \"$word\")); return; }; ",
                scheduler_options(a));
        const char *on_the_way = s->completion == COMPLETE_TENSORS ? "; compgen -d -- \"$word\"" : "";
        buffer_printf(&cases, "COMPREPLY=($(compgen %s -- \"$word\"%s)); return ;;\n", words, on_the_way);
    }
    return arena_printf(a,
                        "_diffuse() {\n"
                        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                        "    if [[ $word == '=' ]]; then word=\n"
                        "    elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                        "    case $before in\n%s    esac\n"
                        "    if [[ $word != -* && \" ${COMP_WORDS[*]} \" == *' --'@(info|verify)' '* ]]; then\n"
                        "        COMPREPLY=($(compgen -f -- \"$word\")); return; fi\n"
                        "    COMPREPLY=($(compgen -W '%s' -- \"$word\"))\n"
                        "}\n"
                        "complete -o filenames -F _diffuse diffuse\n",
                        cases.data, names.data);
}

/* The help text without the characters that mean something in the script. */
static const char *plain_help(struct arena *a, const struct field *s, const char *special) {
    char *help = arena_strdup(a, s->help);
    for (char *c = help; (c = strpbrk(c, special));) *c = ' ';
    return help;
}

const char *completion_zsh(struct arena *a) {
    struct buffer b = {.arena = a};
    buffer_printf(&b, "#compdef diffuse\n_arguments -s -S \\\n");
    for (int i = 0; i < option_count(); i++) {
        const struct field *s = option_row(i);
        const struct path_words *path = path_words(s);
        const char *value = path ? arena_printf(a, ":FILE:%s", path->zsh) : s->argument ? arena_printf(a, ":value:(%s)", values(a, s)) : "";
        if (s->completion == COMPLETE_MODEL) value = ":model:{compadd - $(" CACHED_MODELS "); _files}";
        if (s->completion == COMPLETE_SCHEDULER)
            value = arena_printf(a, ":scheduler:{if [[ $PREFIX == *,* ]]; then compadd -S \"\" - %s; else compadd - %s; fi}",
                                 scheduler_options(a), values(a, s));
        const char *help = plain_help(a, s, "'[]:");
        if (s->letter) buffer_printf(&b, "  '-%c%s[%s]%s' \\\n", s->letter, s->argument ? "+" : "", help, value);
        buffer_printf(&b, "  '--%s%s[%s]%s' \\\n", s->name, s->argument ? "=" : "", help, value);
    }
    buffer_printf(&b, "  '*:prompt or picture:_files'\n");
    return b.data;
}

const char *completion_fish(struct arena *a) {
    struct buffer b = {.arena = a};
    buffer_printf(&b, "complete -c diffuse -f\ncomplete -c diffuse -n '__fish_contains_opt info verify' -F\n");
    for (int i = 0; i < option_count(); i++) {
        const struct field *s = option_row(i);
        buffer_printf(&b, "complete -c diffuse -l %s -d '%s'", s->name, plain_help(a, s, "'"));
        if (s->letter) buffer_printf(&b, " -s %c", s->letter);
        const struct path_words *path = path_words(s);
        if (path) buffer_printf(&b, " %s", path->fish);
        else if (s->completion == COMPLETE_MODEL) buffer_printf(&b, " -rFa '(" CACHED_MODELS ")'");
        else if (s->argument) buffer_printf(&b, " -xa '%s'", values(a, s));
        buffer_printf(&b, "\n");
        if (s->completion != COMPLETE_SCHEDULER) continue;
        buffer_printf(&b, "complete -c diffuse -l %s -s %c -n 'string match -q \"*,*\" -- (commandline -ct)' -xa '%s'\n", s->name,
                      s->letter, scheduler_options(a));
    }
    return b.data;
}
