/* --inspect: what a checkpoint holds, after every check short of reading a weight. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "engine/pipelines/request.h"

/* Prints components, parameters, dtypes, default size, scheduler and estimated memory on stdout, as text or as one JSON object. */
void inspect_print(struct request *r, bool json);

#endif
