/* Two buffers that take turns as a layer's input and output, each as large as the largest activation it will hold. */
#ifndef ENGINE_NETS_PING_PONG_H
#define ENGINE_NETS_PING_PONG_H

#include "engine/device.h"

struct ping_pong {
    void *buffer[2];
    enum dtype dtype;
    int turn;
};

/* n: the largest N*H*W*C. In the device's arena, to be released by the caller. */
static inline struct ping_pong ping_pong_new(struct device *dev, enum dtype dtype, size_t n) {
    size_t bytes = n * dtype_table[dtype].size;
    return (struct ping_pong){.buffer = {arena_push(dev, bytes), arena_push(dev, bytes)}, .dtype = dtype};
}

static inline struct view next_view(struct ping_pong *p, int N, int H, int W, int C) {
    p->turn ^= 1;
    return view_dense(p->buffer[p->turn], p->dtype, N, H, W, C);
}

#endif
