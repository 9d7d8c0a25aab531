/* A textual inversion's file (Gal et al. 2022): vectors that stand for a word which the text encoder never had.
 *
 *     diffusers   one tensor, its name the word: [n,width] or [width]
 *     A1111       one tensor "emb_params" (or "*", "string_to_param.*", as converters leave it); the word is the file's name
 *     SDXL        "clip_l" and "clip_g", one for each text encoder, or one of them; the word is the file's name */
#ifndef ENGINE_FILES_EMBEDDING_H
#define ENGINE_FILES_EMBEDDING_H

#include "engine/files/safetensors.h"

enum embedding_place { EMBEDDING_ANY, EMBEDDING_FIRST /* text_encoder */, EMBEDDING_SECOND /* text_encoder_2 */ };

enum { EMBEDDING_VECTORS_MAX = 1024 };

struct embedding {
    const char *path, *token; /* token: the file's own word for it */
    struct st_file *file;
    char sha256[65]; /* of the file */
    int n;           /* vectors */
    int n_parts;
    struct embedding_part {
        enum embedding_place place;
        const struct tensor *vectors; /* [n,width], F32 */
        int width;
    } parts[2];
};

/* path: as lone_file takes it, learned_embeds.safetensors its usual name. Dies FAIL_INPUT, FAIL_IO, FAIL_DATA or FAIL_UNSUPPORTED. */
struct embedding *embedding_open(struct arena *a, const char *path);

#endif
