/* LoRAs upon a model: which of its weights they change, and the changed weights in place of its own. */
#ifndef ENGINE_PIPELINES_LORAS_H
#define ENGINE_PIPELINES_LORAS_H

#include "engine/files/lora.h"
#include "engine/pipelines/settings.h"

struct model;
struct request;

/* One LoRA of a request. */
struct lora_use {
    const struct lora *lora;
    const int *targets; /* of each of its modules: which weight of the model; -1: none */
    double weight;
};

/* Opens the request's LoRAs, each file once in a model's life, and checks them against the model. Dies where one does not fit (lora.h, and
 * FAIL_UNSUPPORTED where a module is none of the model's and the settings are not lenient). */
void loras_open(struct request *r);
/* Puts the request's LoRAs in place of the former request's: weights that change are read anew by the next weights_load, others stay. */
void loras_apply(struct request *r);

/* The prompt without its <lora:NAME:WEIGHT>, which go to the settings' list. Dies FAIL_USAGE. */
void loras_from_prompt(struct arena *a, struct settings *s);
/* One more at the end of the list. Dies FAIL_USAGE where there are too many. */
void loras_add(struct arena *a, struct lora_list *list, const char *path, double weight);
/* Of a model that goes. */
struct loras;
void loras_close(struct loras *l);

#endif
