#include "cli/template.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <utf8proc.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/write.h"

#define DEFAULT_NAME "diffuse-{seed}.png"
#define JOB_NAME "{id}.png"

enum { SLUG_MAX = 60, COMPONENT_MAX = 255, FIELD_MAX = 256 };
enum field { SEED, N, ID, SLUG, MODEL, SCHEDULER, STEPS, STEP, WIDTH, HEIGHT };

static const char *const field_names[] = {"seed", "n", "id", "slug", "model", "scheduler", "steps", "step", "w", "h", NULL};

/* ---- syntax ------------------------------------------------------------------------------------------------------ */

/* The field that the brace at s opens; *after receives where the text goes on. Dies where there is none. */
static enum field parse_field(const char *s, const char **after) {
    size_t n = strcspn(s, "}");
    if (!s[n]) die_hint(FAIL_USAGE, "'{{' stands for a brace", "--output: '%s': expected '}'", s);
    for (int i = 0; field_names[i]; i++)
        if (strlen(field_names[i]) == n - 1 && !memcmp(s + 1, field_names[i], n - 1)) return *after = s + n + 1, (enum field)i;
    die_hint(FAIL_USAGE, "fields are {seed} {n} {id} {slug} {model} {scheduler} {steps} {step} {w} {h}; '{{' stands for a brace",
             "--output: unknown field '%.*s}'", (int)n, s);
}

/* Checks the template; the set of fields it has, bit f for field f. */
static unsigned check_fields(const char *template) {
    unsigned fields = 0;
    for (const char *s = template; *s;) {
        if (*s != '{') s++;
        else if (s[1] == '{') s += 2;
        else {
            fields |= 1u << parse_field(s, &s);
        }
    }
    return fields;
}

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Where the extension of the last component begins, or the end of the path. */
static const char *extension(const char *path) {
    const char *name = last_component(path), *dot = strrchr(name, '.');
    return dot && dot > name ? dot : path + strlen(path);
}

void template_check_name(const char *option, const char *path) {
    static const char *const others[] = {".gif", ".bmp", ".tif", ".tiff", ".avif", ".jxl", ".heic",
                                         ".ppm", ".svg", ".pdf", ".txt",  ".json", NULL};
    for (int i = 0; others[i]; i++)
        if (!strcasecmp(extension(path), others[i]))
            die_hint(FAIL_USAGE, "pipe '-o -' into a converter", "%s: '%s': expected a name ending in .png, .jpg or .webp", option, path);
}

void template_check_picture(const char *option, const char *path) {
    enum image_format format;
    if (!image_format_named(extension(path), &format))
        die(FAIL_USAGE, "%s: '%s': expected a name ending in .png, .jpg or .webp", option, path);
}

const char *template_resolve(struct arena *a, const char *output, int count) {
    if (!output) return DEFAULT_NAME;
    if (output[strlen(output) - 1] == '/') output = arena_printf(a, "%s%s", output, DEFAULT_NAME);
    struct stat st;
    if (!strchr(output, '{') && stat(output, &st) == 0 && S_ISDIR(st.st_mode)) /* with fields it is the name of no file */
        die_hint(FAIL_CREATE, arena_printf(a, "-o %s/ draws into it", output), "%s: is a directory", output);
    template_check_name("--output", output);
    if (check_fields(output) & (1u << SEED | 1u << N) || count == 1) return output;
    const char *ext = extension(output);
    return arena_printf(a, "%.*s-{seed}%s", (int)(ext - output), output, ext);
}

const char *template_of_jobs(struct arena *a, const char *output) {
    if (!output) return JOB_NAME;
    return output[strlen(output) - 1] == '/' ? arena_printf(a, "%s%s", output, JOB_NAME) : output;
}

bool template_has_id(const char *template) {
    return check_fields(template) & 1u << ID;
}

bool template_needs_model(const char *template, const struct template_fields *v) {
    unsigned unknown = 0;
    if (!v->scheduler) unknown |= 1u << SCHEDULER;
    if (!v->steps) unknown |= 1u << STEPS;
    if (!v->width) unknown |= 1u << WIDTH;
    if (!v->height) unknown |= 1u << HEIGHT;
    return check_fields(template) & unknown;
}

bool template_has_seed(const char *template) {
    return check_fields(template) & 1u << SEED;
}

const char *template_with_id(struct arena *a, const char *template) {
    if (check_fields(template) & (1u << ID | 1u << SEED | 1u << SLUG)) return template;
    const char *ext = extension(template);
    return arena_printf(a, "%.*s-{id}%s", (int)(ext - template), template, ext);
}

const char *template_with_step(struct arena *a, const char *template) {
    if (check_fields(template) & 1u << STEP) return template;
    const char *ext = extension(template);
    return arena_printf(a, "%.*s-step{step}%s", (int)(ext - template), template, ext);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static bool in_word(uint32_t cp) {
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NO); /* letters, marks, numbers */
}

/* Letters and digits of the prompt, ASCII in lower case, everything else one '-'; whole code points only. */
static void make_slug(char out[FIELD_MAX], const char *prompt) {
    size_t n = 0;
    bool gap = false;
    uint32_t cp;
    for (int length; *prompt; prompt += length) {
        length = utf8_decode(prompt, &cp);
        if (!in_word(cp)) {
            gap = n > 0;
            continue;
        }
        if (n + gap + (size_t)length > SLUG_MAX) break;
        if (gap) out[n++] = '-';
        gap = false;
        memcpy(out + n, prompt, (size_t)length);
        if (cp >= 'A' && cp <= 'Z') out[n] = (char)(cp - 'A' + 'a');
        n += (size_t)length;
    }
    out[n] = 0;
    if (!n) strcpy(out, "untitled");
}

/* Letters, digits and "._+-" of the first n bytes; '_' for anything else and for a leading '.' or '-'. */
static void make_plain(char out[FIELD_MAX], const char *text, size_t n) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    if (n > FIELD_MAX - 1) n = FIELD_MAX - 1;
    for (size_t i = 0; i < n; i++) out[i] = strchr(plain, text[i]) ? text[i] : '_';
    out[n] = 0;
    if (*out == '.' || *out == '-' || !*out) memcpy(out, "_", n ? 1 : 2);
}

static void make_model(char out[FIELD_MAX], const char *model) {
    size_t n = strlen(model);
    while (n > 1 && model[n - 1] == '/') n--;
    size_t begin = n;
    while (begin && model[begin - 1] != '/') begin--;
    const char *at = memchr(model + begin, '@', n - begin);
    make_plain(out, model + begin, at ? (size_t)(at - model) - begin : n - begin);
}

static void field_value(char out[FIELD_MAX], enum field f, const struct template_fields *v) {
    switch (f) {
    case SEED: snprintf(out, FIELD_MAX, "%llu", (unsigned long long)v->seed); break;
    case N: snprintf(out, FIELD_MAX, "%d", v->n); break;
    case ID: snprintf(out, FIELD_MAX, "%s", v->id); break;
    case SLUG: make_slug(out, v->prompt ? v->prompt : ""); break;
    case MODEL: make_model(out, v->model ? v->model : ""); break;
    case SCHEDULER: make_plain(out, v->scheduler ? v->scheduler : "", v->scheduler ? strlen(v->scheduler) : 0); break;
    case STEPS: snprintf(out, FIELD_MAX, "%d", v->steps); break;
    case STEP: snprintf(out, FIELD_MAX, "%04d", v->step); break;
    case WIDTH: snprintf(out, FIELD_MAX, "%d", v->width); break;
    case HEIGHT: snprintf(out, FIELD_MAX, "%d", v->height); break;
    }
}

/* Appends, keeping one byte for the NUL. */
static size_t append(char path[PATH_MAX], size_t at, const char *text, size_t n) {
    if (n >= PATH_MAX - at) die(FAIL_USAGE, "--output: the path would be longer than %d bytes", PATH_MAX - 1);
    memcpy(path + at, text, n);
    return at + n;
}

static void check_components(const char *path) {
    for (const char *s = path;; s++) {
        size_t n = strcspn(s, "/");
        if (n > COMPONENT_MAX) die(FAIL_USAGE, "--output: '%.40s…': expected a name of at most %d bytes, found %zu", s, COMPONENT_MAX, n);
        s += n;
        if (!*s) break;
    }
}

const char *template_expand(struct arena *a, const char *template, const struct template_fields *fields) {
    char path[PATH_MAX], value[FIELD_MAX];
    size_t at = 0;
    for (const char *s = template; *s;) {
        if (*s == '{' && s[1] != '{') {
            field_value(value, parse_field(s, &s), fields);
            at = append(path, at, value, strlen(value));
        } else {
            at = append(path, at, s, 1);
            s += *s == '{' ? 2 : 1;
        }
    }
    path[at] = 0;
    check_components(path);
    return arena_strdup(a, path);
}
