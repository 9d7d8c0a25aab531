#include "cli/notes.h"

#include <math.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/files/embedding.h"
#include "engine/pipelines/controls.h"
#include "engine/pipelines/preview.h"
#include "tokenizer/prompt_syntax.h"

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

/* refined: the refiner that goes on takes them without a target size, pictures or not. */
static void note_negative_sizes(const struct settings *s, bool refined) {
    bool original = s->negative_original_size.width, target = s->negative_target_size.width;
    if (!s->image) note_if(target && !original, "--negative-target-size", " without --negative-original-size");
    if (refined) return;
    if (!s->image) note_if(original && !target, "--negative-original-size", " without --negative-target-size");
    if (s->image) note_negative_crop(s, ": from a picture it is --crop's");
    else if (!original || !target) note_negative_crop(s, " without --negative-original-size and --negative-target-size");
}

static void note_unused_xl(const struct request *r, const struct settings *given) {
    const struct model *m = r->model;
    bool scored = m->scored || (r->then && r->then->model->scored);
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
        note_negative_sizes(given, scored);
    }
    if (!scored) note_scores(given, ": this is no refiner");
}

/* Is the text in one of the prompts? Case does not count. */
static bool in_prompts(const struct settings *s, const char *text) {
    const char *const prompts[] = {s->prompt, s->negative, s->prompt2, s->negative2};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
        if (prompts[i] && strcasestr(prompts[i], text)) return true;
    return false;
}

static void note_words(const struct request *r, const struct settings *given) {
    if (given->lora_dir && !in_prompts(given, "<lora:")) warn("--lora-dir has no effect: no prompt has <lora:NAME:X>");
    for (int i = 0; i < given->embeddings.n; i++) {
        const struct embedding_item *e = &given->embeddings.items[i];
        const char *word = e->token ? e->token : r->embeddings[i]->token;
        char safe[256];
        escape_text(safe, sizeof safe, word, strlen(word));
        if (!in_prompts(given, word)) warn("--embedding %s has no effect: its word, %s, is in no prompt", e->path, safe);
    }
}

static void note_loras(const struct lora_list *list) {
    for (int i = 0; i < list->n; i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(list->items[i].path, list->items[k].path))
                warn("--lora %s: given twice, and added twice: %g and %g times", list->items[i].path, list->items[k].weight,
                     list->items[i].weight);
}

static void note_controls(const struct request *r) {
    for (int i = 0; i < r->n_controls; i++)
        if (!controls_rows(r, i))
            warn("--control %s has no effect: it leads none of %d steps (scale %g, from %g to %g)", r->controls[i].of->path,
                 r->schedule->n_rows, r->controls[i].scale, r->controls[i].start, r->controls[i].end);
}

static void note_run(const struct request *r, const struct options *o) {
    const struct settings *given = &o->settings;
    const struct prompt_syntax *syntax = &prompt_syntaxes[given->prompt_syntax];
    if (!r->model->class->takes_prompt) {
        note_if(given->long_prompts, "--long-prompts", " on a model without a prompt");
        note_if(given->prompt_syntax, "--prompt-syntax", " on a model without a prompt");
    } else if (given->long_prompts && syntax->chunked) {
        warn("--long-prompts has no effect: --prompt-syntax %s has long prompts go on anyway", syntax->name);
    }
    if (given->batch_size > 1 && given->count == 1)
        warn("--batch-size %d has no effect on one picture: --count draws more", given->batch_size);
    if (o->save_every >= request_rows(r) && o->save_every)
        warn("--save-every %d has no effect: the picture is done after %d model calls", o->save_every, request_rows(r));
    const char *unseen = o->preview ? preview_missing(r) : NULL;
    if (unseen) warn("--preview has no effect: %s", unseen);
    if (!options_many(o)) note_words(r, given);
    note_loras(&r->settings.loras);
    note_controls(r);
}

void note_unused(const struct request *r, const struct options *o) {
    const struct settings *given = &o->settings;
    const char *promptless = r->model->class->takes_prompt ? NULL : "a model without a prompt";
    if (given->eta > 0 && !sched_config_origin(r->sched_config, "eta")) warn("--eta has no effect: %s has none", r->scheduler->class_name);
    if (promptless && !isnan(given->guidance)) warn("--guidance has no effect on %s", promptless);
    if (promptless && given->negative) warn("--negative has no effect on %s", promptless);
    if (promptless && given->clip_skip > 0) warn("--clip-skip has no effect on %s", promptless);
    if (prompt_syntaxes[r->settings.prompt_syntax].skips_all && r->model->class->penultimate)
        note_if(given->clip_skip > 0, "--clip-skip", ": AUTOMATIC1111 has none for SDXL");
    const char *alone = r->model->denoiser.takes_guidance ? "the model is told the guidance, and called once" : "--guidance is 1 or less";
    if (!promptless && r->copies == 1 && given->negative && *given->negative) warn("--negative has no effect: %s", alone);
    if (r->copies == 1 && given->guidance_rescale > 0) warn("--guidance-rescale has no effect: %s", promptless ? promptless : alone);
    if (given->latents && given->count > 1) warn("--latents: all %d pictures begin from the same noise", given->count);
    note_unused_xl(r, given);
    note_run(r, o);
}
