/* For tests: which kernels run, whatever the shape would choose. */
#ifndef CUDA_FORCED_H
#define CUDA_FORCED_H

#include <stdbool.h>

enum flash_forced { FLASH_CHOSEN, FLASH_LARGE, FLASH_SMALL }; /* queries of a block, where there are two kernels of a width */

struct cuda_forced {
    bool plain; /* the path that takes any shape, of every op that has one */
    enum flash_forced flash;
};
extern struct cuda_forced cuda_forced;

#endif
