/* What the program asks of the system for memory, files and threads goes through one table, so that a test can make each call fail at each
 * of its uses (as cuda/api.h does for the GPU). And what a library does when the system refuses it: oneDNN throws, libgomp exits. */
#ifndef ENGINE_BASE_SYS_H
#define ENGINE_BASE_SYS_H

#include <dirent.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct sys {
    void *(*malloc)(size_t n);
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *p, size_t n);
    void *(*aligned_alloc)(size_t align, size_t n);
    void *(*mmap)(void *at, size_t n, int protection, int flags, int fd, off_t offset);
    int (*open)(const char *path, int flags, ...);
    int (*openat)(int dir, const char *path, int flags, ...);
    FILE *(*fopen)(const char *path, const char *mode);
    DIR *(*opendir)(const char *path);
    ssize_t (*pread)(int fd, void *dst, size_t n, off_t offset);
    ssize_t (*read)(int fd, void *dst, size_t n);
    ssize_t (*write)(int fd, const void *src, size_t n);
    int (*fsync)(int fd);
    int (*linkat)(int from_dir, const char *from, int to_dir, const char *to, int flags);
    int (*renameat2)(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
    int (*pthread_create)(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument);
};

extern struct sys sys;

/* All n bytes, whatever the number of writes it takes, waiting where fd does not block: 0, or an errno. */
int write_all(int fd, const void *data, size_t n);
/* FAIL_MEMORY for what the machine lacks (memory, descriptors), FAIL_IO for what a disk does, else `otherwise`. */
int error_code(int error, int otherwise);

/* Dies FAIL_MEMORY where the stack is too small. From here on a library that gives up ends the program as die() would: one line,
 * FAIL_MEMORY for want of memory or threads, nothing left behind. Programs that end with 1 of their own will say so first. */
void sys_guard(void);
/* The exit code 1 that follows is meant. */
void sys_leave(void);

#endif
