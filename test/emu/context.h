/* Leaving one stack for another. On x86-64 in a few instructions: what a called function must preserve goes on the stack left behind.
 * Elsewhere, and where EMU_UCONTEXT is defined, by the C library, ten times as slow. */
#ifndef EMU_CONTEXT_H
#define EMU_CONTEXT_H

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)

typedef void *emu_context; /* the stack pointer of one that is not running */

/* Call and return stay paired, which is what a processor predicts. */
extern "C" void emu_switch(emu_context *from, emu_context to);
asm(R"(
    .text
    .type emu_switch, @function
emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emu_switch, .-emu_switch
)");

inline void context_switch(emu_context &from, emu_context &to) {
    emu_switch(&from, to);
}

/* The stack as if `start` had been called (it never returns) and had been left at its first instruction. */
inline void context_make(emu_context &context, void *stack, size_t bytes, void (*start)()) {
    uintptr_t *top = reinterpret_cast<uintptr_t *>((reinterpret_cast<uintptr_t>(stack) + bytes) & ~(uintptr_t)15);
    *--top = 0; /* start's return address */
    *--top = reinterpret_cast<uintptr_t>(start);
    for (int i = 0; i < 6; i++) *--top = 0;
    context = top;
}

#else
#include <ucontext.h>

typedef ucontext_t emu_context;

inline void context_switch(emu_context &from, emu_context &to) {
    swapcontext(&from, &to);
}
inline void context_make(emu_context &context, void *stack, size_t bytes, void (*start)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = bytes;
    makecontext(&context, start, 0);
}

#endif
#endif
