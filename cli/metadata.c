#include "cli/metadata.h"

#include <math.h>
#include <string.h>
#include "cli/settings_table.h"
#include "cli/version.h"
#include "engine/base/text.h"
#include "engine/files/lora.h"
#include "engine/pipelines/embeddings.h"
#include "tokenizer/prompt_syntax.h"

/* ---- AUTOMATIC1111's infotext ------------------------------------------------------------------------------------ */

/* "key: value", values that would end the pair or the line as JSON strings (its `quote`). */
static void add_pair(struct buffer *b, const char *key, const char *value) {
    size_t bad;
    if (!value) return;
    if (b->length && b->data[b->length - 1] != '\n') buffer_printf(b, ", ");
    buffer_printf(b, "%s: ", key);
    if (strpbrk(value, ",:\n") || !utf8_valid(value, strlen(value), &bad)) json_quote(b, value);
    else buffer_printf(b, "%s", value);
}

static void add_number(struct buffer *b, const char *key, double value) {
    char text[NUMBER_TEXT_MAX];
    number_text(text, value);
    add_pair(b, key, text);
}

/* A path says more about its owner than about the model: its last component will do. A repository's name stays whole but for its
 * @REVISION, which is told as the commit it stands for. */
static const char *last_part(struct arena *a, const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t begin = n;
    while (begin && path[begin - 1] != '/') begin--;
    return arena_printf(a, "%.*s", (int)(n - begin), path + begin);
}

static const char *model_name(struct arena *a, const struct metadata *m) {
    const char *model = m->settings->model;
    return m->revision ? arena_printf(a, "%.*s", (int)strcspn(model, "@"), model) : last_part(a, model);
}

const char *metadata_infotext(struct arena *a, const struct metadata *m) {
    struct buffer b = {.arena = a};
    const struct settings *s = m->settings;
    if (s->prompt && *s->prompt) buffer_printf(&b, "%s\n", s->prompt);
    if (s->negative && *s->negative) buffer_printf(&b, "Negative prompt: %s\n", s->negative);
    add_number(&b, "Steps", s->steps);
    if (s->prompt_syntax != SYNTAX_PLAIN) add_pair(&b, "Prompt syntax", prompt_syntax_names[s->prompt_syntax]);
    if (m->step) add_number(&b, "Saved after step", m->step);
    add_pair(&b, "Sampler", m->sampler);
    add_pair(&b, "Schedule type", m->schedule_type);
    if (!isnan(s->guidance)) add_number(&b, "CFG scale", s->guidance);
    add_pair(&b, "Seed", arena_printf(a, "%llu", (unsigned long long)m->seed));
    add_pair(&b, "Size", arena_printf(a, "%dx%d", s->width, s->height));
    add_pair(&b, "Model", model_name(a, m));
    if (s->refiner) add_pair(&b, "Refiner", last_part(a, s->refiner));
    if (s->refiner) add_number(&b, "Refiner switch at", isnan(s->refine_at) ? 0.8 : s->refine_at);
    if (s->clip_skip > 0) add_number(&b, "Clip skip", s->clip_skip + 1); /* theirs counts from the last layer = 1 */
    if (s->rng == RNG_CPU) add_pair(&b, "RNG", "CPU");                   /* absent means the GPU's */
    if (s->eta > 0) add_number(&b, "Eta DDIM", s->eta);
    add_pair(&b, "Version", "diffuse " DIFFUSE_VERSION);
    return b.data;
}

/* ---- our own ----------------------------------------------------------------------------------------------------- */

/* prefix: before the components' names. */
static void write_hashes(struct json_out *j, const struct model *m, const char *prefix) {
    const struct checkpoint *c = m->checkpoint;
    for (int i = 0; i < c->n_components; i++) {
        const char *hash = weight_hash(j->text.arena, m->hashes, &c->components[i]);
        if (hash) json_out_string(j, arena_printf(j->text.arena, "%s%s", prefix, c->components[i].name), hash);
    }
}

static void write_components(struct json_out *j, const struct metadata *about) {
    const struct model *m = about->model;
    json_out_open(j, "components", '{');
    write_hashes(j, m, "");
    for (int i = 0; i < about->n_controls; i++) {
        const struct control_net *n = about->controls[i].of;
        const char *hash = n->hashes ? weight_hash(j->text.arena, n->hashes, n->component) : NULL;
        if (hash) json_out_string(j, arena_printf(j->text.arena, "control_%d", i + 1), hash);
    }
    if (m->refiner) write_hashes(j, m->refiner, "refiner_");
    json_out_close(j, '{');
}

/* So that a file which is another one now is told from a program that draws something else. */
static void write_inputs(struct json_out *j, const struct input_hashes *i) {
    if (!i || !(i->image || i->latents || i->controls[0])) return;
    json_out_open(j, "inputs", '{');
    if (i->image) json_out_string(j, "image", i->image);
    if (i->mask) json_out_string(j, "mask", i->mask);
    if (i->depth) json_out_string(j, "depth", i->depth);
    if (i->latents) json_out_string(j, "latents", i->latents);
    for (int k = 0; k < CONTROLS_MAX && i->controls[k]; k++)
        json_out_string(j, arena_printf(j->text.arena, "control_image_%d", k + 1), i->controls[k]);
    json_out_close(j, '{');
}

static void write_lora_hashes(struct json_out *j, const struct lora_list *list) {
    json_out_open(j, "lora_sha256", '[');
    for (int i = 0; i < list->n; i++) json_out_string(j, NULL, lora_hash(j->text.arena, list->items[i].path));
    json_out_close(j, '[');
}

static void write_embedding_hashes(struct json_out *j, const struct model *m, const struct embedding_list *list) {
    json_out_open(j, "embedding_sha256", '[');
    for (int i = 0; i < list->n; i++) json_out_string(j, NULL, embeddings_hash(m, list->items[i].path));
    json_out_close(j, '[');
}

void metadata_fields(struct json_out *j, const struct metadata *m) {
    struct settings s = *m->settings;
    s.seed = m->seed;
    settings_write(j, &s);
    if (m->step) json_out_u64(j, "step", (uint64_t)m->step);
    json_out_string(j, "scheduler_class", m->scheduler_class);
    json_out_string(j, "sampler", m->sampler);
    json_out_string(j, "schedule_type", m->schedule_type);
    json_out_string(j, "model", model_name(j->text.arena, m));
    json_out_string(j, "revision", m->revision);
    if (m->verdict) json_out_bool(j, "nsfw", m->verdict == VERDICT_FLAGGED);
    json_out_string(j, "dtype", m->dtype);
    json_out_string(j, "device", m->device);
    if (m->product) json_out_string(j, "product", m->product);
    if (m->isa) json_out_string(j, "isa", m->isa);
    if (m->model && s.loras.n) write_lora_hashes(j, &s.loras);
    if (m->model && s.embeddings.n) write_embedding_hashes(j, m->model, &s.embeddings);
    if (m->model && m->model->hashes) write_components(j, m);
    write_inputs(j, m->inputs);
    if (m->quality) json_out_u64(j, "quality", (uint64_t)m->quality);
}

static const char *own_json(struct arena *a, const struct metadata *m) {
    struct json_out j = {.text.arena = a};
    json_out_open(&j, NULL, '{');
    json_out_u64(&j, "v", 1);
    json_out_string(&j, "version", DIFFUSE_VERSION);
    if (m->request) json_out_string(&j, "request", m->request);
    metadata_fields(&j, m);
    json_out_close(&j, '{');
    return j.text.data;
}

/* ---- disclosure -------------------------------------------------------------------------------------------------- */

static const char *xmp(void) {
    return "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
           "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
           " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
           "  <rdf:Description rdf:about=\"\"\n"
           "    xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\"\n"
           "    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\"\n"
           "    Iptc4xmpExt:DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia\"\n"
           "    xmp:CreatorTool=\"diffuse " DIFFUSE_VERSION "\"/>\n"
           " </rdf:RDF>\n"
           "</x:xmpmeta>\n"
           "<?xpacket end=\"r\"?>";
}

static const char software[] = "diffuse " DIFFUSE_VERSION, sheet_mark[] = ", contact sheet";

bool metadata_is_sheet(const char *software_of_file) {
    const char *comma = software_of_file ? strchr(software_of_file, ',') : NULL;
    return comma && !strncmp(software_of_file, software, strlen("diffuse ")) && !strcmp(comma, sheet_mark);
}

int metadata_comments(struct arena *a, const struct metadata *m, const char *level, struct image_comment comments[METADATA_COMMENTS_MAX]) {
    int n = 0;
    if (!strcmp(level, "none")) return 0;
    if (!strcmp(level, "full")) {
        comments[n++] = (struct image_comment){"parameters", metadata_infotext(a, m), false};
        comments[n++] = (struct image_comment){"diffuse", own_json(a, m), true};
    } else {
        comments[n++] =
            (struct image_comment){"Software", arena_printf(a, "%s%s", software, strcmp(level, "sheet") ? "" : sheet_mark), false};
    }
    comments[n++] = (struct image_comment){"XML:com.adobe.xmp", xmp(), true};
    return n;
}
