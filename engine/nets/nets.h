/* The nets there are, by the class name a checkpoint gives them. */
#ifndef ENGINE_NETS_NETS_H
#define ENGINE_NETS_NETS_H

#include "engine/bind.h"
#include "engine/nets/denoiser.h"

struct net_class {
    const char *name; /* "UNet2DConditionModel" */
    /* Reads the config and binds every tensor; dies FAIL_DATA, FAIL_UNSUPPORTED. Lives in the binder's arena. */
    void *(*bind)(struct binder *binder);
    struct denoiser (*denoiser)(const void *net); /* NULL for nets that are none */
};

/* NULL if there is none of that name. */
const struct net_class *net_find(const char *name);

#endif
