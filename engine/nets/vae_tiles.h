/* The VAE in overlapping tiles that are blended where they meet, as diffusers' enable_vae_tiling has it: memory for one tile at a time.
 * Each tile is normed by itself, so that what comes is another picture. */
#ifndef ENGINE_NETS_VAE_TILES_H
#define ENGINE_NETS_VAE_TILES_H

#include "engine/nets/vae.h"

/* The VAE's sample_size, a tile's, is one whose tiles meet. */
bool vae_can_tile(const struct vae *m);
/* Latents of this size are larger than a tile. */
bool vae_has_tiles(const struct vae *m, int height, int width);
/* How many they are decoded in, where the VAE can tile: 1 makes the picture that vae_decode does. */
int vae_count_tiles(const struct vae *m, int height, int width);
/* As vae_decode; x and y of the same type.   scratch: host memory for two rows of tiles */
void vae_decode_tiled(struct device *dev, const struct vae *m, struct arena *scratch, struct view y, struct view x);
/* As vae_encode, of the type given, from and to host memory: y [H/factor,W/factor,2Z], x [H,W,3]. */
void vae_encode_tiled(struct device *dev, const struct vae *m, struct arena *scratch, enum dtype dtype, float *y, const float *x, int H,
                      int W);

#endif
