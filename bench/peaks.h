/* What a core can do at most, measured: the floors that bench_layers puts beside each op. */
#ifndef BENCH_PEAKS_H
#define BENCH_PEAKS_H

/* FLOP a second of multiply-adds on registers alone, by the vectors of this instruction set: "sse2", "avx2", "avx512" (f32),
 * "avx512_bf16" (bf16 products summed in f32), "amx" (bf16 tiles); 0 where the CPU has it not. The best of some runs of this thread's time.
 */
double peak_flops(const char *isa);
/* Bytes a second: read alone; moved, read and written together, by a copy. Of memory far larger than the caches. */
double peak_read(void);
double peak_copy(void);

#endif
