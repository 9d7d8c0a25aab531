#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>
#include "cli/events.h"
#include "cli/progress.h"
#include "engine/base/file.h"

/* Signals wait until this is done (timeout(1) sends two); the same one, raised once more, takes the default action. Not by SA_RESETHAND:
 * the kernel sets that action before it blocks the second one. */
static void on_signal(int signal_number) {
    sigset_t mine;
    publish_abort();
    progress_abort();
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
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);
    sigaddset(&unblocked, SIGPIPE);
    sigprocmask(SIG_UNBLOCK, &unblocked, NULL);
}
