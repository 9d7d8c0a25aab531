#include "cli/prompt_notes.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "engine/base/error.h"
#include "tokenizer/prompt_syntax.h"

static bool is_file(const char *path) {
    struct stat st;
    return !strchr(path, ' ') && stat(path, &st) == 0 && S_ISREG(st.st_mode);
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

static bool has_word(const char *prompt, const char *word) {
    size_t n = strlen(word);
    for (const char *s = prompt; (s = strstr(s, word)); s += n)
        if ((s == prompt || isspace((unsigned char)s[-1])) && (!s[n] || isspace((unsigned char)s[n]))) return true;
    return false;
}

/* The syntax the prompt has of others, as a list; "" for none. */
static const char *foreign_syntax(const char *prompt, bool loras) {
    bool tag = (!loras && strstr(prompt, "<lora:")) || strstr(prompt, "<lyco:") || strstr(prompt, "<hypernet:");
    if (tag) return "<lora:…>";
    if (has_number(prompt, ')')) return "a weight such as (red:1.4)";
    if (has_number(prompt, ']')) return "an edit such as [red:blue:0.5]";
    if (has_word(prompt, "BREAK")) return "BREAK";
    return has_word(prompt, "AND") ? "AND" : "";
}

void prompt_notes(const char *prompt, bool from_stdin, const struct settings *settings) {
    const char *syntax = settings->prompt_syntax == SYNTAX_PLAIN ? foreign_syntax(prompt, settings->lora_dir) : "";
    if (from_stdin && strchr(prompt, '\n')) warn("prompt: all lines of standard input are one prompt");
    if (!strcasecmp(prompt, "help") || !strcasecmp(prompt, "version"))
        warn("prompt: \"%s\" is drawn; 'diffuse --%c%s' is the option", prompt, tolower((unsigned char)*prompt), prompt + 1);
    else if (!from_stdin && is_file(prompt + (*prompt == '@')))
        warn("prompt: the name of a file, %s, is drawn as text; 'diffuse - < FILE' draws what is in it", prompt + (*prompt == '@'));
    bool lora = !strncmp(syntax, "<lora:", 6), weighted = !strncmp(syntax, "a weight", 8) || !strcmp(syntax, "BREAK");
    const char *reads = lora ? ": --lora-dir DIR reads it" : weighted ? ": --prompt-syntax a1111 reads it" : "";
    if (*syntax) warn("prompt: %s is text here, with no meaning of its own%s", syntax, reads);
}
