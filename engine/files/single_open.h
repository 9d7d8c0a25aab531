/* Checkpoints that are one file, and VAEs that come from elsewhere: parts of checkpoint.c. */
#ifndef ENGINE_FILES_SINGLE_OPEN_H
#define ENGINE_FILES_SINGLE_OPEN_H

#include "engine/files/checkpoint.h"

/* Lists the components of source->model where it is a file; false: it is none. Dies FAIL_USAGE where source->config is given without. */
bool single_list(struct arena *a, struct checkpoint *c, const struct source *source);
/* component_open for these. Dies FAIL_UNSUPPORTED where the file has no tensors of a net. */
void single_component_open(const struct checkpoint *c, struct component *m, enum component_kind kind);
/* component_open of a net for c->vae: a directory with its own config.json, or a file, whose configuration is the checkpoint's. */
void vae_open(const struct checkpoint *c, struct component *m, const char *variant);

/* ---- of checkpoint.c --------------------------------------------------------------------------------------------- */

void checkpoint_read_index(struct arena *a, struct checkpoint *c, struct json *index);
/* Whether something of that kind lies in dir. */
bool component_in(struct arena *a, const char *dir, enum component_kind kind);
/* Dies FAIL_UNSUPPORTED where it asks for custom code or quantization. */
void component_check_config(const struct json *config);

#endif
