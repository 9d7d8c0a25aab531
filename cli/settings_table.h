/* The table of settings: what a picture is asked to be (struct settings), from whoever asks. */
#ifndef CLI_SETTINGS_TABLE_H
#define CLI_SETTINGS_TABLE_H

#include "cli/field.h"
#include "engine/base/json.h"
#include "engine/pipelines/settings.h"

extern const struct field settings_fields[];
extern const int n_settings_fields;

struct settings settings_defaults(struct arena *a);
/* Changes *s by the keys of the object: the long names of options, '_' for '-' if you like; null leaves what is there. Texts come to
 * lie in `a`. An unknown key, another type or a value out of range dies (FAIL_DATA or FAIL_USAGE) naming json_place and the key.
 * others: keys that the caller takes, NULL-terminated, or NULL. */
void settings_from_json(struct arena *a, struct settings *s, const struct json *o, const char *const *others);
/* Adds every recorded setting to the object being written. */
void settings_write(struct json_out *j, const struct settings *s);

/* "fp32", "fp16" or "bf16", as --dtype takes it, and back: fp32 for "bf16x3", `otherwise` for "auto". */
const char *dtype_word(enum dtype dtype);
enum dtype dtype_of(const char *word, enum dtype otherwise);
extern const char *const dtype_words[]; /* "auto" first */

#endif
