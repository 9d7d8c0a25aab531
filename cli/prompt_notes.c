#include "cli/prompt_notes.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "tokenizer/prompt_syntax.h"

static bool is_file(const char *path) {
    struct stat st;
    return !strchr(path, ' ') && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool has_lora(const char *prompt) {
    return strstr(prompt, "<lora:");
}

static bool has_other_tag(const char *prompt) {
    return strstr(prompt, "<lyco:") || strstr(prompt, "<hypernet:");
}

/* A bracket that a colon and a number end. */
static bool has_number(const char *prompt, char bracket) {
    for (const char *s = prompt; (s = strchr(s, bracket)); s++) {
        const char *number = s;
        while (number > prompt && (isdigit((unsigned char)number[-1]) || number[-1] == '.')) number--;
        if (number < s && number > prompt && number[-1] == ':') return true;
    }
    return false;
}

static bool has_weight(const char *prompt) {
    return has_number(prompt, ')');
}

static bool has_brackets(const char *prompt) {
    return (strstr(prompt, "((") && strstr(prompt, "))")) || (strstr(prompt, "[[") && strstr(prompt, "]]"));
}

/* A word or a bracket that two signs end. */
static bool has_signs(const char *prompt) {
    for (const char *s = prompt; (s = strpbrk(s, "+-")); s++)
        if (s > prompt && s[1] == *s && (isalnum((unsigned char)s[-1]) || s[-1] == ')') && (!s[2] || strchr(" ,+-", s[2]))) return true;
    return false;
}

static bool has_edit(const char *prompt) {
    return has_number(prompt, ']');
}

static bool has_word(const char *prompt, const char *word) {
    size_t n = strlen(word);
    for (const char *s = prompt; (s = strstr(s, word)); s += n)
        if ((s == prompt || isspace((unsigned char)s[-1])) && (!s[n] || isspace((unsigned char)s[n]))) return true;
    return false;
}

static bool has_break(const char *prompt) {
    return has_word(prompt, "BREAK");
}

static bool has_and(const char *prompt) {
    return has_word(prompt, "AND");
}

static bool has_embedding(const char *prompt) {
    const char *s = strstr(prompt, "embedding:");
    return s && (isalnum((unsigned char)s[10]) || s[10] == '_');
}

static bool has_choice(const char *prompt) {
    const char *open = strchr(prompt, '{'), *bar = open ? strchr(open, '|') : NULL;
    return bar && strchr(bar, '}');
}

static bool has_wildcard(const char *prompt) {
    const char *s = strstr(prompt, "__");
    return s && isalnum((unsigned char)s[2]) && strstr(s + 2, "__");
}

/* Of A1111, compel, ComfyUI and their extensions; the first that a prompt has is told. */
static const struct {
    const char *what, *reads; /* "" for nothing that does */
    bool (*in)(const char *prompt);
} foreign[] = {
    {"<lora:…>", "--lora-dir DIR", has_lora},
    {"<lyco:…> or <hypernet:…>", "", has_other_tag},
    {"a weight such as (red:1.4)", "--prompt-syntax a1111", has_weight},
    {"a weight such as ((red))", "--prompt-syntax a1111", has_brackets},
    {"a weight such as red++", "--prompt-syntax compel", has_signs},
    {"an edit such as [red:blue:0.5]", "", has_edit},
    {"BREAK", "--prompt-syntax a1111", has_break},
    {"AND", "", has_and},
    {"embedding:NAME", "--embedding FILE=NAME", has_embedding},
    {"a choice such as {red|blue}", "", has_choice},
    {"a wildcard such as __colour__", "", has_wildcard},
};

static void note_syntax(const char *name, const char *prompt, bool loras) {
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (!foreign[i].in(prompt) || (loras && foreign[i].in == has_lora)) continue;
        const char *reads = foreign[i].reads;
        warn("%s: %s is text here, with no meaning of its own%s%s%s", name, foreign[i].what, *reads ? ": " : "", reads,
             *reads ? " reads it" : "");
        return;
    }
}

void line_notes(const char *prompt) {
    struct json_scan scan;
    json_scan_begin(&scan, prompt, strlen(prompt), NULL, 0);
    enum json_token first = json_scan_next(&scan);
    if (first != JSON_STRING && first != JSON_ARRAY) return;
    if (json_scan_skip(&scan, first) == JSON_ERROR || json_scan_next(&scan) != JSON_END) return;
    if (first == JSON_STRING) warn("prompt: a JSON string, drawn with its quotes: jq -r writes it without");
    else warn("prompt: a JSON array, drawn as text: a job is an object, {\"prompt\":…}");
}

void prompt_notes(const char *prompt, bool from_stdin, const struct settings *settings) {
    if (from_stdin && strchr(prompt, '\n')) warn("prompt: all lines of standard input are one prompt");
    if (!strcasecmp(prompt, "help") || !strcasecmp(prompt, "version"))
        warn("prompt: \"%s\" is drawn; 'diffuse --%c%s' is the option", prompt, tolower((unsigned char)*prompt), prompt + 1);
    else if (!from_stdin && is_file(prompt + (*prompt == '@')))
        warn("prompt: the name of a file, %s, is drawn as text; 'diffuse - < FILE' draws what is in it", prompt + (*prompt == '@'));
    if (settings->prompt_syntax == SYNTAX_PLAIN) note_syntax("prompt", prompt, settings->lora_dir);
}

void negative_notes(const char *negative, const struct settings *settings) {
    if (settings->prompt_syntax != SYNTAX_PLAIN) return;
    if (settings->lora_dir && has_lora(negative)) warn("--negative: <lora:…> is text here: those of the prompt are read");
    else note_syntax("--negative", negative, false);
}
