"""Random tiny checkpoints against diffusers: nets of random shapes, random schedulers, tasks, sizes and settings, N of them, each drawn by both: at most one
level on 99.9 % of the values, and refused where diffusers refuses.

    python test/reference/check_checkpoints.py [N [SEED [NUMBER…]]]        (make first; KEEP=1: what is wrong stays)
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import diffusers
import numpy as np
import torch
from PIL import Image
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import check_schedulers
import make_synthetic as sd
import make_synthetic_xl as xl
import synthetic
from common import FIXTURES, deterministic

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / "release" / "diffuse"
VARIANCE_PRESERVING = ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler"]
PROMPTS = ["a photo of a cat", "", "A Red  House, at night!", "x" * 300, "ünïcode 猫 🙂 and more", "the quick brown fox " * 20]
# What README's limits name: options that no published checkpoint of these families sets.
LIMITS = ("act_fn", "conv_in_kernel", "conv_out_kernel", "cross_attention_norm", "resnet_skip_time_act", "center_input_sample", "only_cross_attention",
          "mid_block_scale_factor", "dual_cross_attention", "time_embedding_act_fn", "timestep_post_act", "class_embed_type", "encoder_hid_dim",
          "encoder_hid_dim_type", "time_embedding_dim", "time_embedding_type", "transformer_layers_per_block", "shift_factor", "freq_shift", "flip_sin_to_cos")
RARE = 0.01  # so often comes each option that the limits name
LATENT = [c for c in check_schedulers.CLASSES if not c.startswith("EDM")]


def chance(r, share, value, otherwise=None):
    return value if r.random() < share else otherwise


def given(**options):
    return {k: v for k, v in options.items() if v is not None}


def levels(r, n):
    return [8 * r.choice([1, 2, 3]) for _ in range(n)]


def unet_options(r, n, width, channels):
    attended = [r.random() < 0.6 for _ in range(n)]
    attended[r.randrange(n)] = True
    heads = r.choice([1, 2, 4, 8])
    return given(
        sample_size=r.choice([4, 8, 9]), in_channels=channels, out_channels=channels, block_out_channels=levels(r, n), layers_per_block=r.choice([1, 1, 2]),
        down_block_types=["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attended],
        up_block_types=["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)], cross_attention_dim=width,
        attention_head_dim=chance(r, 0.7, heads, [r.choice([1, 2, 4]) for _ in range(n)]), norm_num_groups=r.choice([4, 8, 2]),
        use_linear_projection=chance(r, 0.4, True), only_cross_attention=chance(r, RARE, True),
        mid_block_type=r.choice(["UNetMidBlock2DCrossAttn"] * 6 + ["UNetMidBlock2D"]), act_fn=chance(r, RARE, r.choice(["gelu", "relu", "mish", "swish"])),
        flip_sin_to_cos=chance(r, RARE, False), freq_shift=chance(r, RARE, 1), resnet_time_scale_shift=chance(r, 0.1, "scale_shift"),
        transformer_layers_per_block=chance(r, 0.15, 2), upcast_attention=chance(r, 0.1, True), conv_in_kernel=chance(r, RARE, 5),
        conv_out_kernel=chance(r, RARE, 5), norm_eps=chance(r, 0.2, 1e-6), dual_cross_attention=chance(r, RARE, True), center_input_sample=chance(r, RARE, True),
        time_embedding_act_fn=chance(r, RARE, "silu"), timestep_post_act=chance(r, RARE, "silu"), mid_block_scale_factor=chance(r, RARE, 2.0),
        resnet_skip_time_act=chance(r, RARE, True), class_embed_type=chance(r, RARE, "timestep"), time_embedding_dim=chance(r, RARE, 32),
        downsample_padding=chance(r, 0.05, 0), cross_attention_norm=chance(r, RARE, "layer_norm"), encoder_hid_dim=chance(r, RARE, width))


def vae(r, channels):
    n = r.choice([2, 3, 4])
    return diffusers.AutoencoderKL(**given(
        down_block_types=["DownEncoderBlock2D"] * n, up_block_types=["UpDecoderBlock2D"] * n, block_out_channels=levels(r, n), layers_per_block=r.choice([1, 2]),
        norm_num_groups=r.choice([4, 8]), sample_size=r.choice([16, 32]), latent_channels=channels, act_fn=chance(r, RARE, r.choice(["swish", "gelu"])),
        scaling_factor=chance(r, 0.4, r.choice([0.13025, 0.5, 1.0])), use_quant_conv=chance(r, 0.1, False), use_post_quant_conv=chance(r, 0.1, False),
        mid_block_add_attention=chance(r, 0.1, False), force_upcast=chance(r, 0.3, False), shift_factor=chance(r, 0.1, 0.1)))


def text(r, cls, tokenizer, width, **options):
    n = len(tokenizer)
    return sd.CLIPTextModel(config(r, n, width)) if cls is CLIPTextModel else cls(config(r, n, width, **options))


def config(r, n, width, **options):
    return sd.CLIPTextConfig(**given(
        vocab_size=n, bos_token_id=n - 2, eos_token_id=r.choice([n - 1, n - 1, 2]), hidden_size=width, intermediate_size=r.choice([16, 40]),
        num_hidden_layers=r.choice([2, 3, 4]), num_attention_heads=r.choice([1, 2, 4]), hidden_act=r.choice(["quick_gelu", "gelu"]),
        layer_norm_eps=chance(r, 0.1, 1e-6), **options))


def scheduler(r):
    while True:
        cls = r.choice(LATENT)
        try:
            made = getattr(diffusers, cls)(**check_schedulers.config_of(r, cls))
            made.set_timesteps(10)
            return made
        except (ValueError, NotImplementedError):
            pass


def stable_diffusion(r):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / r.choice(["tiny-sd1/tokenizer", "tiny-sd2/tokenizer"]))
    width, channels = r.choice([8, 16, 24]), r.choice([4, 4, 4, 8, 16])
    return diffusers.StableDiffusionPipeline(
        vae=vae(r, channels), text_encoder=text(r, CLIPTextModel, tokenizer, width), tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(**unet_options(r, r.choice([1, 2, 3, 4]), width, channels)), scheduler=scheduler(r), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False)


def stable_diffusion_xl(r):
    one, two = (CLIPTokenizer.from_pretrained(FIXTURES / t) for t in xl.TOKENIZERS.values())
    first, second, pooled, ids = 8 * r.choice([1, 2]), 8 * r.choice([1, 2, 3]), r.choice([8, 12]), r.choice([4, 8])
    options = unet_options(r, r.choice([2, 3]), first + second, 4)
    options.update(addition_embed_type="text_time", addition_time_embed_dim=ids, projection_class_embeddings_input_dim=pooled + 6 * ids)
    for k in ("class_embed_type", "encoder_hid_dim"):
        options.pop(k, None)
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(r, 4), text_encoder=text(r, CLIPTextModel, one, first), tokenizer=one,
        text_encoder_2=text(r, CLIPTextModelWithProjection, two, second, projection_dim=pooled), tokenizer_2=two,
        unet=diffusers.UNet2DConditionModel(**options), scheduler=scheduler(r), add_watermarker=False, force_zeros_for_empty_prompt=r.random() < 0.7)


def unconditional(r):
    n = r.choice([1, 2, 3])
    attended = [r.random() < 0.5 for _ in range(n)]
    unet = diffusers.UNet2DModel(**given(
        sample_size=r.choice([8, 16, 24]), in_channels=3, out_channels=3, block_out_channels=levels(r, n), layers_per_block=r.choice([1, 2]),
        down_block_types=["AttnDownBlock2D" if a else "DownBlock2D" for a in attended], up_block_types=["AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)],
        norm_num_groups=r.choice([4, 8]), attention_head_dim=r.choice([4, 8, None]), act_fn=chance(r, RARE, "gelu"), flip_sin_to_cos=chance(r, 0.3, False),
        freq_shift=chance(r, 0.3, 1), downsample_padding=chance(r, 0.2, 0), resnet_time_scale_shift=chance(r, 0.1, "scale_shift"),
        add_attention=chance(r, 0.1, False), mid_block_scale_factor=chance(r, RARE, 2.0), center_input_sample=chance(r, RARE, True),
        time_embedding_type=chance(r, 0.05, "fourier"), dropout=chance(r, 0.1, 0.1)))
    cls, s = r.choice([(diffusers.DDPMPipeline, diffusers.DDPMScheduler), (diffusers.DDIMPipeline, diffusers.DDIMScheduler)])
    return cls(unet=unet, scheduler=s(**check_schedulers.pick(r, {k: check_schedulers.COMMON[k] for k in ("beta_schedule", "clip_sample", "prediction_type")}, 0.3)))


KINDS = [stable_diffusion, stable_diffusion, stable_diffusion_xl, unconditional]
TASKS = {
    diffusers.StableDiffusionPipeline: (diffusers.StableDiffusionImg2ImgPipeline, diffusers.StableDiffusionInpaintPipeline),
    diffusers.StableDiffusionXLPipeline: (diffusers.StableDiffusionXLImg2ImgPipeline, diffusers.StableDiffusionXLInpaintPipeline),
}


def request(r, checkpoint, cls):
    """Class, diffuse's arguments, and diffusers' for it."""
    seed, steps, args, call = r.randrange(10**6), r.choice([1, 2, 3, 4, 6]), [], {}
    args += ["-s", seed, "--steps", steps]
    call.update(num_inference_steps=steps)
    if cls not in TASKS:
        return cls, args, call, seed
    prompt, guidance = r.choice(PROMPTS), r.choice([1.0, 3.0, 5.0, 7.5])
    args, call = [prompt, "-g", guidance, *args], {**call, "prompt": prompt, "guidance_scale": guidance}
    if r.random() < 0.3:
        call["negative_prompt"] = r.choice(PROMPTS)
        args += ["-n", call["negative_prompt"]]
    task = r.choice([0, 0, 1, 2])
    if task == 0 and r.random() < 0.15:
        call["guidance_rescale"] = 0.7
        args += ["--guidance-rescale", 0.7]
    factor = 2 ** (len(checkpoint.files["vae/config.json"]["block_out_channels"]) - 1)
    width, height = (factor * r.choice([4, 6, 8, 9]) // 8 * 8 or 8 for _ in range(2))
    if task:
        cls = TASKS[cls][task - 1]
        call["image"], call["strength"] = checkpoint.add_picture("in.png", width, height), r.choice([0.4, 0.75, 1.0])
        if int(steps * call["strength"]) == 0:
            call["strength"] = 1.0
        call["image"].save(checkpoint.dir / "in.png")
        args += ["-i", checkpoint.dir / "in.png", "--strength", call["strength"]]
    if task == 2:
        call["mask_image"] = checkpoint.add_mask("mask.png", width, height, width // 4, height // 4, width // 2, height // 3, 5)
        call["mask_image"].save(checkpoint.dir / "mask.png")
        args += ["--mask", checkpoint.dir / "mask.png"]
    if task != 1 and (task == 2 or r.random() < 0.5):
        call.update(width=width, height=height)
        args += ["-W", width, "-H", height]
    return cls, args, call, seed


def draw_in_f32():
    """Noise is the same whichever the pipeline's dtype."""
    drawn = diffusers.utils.torch_utils.randn_tensor

    def randn_tensor(shape, generator=None, device=None, dtype=None, layout=None):
        return drawn(shape, generator, device, torch.float32, layout).to(dtype or torch.float32)

    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("diffusers") and "randn_tensor" in vars(module):
            module.randn_tensor = randn_tensor


def draw(checkpoint, cls, call, seed, swap, dtype=torch.float32):
    pipe = checkpoint.load(cls)
    if dtype == torch.float64:
        pipe.to(dtype)
    if swap:
        pipe.scheduler = getattr(diffusers, swap).from_config(pipe.scheduler.config)
    images = pipe(generator=[torch.Generator("cpu").manual_seed(seed)], output_type="np", **call).images
    return np.asarray(images, np.float64)


def ours(checkpoint, args, swap):
    out = checkpoint.dir / "out.png"
    command = [str(a) for a in [PROGRAM, "-q", "-m", checkpoint.dir, *args, *(["-x", swap] if swap else []), "-f", "-o", out]]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "DIFFUSE_THREADS": "1"})
    return command, run, np.asarray(Image.open(out).convert("RGB"), np.float64) if run.returncode == 0 else None


def share_off(a, b):
    return np.mean(np.abs(a - b) > 1)


def one(seed, totals):
    r = random.Random(seed)
    checkpoint = None
    while checkpoint is None:
        try:
            pipe = r.choice(KINDS)(r)
            checkpoint = synthetic.Checkpoint(f"random-{seed}", pipe)
        except (ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError, ZeroDivisionError, KeyError, ImportError):
            pass  # shapes that diffusers does not make
    cls, args, call, draw_seed = request(r, checkpoint, type(pipe))
    swap = r.choice(LATENT if cls not in (diffusers.DDPMPipeline, diffusers.DDIMPipeline) else VARIANCE_PRESERVING) if r.random() < 0.4 else None
    try:
        wanted, refused = draw(checkpoint, cls, call, draw_seed, swap), None
        if not np.isfinite(wanted).all():
            wanted, refused = None, "not finite"
    except Exception as e:  # whatever diffusers raises is its refusal
        wanted, refused = None, f"{type(e).__name__}: {str(e)[:150]}"
    command, run, got = ours(checkpoint, args, swap)
    last = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else ""
    kind = "equal"
    if refused:
        kind = "both refuse" if run.returncode else "drawn, diffusers refuses"
    elif got is None:
        limit = run.returncode == 78 and ("thresholding is not supported" in last or any(f"'{k}'" in last for k in LIMITS))
        kind = "refused, as README's limits say" if limit else "refused, diffusers draws"
    else:
        wanted = np.round(wanted[0] * 255)
        off = share_off(got, wanted) if got.shape == wanted.shape else 1
        if off > 0.001:
            own = 0
            try:  # how far f32 takes diffusers from itself, the scheduler's too: a truncated timestep hangs on an ulp of numpy's logarithm
                for wide in (contextlib.nullcontext(), check_schedulers.widely()):
                    with wide:
                        own = max(own, share_off(np.round(draw(checkpoint, cls, call, draw_seed, swap, torch.float64)[0] * 255), wanted))
            except Exception:
                pass
            kind = "within diffusers' own rounding" if off <= 4 * own else "WRONG"
            last += f" {off:.4f} off, diffusers itself {own:.4f}"
    totals[kind] = totals.get(kind, 0) + 1
    if kind not in ("equal", "both refuse", "refused, as README's limits say"):
        print(f"{kind}: seed {seed}, {cls.__name__}: {last} {refused or ''}\n    {' '.join(a[:40] for a in command[3:])}", flush=True)
    if kind in ("WRONG", "refused, diffusers draws") and os.environ.get("KEEP"):
        print("    kept", checkpoint.dir)
    else:
        shutil.rmtree(checkpoint.dir)


def main():
    n, seed, *only = [int(a) for a in [*sys.argv[1:], *["300", "1"][len(sys.argv) - 1:]]]
    deterministic()
    draw_in_f32()
    totals = {}
    for i in only or range(n):
        one(seed * 100000 + i, totals)
    print(json.dumps(totals))
    sys.exit(any(k in ("WRONG", "refused, diffusers draws") for k in totals))


if __name__ == "__main__":
    main()
