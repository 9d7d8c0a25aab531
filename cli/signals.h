/* A signal that ends the program leaves no temporary and no half-drawn line, and the parent sees that it was this signal. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>

/* SIGINT, SIGTERM, SIGHUP, SIGQUIT: clean up, then die of the signal; those the parent ignores (nohup, background jobs) stay ignored.
 * SIGPIPE kills, as a pipe's reader expects. SIGXFSZ is ignored, so that a file size limit is an error of write(2). */
void signals_init(void);

/* From here on, in this thread and those it starts, SIGUSR1 asks for an end after the picture under way. One that the parent ignores stays
 * ignored. */
void signals_drain(void);
/* It was asked for. */
bool signals_drained(void);
/* Waits until fd has something to read, or its end; false as soon as an end is asked for. */
bool signals_wait(int fd);

#endif
