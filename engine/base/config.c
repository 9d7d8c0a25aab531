#include "engine/base/config.h"
#include "engine/base/error.h"

#include <math.h>
#include <string.h>

static bool rule_holds(const struct json *config, const struct config_only *rule) {
    if (json_is_null(config, rule->key)) return true;
    switch (rule->kind) {
    case ONLY_NULL: return false;
    case ONLY_FALSE: return !json_bool(config, rule->key, false);
    case ONLY_TRUE: return json_bool(config, rule->key, true);
    case ONLY_NUMBER: return json_number(config, rule->key, rule->number, -INFINITY, INFINITY) == rule->number;
    case ONLY_STRING: return strcmp(json_string(config, rule->key, rule->string), rule->string) == 0;
    }
    return false;
}

void config_require(const struct json *config, const struct config_only *rules, int n) {
    for (int i = 0; i < n; i++) {
        const struct config_only *r = &rules[i];
        if (rule_holds(config, r)) continue;
        switch (r->kind) {
        case ONLY_NULL: die(FAIL_UNSUPPORTED, "%s: '%s' is not supported", json_path(config), r->key);
        case ONLY_FALSE: die(FAIL_UNSUPPORTED, "%s: '%s': only false is supported", json_path(config), r->key);
        case ONLY_TRUE: die(FAIL_UNSUPPORTED, "%s: '%s': only true is supported", json_path(config), r->key);
        case ONLY_NUMBER: die(FAIL_UNSUPPORTED, "%s: '%s': only %g is supported", json_path(config), r->key, r->number);
        case ONLY_STRING: die(FAIL_UNSUPPORTED, "%s: '%s': only '%s' is supported", json_path(config), r->key, r->string);
        }
    }
}

int config_choice(const struct json *config, const char *key, const char *fallback, const char *const *names) {
    const char *value = json_string(config, key, fallback);
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], value) == 0) return i;
    die(FAIL_UNSUPPORTED, "%s: '%s': '%s' is not supported", json_path(config), key, value);
}
