/* A row of a table of values: all there is to say about one of them. Options, --help, completion, the man page, metadata, events,
 * request.json and JSON job lines read it; adding a setting is a row and its use. */
#ifndef CLI_FIELD_H
#define CLI_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include "cli/json_out.h"
#include "engine/base/json.h"

enum field_group { GROUP_PICTURE, GROUP_MODEL, GROUP_OUTPUT, GROUP_LOOK, GROUP_MESSAGES, N_GROUPS };

/* What a shell offers for the value. */
enum completion {
    COMPLETE_NOTHING,
    COMPLETE_WORDS,
    COMPLETE_FILE,
    COMPLETE_DIR,
    COMPLETE_TENSORS, /* safetensors files, and directories on the way to them */
    COMPLETE_SCHEDULER,
    COMPLETE_MODEL
};

struct field;

/* A value somebody gave. name: what messages call it, "--steps" or "jobs.jsonl: line 3: steps". value NULL: the field takes none. */
struct given {
    struct arena *arena;
    void *base; /* the struct the row's table is about */
    const struct field *field;
    const char *name, *value;
};

struct field_kind {
    void (*set)(const struct given *g); /* checks and stores; dies FAIL_USAGE naming g->name. Texts are kept, not copied */
    /* Adds the value under `key`; NULL: never recorded. */
    void (*write)(struct json_out *j, const char *key, const struct field *f, const void *base);
    enum {
        JSON_TEXT,
        JSON_COUNT,
        JSON_FLAG,
        JSON_LIST /* of texts; value NULL empties it */,
        JSON_NUMBERS /* of numbers, likewise */
    } json;          /* the type it has in JSON */
};

struct field {
    char letter; /* 0: none */
    const char *name;
    const char *argument; /* as --help shows it; NULL: takes none */
    enum field_group group;
    const char *help; /* one line */
    const struct field_kind *kind;
    size_t offset;      /* of the value in the table's struct */
    const char *preset; /* the default, as it would be given; NULL: zero, which stands for the model's own (NAN in a number) */
    double min, max;
    const char *const *words; /* the values it takes, NULL-terminated, in the order of the enum where it has one; or NULL */
    enum completion completion;
    bool rare;            /* not in --help, which is one screen; in the man page and the completions it is */
    bool of_job;          /* options: a line of a batch may have it, too */
    bool of_model;        /* settings: a run has one, which no line of a batch changes */
    bool recorded;        /* in metadata, events and request.json, under field_key */
    bool only_with_image; /* recorded of pictures that began from another one alone */
};

/* Kinds, by what they store. */
extern const struct field_kind kind_text;   /* const char *: any text */
extern const struct field_kind kind_path;   /* const char *: not "" */
extern const struct field_kind kind_flag;   /* bool */
extern const struct field_kind kind_int;    /* int in [min, max] */
extern const struct field_kind kind_number; /* double in [min, max] */
extern const struct field_kind kind_enum;   /* int: which of the words */
extern const struct field_kind kind_word;   /* const char *: one of the words */

/* The value in the struct that the table is about. */
static inline void *field_value(const struct given *g) {
    return (char *)g->base + g->field->offset;
}

/* Setters of kind_flag and kind_int, for kinds with writers of their own. */
void field_set_flag(const struct given *g);
void field_set_int(const struct given *g);
/* Writers for kinds that store an int (negative is written as 0) or a text in their own way. */
void field_write_int(struct json_out *j, const char *key, const struct field *f, const void *base);
void field_write_enum(struct json_out *j, const char *key, const struct field *f, const void *base);
void field_write_text(struct json_out *j, const char *key, const struct field *f, const void *base);

/* The row's name in JSON: '_' for '-'. */
const char *field_key(struct arena *a, const struct field *f);
/* Stores every default of the table into *base, and zero where there is none. */
void field_presets(struct arena *a, const struct field *table, int n, void *base);
/* The row with that name, '_' for '-' if you like, or NULL. */
const struct field *field_find(const struct field *table, int n, const char *key);
/* The same, or the row that another program calls so. */
const struct field *field_known(const struct field *table, int n, const char *key);
/* Are the two structs' values of the field the same, as they are recorded? */
bool field_same(struct arena *a, const struct field *f, const void *one, const void *other);
/* Stores the object's value of that key; null leaves what is there. Texts come to lie in `a`. Dies FAIL_DATA (another type) or FAIL_USAGE
 * naming json_place and the key. */
void field_from_json(struct arena *a, const struct field *f, void *base, const struct json *o, const char *key);
/* Which of the field's words g->value is; dies with the nearest one as a hint. */
int field_word(const struct given *g);
/* parse_u64 without its 0x form. */
bool parse_digits(const char *s, uint64_t *n);

#endif
