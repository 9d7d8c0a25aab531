/* Kinds of field that may be given again; recorded where they were given. */
#ifndef CLI_LIST_KINDS_H
#define CLI_LIST_KINDS_H

#include "cli/field.h"

extern const struct field_kind kind_lora;       /* struct lora_list: FILE[:WEIGHT] */
extern const struct field_kind kind_embedding;  /* struct embedding_list: FILE[=WORD] */
extern const struct field_kind kind_paths;      /* struct text_list: each not "" */
extern const struct field_kind kind_preprocess; /* struct text_list: each as preprocess_parse takes it */
extern const struct field_kind kind_numbers;    /* struct number_list: each in [min, max] */

#endif
