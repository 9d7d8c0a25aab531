/* What the emulated libraries need of the emulated runtime. */
#ifndef EMU_RUNTIME_H
#define EMU_RUNTIME_H

#include "cuda_runtime.h"

namespace emu {

/* Queues a library's work: call(copy of closure) runs on the host when the stream comes to it, and belongs to a graph that captures it. */
void push_host(cudaStream_t stream, void (*call)(void *), const void *closure, size_t bytes);

} // namespace emu
#endif
