/* A device that only counts: planning on it gives the activations' peak and the weights' bytes without choosing algorithms, in
 * well under a millisecond. For --inspect. */
#ifndef ENGINE_COUNT_DEVICE_H
#define ENGINE_COUNT_DEVICE_H

#include "engine/device.h"

struct device *count_device_open(enum dtype dtype);

#endif
