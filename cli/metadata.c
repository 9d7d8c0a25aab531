#include "cli/metadata.h"

#include <math.h>

#include <string.h>
#include "cli/version.h"
#include "engine/base/text.h"

/* ---- AUTOMATIC1111's infotext ------------------------------------------------------------------------------------ */

/* The name A1111 has for the class, else the class itself. */
static const char *sampler_name(const char *class_name) {
    static const char *const names[][2] = {
        {"PNDMScheduler", "PLMS"},
        {"DDIMScheduler", "DDIM"},
        {"EulerDiscreteScheduler", "Euler"},
        {"EulerAncestralDiscreteScheduler", "Euler a"},
        {"LMSDiscreteScheduler", "LMS"},
        {"HeunDiscreteScheduler", "Heun"},
        {"DPMSolverMultistepScheduler", "DPM++ 2M"},
        {"UniPCMultistepScheduler", "UniPC"},
        {"LCMScheduler", "LCM"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i][0], class_name)) return names[i][1];
    return class_name;
}

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

/* A path says more about its owner than about the model: its last component will do. A repository's name stays whole. */
static const char *model_name(struct arena *a, const struct metadata *m) {
    size_t n = strlen(m->model);
    while (n > 1 && m->model[n - 1] == '/') n--;
    size_t begin = n;
    while (begin && m->model[begin - 1] != '/') begin--;
    return m->revision ? m->model : arena_printf(a, "%.*s", (int)(n - begin), m->model + begin);
}

const char *metadata_infotext(struct arena *a, const struct metadata *m) {
    struct buffer b = {.arena = a};
    if (m->prompt && *m->prompt) buffer_printf(&b, "%s\n", m->prompt);
    if (m->negative && *m->negative) buffer_printf(&b, "Negative prompt: %s\n", m->negative);
    add_number(&b, "Steps", m->steps);
    add_pair(&b, "Sampler", sampler_name(m->scheduler_class));
    add_pair(&b, "Schedule type", m->schedule_type);
    if (!isnan(m->guidance)) add_number(&b, "CFG scale", m->guidance);
    add_pair(&b, "Seed", arena_printf(a, "%llu", (unsigned long long)m->seed));
    add_pair(&b, "Size", arena_printf(a, "%dx%d", m->width, m->height));
    add_pair(&b, "Model hash", m->model_hash ? arena_printf(a, "%.10s", m->model_hash) : NULL);
    add_pair(&b, "Model", model_name(a, m));
    if (m->clip_skip > 0) add_number(&b, "Clip skip", m->clip_skip + 1); /* theirs counts from the last layer = 1 */
    if (m->rng == RNG_CPU) add_pair(&b, "RNG", "CPU");                   /* absent means the GPU's */
    if (m->eta > 0) add_number(&b, "Eta DDIM", m->eta);
    add_pair(&b, "Version", "diffuse " DIFFUSE_VERSION);
    return b.data;
}

/* ---- our own ----------------------------------------------------------------------------------------------------- */

const char *dtype_word(enum dtype dtype) {
    return dtype == DT_F16 ? "fp16" : dtype == DT_BF16 ? "bf16" : "fp32";
}

enum dtype dtype_of(const char *word, enum dtype otherwise) {
    return !strcmp(word, "fp32") ? DT_F32 : !strcmp(word, "fp16") ? DT_F16 : !strcmp(word, "bf16") ? DT_BF16 : otherwise;
}

void metadata_fields(struct json_out *j, const struct metadata *m) {
    json_out_string(j, "prompt", m->prompt);
    json_out_string(j, "negative", m->negative);
    json_out_u64(j, "seed", m->seed);
    json_out_u64(j, "steps", (uint64_t)m->steps);
    json_out_number(j, "guidance", m->guidance);
    json_out_number(j, "guidance_rescale", m->guidance_rescale);
    json_out_u64(j, "width", (uint64_t)m->width);
    json_out_u64(j, "height", (uint64_t)m->height);
    json_out_string(j, "scheduler", m->scheduler);
    json_out_string(j, "scheduler_class", m->scheduler_class);
    json_out_number(j, "eta", m->eta);
    json_out_u64(j, "clip_skip", m->clip_skip > 0 ? (uint64_t)m->clip_skip : 0);
    json_out_string(j, "model", model_name(j->text.arena, m));
    json_out_string(j, "revision", m->revision);
    json_out_string(j, "variant", m->variant);
    json_out_string(j, "model_hash", m->model_hash);
    json_out_string(j, "rng", m->rng == RNG_CPU ? "cpu" : arena_printf(j->text.arena, "cuda:%d", m->rng_sms));
    json_out_string(j, "rng_dtype", dtype_word(m->rng_dtype));
    json_out_string(j, "latents", m->latents);
    json_out_string(j, "dtype", m->dtype);
    if (m->vae_dtype) json_out_string(j, "vae_dtype", m->vae_dtype);
    json_out_string(j, "device", m->device);
}

static const char *own_json(struct arena *a, const struct metadata *m) {
    struct json_out j = {.text.arena = a};
    json_out_open(&j, NULL, '{');
    json_out_u64(&j, "v", 1);
    json_out_string(&j, "version", DIFFUSE_VERSION);
    metadata_fields(&j, m);
    json_out_close(&j, '{');
    return j.text.data;
}

/* ---- disclosure -------------------------------------------------------------------------------------------------- */

const char *metadata_xmp(void) {
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

int metadata_comments(struct arena *a, const struct metadata *m, const char *level, struct png_comment comments[METADATA_COMMENTS_MAX]) {
    int n = 0;
    if (!strcmp(level, "none")) return 0;
    if (!strcmp(level, "full")) {
        comments[n++] = (struct png_comment){"parameters", metadata_infotext(a, m), false};
        comments[n++] = (struct png_comment){"diffuse", own_json(a, m), true};
    } else {
        comments[n++] = (struct png_comment){"Software", "diffuse " DIFFUSE_VERSION, false};
    }
    comments[n++] = (struct png_comment){"XML:com.adobe.xmp", metadata_xmp(), true};
    return n;
}
