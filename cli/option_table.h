/* The one table of options. A row is all there is to say about an option: parsing, --help and --completion read it. */
#ifndef CLI_OPTION_TABLE_H
#define CLI_OPTION_TABLE_H

#include <stddef.h>
#include "cli/options.h"

enum option_group { GROUP_PICTURE, GROUP_MODEL, GROUP_OUTPUT, GROUP_LOOK, GROUP_MESSAGES, N_GROUPS };

struct option_spec {
    char letter; /* 0: none */
    const char *name;
    const char *argument; /* as --help shows it; NULL: takes none */
    enum option_group group;
    const char *help; /* NULL: an alias, left out of --help and --completion */
    void (*set)(struct arena *a, struct options *o, const struct option_spec *spec, const char *value);
    size_t field;             /* offset in struct options, for the handlers that only store a value */
    double min, max;          /* set_int and set_number */
    const char *const *words; /* the values it takes, NULL-terminated, or NULL */
};

extern const struct option_spec option_table[];
extern const int n_options;
extern const char *const option_group_titles[N_GROUPS];

#endif
