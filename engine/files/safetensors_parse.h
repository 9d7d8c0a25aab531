/* The header of a safetensors file, from memory: what st_open does once it has read it, and what the fuzzer drives. */
#ifndef ENGINE_FILES_SAFETENSORS_PARSE_H
#define ENGINE_FILES_SAFETENSORS_PARSE_H

#include "engine/files/safetensors.h"

enum { ST_HEADER_MAX = 100000000, ST_TENSORS_MAX = 65536, ST_NAME_MAX = 512 };

/* Fills tensors and by_name from the header text of f, whose path and size are set. Dies FAIL_DATA or FAIL_UNSUPPORTED. */
void st_parse_header(struct arena *a, struct st_file *f, const char *header, size_t length);

#endif
