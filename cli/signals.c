#include "cli/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/preview.h"
#include "cli/progress.h"
#include "engine/base/file.h"

/* Signals wait until this is done (timeout(1) sends two); the same one, raised once more, takes the default action. Not by SA_RESETHAND:
 * the kernel sets that action before it blocks the second one. */
static void on_signal(int signal_number) {
    sigset_t mine;
    publish_abort();
    progress_abort();
    preview_end();
    events_abort(signal_number);
    signal(signal_number, SIG_DFL);
    sigemptyset(&mine);
    sigaddset(&mine, signal_number);
    raise(signal_number);
    pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
    _exit(128 + signal_number);
}

void signals_init(void) {
    static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction old, action = {.sa_handler = on_signal};
    sigset_t unblocked;
    sigemptyset(&unblocked);
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        sigaddset(&unblocked, handled[i]);
        if (sigaction(handled[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(handled[i], &action, NULL);
    }
    sigaction(SIGPIPE, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
    sigaddset(&unblocked, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
}

/* ---- SIGUSR1 ----------------------------------------------------------------------------------------------------- */

/* It is blocked but while we wait: none is lost between a look and a wait. */
static volatile sig_atomic_t drain_asked;

static void on_drain(int signal_number) {
    (void)signal_number;
    drain_asked = 1;
}

void signals_drain(void) {
    struct sigaction old, action = {.sa_handler = on_drain};
    sigset_t drain;
    sigemptyset(&drain);
    sigaddset(&drain, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &drain, NULL);
    if (sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGUSR1, &action, NULL);
}

bool signals_drained(void) {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    return drain_asked || sigismember(&pending, SIGUSR1);
}

bool signals_wait(int fd) {
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGUSR1);
    while (!drain_asked)
        if (ppoll(&poll, 1, NULL, &mask) >= 0 || errno != EINTR) return true; /* whatever is wrong, read(2) says it */
    return false;
}
