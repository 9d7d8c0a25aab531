/* --completion: scripts made from the option table. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "engine/base/arena.h"

const char *completion_bash(struct arena *a);
const char *completion_zsh(struct arena *a);
const char *completion_fish(struct arena *a);

#endif
