#include "cli/print_tokens.h"

#include <stdio.h>
#include <string.h>
#include "cli/json_out.h"
#include "cli/result.h"
#include "engine/base/text.h"

static void write_json(struct json_out *j, const struct clip_bpe *tokenizer, const char *text, const struct chunks *c, int length) {
    json_out_open(j, NULL, '{');
    json_out_string(j, "text", text);
    json_out_u64(j, "cut", (uint64_t)c->n_cut);
    json_out_u64(j, "chunks", (uint64_t)c->n);
    json_out_open(j, "pieces", '[');
    for (int i = 0; i < c->n_tokens; i++) {
        const struct token *t = &c->tokens[i];
        json_out_open(j, NULL, '{');
        json_out_u64(j, "id", (uint64_t)t->id);
        json_out_string(j, "token", clip_bpe_token(tokenizer, t->id));
        json_out_u64(j, "begin", t->begin); /* in the phrase of one weight */
        json_out_u64(j, "end", t->end);
        json_out_number(j, "weight", t->weight);
        json_out_u64(j, "chunk", (uint64_t)t->chunk);
        json_out_u64(j, "blend", (uint64_t)t->blended); /* which of the texts blended there, … */
        json_out_number(j, "share", t->share);          /* … and how much it counts */
        json_out_bool(j, "cut", t->chunk == c->n);
        json_out_close(j, '{');
    }
    json_out_close(j, '[');
    json_out_open(j, "ids", '[');
    for (int k = 0; k < c->n; k++)
        for (int i = 0; i < length; i++) json_out_u64(j, NULL, (uint64_t)c->items[k].terms->ids[i]);
    json_out_close(j, '[');
    json_out_close(j, '{');
    buffer_add(&j->text, "\n", 1);
}

static void write_token(struct buffer *b, const struct clip_bpe *tokenizer, int number, const struct token *t, bool cut, bool color) {
    const char *on = cut && color ? "\033[31m" : "", *off = cut && color ? "\033[0m" : "", *token = clip_bpe_token(tokenizer, t->id);
    char name[256], text[256], weight[32] = "";
    escape_text(name, sizeof name, token, strlen(token));
    escape_text(text, sizeof text, t->text + t->begin, t->end - t->begin);
    if (t->weight != 1) snprintf(weight, sizeof weight, "  x %.4g", t->weight);
    buffer_printf(b, "%s%4d %6d  %-20s '%s'%s%s%s\n", on, number, (int)t->id, name, text, weight, cut ? "  cut off" : "", off);
}

static void write_head(struct buffer *b, const struct chunks *c, const struct token *t) {
    buffer_printf(b, "----");
    if (c->n > 1 || t->share == 1) buffer_printf(b, " chunk %d", t->chunk + 1);
    if (t->share != 1) buffer_printf(b, "%s text %d, x %.4g", c->n > 1 ? "," : "", t->blended + 1, t->share);
    buffer_printf(b, "\n");
}

static void write_sum(struct buffer *b, const struct chunks *c, int length) {
    buffer_printf(b, "%d tokens, room for %d", c->n_tokens, (length - 2) * c->n);
    if (c->n > 1) buffer_printf(b, " in %d chunks", c->n);
    if (c->n_cut) buffer_printf(b, ", %d cut off", c->n_cut);
    buffer_printf(b, "\n");
}

void print_tokens(const struct clip_bpe *tokenizer, const char *text, const struct chunks *c, int length, bool json, bool color) {
    struct arena a = {0};
    struct json_out j = {.text.arena = &a};
    if (json) write_json(&j, tokenizer, text, c, length);
    struct token before = {.share = 1};
    for (int i = 0, number = 0; i < c->n_tokens && !json; i++) {
        const struct token *t = &c->tokens[i];
        bool cut = t->chunk == c->n;
        if (!cut && (t->chunk != before.chunk || t->blended != before.blended || t->share != before.share)) {
            number = 0;
            write_head(&j.text, c, t);
        }
        before = *t;
        write_token(&j.text, tokenizer, ++number, t, cut, color);
    }
    if (!json) write_sum(&j.text, c, length);
    result_write(j.text.data, j.text.length);
    arena_free(&a);
}
