#include "cli/notes_xl.h"

#include <math.h>
#include "engine/base/error.h"

static void note_if(bool given, const char *option, const char *why) {
    if (given) warn("%s has no effect%s", option, why);
}

static void note_sizes(const struct settings *s, const char *why) {
    note_if(s->original_size.width, "--original-size", why);
    note_if(s->crop.x || s->crop.y, "--crop", why);
    note_if(s->negative_original_size.width, "--negative-original-size", why);
}

static void note_target_sizes(const struct settings *s, const char *why) {
    note_if(s->target_size.width, "--target-size", why);
    note_if(s->negative_target_size.width, "--negative-target-size", why);
}

static void note_negative_crop(const struct settings *s, const char *why) {
    note_if(s->negative_crop.x || s->negative_crop.y, "--negative-crop", why);
}

static void note_scores(const struct settings *s, const char *why) {
    note_if(!isnan(s->aesthetic_score), "--aesthetic-score", why);
    note_if(!isnan(s->negative_aesthetic_score), "--negative-aesthetic-score", why);
}

static void note_negative_sizes(const struct settings *s) {
    bool original = s->negative_original_size.width, target = s->negative_target_size.width;
    if (!s->image) note_if(original && !target, "--negative-original-size", " without --negative-target-size");
    if (!s->image) note_if(target && !original, "--negative-target-size", " without --negative-original-size");
    if (s->image) note_negative_crop(s, ": from a picture it is --crop's");
    else if (!original || !target) note_negative_crop(s, " without --negative-original-size and --negative-target-size");
}

void note_unused_xl(const struct request *r, const struct settings *given) {
    const struct model *m = r->model;
    if (m->n_texts < 2) {
        note_if(given->prompt2 && *given->prompt2, "--prompt2", ": the model has no second text encoder");
        note_if(given->negative2 && *given->negative2, "--negative2", ": the model has no second text encoder");
    } else if (m->zeros_for_no_negative && !given->negative) {
        note_if(given->negative2 && *given->negative2, "--negative2", " without --negative");
    }
    if (!m->pooled_dim) {
        note_sizes(given, ": this is no SDXL model");
        note_target_sizes(given, ": this is no SDXL model");
        note_negative_crop(given, ": this is no SDXL model");
    } else if (m->scored) {
        note_target_sizes(given, ": a refiner takes a score instead");
    } else {
        note_negative_sizes(given);
    }
    if (!m->scored) note_scores(given, ": this is no refiner");
}
