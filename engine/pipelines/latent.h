/* What the pipelines that denoise a VAE's latents have in common. */
#ifndef ENGINE_PIPELINES_LATENT_H
#define ENGINE_PIPELINES_LATENT_H

#include "engine/ops.h"
#include "engine/pipelines/request.h"

/* The classes of their parts, as model_index.json names them. */
extern const char *const latent_text_encoders[], *const latent_denoisers[], *const latent_vaes[], *const latent_tokenizers[];
/* Those of Stable Diffusion, whatever its task. */
extern const struct part_spec latent_parts[];

/* Do prompt, denoiser and VAE fit together? Dies FAIL_UNSUPPORTED. */
void latent_check(const struct model *m);
/* The same, and a denoiser that takes nothing but its prompt; sizes that old files give wrong are put right. */
void latent_check_plain(struct model *m);
/* The context of each copy, and what the picture to begin from is encoded to. */
void latent_prepare(struct request *r);
/* The type the VAE decodes or encodes in. */
enum dtype latent_decode_dtype(const struct request *r);
enum dtype latent_encode_dtype(const struct request *r);
/* The VAE works in tiles: so planned, and the picture is larger than one. */
bool latent_in_tiles(const struct request *r);
/* The latents as a picture [1,height,width,3] in the device's arena. */
struct view latent_decode(const struct request *r, const struct latents *l);
/* x [Z,pixels], a sample of the encoder's, becomes what is denoised. masked: for inpainting, where diffusers leaves the statistics out. */
void latent_scale(const struct model *m, float *x, size_t pixels, bool masked);

#endif
