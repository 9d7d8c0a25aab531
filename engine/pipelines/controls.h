/* ControlNets that lead a model: the nets, opened once in its life, and what a request asks of them (diffusers pipelines/controlnet). */
#ifndef ENGINE_PIPELINES_CONTROLS_H
#define ENGINE_PIPELINES_CONTROLS_H

#include "engine/files/checkpoint.h"
#include "engine/files/weight_hash.h"
#include "engine/images/extract.h"
#include "engine/nets/controlnet.h"
#include "engine/nets/dpt.h"
#include "engine/pipelines/depth.h"

struct model;
struct request;

enum { CONTROL_NETS_MAX = 16 /* in a model's life */ };

struct control_nets {
    int n;
    struct control_net {
        const char *path; /* as --control has it, or the checkpoint's own */
        struct checkpoint *checkpoint;
        struct component *component; /* the one in use */
        struct binder *binder;
        struct controlnet *net;       /* or NULL, where it is … */
        struct dpt *depth;            /* … what estimates the depth of a net's picture */
        struct extractor extractor;   /* pictures for that */
        struct weight_hashes *hashes; /* or NULL: model_hash_weights */
    } items[CONTROL_NETS_MAX];
};

/* One net's part in a request. */
struct control_use {
    const struct control_net *of;
    struct image image; /* as it was read; no pixels where nothing is drawn … */
    float *pixels;      /* … and as the net sees it: [height,width,3] in [0,1] */
    struct control_depth {
        const struct control_net *of; /* or NULL: the picture is seen as it is */
        const char *name;             /* the picture's */
        struct depth_input seen;
    } depth;
    double scale, start, end;
    /* Device memory, as the request's. */
    struct unet_run *run;
    struct view picture;
    int temb_at, temb_dim; /* its part of a row of r->temb */
};

/* The nets and pictures that the settings name; what they leave open, the size, follows from the first picture. Dies FAIL_USAGE for what
 * does not go together, FAIL_UNSUPPORTED for a net made for another model, FAIL_INPUT, FAIL_DATA for a bad file. */
void controls_open(struct request *r);
/* The pictures at the request's size, once what it begins from is open. */
void controls_fit(struct request *r);
/* Embeds the pictures and puts the nets' rows behind the denoiser's in r->temb. t: n_rows host floats. Planning calls it too. */
void controls_prepare(struct request *r, const float *t, int n_rows);
/* How many of the schedule's rows the i-th leads. */
int controls_rows(const struct request *r, int i);
/* *y, zeroed before: those that lead the row's call; row -1: all of them. */
void controls_at(const struct request *r, int row, struct controls *y);
/* What shapes of operands follow from. */
uint64_t controls_shape(const struct request *r);
void controls_close(struct control_nets *nets);

#endif
