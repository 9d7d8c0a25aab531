/* --inspect --lora FILE: what a LoRA is, by its tensors and by what its maker wrote into it. */
#ifndef CLI_INSPECT_LORA_H
#define CLI_INSPECT_LORA_H

#include "engine/files/lora.h"

/* On standard output: format, ranks, alphas, modules, the base it was made for, words that call it up; one JSON object with `json`. */
void inspect_lora(struct arena *a, const struct lora *l, bool json);

#endif
