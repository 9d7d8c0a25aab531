/* Several pictures of a request drawn in the same calls of the denoiser (--batch-size): how many, and which. What leaves the program is the
 * same as if each were drawn alone, byte for byte and in the same order. */
#ifndef CLI_TOGETHER_H
#define CLI_TOGETHER_H

#include "cli/generate.h"

/* request_plan for as many as will be drawn at once, where nothing was said for as many as fit into memory, and check_memory. */
void together_plan(struct request *r, const struct options *o);
/* Image run->k with all its rows done, and with it those behind it that are wanted, up to as many as were planned: asked for one of
 * these, it is there. Dies as drawing_open and drawing_run do; on_step(run, p, row) is called after each row of each picture. */
struct picture *together_draw(struct run *run, void (*on_step)(void *run, struct picture *p, int row));
/* Is image run->k drawn already? */
bool together_has(const struct run *run);
/* Frees what was drawn. */
void together_end(struct run *run);

#endif
