/* What a refusal must be like: one printable line, and a code that blames the input. */
#ifndef TEST_FUZZ_REFUSAL_H
#define TEST_FUZZ_REFUSAL_H

#include <assert.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"

static inline void check_line_of_text(const char *line) {
    assert(utf8_valid(line, strlen(line), NULL) && !strchr(line, '\n') && !strchr(line, '\033'));
}

static inline void check_refusal(const struct job *job) {
    assert(job->code == FAIL_USAGE || job->code == FAIL_DATA || job->code == FAIL_INPUT || job->code == FAIL_UNSUPPORTED ||
           job->code == FAIL_CREATE);
    assert(*job->message);
    check_line_of_text(job->message);
    check_line_of_text(job->hint);
}

#endif
