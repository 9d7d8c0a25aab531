/* THE contract between models and devices: one typedef per op, one table per device.
 *
 * Shapes, slowest axis first: N batch, H W height width, C channels in, K channels out, T rows (tokens or pixels = N*H*W),
 * D head width, NH heads. Activations are views (device.h), strided: every op honours ld and image of every operand, which are of
 * one type. What is said here is asserted in front of every device (ops_check.h). Weights are struct weight with the checkpoint's own shape
 * (weights.h). Statistics, softmax and accumulation in f32. Outputs never overlap inputs except where "y may be x" is said (same p and ld).
 * Optional operands: NULL weight, no_view. Every op that could be fused later takes the operand now. */
#ifndef ENGINE_OPS_H
#define ENGINE_OPS_H

#include "engine/device.h"
#include "schedulers/scheduler.h"

enum act { ACT_NONE, ACT_SILU, ACT_QUICK_GELU, ACT_GELU /* exact erf */, ACT_RELU /* of modulate alone */ };

/* y = act(x wᵀ + b) + residual        x [T,C]  w [K,C]  b [K]|NULL  residual [T,K]|none, may be y  y [T,K] */
typedef void op_linear(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, enum act act,
                       struct view residual);

/* [v|g] = x wᵀ + b;  y = v * gelu_erf(g)        x [T,C]  w [2K,C]: value rows first, then gate rows  b [2K]  y [T,K] */
typedef void op_linear_geglu(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b);

struct conv_shape {
    int stride;                   /* 1 to 16 */
    int top, left, bottom, right; /* zero padding; asymmetric (0,0,1,1) in VAE encoders and ddpm down-samplers */
    int upsample;                 /* 1, or 2: x is first enlarged 2x by nearest neighbour */
};
#define CONV_3X3 ((struct conv_shape){1, 1, 1, 1, 1, 1})

/* y = conv(x, w) + b + temb + residual        x [N,H,W,C]  w [K,C,R,R], R 1 to 16  b [K]|NULL
 *   temb [N|1,1,1,K]|none: one row per image (or one for all)   residual, y [N,Ho,Wo,K]; residual may be y
 *   with upsample 2, y may be smaller than 2H x 2W by up to one row and column: the enlarged x is cropped to y's size */
typedef void op_conv2d(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, struct view temb,
                       struct view residual, struct conv_shape shape);

/* y = (x - mean) / sqrt(var + eps) * w + b over each image's group of C/groups channels; population variance; then SiLU if asked
 *   x, y [N,H,W,C], y may be x   w, b [C]   C % groups == 0 */
typedef void op_group_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, int groups, float eps,
                           bool silu);

/* The same over each row.   x, y [T,C], y may be x   w, b [C] */
typedef void op_layer_norm(struct device *dev, struct view y, struct view x, struct weight *w, struct weight *b, float eps);

/* y = softmax(q kᵀ / sqrt(D)) v per image and head; head h is columns [h*D, (h+1)*D). causal: row i sees keys 0..i.
 *   q, y [N,Hq,Wq,NH*D] (Tq = Hq*Wq)   k, v [N|1,Hk,Wk,NH*D] (Tk = Hk*Wk; N of k 1 = shared by all images) */
typedef void op_attention(struct device *dev, struct view y, struct view q, struct view k, struct view v, int n_heads, bool causal);

/* y[t] = table[ids[t]] + pos[t]        ids: T host integers, each in [0,V)   table [V,C]  pos [P,C]|NULL, T <= P   y [1,1,T,C] */
typedef void op_embed(struct device *dev, struct view y, const int32_t *ids, struct weight *table, struct weight *pos);

/* Sinusoids of Ho et al. 2020: half = dim/2, f_i = exp(-ln(10000) i/(half - freq_shift)); y = [sin|cos](t f_i), [cos|sin] if flip.
 *   t: T host floats, may be fractional   y [1,1,T,dim], dim even */
typedef void op_timestep_embed(struct device *dev, struct view y, const float *t, bool flip_sin_to_cos, float freq_shift);

/* y = x * sigmoid(x)        x, y [T,C], y may be x */
typedef void op_silu(struct device *dev, struct view y, struct view x);

/* y = act(x * (1 + scale) + shift), without those that are none
 *   x, y [N,H,W,C], y may be x   scale, shift [N|1,1,1,C]: one row per image (or one for all)   act not ACT_QUICK_GELU */
typedef void op_modulate(struct device *dev, struct view y, struct view x, struct view scale, struct view shift, enum act act);

/* y = a + factor * b        [T,C]; y may be a or b */
typedef void op_add(struct device *dev, struct view y, struct view a, struct view b, float factor);

/* Where output i of n lies among `in` pixels, as torch's interpolate has it, in f32; what lies beyond the last pixel is the last pixel. */
enum interpolation {
    INTERPOLATE_CORNERS, /* bilinear, corners aligned: at i (in - 1) / (n - 1) */
    INTERPOLATE_CENTERS, /* bilinear, corners not aligned: at (i + 1/2) in / n - 1/2, not below 0 */
    INTERPOLATE_NEAREST, /* at the pixel floor(i in / n) itself */
};
/* y = x at another size        x [N,H,W,C]   y [N,Ho,Wo,C] */
typedef void op_resize(struct device *dev, struct view y, struct view x, enum interpolation way);

/* y = the largest value under an R x R window; what lies outside x does not count
 *   x [N,H,W,C]  y [N,Ho,Wo,C]   shape as conv2d's, upsample 1, each padding below R */
typedef void op_max_pool(struct device *dev, struct view y, struct view x, int R, struct conv_shape shape);

/* y = scale * x        x: f32 latents [N,H,W,C] dense, device memory   y [N,H,W,C] */
typedef void op_model_input(struct device *dev, struct view y, const float *x, float scale);

/* The latents' own state, f32, dense, [N,H,W,C] each, device memory. */
struct latents {
    int N, H, W, C;
    float *x;                /* the sample */
    float *saved;            /* s of predictor-corrector methods, or NULL where the schedule keeps none */
    float *d[SCHED_HISTORY]; /* past values: as many as the schedule is deep; the device knows which is the newest */
    float *z;                /* this row's noise, uploaded by the caller where row->noise */
    float *e;                /* the guided model output, written by sched_step (kept for --dump) */
    /* Inpainting, or NULL: where mask [N,H,W] is 0, a row's x becomes keep_x * clean + keep_z * noise; where it is 1, x stays. */
    float *mask, *clean, *noise;
};

/* The denoising loop. What a step reads of its row lies with the device, which counts the rows itself, so that the
 * same launches serve every step:
 *
 *     set_schedule(dev, rows, n_rows, depth);      once an image: row 0 comes next, the history is empty
 *     repeat: next_row, row_input, …the model…, sched_step */

/* rows: n_rows host rows, copied; depth: schedule->history. Synchronises. */
typedef void op_set_schedule(struct device *dev, const struct sched_row *rows, int n_rows, int depth);

/* The next row becomes the current one; y = table[that row], what the model needs of its timestep
 *   y [1,1,1,E]   table [1,1,n_rows,E] */
typedef void op_next_row(struct device *dev, struct view y, struct view table);

/* y[c*N + n] = in_scale * x[n] for each of the copies c: latents to model input, twice or thrice for guidance
 *   y [copies*N,H,W,C]: a slice where the model's input has more channels */
typedef void op_row_input(struct device *dev, struct view y, const struct latents *l, int copies);

struct guidance {
    float scale;   /* away from the unconditional output, towards the prompt's … */
    float image;   /* … and towards that of the picture alone, where the model is given one */
    float rescale; /* φ */
};

/* e = uncond + scale (cond - uncond) where out has 2N images [uncond…, cond…];
 * e = uncond + scale (cond - seen) + image (seen - uncond) where it has 3N [uncond…, seen…, cond…]: given nothing, the picture alone,
 * picture and prompt (Brooks et al. 2023, 3.2.1); e = out where it has N;
 * rescale φ > 0 (guidance only): e' = φ e std(cond)/std(e) + (1-φ) e, std over each image, unbiased (Lin et al. 2023, 3.4);
 * then the current scheduler row (schedulers/scheduler.h) updates x, saved and d.
 *   out [N|2N|3N,H,W,C], or [N,H,W,2C]: the second half of the channels then predicts the variance, for rows that use it */
typedef void op_sched_step(struct device *dev, const struct latents *l, struct view out, struct guidance guidance);

/* y = round_half_even(clamp(x/2 + 1/2, 0, 1) * 255)        x [N,H,W,C]   y: host bytes [N,H,W,C]   C 3, or 1: grey
 * Returns how many values are not finite. Synchronises. */
typedef int64_t op_to_rgb8(struct device *dev, uint8_t *y, struct view x);

/* Host f32 <-> device view, dense on the host side; converts dtype; synchronises. */
typedef void op_upload(struct device *dev, struct view y, const float *x);
typedef void op_download(struct device *dev, float *y, struct view x);
/* The same for f32 latents state (n floats), NHWC on the device, NCHW on the host. */
typedef void op_upload_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C);
typedef void op_download_latents(struct device *dev, float *y, const float *x, int N, int H, int W, int C);

struct ops {
    op_linear *linear;
    op_linear_geglu *linear_geglu;
    op_conv2d *conv2d;
    op_group_norm *group_norm;
    op_layer_norm *layer_norm;
    op_attention *attention;
    op_embed *embed;
    op_timestep_embed *timestep_embed;
    op_silu *silu;
    op_modulate *modulate;
    op_add *add;
    op_resize *resize;
    op_max_pool *max_pool;
    op_model_input *model_input;
    op_set_schedule *set_schedule;
    op_next_row *next_row;
    op_row_input *row_input;
    op_sched_step *sched_step;
    op_to_rgb8 *to_rgb8;
    op_upload *upload;
    op_download *download;
    op_upload_latents *upload_latents;
    op_download_latents *download_latents;
};

#endif
