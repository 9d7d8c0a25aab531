/* As Pillow's save(quality=N): colour at half the resolution below 100, Huffman tables made for the picture. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/images/write.h"

enum { BLOCK_BYTES = 1 << 16, MARKER_MAX = 65533 };

struct writer {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    struct buffer file;
    uint8_t block[BLOCK_BYTES];
};

static _Noreturn void failed(j_common_ptr jpeg) {
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    die(FAIL_INTERNAL, "jpeg: %s", message);
}

static void destroy(void *data) {
    struct writer *w = data;
    jpeg_destroy_compress(&w->jpeg);
}

static void block_begins(j_compress_ptr jpeg) {
    struct writer *w = jpeg->client_data;
    w->destination.next_output_byte = w->block;
    w->destination.free_in_buffer = BLOCK_BYTES;
}

static boolean block_full(j_compress_ptr jpeg) {
    struct writer *w = jpeg->client_data;
    buffer_add(&w->file, w->block, BLOCK_BYTES);
    block_begins(jpeg);
    return TRUE;
}

static void last_block(j_compress_ptr jpeg) {
    struct writer *w = jpeg->client_data;
    buffer_add(&w->file, w->block, BLOCK_BYTES - w->destination.free_in_buffer);
}

/* libjpeg's memory goes with the arena, however encoding ends. */
static struct writer *writer_new(struct arena *a, struct arena *work) {
    struct writer *w = arena_alloc(work, sizeof *w);
    w->file.arena = a;
    w->jpeg.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = failed;
    w->jpeg.client_data = w;
    jpeg_create_compress(&w->jpeg);
    arena_on_free(work, destroy, w);
    w->destination =
        (struct jpeg_destination_mgr){.init_destination = block_begins, .empty_output_buffer = block_full, .term_destination = last_block};
    w->jpeg.dest = &w->destination;
    return w;
}

/* An APP1 with the identifier, its NUL included, in front. */
static void put_marker(struct arena *work, j_compress_ptr jpeg, const char *identifier, size_t n_identifier, const void *data, size_t n) {
    if (n_identifier + n > MARKER_MAX) {
        warn("jpeg: %zu bytes of metadata are left out, a JPEG holds %zu; a PNG holds all", n, MARKER_MAX - n_identifier);
        return;
    }
    struct buffer b = {.arena = work};
    buffer_add(&b, identifier, n_identifier);
    buffer_add(&b, data, n);
    jpeg_write_marker(jpeg, JPEG_APP0 + 1, (const JOCTET *)b.data, (unsigned)b.length);
}

static void put_comments(struct arena *work, j_compress_ptr jpeg, struct image_comments comments) {
    static const char xap[] = "http://ns.adobe.com/xap/1.0/";
    size_t n;
    const void *exif = exif_encode(work, comments, &n);
    const char *xmp = comment_text(comments, "XML:com.adobe.xmp");
    if (exif) put_marker(work, jpeg, "Exif\0", 6, exif, n);
    if (xmp) put_marker(work, jpeg, xap, sizeof xap, xmp, strlen(xmp));
}

const void *jpeg_encode(struct arena *a, const struct image *image, struct image_comments comments, int quality, size_t *size) {
    struct arena *work = image_scratch(a);
    struct writer *w = writer_new(a, work);
    struct jpeg_compress_struct *jpeg = &w->jpeg;
    jpeg->image_width = (JDIMENSION)image->W;
    jpeg->image_height = (JDIMENSION)image->H;
    jpeg->input_components = image->C;
    jpeg->in_color_space = image->C == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg->optimize_coding = TRUE;
    if (quality == QUALITY_LOSSLESS) jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(jpeg, TRUE);
    put_comments(work, jpeg, comments);
    for (int y = 0; y < image->H; y++)
        jpeg_write_scanlines(jpeg, &(JSAMPROW){image->pixels + (size_t)y * (size_t)image->W * (size_t)image->C}, 1);
    jpeg_finish_compress(jpeg);
    const void *file = w->file.data;
    *size = w->file.length;
    arena_free(work);
    return file;
}
