/* Of SDXL's options, what was given and changes nothing with this model. */
#ifndef CLI_NOTES_XL_H
#define CLI_NOTES_XL_H

#include "engine/pipelines/request.h"

void note_unused_xl(const struct request *r, const struct settings *given);

#endif
