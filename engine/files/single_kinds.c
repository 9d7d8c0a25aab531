/* The configurations of the repositories diffusers takes for a single file of each kind (stable-diffusion-v1-5, stable-diffusion-2-1,
 * stable-diffusion-xl-base-1.0 …), but for keys that change nothing. */
#include <stddef.h>
#include "engine/files/single_file.h"

/* ---- UNets ------------------------------------------------------------------------------------------------------- */

#define UNET(channels, size, more)                                                                                                      \
    "{\"_class_name\": \"UNet2DConditionModel\", \"_diffusers_version\": \"0.42.1\", \"act_fn\": \"silu\", \"downsample_padding\": 1, " \
    "\"flip_sin_to_cos\": true, \"freq_shift\": 0, \"layers_per_block\": 2, \"norm_eps\": 1e-05, \"norm_num_groups\": 32, "             \
    "\"out_channels\": 4, \"in_channels\": " #channels ", \"sample_size\": " #size ", " more "}"
#define CROSS_DOWN "\"CrossAttnDownBlock2D\""
#define CROSS_UP "\"CrossAttnUpBlock2D\""
#define FOUR_LEVELS                                                                             \
    "\"block_out_channels\": [320, 640, 1280, 1280], "                                          \
    "\"down_block_types\": [" CROSS_DOWN ", " CROSS_DOWN ", " CROSS_DOWN ", \"DownBlock2D\"], " \
    "\"up_block_types\": [\"UpBlock2D\", " CROSS_UP ", " CROSS_UP ", " CROSS_UP "], "
#define SD1_UNET FOUR_LEVELS "\"attention_head_dim\": 8, \"cross_attention_dim\": 768"
#define SD2_UNET FOUR_LEVELS "\"attention_head_dim\": [5, 10, 20, 20], \"cross_attention_dim\": 1024, \"use_linear_projection\": true"
#define TEXT_TIME "\"addition_embed_type\": \"text_time\", \"addition_time_embed_dim\": 256, \"use_linear_projection\": true, "
#define XL_UNET                                                                                                               \
    TEXT_TIME "\"block_out_channels\": [320, 640, 1280], \"down_block_types\": [\"DownBlock2D\", " CROSS_DOWN ", " CROSS_DOWN \
              "], \"up_block_types\": [" CROSS_UP ", " CROSS_UP ", \"UpBlock2D\"], \"attention_head_dim\": [5, 10, 20], "     \
              "\"cross_attention_dim\": 2048, \"transformer_layers_per_block\": [1, 2, 10], "                                 \
              "\"projection_class_embeddings_input_dim\": 2816"
#define REFINER_UNET                                                                                                                \
    TEXT_TIME "\"block_out_channels\": [384, 768, 1536, 1536], \"down_block_types\": [\"DownBlock2D\", " CROSS_DOWN ", " CROSS_DOWN \
              ", \"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\", " CROSS_UP ", " CROSS_UP ", \"UpBlock2D\"], "                \
              "\"attention_head_dim\": [6, 12, 24, 24], \"cross_attention_dim\": 1280, \"transformer_layers_per_block\": 4, "       \
              "\"projection_class_embeddings_input_dim\": 2560"

#define UNET_PART(unet_config, unet_names) \
    { "unet", "diffusers", "UNet2DConditionModel", unet_config, {"model.diffusion_model."}, unet_names }

/* ---- text encoders ----------------------------------------------------------------------------------------------- */

#define TEXT(width, inner, layers, heads, act, more)                                                   \
    "{\"hidden_size\": " #width ", \"intermediate_size\": " #inner ", \"num_hidden_layers\": " #layers \
    ", \"num_attention_heads\": " #heads ", \"hidden_act\": \"" act                                    \
    "\", \"vocab_size\": 49408, \"max_position_embeddings\": 77, \"layer_norm_eps\": 1e-05" more "}"
#define CLIP_L TEXT(768, 3072, 12, 12, "quick_gelu", ", \"projection_dim\": 768")
#define OPENCLIP_H TEXT(1024, 4096, 23, 16, "gelu", ", \"projection_dim\": 512")
#define OPENCLIP_G TEXT(1280, 5120, 32, 20, "gelu", ", \"projection_dim\": 1280")

/* The beginning, the end and the unknown are found in lower case, the padding as it stands. */
#define SPECIAL(name, text) \
    "\"" name "\": {\"content\": \"" text "\", \"lstrip\": false, \"normalized\": true, \"rstrip\": false, \"single_word\": false}, "
#define TOKENIZER(pad)                                                                \
    "{" SPECIAL("bos_token", "<|startoftext|>") SPECIAL("eos_token", "<|endoftext|>") \
        SPECIAL("unk_token", "<|endoftext|>") "\"pad_token\": \"" pad "\", \"model_max_length\": 77}"
#define TOKENIZER_L \
    { "tokenizer", "transformers", "CLIPTokenizer", TOKENIZER("<|endoftext|>"), {NULL}, NULL }
#define TOKENIZER_H \
    { "tokenizer", "transformers", "CLIPTokenizer", TOKENIZER("!"), {NULL}, NULL }
#define TOKENIZER_G \
    { "tokenizer_2", "transformers", "CLIPTokenizer", TOKENIZER("!"), {NULL}, NULL }

#define SD1_TEXT \
    { "text_encoder", "transformers", "CLIPTextModel", CLIP_L, {"cond_stage_model.transformer."}, same_renames }
#define SD2_TEXT \
    { "text_encoder", "transformers", "CLIPTextModel", OPENCLIP_H, {"cond_stage_model.model."}, openclip_renames }
#define XL_TEXT \
    { "text_encoder", "transformers", "CLIPTextModel", CLIP_L, {"conditioner.embedders.0.transformer."}, same_renames }
#define XL_TEXT_2(prefix) \
    { "text_encoder_2", "transformers", "CLIPTextModelWithProjection", OPENCLIP_G, {prefix}, openclip_renames }

/* ---- VAE, schedule ----------------------------------------------------------------------------------------------- */

#define VAE(size, more)                                                                                                                \
    {                                                                                                                                  \
        "vae", "diffusers", "AutoencoderKL",                                                                                           \
            "{\"_class_name\": \"AutoencoderKL\", \"act_fn\": \"silu\", \"block_out_channels\": [128, 256, 512, 512], "                \
            "\"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\"], " \
            "\"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\"], "           \
            "\"latent_channels\": 4, \"layers_per_block\": 2, \"norm_num_groups\": 32, \"sample_size\": " #size ", " more "}",         \
            {"first_stage_model.", "vae."}, vae_renames                                                                                \
    }

#define SD_VAE(size) VAE(size, "\"scaling_factor\": 0.18215")
#define XL_VAE VAE(1024, "\"scaling_factor\": 0.13025, \"force_upcast\": true")

#define SCHEDULER(class_name, more)                                                                                                      \
    {                                                                                                                                    \
        "scheduler", "diffusers", class_name,                                                                                            \
            "{\"_class_name\": \"" class_name "\", \"beta_start\": 0.00085, \"beta_end\": 0.012, "                                       \
            "\"beta_schedule\": \"scaled_linear\", \"num_train_timesteps\": 1000, \"clip_sample\": false, \"steps_offset\": 1" more "}", \
            {NULL}, NULL                                                                                                                 \
    }
#define PNDM SCHEDULER("PNDMScheduler", ", \"set_alpha_to_one\": false, \"skip_prk_steps\": true")
#define DDIM SCHEDULER("DDIMScheduler", ", \"set_alpha_to_one\": false")
#define EULER                                                                    \
    SCHEDULER("EulerDiscreteScheduler", ", \"interpolation_type\": \"linear\", " \
                                        "\"timestep_spacing\": \"leading\", \"use_karras_sigmas\": false")

/* ---- the kinds --------------------------------------------------------------------------------------------------- */

#define SD1(title, class_name, unet_config, scheduler_part)                                                    \
    {                                                                                                          \
        title, class_name, "epsilon", NULL, {                                                                  \
            scheduler_part, TOKENIZER_L, SD1_TEXT, UNET_PART(unet_config, unet_plain_top_renames), SD_VAE(512) \
        }                                                                                                      \
    }
#define SD2(title, class_name, prediction, unet_config, scheduler_part)                                        \
    {                                                                                                          \
        title, class_name, prediction, NULL, {                                                                 \
            scheduler_part, TOKENIZER_H, SD2_TEXT, UNET_PART(unet_config, unet_plain_top_renames), SD_VAE(768) \
        }                                                                                                      \
    }
#define XL(title, class_name, unet_config)                                                                                               \
    {                                                                                                                                    \
        title, class_name, "epsilon", NULL, {                                                                                            \
            EULER, TOKENIZER_L, TOKENIZER_G, XL_TEXT, XL_TEXT_2("conditioner.embedders.1.model."), UNET_PART(unet_config, unet_renames), \
                XL_VAE                                                                                                                   \
        }                                                                                                                                \
    }

#define PLAIN "StableDiffusionPipeline"
#define INPAINT "StableDiffusionInpaintPipeline"

const struct single_kind single_sd1 = SD1("SD 1.x", PLAIN, UNET(4, 64, SD1_UNET), PNDM),
                         single_sd1_inpaint = SD1("SD 1.x inpainting", INPAINT, UNET(9, 64, SD1_UNET), DDIM),
                         single_sd2 = SD2("SD 2.x", PLAIN, "v_prediction", UNET(4, 96, SD2_UNET), DDIM),
                         single_sd2_base = SD2("SD 2.x base", PLAIN, "epsilon", UNET(4, 64, SD2_UNET), PNDM),
                         single_sd2_inpaint = SD2("SD 2.x inpainting", INPAINT, "epsilon", UNET(9, 64, SD2_UNET), PNDM),
                         single_xl = XL("SDXL", "StableDiffusionXLPipeline", UNET(4, 128, XL_UNET)),
                         single_xl_inpaint = XL("SDXL inpainting", "StableDiffusionXLInpaintPipeline", UNET(9, 128, XL_UNET)),
                         single_xl_refiner = {"SDXL refiner",
                                              "StableDiffusionXLImg2ImgPipeline",
                                              "epsilon",
                                              "\"force_zeros_for_empty_prompt\": false, \"requires_aesthetics_score\": true",
                                              {EULER, TOKENIZER_G, XL_TEXT_2("conditioner.embedders.0.model."),
                                               UNET_PART(UNET(4, 128, REFINER_UNET), unet_plain_top_renames), XL_VAE}};
