/* What pictures say of themselves: 'f' and a file, or another letter and the text of one comment. Everything taken is a value that its
 * field takes; a refusal is one line. */
#include <assert.h>
#include <string.h>
#include "cli/recorded.h"
#include "cli/settings_table.h"
#include "engine/base/error.h"
#include "engine/base/text.h"

static const char *keyword(uint8_t letter) {
    return letter == 'd' ? "diffuse" : letter == 'i' ? "invokeai_metadata" : letter == 'c' ? "prompt" : "parameters";
}

static void read_all(struct arena *a, const uint8_t *data, size_t n) {
    char *text = arena_alloc(a, n + 1);
    memcpy(text, data + 1, n - 1);
    struct image_comment one = {.keyword = keyword(*data), .text = text};
    struct image_comments comments = {&one, 1};
    if (*data == 'f') comments = image_comments_read(a, data + 1, n - 1, "fuzz");
    else if (!utf8_valid(text, strlen(text), NULL)) return;
    for (int i = 0; i < comments.n; i++) assert(utf8_valid(comments.items[i].text, strlen(comments.items[i].text), NULL));
    struct recorded *r = recorded_parse(a, comments, "fuzz");
    struct settings s = settings_defaults(a);
    recorded_apply(r, &s);
    assert(r->program && r->n_settings <= RECORDED_MAX && r->n_others <= RECORDED_OTHERS_MAX && r->n_facts <= RECORDED_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    if (!n) return 0;
    error_quiet = 1;
    if (job_enter(&job)) {
        read_all(&arena, data, n);
        job_leave(&job);
    } else {
        assert((job.code == FAIL_DATA || job.code == FAIL_UNSUPPORTED) && !strchr(job.message, '\n'));
    }
    arena_free(&arena);
    return 0;
}
