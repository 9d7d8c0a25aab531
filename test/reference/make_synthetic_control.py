"""Writes test/fixtures/synthetic/control*: ControlNets of SD and SDXL, every task, on tiny checkpoints (see synthetic.py).

    make_synthetic_control.py [NAME…]"""

import sys

import diffusers
import torch
from diffusers import ControlNetModel, MultiControlNetModel
from diffusers import StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline, StableDiffusionControlNetPipeline
from diffusers import StableDiffusionXLControlNetImg2ImgPipeline, StableDiffusionXLControlNetInpaintPipeline, StableDiffusionXLControlNetPipeline

from transformers import DPTForDepthEstimation, DPTImageProcessor, pipeline

import make_synthetic as sd
import make_synthetic_xl as xl
from common import deterministic
from make_dpt import hybrid
from synthetic import Checkpoint, half_errors

PROMPT = "a photo of a cat"
SD = StableDiffusionControlNetPipeline, StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline
XL = StableDiffusionXLControlNetPipeline, StableDiffusionXLControlNetImg2ImgPipeline, StableDiffusionXLControlNetInpaintPipeline
SCHEDULERS = [None, "EulerAncestralDiscreteScheduler", "PNDMScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler",
              "UniPCMultistepScheduler"]


def net(unet, stages, **options):
    """As ControlNetModel.from_unet has it, but with an embedding of its own: as many stages as the VAE has levels."""
    config = {k: unet.config[k] for k in ("down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim",
                                          "norm_num_groups", "use_linear_projection", "addition_embed_type", "addition_time_embed_dim",
                                          "projection_class_embeddings_input_dim", "transformer_layers_per_block", "mid_block_type")}
    return ControlNetModel(**{**config, "conditioning_embedding_out_channels": stages, **options})


def draw(c, cls, name, nets, args=(), steps=4, scheduler=None, seeds=(7,), own=False, window=(), g=None, half=False, **options):
    """One call for each seed; nets: folders, whose pictures are options["image"] or options["control_image"]. half: the case says how far off
    diffusers is in f16 and bf16."""
    if g is not None:
        options["guidance_scale"] = float(g)

    def call(seed, dtype=torch.float32):
        controlnets = [ControlNetModel.from_pretrained(c.dir / n) for n in nets]
        pipe = c.load(cls, controlnet=controlnets[0] if len(nets) == 1 else MultiControlNetModel(controlnets)).to(dtype)
        if scheduler:
            pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
        return pipe(PROMPT, num_inference_steps=steps, generator=[torch.Generator("cpu").manual_seed(seed)], output_type="pil", **options).images[0]

    count = ["--count", len(seeds)] if len(seeds) > 1 else []
    given = [] if own else [word for n in nets for word in ("--control", f"@{n}")]
    c.add(name, [PROMPT, "-s", seeds[0], "--steps", steps, *count, *(["-g", g] if g is not None else []), *given,
                 *(["-x", scheduler] if scheduler else []), *args], [call(seed) for seed in seeds], half_error=half_errors(call) if half else None)


def window(start, end):
    return {"args": ["--control-start", start, "--control-end", end], "control_guidance_start": start, "control_guidance_end": end}


def scaled(scale, options):
    return {**options, "args": ["--control-scale", scale, *options.get("args", [])], "controlnet_conditioning_scale": scale}


GUESS = {"args": ["--guess-mode"], "guess_mode": True}


def cases(c, classes, width, height):
    """All tasks; the pictures are of another size than what is drawn."""
    text, image, inpaint = classes
    a, b, grey = c.add_picture("a.png", 34, 34), c.add_picture("b.png", 51, 29), c.add_picture("grey.png", 33, 35, 1)
    begin, mask = c.add_picture("in.png", 40, 44), c.add_mask("mask.png", 40, 44, 9, 8, 20, 22)
    size, sides = ["-W", width, "-H", height], {"width": width, "height": height}
    one, other, two = ["--control-image", "@a.png"], ["--control-image", "@b.png"], ["--control-image", "@a.png", "--control-image", "@b.png"]

    for scheduler in SCHEDULERS:
        draw(c, text, f"text-{scheduler}", ["one"], one, scheduler=scheduler, image=a)
    go = lambda name, nets, given, picture, args=(), **o: draw(c, text, name, nets, [*given, *args], image=picture, **o)
    if classes == SD:  # what does not depend on the model
        go("size", ["one"], [*other, *size], b, **sides)
        go("grey", ["one"], ["--control-image", "@grey.png"], grey)
        go("two-seeds", ["one"], one, a, seeds=(7, 8))
        go("scale-1.7", ["one"], one, a, **scaled(1.7, {}))
        go("window-0.1-0.2", ["one"], one, a, steps=5, **window(0.1, 0.2))
        go("window-pndm", ["one"], one, a, steps=5, scheduler="PNDMScheduler", **window(0.2, 0.5))
        go("guess-unguided", ["one"], one, a, g=1, **GUESS)
    go("bgr", ["two"], one, a)
    go("unguided", ["one"], one, a, g=1)
    for scale in (0.0, 0.5):
        go(f"scale-{scale}", ["one"], one, a, **scaled(scale, {}))
    for start, end in ((0.2, 0.7), (0.0, 0.5), (0.5, 1.0)):
        go(f"window-{start}-{end}", ["one"], one, a, steps=5, **window(start, end))
    go("window-heun", ["one"], one, a, steps=5, scheduler="HeunDiscreteScheduler", **window(0.3, 0.6))
    go("guess", ["one"], one, a, **scaled(1.3, GUESS))
    if classes == XL:
        go("guess-sizes", ["one"], [*one, "--negative-original-size", "20x30", "--negative-crop", "3,4", "--negative-target-size", "50x60"], a,
           negative_original_size=(30, 20), negative_crops_coords_top_left=(4, 3), negative_target_size=(60, 50), **GUESS)
    go("nets", ["one", "two"], [*two, *size], [a, b], **sides)
    go("nets-scales", ["one", "two"], [*two, *size, "--control-scale", 0.4, "--control-scale", 1.2, "--control-start", 0, "--control-start", 0.4,
                                       "--control-end", 0.6, "--control-end", 1], [a, b], steps=5, controlnet_conditioning_scale=[0.4, 1.2],
       control_guidance_start=[0.0, 0.4], control_guidance_end=[0.6, 1.0], **sides)
    go("nets-guess", ["one", "two"], [*two, *size, "--guess-mode"], [a, b], guess_mode=True, **sides)
    for scheduler in SCHEDULERS:
        draw(c, image, f"image-{scheduler}", ["one"], ["-i", "@in.png", "--strength", 0.6, *size, *one, "--control-scale", 1], steps=5,
             scheduler=scheduler, image=begin, control_image=a, strength=0.6, controlnet_conditioning_scale=1.0, **sides)
        draw(c, inpaint, f"mask-{scheduler}", ["one"], ["-i", "@in.png", "--mask", "@mask.png", "--strength", 0.8, "-g", 6, *size, *one,
                                                                 "--control-scale", 1], steps=5,
             scheduler=scheduler, image=begin, mask_image=mask, control_image=a, strength=0.8, guidance_scale=6.0, controlnet_conditioning_scale=1.0,
             **sides)
    draw(c, image, "image-window", ["one", "two"], ["-i", "@in.png", "--strength", 0.6, *size, *two, "--control-scale", 0.7, "--control-start", 0.2,
                                                    "--control-end", 0.7], steps=8, image=begin, control_image=[a, b], strength=0.6,
         controlnet_conditioning_scale=[0.7, 0.7], control_guidance_start=0.2, control_guidance_end=0.7, **sides)
    draw(c, inpaint, "mask-guess", ["one"], ["-i", "@in.png", "--mask", "@mask.png", "--strength", 1, "-g", 6, *size, *one, "--guess-mode",
                                               "--control-scale", 1],
         image=begin, mask_image=mask, control_image=a, strength=1.0, guidance_scale=6.0, controlnet_conditioning_scale=1.0, guess_mode=True, **sides)
    same = c.add_picture("same.png", 40, 44)
    draw(c, inpaint, "mask-crop", ["one"], ["-i", "@in.png", "--mask", "@mask.png", "--mask-crop", 3, "--strength", 0.8, "-g", 6, *size,
                                            "--control-image", "@same.png", "--control-scale", 1], image=begin, mask_image=mask,
         control_image=same, strength=0.8, guidance_scale=6.0, controlnet_conditioning_scale=1.0, padding_mask_crop=3, **sides)


def refuse(c):
    one = ["--control", "@one"]
    a = ["--control-image", "@a.png"]
    for args, code, says in (
            (one, 2, "--control: expected a picture for each of 1 ControlNet, found 0"),
            ([*one, *one, *a], 2, "expected a picture for each of 2 ControlNets, found 1"),
            (a, 2, "--control-image: there is no ControlNet"),
            (["--control-scale", 1], 2, "--control-scale: there is no ControlNet"),
            (["--control-start", 0], 2, "--control-start: there is no ControlNet"),
            (["--control-end", 1], 2, "--control-end: there is no ControlNet"),
            (["--control-preprocess", "canny"], 2, "--control-preprocess: there is no ControlNet"),
            (["--guess-mode"], 2, "--guess-mode: there is no ControlNet"),
            ([*one, *a, "--control-start", 0.5, "--control-end", 0.5], 2, "expected a start before the end"),
            ([*one, *a, "--control-start", 1.5], 2, "expected a number from 0 to 1, found '1.5'"),
            ([*one, *a, "--control-scale", "much"], 2, "expected a number from 0 to 100, found 'much'"),
            ([*one, *a, "--control-scale", 1, "--control-scale", 1], 2, "--control-scale: 2 of them for 1 ControlNet"),
            ([*one, *a, *a], 2, "found 2"),
            ([*one, "--control-image", "-"], 2, "expected a file"),
            ([*one, *a, "--control-preprocess", "canny:200,100"], 2, "expected none, canny or canny:LOW,HIGH"),
            ([*one, *a, "--control-preprocess", "pose"], 2, "expected none, canny or canny:LOW,HIGH"),
            ([*one * 9, *a * 9], 2, "--control: more than 8"),
            (["--control", "@none", *a], 66, "No such file"),
            (["--control", "@a.png", *a], 78, "expected the directory of a ControlNet"),
            (["--control", "@unet", *a], 78, "expected class ControlNetModel, found 'UNet2DConditionModel'"),
            ([*one, "--control-image", "@none.png"], 66, "none.png"),
            ([*one, "--control-image", "@model_index.json"], 65, "model_index.json"),
            (["--control", "@other", *a], 78, "made for another model"),
            (["--control", "@stages", *a], 78, "'conditioning_embedding_out_channels' makes 1/2")):
        c.refuse([PROMPT, "--steps", 1, *args], code, says)


def control():
    unet = sd.unet()
    c = sd.stable_diffusion("control", unet)
    c.save("one", net(unet, (4, 6, 8)))
    c.save("two", net(unet, (6, 4, 10), controlnet_conditioning_channel_order="bgr"))
    c.save("other", net(unet, (4, 6, 8), block_out_channels=(16, 16)))
    c.save("stages", net(unet, (4, 6)))
    cases(c, SD, 32, 24)
    refuse(c)
    return c


def control_nine():
    """Beside an inpainting checkpoint's mask and masked latents, which the net does not see."""
    def edit(path, data):
        if path == "scheduler/scheduler_config.json":
            data.update(steps_offset=0, clip_sample=True)  # which no pipeline with a ControlNet puts right

    unet = sd.unet(in_channels=9)
    c = sd.stable_diffusion("control-nine", unet, edit=edit)
    c.save("one", net(unet, (4, 6, 8)))
    a, begin, mask = c.add_picture("a.png", 32, 24), c.add_picture("in.png", 40, 44), c.add_mask("mask.png", 40, 44, 9, 8, 20, 22)
    for strength in (0.6, 1.0):
        draw(c, SD[2], f"strength-{strength}", ["one"], ["-i", "@in.png", "--mask", "@mask.png", "--strength", strength, "-W", 32, "-H", 24,
                                                         "--control-image", "@a.png", "--control-scale", 1], image=begin, mask_image=mask,
             control_image=a, strength=strength, controlnet_conditioning_scale=1.0, width=32, height=24, half=strength == 1.0)
    return c


def control_padding():
    """A way down without padding: of latents 10x8 it makes 5x4 and 2x2, as the model's own."""
    unet = sd.unet(downsample_padding=0, block_out_channels=[8, 8, 16], down_block_types=[*sd.DOWN, "DownBlock2D"], up_block_types=["UpBlock2D", *sd.UP])
    c = sd.stable_diffusion("control-padding", unet)
    c.save("one", net(unet, (4, 6, 8), downsample_padding=0))
    a = c.add_picture("a.png", 40, 32)
    draw(c, SD[0], "odd", ["one"], ["--control-image", "@a.png", "-W", 40, "-H", 32], image=a, width=40, height=32)
    return c


def own(name, nets):
    """Saved with its nets: they are what leads it."""
    unet = sd.unet()
    plain = sd.stable_diffusion(name, unet)
    parts = {k: v for k, v in plain.load(diffusers.StableDiffusionPipeline).components.items() if k != "image_encoder"}
    made = [net(unet, (4, 6, 8)) for _ in nets]
    pipe = SD[0](**parts, controlnet=made[0] if len(made) == 1 else MultiControlNetModel(made), requires_safety_checker=False)
    return Checkpoint(name, pipe, {"tokenizer": sd.TOKENIZER})


def control_own():
    c = own("control-own", ["controlnet"])
    a = c.add_picture("a.png", 34, 26)
    draw(c, SD[0], "plain", ["controlnet"], ["--control-image", "@a.png"], own=True, image=a)
    draw(c, SD[0], "given", ["controlnet", "controlnet"], ["--control-image", "@a.png", "--control-image", "@a.png"], image=[a, a])
    c.refuse([PROMPT], 2, "a checkpoint with a ControlNet needs a picture for it")
    return c


def control_own_two():
    c = own("control-own-two", ["controlnet", "controlnet_1"])
    a, b = c.add_picture("a.png", 34, 26), c.add_picture("b.png", 34, 26)
    draw(c, SD[0], "plain", ["controlnet", "controlnet_1"], ["--control-image", "@a.png", "--control-image", "@b.png"], own=True, image=[a, b])
    return c


def control_xl():
    unet = xl.unet()
    c = Checkpoint("control-xl", xl.pipeline(unet=unet), xl.TOKENIZERS)
    c.save("one", net(unet, (4, 4, 6, 8)))
    c.save("two", net(unet, (6, 4, 4, 10), down_block_types=["DownBlock2D"] * 3, mid_block_type="UNetMidBlock2D", transformer_layers_per_block=1,
                      controlnet_conditioning_channel_order="bgr"))  # as the small ones of SDXL
    cases(c, XL, 32, 24)
    return c


def unsaid(c, classes):
    """What a task does where nothing is said of strength, guidance and scale; nets that pool, of which the first says whether the guess mode is on."""
    text, image, inpaint = classes
    a, begin, mask = c.add_picture("a.png", 34, 34), c.add_picture("in.png", 40, 44), c.add_mask("mask.png", 40, 44, 9, 8, 20, 22)
    size, sides = ["-W", 32, "-H", 24], {"width": 32, "height": 24}
    one, two = ["--control-image", "@a.png"], ["--control-image", "@a.png", "--control-image", "@a.png"]
    picture, painted = ["-i", "@in.png", *size], ["-i", "@in.png", "--mask", "@mask.png", *size]
    from_picture, in_mask = {"image": begin, **sides}, {"image": begin, "mask_image": mask, **sides}
    draw(c, image, "image", ["one"], [*picture, *one], control_image=a, **from_picture)
    draw(c, inpaint, "mask", ["one"], [*painted, *one], control_image=a, **in_mask)
    draw(c, image, "image-two", ["one", "pool"], [*picture, *two], control_image=[a, a], controlnet_conditioning_scale=[0.8, 0.8], **from_picture)
    draw(c, text, "pool", ["pool"], one, image=a)
    draw(c, text, "pool-scale", ["pool"], [*one, "--control-scale", 0.6, "--control-end", 0.7], image=a, controlnet_conditioning_scale=0.6,
         control_guidance_end=0.7)
    draw(c, text, "pool-unguided", ["pool"], one, g=1, image=a)
    draw(c, text, "pool-twice", ["pool", "pool"], two, image=[a, a])
    draw(c, text, "pool-second", ["one", "pool"], two, image=[a, a])
    draw(c, inpaint, "pool-mask", ["pool"], [*painted, *one], control_image=a, **in_mask)
    return c


def sd_nets():
    unet = sd.unet()
    c = sd.stable_diffusion("control-unsaid", unet)
    c.save("one", net(unet, (4, 6, 8)))
    c.save("pool", net(unet, (4, 6, 8), global_pool_conditions=True))
    return c


def xl_nets():
    unet = xl.unet()
    c = Checkpoint("control-xl-unsaid", xl.pipeline(unet=unet), xl.TOKENIZERS)
    c.save("one", net(unet, (4, 4, 6, 8)))
    c.save("pool", net(unet, (4, 4, 6, 8), global_pool_conditions=True))
    return c


def control_unsaid():
    return unsaid(sd_nets(), SD)


def control_xl_unsaid():
    return unsaid(xl_nets(), XL)


def control_depth():
    """A picture's depth by the estimator that lies in the checkpoint, as transformers' pipeline paints it."""
    unet = sd.unet()
    c = sd.stable_diffusion("control-depth", unet)
    c.save("one", net(unet, (4, 6, 8)))
    model, processor = DPTForDepthEstimation(hybrid()).eval(), DPTImageProcessor(size={"height": 48, "width": 48})
    c.save("depth_estimator", model)
    c.save("feature_extractor", processor)
    c.files["model_index.json"] |= {"depth_estimator": ["transformers", "DPTForDepthEstimation"], "feature_extractor": ["transformers", "DPTImageProcessor"]}
    estimate = pipeline("depth-estimation", model=DPTForDepthEstimation.from_pretrained(c.dir / "depth_estimator"), image_processor=processor)
    depth = lambda picture: estimate(picture)["depth"].convert("RGB")
    a, b, begin = c.add_picture("a.png", 34, 34), c.add_picture("b.png", 51, 29), c.add_picture("in.png", 40, 44)
    one, size, sides = ["--control-preprocess", "depth", "--control-image"], ["-W", 32, "-H", 24], {"width": 32, "height": 24}
    draw(c, SD[0], "plain", ["one"], [*one, "@a.png"], image=depth(a))
    draw(c, SD[0], "size", ["one"], [*one, "@b.png", *size], image=depth(b), **sides)
    draw(c, SD[1], "image", ["one"], ["-i", "@in.png", *size, *one, "@b.png"], image=begin, control_image=depth(b), **sides)
    draw(c, SD[0], "two", ["one", "one"], ["--control-preprocess", "none", "--control-image", "@a.png", *one, "@a.png"], image=[a, depth(a)])
    return c


MAKERS = [control, control_depth, control_nine, control_padding, control_own, control_own_two, control_unsaid, control_xl, control_xl_unsaid]


def main():
    deterministic()
    for make in MAKERS:
        if not sys.argv[1:] or make.__name__.replace("_", "-") in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
