/* What people write in prompts for other programs and expect to mean something: said once, on stderr, and drawn as the text it is. */
#ifndef CLI_PROMPT_NOTES_H
#define CLI_PROMPT_NOTES_H

#include <stdbool.h>

/* from_stdin: line breaks may have been meant to part several prompts. loras: <lora:…> is read. */
void prompt_notes(const char *prompt, bool from_stdin, bool loras);

#endif
