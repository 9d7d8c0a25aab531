/* Names that other programs have for options and values: diffusers' keywords, sd-cli's, AUTOMATIC1111's and ComfyUI's. Schedulers' names:
 * scheduler_translate. */
#ifndef CLI_FOREIGN_H
#define CLI_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>

struct foreign_option {
    const char *names; /* without "--", blank-separated */
    const char *ours;  /* the option that means the same and takes the same values: taken for it */
    bool unsupported;  /* a thing that is not done here */
    const char *hint;  /* what is near, or what there is instead; NULL: nothing to say */
};

/* The row for the n bytes of an option's name, '_' counting as '-'; NULL: nobody's. */
const struct foreign_option *foreign_option(const char *name, size_t n);
/* What a short option that we have not is here: "--threads N"; or NULL. */
const char *foreign_letter(char letter);
/* Our word for the value ("fp16" for "float16", "cuda" for "gpu"), any case; or NULL. */
const char *foreign_word(const char *word);

#endif
