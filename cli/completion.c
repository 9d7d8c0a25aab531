#include "cli/completion.h"

#include <string.h>
#include "cli/option_table.h"
#include "schedulers/scheduler.h"

/* The values of an option, blank-separated, or "" where they are free. */
static const char *values(struct arena *a, const struct option_spec *s) {
    const char *list = "";
    for (int i = 0; s->words && s->words[i]; i++) list = arena_printf(a, "%s%s%s", list, i ? " " : "", s->words[i]);
    for (int i = 0; !strcmp(s->name, "scheduler") && schedulers[i]; i++)
        list = arena_printf(a, "%s%s%s", list, i ? " " : "", schedulers[i]->names[0]);
    return list;
}

static bool takes_path(const struct option_spec *s) {
    return s->argument && (!strcmp(s->argument, "FILE") || !strcmp(s->argument, "DIR"));
}

/* The text as it stands between single quotes in a shell. */
static const char *quoted(struct arena *a, const char *text) {
    char *out = arena_alloc(a, 4 * strlen(text) + 1), *o = out;
    for (; *text; text++) {
        if (*text == '\'') memcpy(o, "'\\''", 4), o += 4;
        else *o++ = *text;
    }
    return out;
}

const char *completion_bash(struct arena *a) {
    const char *names = "", *cases = "";
    for (int i = 0; i < n_options; i++) {
        const struct option_spec *s = &option_table[i];
        if (!s->help) continue;
        const char *letter = s->letter ? arena_printf(a, "|-%c", s->letter) : "";
        names = arena_printf(a, "%s --%s", names, s->name);
        if (!s->argument) continue;
        const char *words = takes_path(s) ? "-f" : arena_printf(a, "-W '%s'", values(a, s));
        cases = arena_printf(a, "%s        --%s%s) COMPREPLY=($(compgen %s -- \"$word\")); return ;;\n", cases, s->name, letter, words);
    }
    return arena_printf(a,
                        "_diffuse() {\n"
                        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
                        "    if [[ $word == '=' ]]; then word=\n"
                        "    elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
                        "    case $before in\n%s    esac\n"
                        "    COMPREPLY=($(compgen -W '%s' -- \"$word\"))\n"
                        "}\n"
                        "complete -o filenames -F _diffuse diffuse\n",
                        cases, names + 1);
}

const char *completion_zsh(struct arena *a) {
    const char *text = "#compdef diffuse\n_arguments -s -S \\\n";
    for (int i = 0; i < n_options; i++) {
        const struct option_spec *s = &option_table[i];
        if (!s->help) continue;
        const char *list = values(a, s);
        const char *value = takes_path(s) ? ":FILE:_files" : s->argument ? arena_printf(a, ":value:(%s)", list) : "";
        char *help = arena_strdup(a, quoted(a, s->help));
        for (char *c = help; (c = strpbrk(c, "[]:"));) *c = ' '; /* they end the description */
        if (s->letter) text = arena_printf(a, "%s  '-%c%s[%s]%s' \\\n", text, s->letter, s->argument ? "+" : "", help, value);
        text = arena_printf(a, "%s  '--%s%s[%s]%s' \\\n", text, s->name, s->argument ? "=" : "", help, value);
    }
    return arena_printf(a, "%s  '*:prompt:'\n", text);
}

const char *completion_fish(struct arena *a) {
    const char *text = "complete -c diffuse -f\n";
    for (int i = 0; i < n_options; i++) {
        const struct option_spec *s = &option_table[i];
        if (!s->help) continue;
        const char *letter = s->letter ? arena_printf(a, " -s %c", s->letter) : "", *list = values(a, s);
        const char *value = takes_path(s) ? " -rF" : s->argument ? arena_printf(a, " -xa '%s'", list) : "";
        char *help = arena_strdup(a, s->help);
        for (char *c = help; (c = strchr(c, '\''));) *c = '`'; /* fish escapes a quote in its own way */
        text = arena_printf(a, "%scomplete -c diffuse%s -l %s -d '%s'%s\n", text, letter, s->name, help, value);
    }
    return text;
}
