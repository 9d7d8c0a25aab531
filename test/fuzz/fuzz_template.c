/* The name of an output and what its fields stand for: a byte for the count, then the template, prompt, model and scheduler with NULs
 * between. Whatever they hold, fields bring no slash and no control character into the name. */
#include <limits.h>
#include "cli/template.h"
#include "test/fuzz/folder.h"
#include "test/fuzz/refusal.h"

static int count(const char *s, bool slashes) {
    int n = 0;
    for (; *s; s++) n += slashes ? *s == '/' : (unsigned char)*s < 0x20 || *s == 0x7f;
    return n;
}

static void expand(struct arena *a, const char *template, const struct template_fields *fields) {
    const char *path = template_expand(a, template, fields);
    assert(strlen(path) < PATH_MAX && count(path, true) == count(template, true) && count(path, false) == count(template, false));
    for (const char *s = path; *s; s += strspn(s, "/")) {
        size_t n = strcspn(s, "/");
        assert(n <= 255);
        s += n;
    }
}

static void name_all(struct arena *a, const char *output, const struct template_fields *fields, int n_images) {
    const char *template = template_resolve(a, *output ? output : NULL, n_images), *job;
    if (n_images > 1) assert(strstr(template, "{seed}") || strstr(template, "{n}"));
    expand(a, template, fields);
    expand(a, template_with_step(a, template), fields);
    job = template_with_id(a, template_of_jobs(a, *output ? output : NULL));
    assert(template_has_id(job) || strstr(job, "{seed}") || strstr(job, "{slug}"));
    expand(a, job, fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static struct arena arena; /* static: it outlives the longjmp of a refusal */
    struct job job;
    if (n < 1) return 0;
    struct parts parts = parts_of(data + 1, n - 1);
    static char *output, *prompt, *model, *scheduler;
    free(output), free(prompt), free(model), free(scheduler);
    output = part_text(&parts), prompt = part_text(&parts), model = part_text(&parts), scheduler = part_text(&parts);
    if (!utf8_valid(prompt, strlen(prompt), NULL)) *prompt = 0; /* options_parse has seen to it */
    struct template_fields fields = {UINT64_MAX, data[0],          "job-1.a",      prompt,      model,
                                     scheduler,  .steps = 1000000, .width = 16384, .height = 8, .step = 7};
    if (job_enter(&job)) {
        name_all(&arena, output, &fields, 1 + data[0] % 3);
        job_leave(&job);
    } else check_refusal(&job);
    arena_free(&arena);
    return 0;
}
