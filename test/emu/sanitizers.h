/* What the sanitizers must be told, since they cannot see it: fibers, streams, and what orders them. Files of the emulation are compiled
 * without -fsanitize=thread, so that only what is said here orders a kernel's threads. */
#ifndef EMU_SANITIZERS_H
#define EMU_SANITIZERS_H

#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p), (void)(bytes))
#endif

#ifdef EMU_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace emu {

#ifdef EMU_TSAN
/* What this thread did before release(p) is seen by whoever calls acquire(p) after it. */
inline void release(void *p) {
    __tsan_release(p);
}
inline void acquire(void *p) {
    __tsan_acquire(p);
}

typedef void *logical_thread;
inline logical_thread logical_thread_new() {
    return __tsan_create_fiber(0);
}
inline void logical_thread_free(logical_thread t) {
    __tsan_destroy_fiber(t);
}
inline logical_thread logical_thread_current() {
    return __tsan_get_current_fiber();
}
/* From here on this OS thread acts as t; that orders nothing. */
inline void act_as(logical_thread t) {
    __tsan_switch_to_fiber(t, __tsan_switch_to_fiber_no_sync);
}
constexpr bool thread_sanitizer = true;

#else
inline void release(void *) {}
inline void acquire(void *) {}
typedef void *logical_thread;
inline logical_thread logical_thread_new() {
    return nullptr;
}
inline void logical_thread_free(logical_thread) {}
inline logical_thread logical_thread_current() {
    return nullptr;
}
inline void act_as(logical_thread) {}
constexpr bool thread_sanitizer = false;
#endif

#ifdef EMU_CHECKED
constexpr bool checked = true;
#else
constexpr bool checked = false;
#endif

} // namespace emu
#endif
