/* Kinds of field that are recorded where they were given, if at all, and nowhere else. */
#ifndef CLI_KINDS_H
#define CLI_KINDS_H

#include "cli/field.h"

extern const struct field_kind kind_text_given;   /* const char *: any text; NULL */
extern const struct field_kind kind_path_given;   /* const char *: not ""; NULL */
extern const struct field_kind kind_number_given; /* double in [min, max]; NAN */
extern const struct field_kind kind_enum_given;   /* int: which of the words; 0 */
extern const struct field_kind kind_int_or_auto;  /* int in [min, max]; 0 for auto; not recorded */
extern const struct field_kind kind_extent;       /* struct extent: WIDTHxHEIGHT, each in [min, max]; 0x0 */
extern const struct field_kind kind_place;        /* struct place: X,Y, each in [min, max]; 0,0 */

#endif
