/* What was given and changes nothing. */
#ifndef CLI_NOTES_H
#define CLI_NOTES_H

#include "cli/options.h"
#include "engine/pipelines/request.h"

/* Warns of it, with this model and this scheduler; of a job not of what may be there for others. */
void note_unused(const struct request *r, const struct options *o);

#endif
