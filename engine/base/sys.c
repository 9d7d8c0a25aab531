#include "engine/base/sys.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>
#include "engine/base/error.h"
#include "engine/base/file.h"

struct sys sys = {
    .malloc = malloc,
    .calloc = calloc,
    .realloc = realloc,
    .aligned_alloc = aligned_alloc,
    .mmap = mmap,
    .open = open,
    .openat = openat,
    .fopen = fopen,
    .opendir = opendir,
    .pread = pread,
    .read = read,
    .write = write,
    .fsync = fsync,
    .linkat = linkat,
    .renameat2 = renameat2,
    .pthread_create = pthread_create,
};

int write_all(int fd, const void *data, size_t n) {
    for (const char *p = data; n;) {
        ssize_t put = sys.write(fd, p, n);
        if (put < 0 && errno == EAGAIN) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (put < 0 && errno != EINTR) return errno;
        if (put > 0) p += put, n -= (size_t)put;
    }
    return 0;
}

int error_code(int error, int otherwise) {
    switch (error) {
    case ENOMEM:
    case EMFILE:
    case ENFILE: return FAIL_MEMORY;
    case EIO:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ESTALE: return FAIL_IO;
    default: return otherwise;
    }
}

/* ---- libraries that give up -------------------------------------------------------------------------------------- */

static volatile sig_atomic_t leaving;

void sys_leave(void) {
    leaving = 1;
}

/* From any thread, with whatever locks held: system calls only. */
static _Noreturn void give_up(const char *line) {
    publish_abort();
    ssize_t ignored = write(STDERR_FILENO, line, strlen(line));
    (void)ignored;
    _exit(FAIL_MEMORY);
}

/* std::terminate: an exception nobody caught. oneDNN throws for want of memory or threads, and for nothing else. */
static void on_terminate(void) {
    give_up("diffuse: out of memory, or of threads, in a library\n");
}

/* libgomp prints its reason and calls exit(1). */
static void on_leave(int code, void *ignored) {
    (void)ignored;
    if (code != EXIT_FAILURE || leaving) return;
    publish_abort();
    _exit(FAIL_MEMORY);
}

/* A library that uses what an allocation did not give it: its code, an address next to nothing. Everything else is a bug, and keeps
 * the signal. */
static void on_fault(int number, siginfo_t *info, void *context) {
    extern const char __ehdr_start __attribute__((visibility("hidden"))); /* of the program, or of the library this is part of */
    extern const char etext __attribute__((visibility("hidden")));
    uintptr_t at = 0;
#ifdef __x86_64__
    at = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    at = (uintptr_t)((ucontext_t *)context)->uc_mcontext.pc;
#endif
    bool ours = at >= (uintptr_t)&__ehdr_start && at < (uintptr_t)&etext;
    if (at && !ours && (uintptr_t)info->si_addr < 4096) give_up("diffuse: out of memory in a library\n");
    publish_abort();
    signal(number, SIG_DFL);
}

/* Below it oneDNN, which nobody can ask, would end in SIGSEGV without a word. */
static void check_stack(void) {
    enum { LEAST = 256 << 10 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < LEAST)
        die_hint(FAIL_MEMORY, "ulimit -s 8192", "the stack: expected at least %d KiB, found %llu", LEAST >> 10,
                 (unsigned long long)limit.rlim_cur >> 10);
}

void sys_guard(void) {
    typedef void handler(void);
    check_stack();
    handler *(*set_terminate)(handler *);
    *(void **)&set_terminate = dlsym(RTLD_DEFAULT, "_ZSt13set_terminatePFvvE"); /* of the C++ library oneDNN brings with it */
    if (set_terminate) set_terminate(on_terminate);
    on_exit(on_leave, NULL);
    struct sigaction old, action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_handler == SIG_DFL) sigaction(SIGSEGV, &action, NULL); /* a sanitizer has its own */
}
