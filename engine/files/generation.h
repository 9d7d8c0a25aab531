/* generation_config.json: what a checkpoint's maker would have a picture asked for with, under diffusers' argument names, and what the
 * model was trained on.
 *
 *     {"num_inference_steps": 20, "guidance_scale": 2.5, "known_words": ["a", "cat", …], "trained_sizes": [96, 192]}
 *
 * Also read: "width", "height". Every key may be left out. */
#ifndef ENGINE_FILES_GENERATION_H
#define ENGINE_FILES_GENERATION_H

#include "engine/base/arena.h"

struct generation {
    const char *path;       /* NULL: the checkpoint has no such file */
    int steps;              /* 0: not said */
    double guidance;        /* NAN: not said */
    int width, height;      /* pixels; 0: not said */
    int size_min, size_max; /* pixels of a side in training; 0: not said */
    int n_words;            /* the words of the training's captions, lower case; 0: not said */
    const char **words;
};

/* Of the checkpoint in dir. Dies FAIL_DATA for what is malformed or out of range; a key it does not know is warned of. */
struct generation generation_load(struct arena *a, const char *dir);
/* The words of text (letters, or digits) that are not among the known ones, each once, as "one, two"; NULL where there is none. */
const char *generation_unknown_words(struct arena *a, const struct generation *g, const char *text);

#endif
