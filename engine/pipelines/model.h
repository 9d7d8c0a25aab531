/* A checkpoint, opened once: its parts, the device they run on, their weights. It serves any number of requests, one after the other.
 *
 *     struct model *m = model_open(&arena, (struct source){.model = "models/doodle"});   every file checked, no weight read
 *     struct request *r = request_open(&request_arena, m, &settings);  what is asked for, checked against the model
 *     model_read_ahead(m);                                             optional
 *     model_use(m, device);
 *     request_plan(r);                                                 shapes, algorithms, peak memory
 *     model_load(m);                                                   weights
 *     for each k: picture_open, picture_draw                           image k, seed + k (or several at once: drawing_open)
 *     further requests: request_open, request_plan, model_load, pictures; nothing is planned or read that is there
 *     model_close(m);
 *
 * All of it dies as engine/base/error.h says. Nothing of a request or a picture is kept here but copies. */
#ifndef ENGINE_PIPELINES_MODEL_H
#define ENGINE_PIPELINES_MODEL_H

#include <string.h>
#include "engine/files/checkpoint.h"
#include "engine/files/weight_hash.h"
#include "engine/images/extract.h"
#include "engine/nets/clip.h"
#include "engine/nets/denoiser.h"
#include "engine/nets/safety_checker.h"
#include "engine/nets/vae.h"
#include "engine/pipelines/classes.h"
#include "engine/pipelines/controls.h"
#include "engine/pipelines/prompt.h"
#include "engine/pipelines/settings.h"
#include "engine/pipelines/stages.h"
#include "engine/weights.h"
#include "tokenizer/clip_bpe.h"

/* All that the shapes of one picture's operands follow from. */
struct picture_shape {
    int pictures, copies, height, width, n_rows, history, saves;
    int n_tokens[3];
    uint64_t hidden; /* which tokens of the prompts are */
    uint64_t controls;
    int task; /* 0 from noise, 1 from a picture, 2 with a mask, 3 with one that the denoiser sees, 4 with an estimate of depth */
    enum dtype vae_dtype;
    enum offload offload;
    int tiling;     /* enum vae_tiling */
    bool snapshots; /* pictures on their way are asked for */
};

struct text_part {
    const struct component *component; /* the encoder's */
    struct clip_bpe *tokenizer;
    struct clip_text *net;
};

struct model {
    struct arena *arena;
    const struct pipeline_class *class;
    const char *variant; /* of weight files, or NULL */
    struct checkpoint *checkpoint;
    struct component *parts[N_PARTS]; /* NULL where the class has no such part */
    int n_texts;
    struct text_part texts[TEXTS_MAX]; /* the text encoders there are, in order */
    struct vae *vae;                   /* or NULL */
    struct safety_checker *safety;     /* NULL too where it is switched off */
    struct extractor extractor;        /* pictures for it */
    struct dpt *depth;                 /* or NULL */
    struct extractor depth_extractor;  /* pictures for it */
    struct denoiser denoiser;
    int n_binders;
    struct binder *binders[N_PARTS]; /* of the nets, in order of use: what they bound is loaded */
    int n_tokens;                    /* length ids are padded to: 77 */
    bool zeros_for_no_negative;      /* without a negative prompt zeros stand for what "" would make */
    bool scored;                     /* the refiner: it takes an aesthetic score in place of the target size, and only pictures */
    int context_dim, pooled_dim;     /* of what the text encoders make of a prompt; 0: there is none */
    int channels;                    /* of what is denoised */
    int picture_channels;            /* 3, or 1: grey */
    int factor;                      /* pixels per latent: the VAE's, or 1 */
    int size_multiple, size_least;   /* width and height are multiples of the one, from the other on, itself one */

    struct model *refiner; /* draws the last steps of this model's pictures, on its device; or NULL */
    struct model *partner; /* the refiner, or whose refiner this is: what one prepares takes the place of the other's */
    enum offload offload;  /* what is asked for; the refiner's is its partner's */

    struct device *device;       /* owned from model_use on; the refiner's is its partner's */
    enum dtype dtype;            /* of all but the VAE: the device's own, outside decoding */
    struct recording *recording; /* of the loop's step; keyed by all it depends on, so it outlives the requests that go on alike */
    uint64_t program_bytes;      /* the device's, before the first load; 0 where it has memory of its own */
    uint64_t free_bytes;         /* what the device had free as a forecast began, which changes nothing; 0: it is asked each time */
    uint64_t bytes_read;
    double load_ms;
    struct weight_hashes *hashes; /* or NULL: model_hash_weights */
    const char *identity;         /* model_identity's answer, or NULL */
    bool loaded;                  /* load_ms is known; else after the first picture */

    uint64_t n_plans;
    struct picture_shape planned;  /* what the device is planned for; all 0: nothing */
    struct stages *stages;         /* how; shared with the refiner */
    bool tiled;                    /* so planned, too: the VAE works in tiles where the picture is larger than one */
    uint64_t n_requests, prepared; /* how many there were; the number of the one whose context lies in the device's arena, 0: none */
    struct prompt_cache prompts;
    struct control_nets *controls; /* ControlNets (controls.h); NULL: no request had any yet */
    struct embeddings *embeddings; /* words learned beside (embeddings.h); NULL: no request had any yet */
    struct preview_map *preview;   /* preview.h; NULL: no picture asked for it yet */
    struct loras *loras;           /* what is upon the weights (loras.h); NULL: no request had any yet */
};

/* It is the refiner of another. */
static inline bool model_refines(const struct model *m) {
    return m->partner && !m->refiner;
}

struct model *model_open(struct arena *a, struct source source);
static inline struct source settings_source(const struct settings *s) {
    bool named = s->scheduler && !strchr(",:", *s->scheduler);
    return (struct source){s->model, s->variant, s->config, s->vae, s->no_safety_checker, s->swaps || named, NULL};
}
/* The model the settings name, and its refiner. Dies FAIL_UNSUPPORTED where the two do not go together. */
struct model *model_open_both(struct arena *a, const struct settings *settings);
/* Dies where pictures of the one class are not refined by the other. */
void model_check_refiner(const struct pipeline_class *base, const struct pipeline_class *refiner);
/* Asks the system to begin reading the weights into its cache: while a device comes up, and before the first of them is wanted. */
void model_read_ahead(const struct model *m);
/* Has the weights' hashes found out, in the background: m->hashes, the refiner's too. Does nothing the second time. */
void model_hash_weights(struct model *m);
/* The device all requests run on, in its planning phase. */
void model_use(struct model *m, struct device *device);
/* Bytes the run will hold at most, known after planning: of one part at a time, where it is so planned. */
struct memory_plan {
    uint64_t weights, activations, scratch;
};
struct memory_plan model_memory(const struct model *m);
static inline uint64_t memory_plan_sum(struct memory_plan p) {
    return p.weights + p.activations + p.scratch;
}
/* Bytes that the process takes beside that plan, with those of a picture on its way out; 0 on a device that has memory of its own. */
uint64_t model_program_bytes(const struct model *m);
/* Of one stage; all 0 where there is no such stage. */
struct memory_plan model_stage_memory(const struct model *m, enum stage stage);
/* What the device has for this model: free bytes and those it holds already; 0 where that cannot be told. */
uint64_t model_memory_room(const struct model *m);
/* Ends planning: allocates what was planned, then reads and packs the weights not there yet; a device that does so behind our back goes on
 * with it. */
void model_load(struct model *m);
/* All weights are there, and load_ms is known. */
void model_finish_load(struct model *m);
/* The first weight that is not finite, ControlNets' too; as weights_find_flaw. */
bool model_find_flaw(const struct model *m, struct weight_flaw *flaw);
/* What was computed for earlier requests and pictures is computed again: for measuring. */
void model_forget(struct model *m);
void model_close(struct model *m);

/* The first tokenizer alone, no weight looked at; *n_tokens receives the length of a context, as in the model. Dies FAIL_UNSUPPORTED where
 * the class takes no prompt. */
struct clip_bpe *model_tokenizer(struct arena *a, struct source source, int *n_tokens);

/* The component, not opened. Dies FAIL_UNSUPPORTED where the checkpoint has one of another class or library, or none: NULL where it is
 * optional. */
struct component *model_part(const struct checkpoint *c, const struct part_spec *spec);

#endif
