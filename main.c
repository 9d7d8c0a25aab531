/* diffuse: a prompt and a diffusers checkpoint in, a picture out. */
#include "cli/events.h"
#include "cli/generate.h"
#include "cli/inspect.h"
#include "cli/inspect_embedding.h"
#include "cli/inspect_lora.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/pictures.h"
#include "cli/print.h"
#include "cli/print_tokens.h"
#include "cli/result.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "engine/base/error.h"
#include "engine/pipelines/embeddings.h"
#include "engine/pipelines/request.h"
#include "engine/base/sys.h"

#include <malloc.h>
#include <unistd.h>

static void inspect(struct arena *a, const struct options *o) {
    struct settings settings = o->settings;
    for (int i = 0; i < settings.loras.n; i++) inspect_lora(a, lora_open(a, settings.loras.items[i].path), o->json);
    for (int i = 0; i < settings.embeddings.n; i++) {
        const struct embedding_item *e = &settings.embeddings.items[i];
        inspect_embedding(a, embedding_open(a, e->path), e->token, o->json);
    }
    if (settings.loras.n || settings.embeddings.n) return;
    struct model *m = model_open_both(a, &settings);
    settings.incomplete = true;
    if (m->class->takes_prompt && !settings.prompt) settings.prompt = "";
    inspect_print(request_open(a, m, &settings), o->json);
    model_close(m);
}

static void show_schedule(struct arena *a, const struct options *o) {
    struct schedule *then, *schedule = request_schedule(a, &o->settings, &then);
    print_schedule(schedule, then, o->json ? PRINT_JSON : o->tsv ? PRINT_TSV : PRINT_TEXT);
}

static void show_tokens(struct arena *a, const struct options *o) {
    int length;
    struct clip_bpe *tokenizer = model_tokenizer(a, settings_source(&o->settings), &length);
    const struct prompt_syntax *syntax = &prompt_syntaxes[o->settings.prompt_syntax];
    const struct clip_bpe *words = embeddings_words(a, tokenizer, &o->settings.embeddings);
    const char *text = o->tokens_text;
    struct chunks c = chunks_make(a, words, syntax, "--tokens", text, syntax->parse(a, "--tokens", text), length, o->settings.long_prompts);
    print_tokens(words, text, &c, length, o->json, terminal_has_color(STDOUT_FILENO, o->color));
}

int main(int argc, char **argv) {
    struct arena arena = {0};
    struct options options;
    int code = 0;

    stdio_guard();
    signals_init();
    sys_guard();
    mallopt(M_MMAP_THRESHOLD, 128 << 10);        /* what is given back goes back to the system: glibc would raise it */
    events_enable(options_ask_json(argc, argv)); /* for usage errors; whoever draws goes on with it */
    events_to(options_ask_progress(argc, argv));
    error_set_reporter(events_failure);
    options_parse(&arena, &options, argc, argv);
    events_enable(false);
    switch (options.command) {
    case CMD_LIST_SCHEDULERS: print_schedulers(options.listed, options.json); break;
    case CMD_LIST_MODELS: print_models(options.json); break;
    case CMD_SHOW_SCHEDULE: show_schedule(&arena, &options); break;
    case CMD_TOKENS: show_tokens(&arena, &options); break;
    case CMD_INFO: code = pictures_info(&options); break;
    case CMD_VERIFY: code = pictures_verify(&options); break;
    case CMD_INSPECT: inspect(&arena, &options); break;
    case CMD_GENERATE: code = (options_many(&options) ? jobs : generate)(&arena, &options); break;
    }
    result_close();
    arena_free(&arena);
    sys_leave();
    return code;
}
