/* How other programs write a picture's settings down: AUTOMATIC1111 and its forks and sd.cpp as a line of pairs below the prompts,
 * ComfyUI as the graph it ran, InvokeAI and mflux as JSON objects. The formats: https://github.com/AUTOMATIC1111/stable-diffusion-webui
 * (modules/infotext_utils.py reads, modules/processing.py writes), the others' own sources. */
#include "cli/recorded.h"

#include <string.h>
#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "schedulers/scheduler.h"

enum { PAIRS_MIN = 3 /* fewer are part of the prompt */, NAME_BYTES_MAX = 64 };

static const char model_hint[] = "-m says which model";

struct mapping {
    const char *theirs;
    const char *ours; /* a setting's name; NULL: neither taken nor told */
};

/* True if the table knows the name; what it means is then taken. */
static bool take_mapped(struct recorded *r, const struct mapping *table, const char *name, const char *value) {
    for (; table->theirs; table++)
        if (!strcmp(table->theirs, name)) {
            if (table->ours) recorded_take(r, table->ours, name, value);
            return true;
        }
    return false;
}

/* Nothing was asked for. */
static bool is_nothing(const struct json_value *v) {
    return v->is_null || (!v->is_string && !strcmp(v->text, "false"));
}

/* A sampler and the noise levels it visits, which are one setting here. Either may be NULL; default_levels: their word for none. */
static void take_scheduler(struct recorded *r, const char *sampler, const char *levels_name, const char *levels,
                           const char *default_levels) {
    if (!sampler) return;
    struct scheduler_words s = scheduler_translate(r->arena, sampler), l = {0};
    const char *last = strrchr(sampler, ' ');
    if (s.text && *s.text == ',') s.text = NULL;                                       /* levels' name */
    if (!s.text && !levels && last && scheduler_translate(r->arena, last + 1).known) { /* both in one: "DPM++ 2M SGM", "euler simple" */
        take_scheduler(r, arena_printf(r->arena, "%.*s", (int)(last - sampler), sampler), levels_name, last + 1, default_levels);
        return;
    }
    if (!s.text) {
        recorded_leave(r, "sampler", sampler, s.hint);
        return;
    }
    if (levels && strcmp(levels, default_levels)) l = scheduler_translate(r->arena, levels);
    if (l.text && *l.text != ',') l.text = NULL; /* a sampler's name */
    if (l.text && !scheduler_has_option(r->arena, s.text, l.text + 1))
        l = (struct scheduler_words){.hint = "diffusers' scheduler of this sampler has no such noise levels"};
    if (levels && strcmp(levels, default_levels) && !l.text) recorded_leave(r, levels_name, levels, l.hint);
    recorded_take(r, "scheduler", "sampler", l.text ? arena_printf(r->arena, "%s%s", s.text, l.text) : s.text);
}

static void leave_strength(struct recorded *r, const char *name, const char *value) {
    recorded_leave(r, name, value, arena_printf(r->arena, "of a picture to begin from: -i FILE --strength %.16s", value));
}

/* ---- AUTOMATIC1111, sd.cpp --------------------------------------------------------------------------------------- */

/* A value in quotes is a JSON string; what only looks like one stays. */
static const char *unquote(struct arena *a, const char *text) {
    struct json_scan s;
    size_t n = strlen(text);
    if (*text != '"') return text;
    json_scan_begin(&s, text, n, arena_alloc(a, n + 1), n);
    if (json_scan_next(&s) != JSON_STRING) return text;
    const char *value = arena_strdup(a, s.string);
    return json_scan_next(&s) == JSON_END ? value : text;
}

struct infotext {
    struct recorded *r;
    const char *sampler, *levels, *rng, *version, *syntax;
};

static bool take_clip_skip(struct recorded *r, const char *value) {
    int64_t layers;
    if (!parse_i64(value, &layers) || layers > 1000) return false;
    if (layers > 1) recorded_take(r, "clip-skip", "Clip skip", arena_printf(r->arena, "%d", (int)layers - 1)); /* the last layer is 1 */
    return true;
}

static bool take_size(struct recorded *r, const char *value) {
    size_t n = strspn(value, "0123456789");
    if (!n || value[n] != 'x') return false;
    int n_before = r->n_settings;
    recorded_take(r, "width", "Size", arena_printf(r->arena, "%.*s", (int)n, value));
    recorded_take(r, "height", "Size", value + n + 1);
    if (r->n_settings == n_before + 1) r->n_settings--; /* both or neither */
    return true;
}

static void take_pair(struct infotext *t, const char *name, const char *value) {
    static const struct mapping table[] = {
        {"Steps", "steps"}, {"CFG scale", "guidance"}, {"Seed", "seed"}, {"Eta DDIM", "eta"}, {NULL, NULL}};
    static const char *const hints[][2] = {{"Model", model_hint},
                                           {"Lora hashes", "--lora-dir DIR reads the prompt's <lora:NAME:WEIGHT>"},
                                           {"TI hashes", "--embedding FILE, for each"}};
    const char *hint = NULL;
    struct recorded *r = t->r;
    if (take_mapped(r, table, name, value)) return;
    if (!strcmp(name, "Clip skip") && take_clip_skip(r, value)) return;
    if (!strcmp(name, "Size") && take_size(r, value)) return;
    if (!strcmp(name, "Sampler")) t->sampler = value;
    else if (!strcmp(name, "Schedule type")) t->levels = value;
    else if (!strcmp(name, "RNG")) t->rng = value;
    else if (!strcmp(name, "Version")) t->version = value;
    else if (!strcmp(name, "Prompt syntax")) t->syntax = value;
    else if (!strcmp(name, "Denoising strength")) leave_strength(r, name, value);
    else {
        for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
            if (!strcmp(name, hints[i][0])) hint = hints[i][1];
        recorded_leave(r, name, value, hint);
    }
}

/* The next "name: value" of the line, which moves on; false where there is none. What is no pair is passed over: a list, cut at its
 * commas. */
static bool next_pair(struct arena *a, const char **line, const char **name, const char **value) {
    const char *s = *line + strspn(*line, " ,");
    size_t n = strcspn(s, ":,"), m;
    for (; s[n] && (s[n] != ':' || n < 2 || n > NAME_BYTES_MAX); n = strcspn(s, ":,")) s += n + 1 + strspn(s + n + 1, " ");
    if (!s[n]) return false;
    const char *v = s + n + 1 + strspn(s + n + 1, " ");
    if (*v == '"') {
        for (m = 1; v[m] && v[m] != '"'; m++) m += v[m] == '\\' && v[m + 1];
        if (v[m]) m++;
        if (v[m] && v[m] != ',') m = strcspn(v, ",");
    } else {
        m = strcspn(v, ",");
    }
    *name = arena_printf(a, "%.*s", (int)n, s);
    *value = unquote(a, arena_printf(a, "%.*s", (int)m, v));
    *line = v + m + (v[m] == ',');
    return true;
}

static int count_pairs(struct arena *a, const char *line) {
    const char *name, *value;
    int n = 0;
    while (next_pair(a, &line, &name, &value)) n++;
    return n;
}

/* Absent, A1111's noise is the GPU's; sd.cpp always says. */
static void take_rng(struct infotext *t) {
    static const char *const known[][2] = {{"CPU", "cpu"}, {"cpu", "cpu"}, {"GPU", "cuda"}, {"NV", "cuda"}, {"cuda", "cuda"}};
    const char *rng = t->rng ? t->rng : "GPU";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i][0], rng)) {
            recorded_take(t->r, "rng", "RNG", known[i][1]);
            return;
        }
    recorded_leave(t->r, "RNG", rng, "its random numbers are others");
}

/* A1111 reads brackets as weights, and cuts what is long into chunks; a token has a byte at least. */
static bool is_weighted(const char *text) {
    enum { CHUNK = 75 };
    return text && (strpbrk(text, "()[]\\") || strstr(text, "BREAK") || strlen(text) > CHUNK);
}

/* Our own say how theirs were read where that is not as plain text; sd.cpp's brackets are not quite A1111's. Layers that A1111 leaves out
 * are the negative prompt's, too, and none of SDXL's. */
static void take_syntax(struct infotext *t) {
    bool own = t->version && !strncmp(t->version, "diffuse ", 8), other = t->version && strstr(t->version, "stable-diffusion.cpp");
    if (own) recorded_take(t->r, "prompt-syntax", "Prompt syntax", t->syntax);
    else if (!other && (is_weighted(recorded_value(t->r, "prompt")) || is_weighted(recorded_value(t->r, "negative")) ||
                        recorded_value(t->r, "clip-skip")))
        recorded_take(t->r, "prompt-syntax", "prompt", "a1111");
}

static const char *infotext_program(struct arena *a, const char *version) {
    if (!version) return "AUTOMATIC1111";
    if (strstr(version, "stable-diffusion.cpp")) return "sd.cpp";
    if (!strncmp(version, "diffuse ", 8)) return version;
    return arena_printf(a, "AUTOMATIC1111 %s", version);
}

static void take_prompts(struct recorded *r, char *prompts) {
    static const char mark[] = "Negative prompt:";
    char *negative = strncmp(prompts, mark, sizeof mark - 1) ? strstr(prompts, "\nNegative prompt:") : prompts;
    if (negative) {
        char *text = strchr(negative, ':') + 1;
        recorded_take(r, "negative", "Negative prompt", text + strspn(text, " "));
        *negative = 0;
    }
    recorded_take(r, "prompt", "prompt", prompts);
}

bool recorded_infotext(struct recorded *r, struct image_comments comments) {
    const char *text = comment_text(comments, "parameters");
    if (!text || *text == '{') return false;
    char *prompts = arena_strdup(r->arena, text), *raw = strstr(prompts, ", SDCPP: {");
    if (raw) *raw = 0; /* sd.cpp ends with JSON that is no value of a pair */
    size_t n = strlen(prompts);
    while (n && strchr(" \r\n", prompts[n - 1])) prompts[--n] = 0;
    char *newline = strrchr(prompts, '\n');
    const char *line = newline ? newline + 1 : prompts, *name, *value;
    if (count_pairs(r->arena, line) < PAIRS_MIN) return false;
    struct infotext t = {.r = r};
    while (next_pair(r->arena, &line, &name, &value)) take_pair(&t, name, value);
    take_scheduler(r, t.sampler, "Schedule type", t.levels, "Automatic");
    take_rng(&t);
    r->program = infotext_program(r->arena, t.version);
    if (newline) *newline = 0;
    else *prompts = 0;
    take_prompts(r, prompts);
    take_syntax(&t);
    return true;
}

/* ---- InvokeAI ---------------------------------------------------------------------------------------------------- */

/* "euler_k" is Euler with Karras' levels. */
static void take_invokeai_scheduler(struct recorded *r, const char *name) {
    size_t n = name ? strlen(name) : 0;
    bool karras = n > 2 && !strcmp(name + n - 2, "_k");
    take_scheduler(r, karras ? arena_printf(r->arena, "%.*s", (int)n - 2, name) : name, "scheduler", karras ? "karras" : NULL, "");
}

bool recorded_invokeai(struct recorded *r, struct image_comments comments) {
    static const struct mapping table[] = {{"positive_prompt", "prompt"},
                                           {"negative_prompt", "negative"},
                                           {"width", "width"},
                                           {"height", "height"},
                                           {"seed", "seed"},
                                           {"cfg_scale", "guidance"},
                                           {"cfg_rescale_multiplier", "guidance-rescale"},
                                           {"steps", "steps"},
                                           {"clip_skip", "clip-skip"},
                                           {"rand_device", "rng"},
                                           {"metadata_version", NULL},
                                           {"scheduler", NULL},
                                           {"app_version", NULL},
                                           {NULL, NULL}};
    const char *text = comment_text(comments, "invokeai_metadata");
    if (!text) return false;
    struct json_flat f = json_flatten(r->arena, text, arena_printf(r->arena, "%s: invokeai_metadata", r->file));
    for (int i = 0; i < f.n; i++) {
        const struct json_value *v = &f.values[i];
        if (is_nothing(v) || take_mapped(r, table, v->path, v->text)) continue;
        if (!strcmp(v->path, "strength")) leave_strength(r, v->path, v->text);
        else if (!strcmp(v->path, "model.name") || !strcmp(v->path, "model.model_name")) recorded_leave(r, v->path, v->text, model_hint);
        else if (strncmp(v->path, "model.", 6)) recorded_leave(r, v->path, v->text, NULL);
    }
    take_invokeai_scheduler(r, json_flat_text(&f, "scheduler"));
    const char *version = json_flat_text(&f, "app_version");
    r->program = arena_printf(r->arena, "InvokeAI%s%s", version ? " " : "", version ? version : "");
    return true;
}

/* ---- mflux ------------------------------------------------------------------------------------------------------- */

bool recorded_mflux(struct recorded *r, struct image_comments comments) {
    static const struct mapping table[] = {{"prompt", "prompt"}, {"negative_prompt", "negative"}, {"seed", "seed"},
                                           {"steps", "steps"},   {"guidance", "guidance"},        {"width", "width"},
                                           {"height", "height"}, {"mflux_version", NULL},         {NULL, NULL}};
    const char *text = comment_text(comments, "parameters");
    if (!text || *text != '{') return false;
    struct json_flat f = json_flatten(r->arena, text, arena_printf(r->arena, "%s: Exif's comment", r->file));
    const char *version = json_flat_text(&f, "mflux_version");
    if (!version) return false;
    for (int i = 0; i < f.n; i++) {
        const struct json_value *v = &f.values[i];
        if (is_nothing(v) || take_mapped(r, table, v->path, v->text)) continue;
        if (!strcmp(v->path, "image_strength")) leave_strength(r, v->path, v->text);
        else recorded_leave(r, v->path, v->text, strcmp(v->path, "model") ? NULL : model_hint);
    }
    recorded_leave(r, "random numbers", "MLX's", "the seed draws others here");
    r->program = arena_printf(r->arena, "mflux %s", version);
    return true;
}

/* ---- ComfyUI ----------------------------------------------------------------------------------------------------- */

struct graph {
    struct recorded *r;
    struct json_flat f;
};

/* The input of the node as a value; NULL where there is none, or another node makes it. */
static const char *input(const struct graph *g, const char *node, const char *name) {
    return json_flat_text(&g->f, arena_printf(g->r->arena, "%s.inputs.%s", node, name));
}

/* The node whose output goes into that input, if it is of that class; else NULL. */
static const char *source(const struct graph *g, const char *node, const char *name, const char *class_name) {
    const char *from = input(g, node, arena_printf(g->r->arena, "%s.0", name));
    const char *class = from ? json_flat_text(&g->f, arena_printf(g->r->arena, "%s.class_type", from)) : NULL;
    if (class && !strcmp(class, class_name)) return from;
    recorded_leave(g->r, name, class ? class : "nothing", arena_printf(g->r->arena, "expected a node %s", class_name));
    return NULL;
}

static void take_input(const struct graph *g, const char *node, const char *name, const char *field) {
    const char *value = input(g, node, name);
    if (value) recorded_take(g->r, field, name, value);
    else recorded_leave(g->r, name, "", "another node makes it");
}

static bool is_plain(const char *class) {
    static const char *const plain[] = {"KSampler",         "KSamplerAdvanced",       "CLIPTextEncode",
                                        "EmptyLatentImage", "CheckpointLoaderSimple", "VAEDecode",
                                        "SaveImage",        "PreviewImage",           NULL};
    for (int i = 0; plain[i]; i++)
        if (!strcmp(plain[i], class)) return true;
    return false;
}

/* "3" of "3.class_type"; NULL for other paths. */
static const char *node_of(struct arena *a, const struct json_value *v) {
    static const char end[] = ".class_type";
    size_t n = strlen(v->path), m = sizeof end - 1;
    return n > m && !strcmp(v->path + n - m, end) ? arena_printf(a, "%.*s", (int)(n - m), v->path) : NULL;
}

/* The one sampler; nodes of other classes are told. */
static const char *find_sampler(const struct graph *g) {
    const char *found = NULL;
    int n = 0;
    for (int i = 0; i < g->f.n; i++) {
        const struct json_value *v = &g->f.values[i];
        const char *node = node_of(g->r->arena, v);
        if (!node) continue;
        if (!strncmp(v->text, "KSampler", 8)) found = node, n++;
        if (!is_plain(v->text)) recorded_leave(g->r, arena_printf(g->r->arena, "node %s", node), v->text, NULL);
    }
    if (n != 1) die(FAIL_DATA, "%s: ComfyUI's graph has %d nodes KSampler, expected one", g->r->file, n);
    return found;
}

bool recorded_comfyui(struct recorded *r, struct image_comments comments) {
    const char *text = comment_text(comments, "prompt");
    if (!text || text[strspn(text, " ")] != '{') return false;
    struct graph g = {r, json_flatten(r->arena, text, arena_printf(r->arena, "%s: ComfyUI's prompt", r->file))};
    const char *sampler = find_sampler(&g), *from, *denoise = input(&g, sampler, "denoise");
    double d;
    take_input(&g, sampler, input(&g, sampler, "noise_seed") ? "noise_seed" : "seed", "seed");
    take_input(&g, sampler, "steps", "steps");
    take_input(&g, sampler, "cfg", "guidance");
    take_scheduler(r, input(&g, sampler, "sampler_name"), "scheduler", input(&g, sampler, "scheduler"), "");
    if (denoise && !(parse_double(denoise, &d) && d == 1)) leave_strength(r, "denoise", denoise);
    if ((from = source(&g, sampler, "positive", "CLIPTextEncode"))) take_input(&g, from, "text", "prompt");
    if ((from = source(&g, sampler, "negative", "CLIPTextEncode"))) take_input(&g, from, "text", "negative");
    if ((from = source(&g, sampler, "latent_image", "EmptyLatentImage"))) {
        take_input(&g, from, "width", "width");
        take_input(&g, from, "height", "height");
    }
    if ((from = source(&g, sampler, "model", "CheckpointLoaderSimple")) && input(&g, from, "ckpt_name"))
        recorded_leave(r, "ckpt_name", input(&g, from, "ckpt_name"), model_hint);
    recorded_take(r, "rng", "random numbers", "cpu");
    r->program = "ComfyUI";
    return true;
}
