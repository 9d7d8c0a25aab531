"""Writes test/fixtures/synthetic: variants of UNet, VAE and pipeline that real checkpoints have (see synthetic.py).

    make_synthetic.py [NAME…]"""

import sys

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, DDPMScheduler, LatentConsistencyModelImg2ImgPipeline, LatentConsistencyModelPipeline
from diffusers import LCMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionInpaintPipelineLegacy
from diffusers import StableDiffusionDepth2ImgPipeline, StableDiffusionInstructPix2PixPipeline
from diffusers import StableDiffusionPipeline, UNet2DConditionModel, UNet2DModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import original_layout
from common import FIXTURES, deterministic
from make_tiny import SD1_SCHEDULER
from synthetic import Checkpoint

TOKENIZER = "tiny-sd1/tokenizer"
DOWN = ["CrossAttnDownBlock2D", "DownBlock2D"]
UP = ["UpBlock2D", "CrossAttnUpBlock2D"]


def unet(**options):
    return UNet2DConditionModel(**{"down_block_types": DOWN, "up_block_types": UP, "block_out_channels": [8, 16], "sample_size": 8,
                                   "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 2, "norm_num_groups": 4,
                                   **options})


def vae(**options):
    return AutoencoderKL(**{"down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3,
                            "block_out_channels": [8, 8, 16], "layers_per_block": 1, "norm_num_groups": 4, "sample_size": 32,
                            **options})


def text(tokenizer, **options):
    n = len(tokenizer)
    return CLIPTextModel(CLIPTextConfig(**{"vocab_size": n, "bos_token_id": n - 2, "eos_token_id": n - 1, "hidden_size": 16,
                                           "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, **options}))


def stable_diffusion(name, unet, vae=vae(), edit=None, drop=(), faint=(), scheduler=DDIMScheduler.from_config(SD1_SCHEDULER), eights=()):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / TOKENIZER)
    pipe = StableDiffusionPipeline(vae=vae, text_encoder=text(tokenizer), tokenizer=tokenizer, unet=unet,
                                   scheduler=scheduler, safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False)
    return Checkpoint(name, pipe, {"tokenizer": TOKENIZER}, edit, drop, faint, eights=eights)


def draw(checkpoint, name="plain", steps=3, args=(), cls=StableDiffusionPipeline, prompt="a photo of a cat", **options):
    pipe = checkpoint.load(cls)
    if prompt is not None:
        options["prompt"] = prompt
    seeds = [torch.Generator("cpu").manual_seed(7)]
    images = pipe(num_inference_steps=steps, generator=seeds, output_type="pil", **options).images
    checkpoint.add(name, [*([prompt] if prompt is not None else []), "-s", 7, "--steps", steps, *args], images)
    return checkpoint


def sd_turbo():
    """SD 2.1's kind of UNet, distilled: one to four steps of Euler, spaced from the end, without guidance."""
    scheduler = diffusers.EulerDiscreteScheduler.from_config(SD1_SCHEDULER, timestep_spacing="trailing")
    checkpoint = stable_diffusion("sd-turbo", unet(attention_head_dim=[1, 2], use_linear_projection=True), scheduler=scheduler)
    for steps in (1, 2, 4):
        draw(checkpoint, f"steps-{steps}", steps=steps, args=["-g", 0], guidance_scale=0.0)
    return checkpoint


def mid_block_null():
    """segmind/tiny-sd, small-sd, bk-sdm."""
    return draw(stable_diffusion("mid-block-null", unet(mid_block_type=None)))


def mid_block_null_tensors_there():
    def edit(path, data):
        if path == "unet/config.json":
            data["mid_block_type"] = None

    return draw(stable_diffusion("mid-block-null-tensors-there", unet(), edit=edit))


def mid_block_plain():
    return draw(stable_diffusion("mid-block-plain", unet(mid_block_type="UNetMidBlock2D")))


def small_differences():
    """What text to image does not read, and other spellings of what it does."""

    def edit(path, data):
        if path == "unet/config.json":
            data.update(only_cross_attention=[False, False], act_fn="swish", cross_attention_dim=[16, 16])
        if path == "vae/config.json":
            data.update(shift_factor=0.1159, latents_mean=[0.1, 0.2, 0.3, 0.4], latents_std=[1.0, 2.0, 3.0, 4.0], act_fn="swish")

    return draw(stable_diffusion("small-differences", unet(), vae(use_quant_conv=False), edit=edit))


def faint():
    """Every kind of norm behind values of about a thousandth: each eps decides what comes out."""
    checkpoint = stable_diffusion("faint", unet(), faint=[
        "_embedding.weight", "conv_in.", "down_blocks.0.resnets.0.conv2.", "down_blocks.0.resnets.0.time_emb_proj.", "down_blocks.0.attentions.0.proj_in.",
        "mid_block.resnets.0.conv2.", "mid_block.resnets.0.conv_shortcut."])
    draw(checkpoint)
    image = checkpoint.add_picture("in.png", 64, 48)
    task(checkpoint, StableDiffusionImg2ImgPipeline, "image", None, 4, ["-i", "@in.png", "--strength", 0.5], image=image, strength=0.5)
    return checkpoint


def faint_ends():
    """The norms whose scale no norm behind them takes back: the transformer's over groups, the encoder's last."""
    here = "unet/diffusion_pytorch_model.safetensors:"
    layers = ["conv_in.", "down_blocks.0.resnets.0.conv2.", "down_blocks.1.resnets.0.conv2.", "down_blocks.2.resnets.0.conv", "down_blocks.0.downsamplers.",
              "down_blocks.1.downsamplers.", "mid_block.attentions.0.to_out.0.", "mid_block.resnets.0.conv2.", "mid_block.resnets.1.conv2."]
    checkpoint = stable_diffusion("faint-ends", unet(), faint=[here + "conv_in.", here + "down_blocks.0.resnets.0.conv2.", *("encoder." + n for n in layers)])
    image = checkpoint.add_picture("in.png", 38, 27)
    task(checkpoint, StableDiffusionImg2ImgPipeline, "image", None, 20, ["-i", "@in.png", "--strength", 0.05], image=image, strength=0.05)
    return checkpoint


def vae_without_post_quant():
    return draw(stable_diffusion("vae-without-post-quant", unet(), vae(use_quant_conv=False, use_post_quant_conv=False)))


def scale_shift_conditional():
    return draw(stable_diffusion("scale-shift-conditional", unet(resnet_time_scale_shift="scale_shift")))


def pipeline(name, cls, unet, vae=vae(), scheduler=None, faint=()):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / TOKENIZER)
    pipe = cls(vae=vae, text_encoder=text(tokenizer), tokenizer=tokenizer, unet=unet, scheduler=scheduler or DDIMScheduler.from_config(SD1_SCHEDULER),
               safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    return Checkpoint(name, pipe, {"tokenizer": TOKENIZER}, faint=faint)


# Each family of add_noise, one model call a step and two, fresh noise and none.
TASK_SCHEDULERS = ["DDIMScheduler", "PNDMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
                   "KDPM2DiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler", "LMSDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverSinglestepScheduler",
                   "LCMScheduler", "TCDScheduler"]


def task(checkpoint, cls, name, scheduler, steps, args=(), guidance=5.0, seed=7, load={}, karras=False, **options):
    pipe = checkpoint.load(cls, **load)
    if scheduler:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config, **({"use_karras_sigmas": True} if karras else {}))
    images = pipe("a photo of a cat", num_inference_steps=steps, guidance_scale=guidance, generator=[torch.Generator("cpu").manual_seed(seed)],
                  output_type="pil", **options).images
    checkpoint.add(name, ["a photo of a cat", "-s", seed, "--steps", steps, "-g", guidance,
                          *(["-x", scheduler + (",karras" if karras else "")] if scheduler else []), *args], images)


def two(checkpoint, cls, name, scheduler, steps, args=(), guidance=5.0, seed=7, **options):
    """Two pictures, each with a generator of its own: as if drawn alone."""
    pipe = checkpoint.load(cls)
    pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    images = [pipe("a photo of a cat", num_inference_steps=steps, guidance_scale=guidance, generator=[torch.Generator("cpu").manual_seed(seed + i)],
                   output_type="pil", **options).images[0] for i in range(2)]
    checkpoint.add(name, ["a photo of a cat", "-s", seed, "-c", 2, "--steps", steps, "-g", guidance, "-x", scheduler, *args], images)


# Of each family as many as differ in what strength cuts and noise adds.
CUT_SCHEDULERS = ["DDIMScheduler", "PNDMScheduler", "DDPMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
                  "KDPM2AncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"]
STRENGTHS = ((0.05, 20), (0.3, 7), (0.75, 4), (1.0, 3))  # and steps, of which some remain


def each_strength(checkpoint, cls, args, schedulers=CUT_SCHEDULERS, case="", **options):
    """Of a picture whose sides are odd."""
    if not checkpoint.odd:
        checkpoint.odd = checkpoint.add_picture("odd.png", 29, 19)
    for scheduler in schedulers:
        for strength, steps in STRENGTHS:
            task(checkpoint, cls, f"{case or scheduler}-{strength}-odd", scheduler, steps, ["-i", "@odd.png", *args, "--strength", strength],
                 image=checkpoint.odd, strength=strength, **options)


def each_mask(checkpoint):
    """Every scheduler with each kind of mask; with a soft one, and one that draws noise, at each strength. Two pictures; Karras' levels."""
    cls, size = StableDiffusionInpaintPipeline, {"width": 24, "height": 16}
    masks = {"soft": (9, 5, 8, 7, 5), "black": (0, 0, 0, 0, -1), "white": (0, 0, 29, 19), "pixel": (10, 10, 1, 1)}
    masks = {name: checkpoint.add_mask(f"odd-{name}.png", 29, 19, *box) for name, box in masks.items()}
    for name, mask in masks.items():
        args = ["--mask", f"@odd-{name}.png", "-W", 24, "-H", 16]
        if name == "soft":
            each_strength(checkpoint, cls, args, mask_image=mask, **size)
        else:
            each_strength(checkpoint, cls, args, ["EulerAncestralDiscreteScheduler"], name, mask_image=mask, **size)
    given = ["-i", "@odd.png", "--mask", "@odd-soft.png", "-W", 24, "-H", 16, "--strength", 0.75]
    two(checkpoint, cls, "two", "EulerAncestralDiscreteScheduler", 4, given, image=checkpoint.odd, mask_image=masks["soft"], strength=0.75, **size)
    for scheduler in ("DPMSolverMultistepScheduler", "EulerDiscreteScheduler"):
        task(checkpoint, cls, f"karras-{scheduler}", scheduler, 4, given, image=checkpoint.odd, mask_image=masks["soft"], strength=0.75, karras=True, **size)
    for scheduler in CUT_SCHEDULERS:
        for name in ("black", "white", "pixel"):
            if scheduler != "EulerAncestralDiscreteScheduler":
                task(checkpoint, cls, f"{name}-{scheduler}", scheduler, 4,
                     ["-i", "@odd.png", "--mask", f"@odd-{name}.png", "-W", 24, "-H", 16, "--strength", 0.75], image=checkpoint.odd,
                     mask_image=masks[name], strength=0.75, **size)


def image_to_image():
    checkpoint = pipeline("image-to-image", StableDiffusionImg2ImgPipeline, unet())
    image = checkpoint.add_picture("in.png", 70, 53)
    for scheduler in TASK_SCHEDULERS:
        task(checkpoint, StableDiffusionImg2ImgPipeline, scheduler, scheduler, 5, ["-i", "@in.png", "--strength", 0.7], image=image, strength=0.7)
    for strength, steps in ((0.05, 20), (0.3, 7), (0.75, 4), (1.0, 3)):
        task(checkpoint, StableDiffusionImg2ImgPipeline, f"strength-{strength}", None, steps, ["-i", "@in.png", "--strength", strength],
             image=image, strength=strength)
    processor = diffusers.image_processor.VaeImageProcessor()
    for mode, size in (("crop", (40, 48)), ("fill", (56, 32))):
        task(checkpoint, StableDiffusionImg2ImgPipeline, f"resize-{mode}", None, 3, ["-i", "@in.png", "--resize", mode, "-W", size[0], "-H", size[1]],
             image=processor.resize(image, size[1], size[0], resize_mode=mode))
    task(checkpoint, StableDiffusionImg2ImgPipeline, "resize-none", None, 3, ["-i", "@in.png", "--resize", "crop-to-multiple"], image=image.crop((1, 0, 69, 52)))
    task(checkpoint, StableDiffusionImg2ImgPipeline, "unguided", None, 5, ["-i", "@in.png"], guidance=1.0, image=image)
    each_strength(checkpoint, StableDiffusionImg2ImgPipeline, [])
    two(checkpoint, StableDiffusionImg2ImgPipeline, "two", "EulerAncestralDiscreteScheduler", 4, ["-i", "@odd.png"], image=checkpoint.odd)
    return checkpoint


def inpaint():
    checkpoint = pipeline("inpaint", StableDiffusionInpaintPipeline, unet())
    image, mask = checkpoint.add_picture("in.png", 64, 48), checkpoint.add_picture("mask.png", 64, 48, 1).convert("RGB")
    wide = checkpoint.add_picture("wide.png", 96, 40)
    size = {"width": 64, "height": 48}
    for scheduler in TASK_SCHEDULERS:
        task(checkpoint, StableDiffusionInpaintPipeline, scheduler, scheduler, 4, ["-i", "@in.png", "--mask", "@mask.png"], image=image, mask_image=mask, **size)
    for strength in (0.3, 0.75):
        task(checkpoint, StableDiffusionInpaintPipeline, f"strength-{strength}", "EulerAncestralDiscreteScheduler", 5,
             ["-i", "@in.png", "--mask", "@mask.png", "--strength", strength], image=image, mask_image=mask, strength=strength, **size)
    task(checkpoint, StableDiffusionInpaintPipeline, "another-size", None, 3, ["-i", "@in.png", "--mask", "@wide.png", "-W", 72, "-H", 40],
         image=image, mask_image=wide, width=72, height=40)
    each_mask(checkpoint)
    checkpoint.add("inverted", [a.replace("white", "black") for a in checkpoint.cases[[c["name"] for c in checkpoint.cases].index("white-0.75-odd")]["args"]]
                   + ["--invert-mask"], checkpoint.tensors["white-0.75-odd"].numpy(), same_as="white-0.75-odd")
    return checkpoint


def inpaint_nine():
    checkpoint = pipeline("inpaint-nine", StableDiffusionInpaintPipeline, unet(in_channels=9))
    image, mask = checkpoint.add_picture("in.png", 64, 48), checkpoint.add_picture("mask.png", 64, 48, 1).convert("RGB")
    size = {"width": 64, "height": 48}
    for scheduler in ("DDIMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"):
        for strength in (1.0, 0.6):
            task(checkpoint, StableDiffusionInpaintPipeline, f"{scheduler}-{strength}", scheduler, 4,
                 ["-i", "@in.png", "--mask", "@mask.png", "--strength", strength], image=image, mask_image=mask, strength=strength, **size)
    each_mask(checkpoint)
    for args, says in (([], "an inpainting checkpoint needs a picture and a mask"),
                       ([], "hint: diffuse -m MODEL -i picture.png --mask mask.png \"what to paint there\""),
                       (["-i", "@in.png"], "an inpainting checkpoint needs a mask"), (["-i", "@in.png"], "hint: --mask FILE, white where it is to be painted anew")):
        checkpoint.refuse(["a cat", *args], 2, says)
    return checkpoint


UNET, TEXT, VAE = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors"


def single_tensors(checkpoint, unet_config, vae_config, openclip, vae_prefix="first_stage_model."):
    """The checkpoint's tensors in the original layout, with what else such files hold."""
    w, out = checkpoint.weights, {}
    for key, shape in w[UNET].items():
        name = original_layout.unet_name(key, unet_config)
        out["model.diffusion_model." + name] = (shape, [(UNET, key)])
        if name.endswith("bias"):
            out["model_ema.diffusion_model" + name.replace(".", "")] = (shape, [])
    for key, shape in w[VAE].items() if vae_prefix else ():
        name = original_layout.vae_name(key, vae_config)
        out[vae_prefix + name] = ([*shape, 1, 1] if original_layout.is_square_filter(name) else shape, [(VAE, key)])
    if openclip:
        for name, keys in original_layout.openclip_parts(w[TEXT]).items():
            shape = w[TEXT][keys[0]]
            out["cond_stage_model.model." + name] = ([shape[0] * len(keys), *shape[1:]], [(TEXT, k) for k in keys])
        out["cond_stage_model.model.transformer.resblocks.23.ln_1.weight"] = ([16], [])
        out["cond_stage_model.model.text_projection"] = ([16, 16], [])
        out["cond_stage_model.model.logit_scale"] = ([], [])
    else:
        for key, shape in w[TEXT].items():
            out["cond_stage_model.transformer.text_model." + key.removeprefix("text_model.")] = (shape, [(TEXT, key)])
    out["betas"] = ([8], [])
    return out


def single(name, openclip, **options):
    """Three layers to a level on the way up, four levels of the VAE: all that files of that layout have."""
    model = unet(layers_per_block=2, **options)
    coder = vae(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, block_out_channels=[8, 8, 8, 8])
    checkpoint = draw(stable_diffusion(name, model, coder, eights=["unet/", "text_encoder/"] if openclip else []))
    config = dict(model.config), dict(coder.config)
    whole = checkpoint.add_single("whole.safetensors", single_tensors(checkpoint, *config, openclip))
    pipe = StableDiffusionPipeline.from_single_file(whole, config=str(checkpoint.dir), safety_checker=None, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    image = pipe("a photo of a cat", num_inference_steps=3, generator=[torch.Generator("cpu").manual_seed(7)], output_type="pil").images
    assert np.array_equal(np.asarray(image[0]), checkpoint.tensors["plain"][0].numpy())
    common = ["a photo of a cat", "-s", 7, "--steps", 3]
    checkpoint.add("whole", [*common, "-m", "@whole.safetensors", "--config", "@."], image, same_as="plain")
    if openclip:  # matrices and filters in fp8, each with a scale beside it
        checkpoint.fp8["fp8.safetensors"] = "whole.safetensors"
        checkpoint.add("fp8", [*common, "-m", "@fp8.safetensors", "--config", "@."], image, same_as="plain")
    else:
        parts = single_tensors(checkpoint, *config, openclip)
        checkpoint.add_single("vae.safetensors", {k.removeprefix("first_stage_model."): v for k, v in parts.items() if k.startswith("first_stage_model.")})
        checkpoint.add_single("pruned.safetensors", {k.replace("transformer.text_model.", "transformer."): v for k, v in parts.items()
                                                     if not k.startswith(("first_stage_model.", "model_ema."))})
        checkpoint.add("vae-file", [*common, "-m", "@pruned.safetensors", "--config", "@.", "--vae", "@vae.safetensors"], image, same_as="plain")
        checkpoint.add("vae-directory", [*common, "-m", "@pruned.safetensors", "--config", "@.", "--vae", "@vae"], image, same_as="plain")
        checkpoint.add("vae-elsewhere", [*common, "--vae", "@whole.safetensors"], image, same_as="plain")
    return checkpoint


def single_sd1():
    return single("single-sd1", False)


def single_sd2():
    return single("single-sd2", True, use_linear_projection=True)




def each_seed(checkpoint, cls, name, seeds, args, **options):
    """Several pictures as diffuse draws them: each as if it were alone (inpainting draws the first one's latents with the first generator only)."""
    pipe = checkpoint.load(cls)
    pipe.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    images = [pipe("a photo of a cat", num_inference_steps=3, guidance_scale=5.0, generator=torch.Generator("cpu").manual_seed(s), output_type="pil",
                   **options).images[0] for s in seeds]
    checkpoint.add(name, ["a photo of a cat", "-s", seeds[0], "-c", len(seeds), "--steps", 3, "-g", 5.0, "-x", "EulerAncestralDiscreteScheduler", *args], images)


def inpaint_masks(name="inpaint-masks", in_channels=4, faint=()):
    """Masks that are nearly none or all; the mask's surroundings alone; two pictures."""
    checkpoint = pipeline(name, StableDiffusionInpaintPipeline, unet(in_channels=in_channels), faint=faint)
    image, soft = checkpoint.add_picture("in.png", 64, 48), checkpoint.add_mask("soft.png", 64, 48, 20, 12, 16, 16, 9)
    masks = {"black": checkpoint.add_mask("black.png", 64, 48, 0, 0, 0, 0, -1), "white": checkpoint.add_mask("white.png", 64, 48, 0, 0, 64, 48),
             "pixel": checkpoint.add_mask("pixel.png", 64, 48, 24, 16, 1, 1)}
    size = {"width": 64, "height": 48}
    run = lambda case, args, seeds=(7,), **options: each_seed(checkpoint, StableDiffusionInpaintPipeline, case, seeds, args, **options)
    for case, mask in masks.items():
        run(case, ["-i", "@in.png", "--mask", f"@{case}.png", "--strength", 0.7], image=image, mask_image=mask, strength=0.7, **size)
    run("two", ["-i", "@in.png", "--mask", "@soft.png", "--strength", 0.7], (7, 8), image=image, mask_image=soft, strength=0.7, **size)
    large, corner = checkpoint.add_picture("large.png", 151, 117), checkpoint.add_mask("corner.png", 151, 117, 131, 5, 9, 40, 6)
    crop = lambda case, pad, args=(), seeds=(7,), mask=corner, size=(32, 32), file="corner.png", **options: run(
        case, ["-i", "@large.png", "--mask", f"@{file}", "--mask-crop", pad, "-W", size[0], "-H", size[1], *args], seeds, image=large, mask_image=mask,
        padding_mask_crop=pad, width=size[0], height=size[1], **options)
    crop("crop-0", 0)
    if in_channels == 9:
        return checkpoint
    crop("crop-tall", 3, size=(64, 24))
    crop("crop-wide", 200, ["--strength", 0.6], (7, 8), size=(24, 40), strength=0.6)
    blurred = diffusers.image_processor.VaeImageProcessor.blur(corner, 4)
    crop("crop-blurred", 8, ["--mask-blur", 4], mask=blurred)
    return checkpoint


def inpaint_scheduler():
    """The inpainting pipeline's constructor has an eye on other keys of an outdated scheduler than text to image's."""
    checkpoint = pipeline("inpaint-scheduler", StableDiffusionInpaintPipeline, unet(), scheduler=diffusers.PNDMScheduler.from_config({
        **SD1_SCHEDULER, "steps_offset": 0, "skip_prk_steps": False, "clip_sample": True}))
    image, mask = checkpoint.add_picture("in.png", 64, 48), checkpoint.add_mask("mask.png", 64, 48, 20, 12, 16, 16, 9)
    for case, scheduler in (("own", None), ("swapped", "DDIMScheduler")):
        task(checkpoint, StableDiffusionInpaintPipeline, case, scheduler, 5, ["-i", "@in.png", "--mask", "@mask.png"], image=image, mask_image=mask, width=64, height=48)
    return draw(checkpoint, "text")


def inpaint_legacy():
    """Grey masks laid over the latents by degrees, and noise of the step before: the class of 2022."""
    checkpoint, cls = pipeline("inpaint-legacy", StableDiffusionInpaintPipelineLegacy, unet()), StableDiffusionInpaintPipelineLegacy
    odd, mask = checkpoint.add_picture("odd.png", 70, 53), checkpoint.add_mask("odd-mask.png", 70, 53, 20, 12, 16, 16, 20)
    given = ["-i", "@odd.png", "--mask", "@odd-mask.png", "-W", 64, "-H", 48]  # it takes multiples of 8, whatever the VAE's factor
    none = {"safety_checker": None, "feature_extractor": None}
    for scheduler in ("DDIMScheduler", "PNDMScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler"):
        task(checkpoint, cls, f"{scheduler}-0.75", scheduler, 4, [*given, "--strength", 0.75], load=none, image=odd, mask_image=mask, strength=0.75)
    task(checkpoint, cls, "ancestral-1.0", "EulerAncestralDiscreteScheduler", 3, [*given, "--strength", 1.0], load=none, image=odd, mask_image=mask,
         strength=1.0)
    task(checkpoint, cls, "unsaid", None, 5, given, load=none, image=odd, mask_image=mask)
    checkpoint.refuse(["a photo of a cat", *given, "--mask-crop", 3], 2,
                      "--mask-crop: a StableDiffusionInpaintPipelineLegacy has none")
    return checkpoint


def inpaint_masks_nine():
    """The hole is 0, not the grey next to it (127 of 255): behind a bias that is nearly none, the encoder's first norm tells them apart."""
    return inpaint_masks("inpaint-masks-nine", 9, [VAE + ":encoder.conv_in.bias"])


def checker(**vision):
    config = CLIPConfig(text_config={}, vision_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                                                       "image_size": 42, "patch_size": 14, **vision}, projection_dim=16)
    return StableDiffusionSafetyChecker(config)


def checked(name, cls=StableDiffusionPipeline, edit=None, rename=lambda where, tensor: tensor, in_channels=4):
    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / TOKENIZER)
    extractor = CLIPImageProcessor(size={"shortest_edge": 42}, crop_size={"height": 42, "width": 42})
    pipe = cls(vae=vae(), text_encoder=text(tokenizer), tokenizer=tokenizer, unet=unet(in_channels=in_channels), scheduler=DDIMScheduler.from_config(SD1_SCHEDULER),
               safety_checker=checker(), feature_extractor=extractor)
    return Checkpoint(name, pipe, {"tokenizer": TOKENIZER}, edit, rename=rename)


def safety_checker():
    """A picture it flags beside one that it does not; each task."""
    checkpoint = checked("safety-checker")
    image, mask = checkpoint.add_picture("in.png", 64, 48), checkpoint.add_picture("mask.png", 64, 48, 1).convert("RGB")
    house(checkpoint, "three", ["-c", 3], seeds=(2, 3, 4))
    house(checkpoint, "wide", ["-W", 72, "-H", 40, "-c", 2], seeds=(2, 3), width=72, height=40)
    house(checkpoint, "off", ["--no-safety-checker"], seeds=(3,), options={"safety_checker": None})
    for strength, seed in ((0.5, 0), (1.0, 3)):  # harmless, flagged
        house(checkpoint, f"image-{strength}", ["-i", "@in.png", "--strength", strength], StableDiffusionImg2ImgPipeline, (seed,), image=image, strength=strength)
        house(checkpoint, f"mask-{strength}", ["-i", "@in.png", "--mask", "@mask.png", "--strength", strength], StableDiffusionInpaintPipeline, (seed,),
              image=image, mask_image=mask, strength=strength, width=64, height=48)
    large, corner = checkpoint.add_picture("large.png", 90, 70), checkpoint.add_mask("corner.png", 90, 70, 60, 5, 9, 30, 6)
    house(checkpoint, "crop", ["-i", "@large.png", "--mask", "@corner.png", "--mask-crop", 4], StableDiffusionInpaintPipeline, (3,), image=large,
          mask_image=corner, padding_mask_crop=4)
    return checkpoint


def house(checkpoint, name, args, cls=StableDiffusionPipeline, seeds=(2,), options={}, **call):
    pipe = checkpoint.load(cls, **options)
    result = pipe(["a red house"] * len(seeds), num_inference_steps=3, generator=[torch.Generator("cpu").manual_seed(s) for s in seeds], output_type="pil", **call)
    print(checkpoint.name, name, result.nsfw_content_detected)
    checkpoint.add(name, ["a red house", "-s", seeds[0], "--steps", 3, *args], result.images)


def safety_checker_old():
    """As SD 1.4 has it: names with the prefix twice, sizes as numbers, the extractor by its old name, which the pinned transformers have no more."""

    def edit(path, data):
        if path == "feature_extractor/preprocessor_config.json":
            data.update(size=42, crop_size=42, feature_extractor_type="CLIPFeatureExtractor")
            del data["do_rescale"], data["rescale_factor"]

    twice = lambda where, tensor: ("vision_model." if where.startswith("safety") and tensor.startswith("vision_model.") else "") + tensor
    checkpoint = checked("safety-checker-old", edit=edit, rename=twice)
    house(checkpoint, "two", ["-c", 2], seeds=(0, 1))
    checkpoint.files["model_index.json"]["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]
    return checkpoint


def with_depth(name, edit=None):
    from make_dpt import hybrid
    from transformers import DPTForDepthEstimation, DPTImageProcessor

    tokenizer = CLIPTokenizer.from_pretrained(FIXTURES / TOKENIZER)
    pipe = StableDiffusionDepth2ImgPipeline(
        vae=vae(), text_encoder=text(tokenizer), tokenizer=tokenizer, unet=unet(in_channels=5), scheduler=DDIMScheduler.from_config(SD1_SCHEDULER),
        depth_estimator=DPTForDepthEstimation(hybrid()).eval(), feature_extractor=DPTImageProcessor(size={"height": 48, "width": 48}))
    return Checkpoint(name, pipe, {"tokenizer": TOKENIZER}, edit)


def depth_to_image():
    checkpoint, cls = with_depth("depth-to-image"), StableDiffusionDepth2ImgPipeline
    image, large = checkpoint.add_picture("in.png", 38, 27), checkpoint.add_picture("large.png", 53, 44)
    depth = torch.from_numpy(np.asarray(checkpoint.add_picture("depth.png", 33, 21, 1))).float()[None]
    for scheduler in TASK_SCHEDULERS[:10]:
        task(checkpoint, cls, scheduler, scheduler, 4, ["-i", "@in.png", "--strength", 0.7], image=image, strength=0.7)
    for strength, steps in ((0.05, 20), (0.3, 7), (0.75, 4), (1.0, 3)):
        task(checkpoint, cls, f"strength-{strength}", None, steps, ["-i", "@in.png", "--strength", strength], image=image, strength=strength)
    task(checkpoint, cls, "unguided", None, 4, ["-i", "@large.png"], guidance=1.0, image=large)
    task(checkpoint, cls, "given", None, 4, ["-i", "@in.png", "--depth", "@depth.png"], image=image, depth_map=depth)
    two(checkpoint, cls, "two", "EulerAncestralDiscreteScheduler", 4, ["-i", "@large.png"], image=large)
    each_strength(checkpoint, cls, [])
    checkpoint.add_picture("flat.png", 1, 1)
    for args, code, says in [
            ([], 2, "a depth-to-image checkpoint needs a picture"), (["--depth", "@depth.png"], 2, "--depth: there is no picture to begin from"),
            (["-i", "@in.png", "--mask", "@depth.png"], 2, "--mask: "), (["-i", "-", "--depth", "-"], 2, "--image and --depth: both read standard input"),
            (["-i", "@in.png", "--depth", "@flat.png"], 65, "flat.png: the depth is the same everywhere"),
            (["-i", "@in.png", "--depth", "@none.png"], 66, "none.png"),
            (["-i", "@in.png", "--image-guidance", 1.5], 2, "--image-guidance: ")]:
        checkpoint.refuse(["a cat", *args], code, says)
    return checkpoint


def instruct_pix2pix():
    checkpoint, cls = pipeline("instruct-pix2pix", StableDiffusionInstructPix2PixPipeline, unet(in_channels=8)), StableDiffusionInstructPix2PixPipeline
    image = checkpoint.add_picture("in.png", 38, 27)
    for scheduler in TASK_SCHEDULERS:
        task(checkpoint, cls, scheduler, scheduler, 4, ["-i", "@in.png"], image=image)
    task(checkpoint, cls, "negative", None, 4, ["-i", "@in.png", "-n", "blurry", "--image-guidance", 2.5], image=image, negative_prompt="blurry", image_guidance_scale=2.5)
    task(checkpoint, cls, "image-guidance-1", None, 4, ["-i", "@in.png", "--image-guidance", 1], image=image, image_guidance_scale=1.0)
    task(checkpoint, cls, "image-guidance-low", None, 4, ["-i", "@in.png", "--image-guidance", 0.9], image=image, image_guidance_scale=0.9)
    task(checkpoint, cls, "unguided", None, 4, ["-i", "@in.png"], guidance=1.0, image=image)
    two(checkpoint, cls, "two", "EulerAncestralDiscreteScheduler", 4, ["-i", "@in.png"], image=image)
    for args, code, says in [([], 2, "edits pictures: it needs one"), (["-i", "@in.png", "--strength", 0.5], 2, "--strength: "),
                             (["-i", "@in.png", "--mask", "@in.png"], 2, "--mask: "), (["-i", "@in.png", "--depth", "@in.png"], 2, "--depth: ")]:
        checkpoint.refuse(["a cat", *args], code, says)
    return checkpoint


def downsample_padding():
    checkpoint = stable_diffusion("downsample-padding", unet(downsample_padding=0, block_out_channels=[8, 8, 16], down_block_types=[*DOWN, "DownBlock2D"],
                                                            up_block_types=["UpBlock2D", *UP]))
    draw(checkpoint, args=["-W", 48, "-H", 32], width=48, height=32)
    draw(checkpoint, "odd", args=["-W", 40, "-H", 32], width=40, height=32)
    draw(checkpoint, "least", args=["-W", 16, "-H", 24], width=16, height=24)
    for name, width, height in (("in", 42, 33), ("twice", 46, 30)):  # latents of 10x8; of 11x7, halved to 5x3 and 2x1
        image = checkpoint.add_picture(f"{name}.png", width, height)
        task(checkpoint, StableDiffusionImg2ImgPipeline, name, None, 4, ["-i", f"@{name}.png", "--strength", 0.75], image=image, strength=0.75)
    checkpoint.refuse(["a cat", "-W", 8, "-H", 32], 2, "width 8: this model makes multiples of 4 from 16 on; nearest: 16")
    checkpoint.add_picture("low.png", 30, 13)
    checkpoint.refuse(["a cat", "-i", "@low.png"], 2, "height 12: this model makes multiples of 4 from 16 on; nearest: 16")
    return checkpoint


def pixels(name, **options):
    model = UNet2DModel(**{"sample_size": 16, "in_channels": 3, "out_channels": 3, "block_out_channels": [8, 16], "layers_per_block": 1,
                           "norm_num_groups": 4, "attention_head_dim": 4, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
                           "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], **options})
    return Checkpoint(name, DDPMPipeline(unet=model, scheduler=DDPMScheduler()))


def unconditional(name, **options):
    return draw(pixels(name, **options), cls=DDPMPipeline, prompt=None)


def scale_shift():
    return unconditional("scale-shift", resnet_time_scale_shift="scale_shift")


def unconditional_tcd():
    """DDPMPipeline passes no eta: TCD's own 0.3 holds."""
    checkpoint = pixels("unconditional-tcd")
    pipe = checkpoint.load(DDPMPipeline)
    pipe.scheduler = diffusers.TCDScheduler.from_config(pipe.scheduler.config)
    images = pipe(num_inference_steps=4, generator=[torch.Generator("cpu").manual_seed(7)], output_type="pil").images
    checkpoint.add("plain", ["-s", 7, "--steps", 4, "-x", "tcd"], images)
    return checkpoint


def unconditional_mid_null():
    return unconditional("unconditional-mid-null", mid_block_type=None)


def grey():
    """One channel: what tutorials train first."""
    checkpoint = pixels("grey", in_channels=1, out_channels=1)
    seeds = [torch.Generator("cpu").manual_seed(seed) for seed in (7, 8)]
    images = checkpoint.load(DDPMPipeline)(batch_size=2, num_inference_steps=3, generator=seeds, output_type="pil").images
    checkpoint.add("plain", ["-s", 7, "--steps", 3, "-c", 2], images)
    return checkpoint


def lone():
    """A UNet2DModel alone, with the scheduler that everybody builds beside it."""
    model = UNet2DModel(sample_size=16, in_channels=3, out_channels=3, block_out_channels=[8, 16], layers_per_block=1, norm_num_groups=4, attention_head_dim=4,
                        down_block_types=["DownBlock2D", "AttnDownBlock2D"], up_block_types=["AttnUpBlock2D", "UpBlock2D"])
    checkpoint = Checkpoint("lone", model)
    for name, scheduler, args in (("plain", DDPMScheduler(), []), ("ddim", DDIMScheduler.from_config(DDPMScheduler().config), ["-x", "ddim"])):
        pipe = DDPMPipeline(UNet2DModel.from_pretrained(checkpoint.dir), scheduler)
        pipe.set_progress_bar_config(disable=True)
        images = pipe(num_inference_steps=3, generator=[torch.Generator("cpu").manual_seed(7)], output_type="pil").images
        checkpoint.add(name, ["-s", 7, "--steps", 3, *args], images)
    return checkpoint


def told_guidance():
    """time_cond_proj_dim in a pipeline that is none of latent consistency's."""
    checkpoint = pipeline("told-guidance", StableDiffusionPipeline, unet(time_cond_proj_dim=32))
    for guidance in (1.0, 7.5):
        draw(checkpoint, f"guidance-{guidance}", args=["-g", guidance], guidance_scale=guidance)
    return checkpoint


def latent_consistency():
    scheduler = LCMScheduler.from_config(SD1_SCHEDULER)
    checkpoint = pipeline("latent-consistency", LatentConsistencyModelPipeline, unet(time_cond_proj_dim=32), scheduler=scheduler)
    image = checkpoint.add_picture("in.png", 70, 53)
    generators = lambda: [torch.Generator("cpu").manual_seed(7)]
    pipe = checkpoint.load(LatentConsistencyModelPipeline)
    add = lambda name, args, pipe, **options: checkpoint.add(
        name, ["a photo of a cat", "-s", 7, *args], pipe("a photo of a cat", generator=generators(), output_type="pil", **options).images)
    add("defaults", [], pipe)
    for guidance, steps in ((1.0, 2), (12.5, 8)):
        add(f"guidance-{guidance}", ["-g", guidance, "--steps", steps], pipe, guidance_scale=guidance, num_inference_steps=steps)
    pipe = checkpoint.load(LatentConsistencyModelImg2ImgPipeline)
    add("image", ["-i", "@in.png"], pipe, image=image)
    for strength, steps in ((0.3, 7), (0.55, 3), (1.0, 4)):
        add(f"strength-{strength}", ["-i", "@in.png", "--strength", strength, "--steps", steps], pipe, image=image, strength=strength, num_inference_steps=steps)
    return checkpoint


FIXTURES_HERE = [mid_block_null, mid_block_null_tensors_there, mid_block_plain, small_differences, faint, faint_ends, vae_without_post_quant,
                 scale_shift_conditional, scale_shift, downsample_padding, unconditional_mid_null, unconditional_tcd, grey, lone, told_guidance,
                 latent_consistency, sd_turbo, image_to_image, inpaint, inpaint_nine,
                 single_sd1, single_sd2, inpaint_scheduler, inpaint_masks, inpaint_legacy, inpaint_masks_nine, safety_checker, safety_checker_old, depth_to_image, instruct_pix2pix]


def main():
    deterministic()
    wanted = sys.argv[1:]
    for make in FIXTURES_HERE:
        if not wanted or make.__name__.replace("_", "-") in wanted:
            make().write()


if __name__ == "__main__":
    main()
