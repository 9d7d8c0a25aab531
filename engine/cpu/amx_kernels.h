/* Matrix products on AMX: the one kernel that linear layers, convolutions and attention share, how its operands lie, and what is made of
 * it.
 *
 * AMX multiplies bf16. An f32 operand is cut into parts, x = x0 + x1 (+ x2), each the bf16 nearest to what the former leave, and of the
 * products of parts those that matter are summed: xi yj with i + j < parts. One part is bf16 itself; two have three products and sixteen
 * bits of mantissa, three have six products and f32's own accuracy (Henry, Tang & Heinecke 2019, arXiv 1904.06376). */
#ifndef ENGINE_CPU_AMX_KERNELS_H
#define ENGINE_CPU_AMX_KERNELS_H

#include "engine/cpu/gemm.h"

/* The files amx_X.c are compiled for two of the ISAs (isa.h), in place of X.c where there is one: amx has the instructions, amx_twin plain
 * C that does the same (amx_tile.h). */
#define amx_begin ISA_NAME(amx_begin)
#define amx_end ISA_NAME(amx_end)
#define amx_gemm ISA_NAME(amx_gemm)
#define amx_gemm_plan ISA_NAME(amx_gemm_plan)
#define amx_pack_b ISA_NAME(amx_pack_b)
#define amx_parts ISA_NAME(amx_parts)
#define amx_product ISA_NAME(amx_product)
#define amx_split ISA_NAME(amx_split)

enum {
    AMX_ROWS = 32,
    AMX_COLUMNS = 32, /* of c at a time: two by two tiles */
    AMX_DEPTH = 32,   /* of a step */
    AMX_MOST_PARTS = 3,
    AMX_B_STEP = AMX_DEPTH * AMX_COLUMNS, /* elements of b of a step and a part */
};

/* Row m of a, part p, depth AMX_DEPTH (t * chunks + i) + d is a[m * row + p * part + tap[t] + AMX_DEPTH * i + d].
 * b: AMX_COLUMNS columns, see amx_pack_b; step after step, of each its parts. */
struct amx_operands {
    const uint16_t *a, *b;
    size_t row, part;
    const size_t *tap;
    int taps, chunks, parts;
};

/* Tiles, on this thread, until amx_end: between them no other product may run on it. */
void amx_begin(void);
void amx_end(void);
/* c = a b, or c += a b        c [AMX_ROWS blocks, AMX_COLUMNS], rows ld apart. What is summed for an element depends on its row and column
 * alone, in an order that is always the same. */
void amx_product(float *c, size_t ld, const struct amx_operands *o, int blocks, bool accumulate);

/* How many a tensor of this type takes. */
int amx_parts(const struct cpu_device *dev, enum dtype dtype);

/* n values in parts, rounded up to whole chunks with zeros; part p at dst + p * part. */
void amx_split(uint16_t *dst, size_t part, int parts, enum dtype dtype, const void *src, int n);
/* The column'th column of b, one step of its depth: values [AMX_DEPTH] in parts as amx_split leaves them. dst: that step of b. */
void amx_pack_b(uint16_t *dst, int column, const uint16_t *values, size_t part, int parts);

void amx_gemm_plan(struct cpu_device *dev, const struct gemm_call *c);
void amx_gemm(struct cpu_device *dev, const struct gemm_call *c);

#endif
