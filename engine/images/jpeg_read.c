/* libjpeg as Pillow drives it: accurate integer transform, smooth upsampling, CMYK inverted as Adobe stores it; damaged data is decoded
 * with what libjpeg makes of it, a file that ends too soon is refused. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "engine/base/error.h"
#include "engine/images/read.h"

enum { SCANS_MAX = 100 }; /* a progressive file has some ten; each costs a pass over the whole picture */

struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    const struct image_file *f;
};

static _Noreturn void failed(j_common_ptr jpeg) {
    const struct reader *r = (const struct reader *)jpeg->client_data;
    char message[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    die(FAIL_DATA, "%s: jpeg: %s", r->f->name, message);
}

static void noticed(j_common_ptr jpeg, int level) {
    const struct reader *r = (const struct reader *)jpeg->client_data;
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) die(FAIL_DATA, "%s: jpeg: the file ends too soon", r->f->name);
}

static void scan_begins(j_common_ptr jpeg) {
    const struct reader *r = (const struct reader *)jpeg->client_data;
    if (r->jpeg.input_scan_number > SCANS_MAX) die(FAIL_DATA, "%s: jpeg: expected at most %d scans", r->f->name, SCANS_MAX);
}

static void destroy(void *data) {
    struct reader *r = data;
    jpeg_destroy_decompress(&r->jpeg);
}

/* Frees libjpeg's memory with the arena, however decoding ends. */
static struct reader *reader_new(const struct image_file *f) {
    struct reader *r = arena_alloc(f->work, sizeof *r);
    r->f = f;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = failed;
    r->errors.emit_message = noticed;
    r->jpeg.client_data = r;
    jpeg_create_decompress(&r->jpeg);
    arena_on_free(f->work, destroy, r);
    r->progress.progress_monitor = scan_begins;
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, f->data, f->n);
    return r;
}

static int orientation(const struct reader *r) {
    static const char xap[] = "http://ns.adobe.com/xap/1.0/";
    int exif = -1, xmp = 0;
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next) {
        if (exif < 0 && m->data_length >= 6 && !memcmp(m->data, "Exif\0\0", 6)) exif = exif_orientation(m->data, m->data_length);
        else if (m->data_length > sizeof xap && !memcmp(m->data, xap, sizeof xap))
            xmp = xmp_orientation(m->data + sizeof xap, m->data_length - sizeof xap);
    }
    return exif > 0 ? exif : xmp > 0 ? xmp : 1;
}

static void from_grey(uint8_t *rgb, const uint8_t *grey, size_t n) {
    for (size_t i = 0; i < n; i++) rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
}

/* Stored inverted: 255 is no ink. What the paper shows is what each ink and black leave of the light, in Pillow's rounding. */
static void from_cmyk(uint8_t *rgb, const uint8_t *inverted, size_t n) {
    for (size_t i = 0; i < n; i++, inverted += 4)
        for (int c = 0; c < 3; c++) {
            int left = inverted[3], t = (255 - inverted[c]) * left + 128;
            int v = left - (((t >> 8) + t) >> 8);
            rgb[3 * i + (size_t)c] = (uint8_t)(v < 0 ? 0 : v);
        }
}

struct image jpeg_decode(struct arena *a, struct image_file *f) {
    struct reader *r = reader_new(f);
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    f->orientation = orientation(r); /* finishing drops the markers */
    int C = jpeg->num_components;
    if (C != 1 && C != 3 && C != 4) die(FAIL_DATA, "%s: jpeg: expected 1, 3 or 4 components, found %d", f->name, C);
    image_check_size(f, jpeg->image_width, jpeg->image_height);
    jpeg->out_color_space = C == 1 ? JCS_GRAYSCALE : C == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(jpeg);
    int W = (int)jpeg->output_width, H = (int)jpeg->output_height;
    struct image out = image_new(a, W, H, 3);
    uint8_t *line = arena_array(f->work, (size_t)W, (size_t)C);
    for (int y = 0; y < H; y++) {
        uint8_t *rgb = out.pixels + (size_t)y * (size_t)W * 3, *to = C == 3 ? rgb : line;
        jpeg_read_scanlines(jpeg, &to, 1);
        if (C == 1) from_grey(rgb, line, (size_t)W);
        if (C == 4) from_cmyk(rgb, line, (size_t)W);
    }
    jpeg_finish_decompress(jpeg);
    return out;
}
