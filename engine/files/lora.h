/* A LoRA file (Hu et al. 2021): what to add to which weights of a model, in every way of naming them people have:
 *
 *     kohya       lora_unet_down_blocks_0_attentions_0_…_to_q.lora_down.weight, .lora_up.weight, .alpha; lora_te_…, lora_te1_…, lora_te2_…;
 *                 blocks as diffusers names them or as the original layout does (lora_unet_input_blocks_1_1_…)
 *     PEFT        unet.down_blocks.0.attentions.0.….to_q.lora_A.weight, .lora_B.weight; text_encoder.…, text_encoder_2.…;
 * base_model.model.…; alpha in the metadata diffusers   ….attn1.processor.to_q_lora.down.weight, ….to_q.lora.down.weight,
 * ….lora_linear_layer.down.weight: of 2023 LoHa, LoKr  ….hada_w1_a …, ….lokr_w1 …: products of LyCORIS, under kohya's names
 *
 * A module of rank r adds alpha / r of its product, the product itself where no alpha is given. With a magnitude (DoRA: dora_scale,
 * lora_magnitude_vector) the rows of the sum are then brought to that length. Tucker decompositions, whole differences, norms and IA3 are
 * refused. */
#ifndef ENGINE_FILES_LORA_H
#define ENGINE_FILES_LORA_H

#include "engine/files/safetensors.h"
#include "engine/files/tensor.h"

struct lora_module {
    const char *name;   /* as the file has it: "lora_unet_mid_block_attentions_0_proj_in"; of a tensor that is none's, its own */
    const char *key;    /* as lora_key makes it */
    struct delta delta; /* at weight 1; a is NULL where the tensor is none of a LoRA */
    int rank;           /* 0: of full rank (LoKr) */
    double alpha;       /* NAN: none given */
};

struct lora {
    const char *path;
    struct st_file *file;
    bool has_dora;
    const char *format; /* "kohya", "PEFT", "diffusers", "LoHa", "LoKr": of its first module */
    int n;
    struct lora_module *modules; /* in order of key, each key once */
};

/* path: a file, a directory that holds one (pytorch_lora_weights.safetensors, or its only .safetensors), or ORG/NAME in the local Hugging
 * Face cache. Dies FAIL_INPUT, FAIL_DATA (an alpha that is not finite, half a pair, rank 0, a module twice) or FAIL_UNSUPPORTED. */
struct lora *lora_open(struct arena *a, const char *path);
/* 64 hex digits of that file's bytes, remembered for as long as it stays as it is. Dies as lora_open does. */
const char *lora_hash(struct arena *a, const char *path);
/* The key of a module: the component, a slash, and the name with '_' for '.': "unet/mid_block_attentions_0_proj_in". Text encoders leave
 * out their "text_model.". */
const char *lora_key(struct arena *a, const char *component, const char *name);

#endif
