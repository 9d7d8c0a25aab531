/* Between the two halves of the emulation: stream.cpp decides what runs when, emu.cpp runs the grids. */
#ifndef EMU_BLOCK_H
#define EMU_BLOCK_H

#include "emu.h"

namespace emu {

constexpr size_t shared_limit = 48 << 10, shared_limit_optin = 227 << 10;
constexpr int most_cluster = 8;

/* Runs every block of a checked launch to its end, but for block `except` (no_block: all of them). One grid runs at a time. */
constexpr size_t no_block = ~(size_t)0;
void run_grid(const launch_config &config, void (*call)(void *), void *closure, size_t except);

/* Runs one block of a launch until each of its threads stands in after_previous() or has to wait for one that does, on an OS thread of its
 * own; finish_early, its rest. */
void begin_early(const launch_config &config, void (*call)(void *), void *closure, size_t index);
void finish_early();

/* Not under ThreadSanitizer, which does not know how OpenMP synchronises; not in a forked child, where OpenMP's threads are missing. */
bool may_use_threads();

/* The function's name in the program's symbol table, demangled, without its parameters. Lives as long as the program. */
const char *kernel_name(const void *kernel);

} // namespace emu
#endif
