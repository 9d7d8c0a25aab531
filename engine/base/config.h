/* Refusing, by name, what a config asks for and we do not do. */
#ifndef ENGINE_BASE_CONFIG_H
#define ENGINE_BASE_CONFIG_H

#include "engine/base/json.h"

/* Keys that must be absent, null, or equal to the one value implemented. */
struct config_only {
    const char *key;
    enum { ONLY_NULL, ONLY_FALSE, ONLY_TRUE, ONLY_NUMBER, ONLY_STRING } kind;
    double number;
    const char *string;
};

/* Dies FAIL_UNSUPPORTED "FILE: 'KEY': VALUE is not supported" for the first of the n rules broken. */
void config_require(const struct json *config, const struct config_only *rules, int n);
/* "silu", "quick_gelu", "gelu" …: the index in names, else dies FAIL_UNSUPPORTED. names end with NULL. */
int config_choice(const struct json *config, const char *key, const char *fallback, const char *const *names);

#endif
