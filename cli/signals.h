/* A signal that ends the program leaves no temporary and no half-drawn line, and the parent sees that it was this signal. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/* SIGINT, SIGTERM, SIGHUP, SIGQUIT: clean up, then die of the signal; those the parent ignores (nohup, background jobs) stay ignored.
 * SIGPIPE kills, as a pipe's reader expects. SIGXFSZ is ignored, so that a file size limit is an error of write(2). */
void signals_init(void);

#endif
