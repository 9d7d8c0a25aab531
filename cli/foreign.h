/* Names that other programs have for options: diffusers' keywords, sd-cli's, AUTOMATIC1111's and ComfyUI's. */
#ifndef CLI_FOREIGN_H
#define CLI_FOREIGN_H

struct foreign_option {
    const char *name; /* without "--" */
    const char *ours; /* the option that means the same and takes the same values: accepted for it; NULL: there is none */
};

extern const struct foreign_option foreign_options[];
extern const int n_foreign_options;

#endif
