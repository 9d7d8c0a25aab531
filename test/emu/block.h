/* Between the two halves of the emulation: stream.cpp decides what runs when, emu.cpp runs the grids. */
#ifndef EMU_BLOCK_H
#define EMU_BLOCK_H

#include "emu.h"

namespace emu {

constexpr size_t shared_limit = 48 << 10, shared_limit_optin = 227 << 10;

/* Runs every block of a checked launch to its end. One grid runs at a time. */
void run_grid(const launch_config &config, void (*call)(void *), void *closure);

/* Not under ThreadSanitizer, which does not know how OpenMP synchronises; not in a forked child, where OpenMP's threads are missing. */
bool may_use_threads();

/* The function's name in the program's symbol table, demangled, without its parameters. Lives as long as the program. */
const char *kernel_name(const void *kernel);

} // namespace emu
#endif
