#include "cli/foreign.h"

const struct foreign_option foreign_options[] = {
    {"negative-prompt", "negative"},
    {"cfg-scale", "guidance"},
};

const int n_foreign_options = sizeof foreign_options / sizeof *foreign_options;
