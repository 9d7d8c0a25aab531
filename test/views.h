/* Elements of views on the CPU device, for the tests of single ops. */
#ifndef TEST_VIEWS_H
#define TEST_VIEWS_H

#include "engine/device.h"

static void put(struct view v, size_t i, float value) {
    if (v.dtype == DT_BF16) ((uint16_t *)v.p)[i] = f32_to_bf16(value);
    else ((float *)v.p)[i] = value;
}

static float get(struct view v, size_t i) {
    return v.dtype == DT_BF16 ? bf16_to_f32(((uint16_t *)v.p)[i]) : ((float *)v.p)[i];
}

static const float beside = -77; /* fills the channels beside a strided view: reading or writing them shows */

#endif
