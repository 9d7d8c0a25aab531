/* What was given and changes nothing. */
#ifndef CLI_NOTES_H
#define CLI_NOTES_H

#include "engine/pipelines/request.h"

/* Warns of it, with this model and this scheduler. */
void note_unused(const struct request *r, const struct settings *given);

#endif
