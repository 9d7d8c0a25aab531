/* Two by two tiles of c stay in the tile registers for a run of steps whose b fits into the first cache beside a's rows: then the next rows
 * of a, with the same b. */
#include "engine/cpu/amx_kernels.h"
#include "engine/cpu/amx_tile.h"

enum { TILE = 16, RUN_STEPS = 16 /* of one part: 32 KB of b */ };

void amx_begin(void) {
    static const struct tile_config all_whole = {
        .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE}};
    tile_configure(&all_whole);
}

void amx_end(void) {
    tile_release();
}

/* c += a b of one part of each. */
static inline void dot(const uint16_t *a, size_t row_bytes, const uint16_t *b) {
    tile_load(4, a, row_bytes);
    tile_load(5, (const char *)a + TILE * row_bytes, row_bytes);
    tile_load(6, b, 64);
    tile_load(7, b + AMX_B_STEP / 2, 64);
    tile_dot(0, 4, 6);
    tile_dot(1, 4, 7);
    tile_dot(2, 5, 6);
    tile_dot(3, 5, 7);
}

static inline void step(const struct amx_operands *o, const uint16_t *a, const uint16_t *b) {
    for (int i = 0; i < o->parts; i++)
        for (int j = 0; j < o->parts - i; j++) dot(a + (size_t)i * o->part, o->row * sizeof *a, b + (size_t)j * AMX_B_STEP);
}

static inline void load_c(const float *c, size_t ld) {
    size_t bytes = ld * sizeof *c;
    tile_load(0, c, bytes);
    tile_load(1, c + TILE, bytes);
    tile_load(2, c + TILE * ld, bytes);
    tile_load(3, c + TILE * ld + TILE, bytes);
}

static inline void zero_c(void) {
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
}

static inline void store_c(float *c, size_t ld) {
    size_t bytes = ld * sizeof *c;
    tile_store(0, c, bytes);
    tile_store(1, c + TILE, bytes);
    tile_store(2, c + TILE * ld, bytes);
    tile_store(3, c + TILE * ld + TILE, bytes);
}

void amx_product(float *c, size_t ld, const struct amx_operands *o, int blocks, bool accumulate) {
    int steps = o->taps * o->chunks, run = RUN_STEPS / o->parts;
    for (int first = 0; first < steps; first += run)
        for (int block = 0; block < blocks; block++) {
            float *at = c + (size_t)block * AMX_ROWS * ld;
            const uint16_t *a = o->a + (size_t)block * AMX_ROWS * o->row;
            if (first || accumulate) load_c(at, ld);
            else zero_c();
            for (int s = first; s < imin(first + run, steps); s++)
                step(o, a + o->tap[s / o->chunks] + (size_t)(s % o->chunks) * AMX_DEPTH, o->b + (size_t)(s * o->parts) * AMX_B_STEP);
            store_c(at, ld);
        }
}

/* ---- operands ---------------------------------------------------------------------------------------------------- */

int amx_parts(const struct cpu_device *dev, enum dtype dtype) {
    return dtype == DT_BF16 ? 1 : dev->base.x3 ? 2 : 3;
}

void amx_split(uint16_t *dst, size_t part, int parts, enum dtype dtype, const void *src, int n) {
    int end = ceil_div(n, AMX_DEPTH) * AMX_DEPTH;
    for (int p = 0; p < parts; p++) memset(dst + (size_t)p * part + n, 0, (size_t)(end - n) * sizeof *dst);
    if (dtype == DT_BF16) {
        memcpy(dst, src, (size_t)n * sizeof *dst);
        return;
    }
    for (int at = 0; at < n; at += ROW_CHUNK) {
        int width = imin(ROW_CHUNK, n - at);
        float rest[ROW_CHUNK];
        memcpy(rest, (const float *)src + at, (size_t)width * sizeof *rest);
        for (int p = 0; p < parts; p++) {
            uint16_t *to = dst + (size_t)p * part + at;
            for (int i = 0; i < width; i++) {
                to[i] = f32_to_bf16(rest[i]);
                rest[i] -= bf16_to_f32(to[i]);
            }
        }
    }
}

void amx_pack_b(uint16_t *dst, int column, const uint16_t *values, size_t part, int parts) {
    for (int p = 0; p < parts; p++) {
        uint16_t *tile = dst + (size_t)p * AMX_B_STEP + column / TILE * (AMX_B_STEP / 2) + column % TILE * 2;
        for (int pair = 0; pair < TILE; pair++) memcpy(tile + pair * 2 * TILE, values + (size_t)p * part + 2 * pair, 2 * sizeof *tile);
    }
}
