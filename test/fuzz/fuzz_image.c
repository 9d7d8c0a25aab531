/* The readers of PNG, JPEG and WebP: a picture of the promised size, every byte of it there, or a refusal in one line. */
#include <assert.h>
#include <string.h>
#include "engine/base/error.h"
#include "engine/base/text.h"
#include "engine/images/read.h"

static volatile unsigned sum; /* every pixel is looked at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    error_quiet = 1;
    exif_orientation(data, n);
    xmp_orientation(data, n);
    if (job_enter(&job)) {
        struct image image = image_decode(&arena, data, n, "fuzz");
        assert(image.W > 0 && image.W <= IMAGE_SIDE_MAX && image.H > 0 && image.H <= IMAGE_SIDE_MAX && image.C == 3);
        for (size_t i = 0; i < (size_t)image.W * (size_t)image.H * 3; i++) sum += image.pixels[i];
        job_leave(&job);
    } else {
        assert(job.code == FAIL_DATA && utf8_valid(job.message, strlen(job.message), NULL) && !strchr(job.message, '\n'));
    }
    arena_free(&arena);
    return 0;
}
