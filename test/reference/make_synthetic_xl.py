"""Writes test/fixtures/synthetic/xl*: SDXL, its kin and its tasks on tiny checkpoints (see synthetic.py).

    make_synthetic_xl.py [NAME…]"""

import sys

import diffusers
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from common import FIXTURES, deterministic
from synthetic import Checkpoint, half_errors

TOKENIZERS = {"tokenizer": "tiny-sd1/tokenizer", "tokenizer_2": "tiny-sd2/tokenizer"}  # they pad with the end and with "!"
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "leading", "steps_offset": 1}
PROMPT = "a photo of a cat"
P, IDS, WIDTH = 16, 6, 8  # pooled prompt; numbers, each this wide


def unet(**options):
    return UNet2DConditionModel(**{"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
                                   "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
                                   "block_out_channels": [8, 16, 16], "sample_size": 4, "layers_per_block": 1,
                                   "transformer_layers_per_block": [1, 2, 3], "cross_attention_dim": 40, "attention_head_dim": [1, 2, 4],
                                   "norm_num_groups": 4, "use_linear_projection": True, "addition_embed_type": "text_time",
                                   "addition_time_embed_dim": WIDTH, "projection_class_embeddings_input_dim": P + IDS * WIDTH, **options})


def vae(**options):
    return AutoencoderKL(**{"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
                            "block_out_channels": [8, 8, 8, 16], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 64,
                            "scaling_factor": 0.13025, **options})


def text(cls, tokenizer, **options):
    n = len(tokenizer)
    return cls(CLIPTextConfig(**{"vocab_size": n, "bos_token_id": n - 2, "eos_token_id": n - 1, "hidden_size": 16, "intermediate_size": 32,
                                 "num_hidden_layers": 3, "num_attention_heads": 2, "projection_dim": P, **options}))


def pipeline(cls=StableDiffusionXLPipeline, unet=None, vae=vae(), scheduler=None, first=True, second={}, **options):
    one, two = (CLIPTokenizer.from_pretrained(FIXTURES / t) for t in TOKENIZERS.values())
    return cls(vae=vae, text_encoder=text(CLIPTextModel, one) if first else None, tokenizer=one if first else None,
               text_encoder_2=text(CLIPTextModelWithProjection, two, hidden_size=24, num_attention_heads=3, num_hidden_layers=4,
                                   hidden_act="gelu", **second),
               tokenizer_2=two, unet=unet or globals()["unet"](), scheduler=scheduler or EulerDiscreteScheduler(**SCHEDULER),
               add_watermarker=False, **options)


def checkpoint(name, **options):
    return Checkpoint(name, pipeline(**options), TOKENIZERS)


def refiner(**options):
    """The second text encoder alone; a score in place of the target size; no attention in the first level and the last."""
    return pipeline(cls=StableDiffusionXLImg2ImgPipeline, first=False, force_zeros_for_empty_prompt=False, requires_aesthetics_score=True,
                    unet=unet(**{"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
                                 "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "cross_attention_dim": 24,
                                 "transformer_layers_per_block": 2, "projection_class_embeddings_input_dim": P + 5 * WIDTH, **options}))


REFINER_LINKS = {"tokenizer_2": TOKENIZERS["tokenizer_2"]}


def swapped(pipe, scheduler, **changes):
    if scheduler:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config, **changes)
    return pipe


def draw(c, name, args=(), steps=3, prompt=PROMPT, cls=StableDiffusionXLPipeline, scheduler=None, changes={}, seeds=(7,), tiled=False, half=False, **options):
    """One call for each seed, as pictures of one command are. half: the case says how far off diffusers is in f16 and bf16."""
    def call(seed, dtype=torch.float32):
        pipe = swapped(c.load(cls), scheduler, **changes).to(dtype)
        if tiled:
            pipe.vae.enable_tiling()
        return pipe(prompt, num_inference_steps=steps, generator=[torch.Generator("cpu").manual_seed(seed)], output_type="pil", **options).images[0]

    spelled = ",".join([scheduler, *(f"{k}={v}" for k, v in changes.items())]) if scheduler else None
    count = ["--count", len(seeds)] if len(seeds) > 1 else []
    c.add(name, [prompt, "-s", seeds[0], "--steps", steps, *count, *(["-x", spelled] if scheduler else []),
                 *(["--vae-tiling", "on"] if tiled else []), *args], [call(seed) for seed in seeds], half_error=half_errors(call) if half else None)


def xl():
    c = checkpoint("xl")
    draw(c, "plain")
    draw(c, "guidance-1", ["-g", 1], guidance_scale=1.0)
    draw(c, "negative-empty", ["-n", ""], negative_prompt="")
    draw(c, "negative", ["-n", "bad"], negative_prompt="bad")
    draw(c, "negative2", ["-n", "", "--negative2", "bad"], negative_prompt="", negative_prompt_2="bad")
    draw(c, "negative2-alone", ["--negative2", "bad"], negative_prompt_2="bad")
    draw(c, "prompt2", ["--prompt2", "an old castle", "-n", "dull"], prompt_2="an old castle", negative_prompt="dull")
    draw(c, "prompt2-empty", ["--prompt2", ""], prompt_2="")
    draw(c, "clip-skip", ["--clip-skip", 1, "-n", "dull"], clip_skip=1, negative_prompt="dull")
    draw(c, "rescale", ["--guidance-rescale", 0.7], guidance_rescale=0.7)
    draw(c, "sizes", ["--original-size", "3000x700", "--crop", "5,11", "--target-size", "96x48"], original_size=(700, 3000),
         crops_coords_top_left=(11, 5), target_size=(48, 96))
    draw(c, "sizes-negative", ["--negative-original-size", "20x30", "--negative-crop", "3,4", "--negative-target-size", "50x60"],
         negative_original_size=(30, 20), negative_crops_coords_top_left=(4, 3), negative_target_size=(60, 50))
    draw(c, "sizes-negative-one", ["--negative-original-size", "20x30"], negative_original_size=(30, 20))
    draw(c, "odd", ["-W", 56, "-H", 72], width=56, height=72)
    draw(c, "two", seeds=(7, 8))
    for scheduler in SCHEDULERS:
        # DDIM cuts the latents down to 1, which leaves little to see; what DDPM's noise makes of a rounding differs from seed to seed
        draw(c, scheduler, scheduler=scheduler, steps=4, half=scheduler == "DDIMScheduler", seeds=range(7, 11) if scheduler == "DDPMScheduler" else (7,))
    return c


SCHEDULERS = ["DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
              "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler",
              "LMSDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "LCMScheduler", "TCDScheduler"]


def xl_lists():
    """Transformers of their own depths per layer (SSD-1B, segmind-vega), where the middle takes the first of the last list;
    force_zeros_for_empty_prompt false; the end told by the largest id."""
    c = checkpoint("xl-lists", force_zeros_for_empty_prompt=False, second={"eos_token_id": 2},
                   unet=unet(layers_per_block=[1, 2, 2], transformer_layers_per_block=[1, [2, 1], [2, 1]],
                             reverse_transformer_layers_per_block=[[1, 1, 2], [2, 1, 1], 1]))
    draw(c, "plain")
    return c


def xl_distilled():
    """Fewer blocks at every level and no middle (KOALA), told its guidance (LCM-SDXL), and what few steps are drawn with: SDXL-Turbo, Lightning
    (its model of one step predicts the sample), Hyper."""
    c = checkpoint("xl-distilled", unet=unet(mid_block_type=None, transformer_layers_per_block=[0, 2, 1], time_cond_proj_dim=8))
    draw(c, "lcm", ["-g", 8], steps=4, scheduler="LCMScheduler", guidance_scale=8.0)
    for name, scheduler, steps, changes in (("turbo", "EulerAncestralDiscreteScheduler", 1, {}), ("turbo-4", "EulerAncestralDiscreteScheduler", 4, {}),
                                            ("lightning", "EulerDiscreteScheduler", 4, {}),
                                            ("lightning-1", "EulerDiscreteScheduler", 1, {"prediction_type": "sample"}),
                                            ("hyper", "DDIMScheduler", 2, {}), ("hyper-tcd", "TCDScheduler", 4, {})):
        draw(c, name, ["-g", 0], steps=steps, scheduler=scheduler, changes={"timestep_spacing": "trailing", **changes}, guidance_scale=0.0)
    return c


IMAGE = ["-i", "@in.png"]
MASK = [*IMAGE, "--mask", "@mask.png"]


def add_odd(c):
    """A picture and a mask whose sides are odd, and what draws a mask of three latents by two."""
    image, mask = c.add_picture("odd.png", 29, 19), c.add_mask("odd-mask.png", 29, 19, 9, 5, 8, 7, 5)
    size = {"width": 24, "height": 16}
    return (["-i", "@odd.png", "--mask", "@odd-mask.png", "-W", 24, "-H", 16],
            {"cls": StableDiffusionXLInpaintPipeline, "image": image, "mask_image": mask, **size})


def xl_image():
    """Statistics of the latents, as playground v2.5 has them, and EDM's schedulers."""
    c = checkpoint("xl-image", vae=vae(latents_mean=[0.1, -0.2, 0.3, -0.4], latents_std=[0.5, 1.5, 0.8, 1.2], scaling_factor=0.5))
    image, mask = c.add_picture("in.png", 40, 32), c.add_picture("mask.png", 40, 32, 1).convert("RGB")
    draw(c, "plain")
    for scheduler in ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"):
        draw(c, scheduler, ["-g", 3], scheduler=scheduler, changes={"sigma_min": 0.002, "sigma_max": 80.0}, steps=4, guidance_scale=3.0)
    for scheduler in (None, *SCHEDULERS):
        draw(c, f"image-{scheduler}", [*IMAGE, "--strength", 0.6], cls=StableDiffusionXLImg2ImgPipeline, scheduler=scheduler, steps=5, image=image,
             strength=0.6)
        draw(c, f"mask-{scheduler}", MASK, cls=StableDiffusionXLInpaintPipeline, scheduler=scheduler, steps=4, image=image, mask_image=mask,
             width=40, height=32)
    draw(c, "image-defaults", IMAGE, cls=StableDiffusionXLImg2ImgPipeline, steps=7, image=image)
    draw(c, "image-sizes", [*IMAGE, "--original-size", "90x50", "--crop", "3,1", "--negative-target-size", "30x20"], steps=4,
         cls=StableDiffusionXLImg2ImgPipeline, image=image, original_size=(50, 90), crops_coords_top_left=(1, 3), negative_target_size=(20, 30))
    draw(c, "mask-whole", [*MASK, "--strength", 1], cls=StableDiffusionXLInpaintPipeline, image=image, mask_image=mask, strength=1.0,
         width=40, height=32)
    args, masked = add_odd(c)
    noisy = {"scheduler": "EulerAncestralDiscreteScheduler", "steps": 4, "seeds": (7, 8)}  # two pictures, each of its own noise
    draw(c, "image-odd", ["-i", "@odd.png", "--strength", 0.75], cls=StableDiffusionXLImg2ImgPipeline, image=masked["image"], strength=0.75, **noisy)
    draw(c, "mask-odd", args, **masked, **noisy)
    return c


def xl_nine():
    c = Checkpoint("xl-nine", pipeline(cls=StableDiffusionXLInpaintPipeline, unet=unet(in_channels=9)), TOKENIZERS)
    image, mask = c.add_picture("in.png", 40, 32), c.add_picture("mask.png", 40, 32, 1).convert("RGB")
    for strength in (0.6, 1.0):
        draw(c, f"strength-{strength}", [*MASK, "--strength", strength], cls=StableDiffusionXLInpaintPipeline, steps=4, image=image,
             mask_image=mask, strength=strength, width=40, height=32)
    args, masked = add_odd(c)
    for scheduler in SCHEDULERS:
        draw(c, scheduler, [*args, "--strength", 0.75], steps=4, strength=0.75, scheduler=scheduler, **masked)
    draw(c, "two", [*args, "--strength", 0.75], steps=4, strength=0.75, scheduler="DDPMScheduler", seeds=(7, 8), **masked)
    return c


def split(c, name, scheduler, steps, at, seeds=(7,), args=(), sizes={}, half=False, **options):
    """Base, then refiner, one generator for both."""
    def call(seed, dtype=torch.float32):
        base, second = (swapped(c.load(cls, folder), scheduler).to(dtype)
                        for cls, folder in ((StableDiffusionXLPipeline, ""), (StableDiffusionXLImg2ImgPipeline, "refiner")))
        generator = [torch.Generator("cpu").manual_seed(seed)]
        latents = base(PROMPT, num_inference_steps=steps, denoising_end=at, generator=generator, output_type="latent", **sizes).images
        return second(PROMPT, image=latents, num_inference_steps=steps, denoising_start=at, generator=generator, output_type="pil", **sizes,
                      **options).images[0]

    count = ["--count", len(seeds)] if len(seeds) > 1 else []
    c.add(name, [PROMPT, "-s", seeds[0], "--steps", steps, *count, *(["-x", scheduler] if scheduler else []), "--refiner", "@refiner",
                 "--refine-at", at, *args], [call(seed) for seed in seeds], half_error=half_errors(call) if half else None)


def xl_refined():
    c = checkpoint("xl-refined")
    c.save("refiner", refiner(), REFINER_LINKS)
    for scheduler, steps in ((None, 10), ("DDIMScheduler", 10), ("DPMSolverMultistepScheduler", 10), ("HeunDiscreteScheduler", 6),
                             ("PNDMScheduler", 7), ("UniPCMultistepScheduler", 9)):
        split(c, f"split-{scheduler}", scheduler, steps, 0.8, half=scheduler == "DDIMScheduler")
    split(c, "split-half", "HeunDiscreteScheduler", 7, 0.5)
    split(c, "split-noise", "EulerAncestralDiscreteScheduler", 7, 0.3)  # whose noise shows
    split(c, "split-scores", None, 5, 0.6, args=["--aesthetic-score", 8, "--negative-aesthetic-score", 1.5, "--original-size", "70x30",
                                                "--crop", "2,3"],
          sizes={"original_size": (30, 70), "crops_coords_top_left": (3, 2)}, aesthetic_score=8.0, negative_aesthetic_score=1.5)
    split(c, "split-two", None, 5, 0.6, seeds=(7, 8))
    return c


def xl_refiner():
    c = Checkpoint("xl-refiner", refiner(), REFINER_LINKS)
    image = c.add_picture("in.png", 40, 32)
    cls = StableDiffusionXLImg2ImgPipeline
    draw(c, "plain", IMAGE, cls=cls, steps=7, image=image)
    draw(c, "scores", [*IMAGE, "--aesthetic-score", 8, "--negative-aesthetic-score", 1.5, "-n", "dull"], cls=cls, steps=7, image=image,
         aesthetic_score=8.0, negative_aesthetic_score=1.5, negative_prompt="dull")
    draw(c, "negative-crop", [*IMAGE, "--crop", "4,5", "--negative-crop", "6,7"], cls=cls, steps=7, image=image, crops_coords_top_left=(5, 4),
         negative_crops_coords_top_left=(7, 6))
    draw(c, "unguided", [*IMAGE, "-g", 1], cls=cls, steps=7, image=image, guidance_scale=1.0)
    return c


def xl_tiles():
    """A VAE whose tiles are smaller than the pictures, in one direction or both; the second last row or column cut short, too. --vae-tiling off, and
    pictures no larger than a tile, are as without."""
    c = checkpoint("xl-tiles", vae=vae(sample_size=32))
    image, mask = c.add_picture("in.png", 80, 56), c.add_picture("mask.png", 80, 56, 1).convert("RGB")
    size = lambda w, h: {"width": w, "height": h}
    draw(c, "whole", ["-W", 80, "-H", 56, "--vae-tiling", "off"], steps=2, **size(80, 56))
    for w, h in ((80, 56), (72, 32), (24, 40), (32, 32)):
        draw(c, f"{w}x{h}", ["-W", w, "-H", h], steps=2, tiled=True, **size(w, h))
    draw(c, "image", IMAGE, steps=5, cls=StableDiffusionXLImg2ImgPipeline, tiled=True, image=image)
    draw(c, "mask", MASK, steps=2, cls=StableDiffusionXLInpaintPipeline, tiled=True, image=image, mask_image=mask, **size(80, 56))
    return c


MAKERS = [xl, xl_lists, xl_distilled, xl_image, xl_nine, xl_refined, xl_refiner, xl_tiles]


def main():
    deterministic()
    for make in MAKERS:
        if not sys.argv[1:] or make.__name__.replace("_", "-") in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
