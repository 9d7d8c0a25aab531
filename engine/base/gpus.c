/* Multiprocessors as NVIDIA's data sheets give them; threads a multiprocessor holds by its architecture (CUDA C++ Programming Guide,
 * technical specifications per compute capability): 2048 for Pascal, Volta, GA100, Hopper and GB100, 1024 for Turing, 1536 for the rest. */
#include <ctype.h>
#include <string.h>
#include "engine/base/rng.h"
#include "engine/base/text.h"

static const struct {
    const char *name; /* letters and digits, in lower case */
    struct rng_gpu gpu;
} gpus[] = {
    {"gtx1050ti", {6, 2048}},     {"gtx1060", {10, 2048}},      {"gtx1070", {15, 2048}},      {"gtx1080", {20, 2048}},
    {"gtx1080ti", {28, 2048}},    {"p4", {20, 2048}},           {"p40", {30, 2048}},          {"p100", {56, 2048}},
    {"v100", {80, 2048}},         {"gtx1650", {14, 1024}},      {"gtx1660", {22, 1024}},      {"gtx1660ti", {24, 1024}},
    {"rtx2060", {30, 1024}},      {"rtx2070", {36, 1024}},      {"rtx2070super", {40, 1024}}, {"rtx2080", {46, 1024}},
    {"rtx2080super", {48, 1024}}, {"rtx2080ti", {68, 1024}},    {"titanrtx", {72, 1024}},     {"t4", {40, 1024}},
    {"rtx3050", {20, 1536}},      {"rtx3060", {28, 1536}},      {"rtx3060ti", {38, 1536}},    {"rtx3070", {46, 1536}},
    {"rtx3070ti", {48, 1536}},    {"rtx3080", {68, 1536}},      {"rtx3080ti", {80, 1536}},    {"rtx3090", {82, 1536}},
    {"rtx3090ti", {84, 1536}},    {"a2", {10, 1536}},           {"a10", {72, 1536}},          {"a10g", {80, 1536}},
    {"a30", {56, 2048}},          {"a40", {84, 1536}},          {"a100", {108, 2048}},        {"rtxa4000", {48, 1536}},
    {"rtxa5000", {64, 1536}},     {"rtxa6000", {84, 1536}},     {"rtx4060", {24, 1536}},      {"rtx4060ti", {34, 1536}},
    {"rtx4070", {46, 1536}},      {"rtx4070super", {56, 1536}}, {"rtx4070ti", {60, 1536}},    {"rtx4070tisuper", {66, 1536}},
    {"rtx4080", {76, 1536}},      {"rtx4080super", {80, 1536}}, {"rtx4090", {128, 1536}},     {"l4", {58, 1536}},
    {"l40", {142, 1536}},         {"l40s", {142, 1536}},        {"h100", {132, 2048}},        {"h100pcie", {114, 2048}},
    {"h200", {132, 2048}},        {"gh200", {132, 2048}},       {"b200", {148, 2048}},        {"rtx5060ti", {36, 1536}},
    {"rtx5070", {48, 1536}},      {"rtx5070ti", {70, 1536}},    {"rtx5080", {84, 1536}},      {"rtx5090", {170, 1536}},
};

const struct rng_gpu rng_gpu_h100 = {132, 2048};

struct rng_gpu rng_gpu_named(const char *name) {
    static const char *const makers[] = {"nvidia", "geforce", "tesla"};
    char plain[32];
    size_t n = 0;
    for (; *name && n < sizeof plain - 1; name++)
        if (isalnum((unsigned char)*name)) plain[n++] = (char)tolower((unsigned char)*name);
    plain[n] = 0;
    const char *at = plain;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (!strncmp(at, makers[i], strlen(makers[i]))) at += strlen(makers[i]);
    for (size_t i = 0; !*name && i < sizeof gpus / sizeof *gpus; i++)
        if (!strcmp(gpus[i].name, at)) return gpus[i].gpu;
    return (struct rng_gpu){0};
}

const char *rng_gpu_suggest(const char *name) {
    const char *names[sizeof gpus / sizeof *gpus + 1] = {0};
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) names[i] = gpus[i].name;
    return suggest(name, names);
}
