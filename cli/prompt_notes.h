/* What people write in prompts for other programs and expect to mean something: said once, on stderr, and drawn as the text it is. */
#ifndef CLI_PROMPT_NOTES_H
#define CLI_PROMPT_NOTES_H

#include "engine/pipelines/settings.h"

/* from_stdin: line breaks may have been meant to part several prompts. settings: how it is read. */
void prompt_notes(const char *prompt, bool from_stdin, const struct settings *settings);
void negative_notes(const char *negative, const struct settings *settings);
/* A batch's line that is a prompt: is it JSON? It may be meant so (A1111's brackets). */
void line_notes(const char *prompt);

#endif
