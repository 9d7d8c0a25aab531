/* libwebp encodes the pixels; the container around them, where there is metadata, is a list of chunks written here. */
#include <webp/encode.h>

#include <string.h>
#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/images/write.h"

enum { FLAG_XMP = 4, FLAG_EXIF = 8 };

static void clear_writer(void *data) {
    WebPMemoryWriterClear(data);
}

static void clear_picture(void *data) {
    WebPPictureFree(data);
}

/* "RIFF", size, "WEBP" and one chunk; libwebp's memory goes with `work`, however encoding ends. */
static const WebPMemoryWriter *encode(struct arena *work, const struct image *rgb, int quality) {
    WebPConfig config;
    WebPPicture *picture = arena_alloc(work, sizeof *picture);
    WebPMemoryWriter *writer = arena_alloc(work, sizeof *writer);
    if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, (float)quality) || !WebPPictureInit(picture))
        die(FAIL_INTERNAL, "webp: library of another version than the headers");
    WebPMemoryWriterInit(writer);
    arena_on_free(work, clear_writer, writer);
    arena_on_free(work, clear_picture, picture);
    config.lossless = picture->use_argb = quality == QUALITY_LOSSLESS;
    picture->width = rgb->W;
    picture->height = rgb->H;
    picture->writer = WebPMemoryWrite;
    picture->custom_ptr = writer;
    if (!WebPPictureImportRGB(picture, rgb->pixels, rgb->W * 3) || !WebPEncode(&config, picture)) {
        if (picture->error_code == VP8_ENC_ERROR_OUT_OF_MEMORY) die(FAIL_MEMORY, "webp: out of memory");
        die(FAIL_INTERNAL, "webp: cannot encode (error %d)", (int)picture->error_code);
    }
    return writer;
}

static void put32(struct buffer *b, size_t v) {
    buffer_add(b, (uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)}, 4);
}

static void put_chunk(struct buffer *b, const char *name, const void *data, size_t n) {
    if (!n) return;
    buffer_add(b, name, 4);
    put32(b, n);
    buffer_add(b, data, n);
    if (n & 1) buffer_add(b, "", 1);
}

const void *webp_encode(struct arena *a, const struct image *image, struct image_comments comments, int quality, size_t *size) {
    if (image->W > WEBP_MAX_DIMENSION || image->H > WEBP_MAX_DIMENSION)
        die(FAIL_USAGE, "webp: %dx%d pixels, expected at most %d on a side", image->W, image->H, WEBP_MAX_DIMENSION);
    struct arena *work = image_scratch(a);
    size_t n_exif = 0;
    const void *exif = exif_encode(work, comments, &n_exif);
    const char *xmp = comment_text(comments, "XML:com.adobe.xmp");
    struct image rgb = image_rgb(work, image);
    const WebPMemoryWriter *plain = encode(work, &rgb, quality);
    struct buffer body = {.arena = work}, file = {.arena = a};
    if (exif || xmp) {
        uint8_t head[10] = {(exif ? FLAG_EXIF : 0) | (xmp ? FLAG_XMP : 0)};
        for (int i = 0; i < 3; i++) head[4 + i] = (uint8_t)((image->W - 1) >> 8 * i), head[7 + i] = (uint8_t)((image->H - 1) >> 8 * i);
        put_chunk(&body, "VP8X", head, sizeof head);
    }
    buffer_add(&body, plain->mem + 12, plain->size - 12);
    put_chunk(&body, "EXIF", exif, n_exif);
    put_chunk(&body, "XMP ", xmp, xmp ? strlen(xmp) : 0);
    buffer_add(&file, "RIFF", 4);
    put32(&file, body.length + 4);
    buffer_add(&file, "WEBP", 4);
    buffer_add(&file, body.data, body.length);
    arena_free(work);
    *size = file.length;
    return file.data;
}
