#include "cli/inspect_embedding.h"

#include <string.h>
#include "cli/json_out.h"
#include "cli/result.h"
#include "engine/base/text.h"

/* By the widths of the text encoders there are; NULL: of none we know. */
static const char *base_of(const struct embedding *e) {
    int width = e->parts[0].width;
    if (e->n_parts > 1) return width == 768 && e->parts[1].width == 1280 ? "SDXL" : NULL;
    if (e->parts[0].place == EMBEDDING_FIRST) return width == 768 ? "SDXL" : NULL;
    return width == 768 ? "SD 1.x" : width == 1024 ? "SD 2.x" : width == 1280 ? "SDXL" : NULL;
}

static void print_text(struct buffer *b, const struct embedding *e, const char *word) {
    size_t n_path = 4 * strlen(e->path) + 1, n_word = 4 * strlen(word) + 1;
    char *path = arena_alloc(b->arena, n_path), *safe = arena_alloc(b->arena, n_word);
    escape_text(path, n_path, e->path, strlen(e->path));
    escape_text(safe, n_word, word, strlen(word));
    buffer_printf(b, "%-14s %s\n%-14s %s\n%-14s %d of %d", "embedding", path, "word", safe, "vectors", e->n, e->parts[0].width);
    if (e->n_parts > 1) buffer_printf(b, " and %d", e->parts[1].width);
    buffer_printf(b, " values\n%-14s %s\n", "base", base_of(e) ? base_of(e) : "not known");
}

static void print_json(struct json_out *j, const struct embedding *e, const char *word) {
    json_out_open(j, NULL, '{');
    json_out_string(j, "embedding", e->path);
    json_out_string(j, "word", word);
    json_out_u64(j, "vectors", (uint64_t)e->n);
    json_out_open(j, "widths", '[');
    for (int i = 0; i < e->n_parts; i++) json_out_u64(j, NULL, (uint64_t)e->parts[i].width);
    json_out_close(j, '[');
    json_out_string(j, "base", base_of(e));
    json_out_string(j, "sha256", e->sha256);
    json_out_close(j, '{');
    buffer_add(&j->text, "\n", 1);
}

void inspect_embedding(struct arena *a, const struct embedding *e, const char *token, bool json) {
    struct json_out j = {.text = {.arena = a}};
    if (!token) token = e->token;
    if (json) print_json(&j, e, token);
    else print_text(&j.text, e, token);
    result_write(j.text.data, j.text.length);
}
