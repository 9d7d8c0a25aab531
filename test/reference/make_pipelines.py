"""Writes test/fixtures/pipelines/CHECKPOINT[-more|-steps].{json,safetensors}: whole generations of StableDiffusionPipeline.

The JSON lists the cases with every option, the scheduler's timesteps and initial noise scale; the tensors of case NAME are
  NAME/noise    [count,4,h,w]  as drawn, before the scale          (where "keep" says noise)
  NAME/step-K   [count,4,h,w]  latents after scheduler row K, from 0 (where "keep" says steps)
  NAME/latents  [count,4,h,w]  final, as the decoder's input before the division by its scaling factor
  NAME/image    [count,H,W,3]  U8
Image k of a case is drawn from seed + k. A scheduler is swapped in by from_config(pipe.scheduler.config, **overrides)."""

import json

import diffusers
import torch

from common import CHECKPOINTS, FIXTURES, deterministic, load_pipeline, save_tensors

PROMPT = "a photo of an astronaut riding a horse on mars"
NEGATIVE = "blurry, ugly, low quality!"

DEFAULTS = {
    "prompt": PROMPT,
    "negative_prompt": NEGATIVE,
    "steps": 3,
    "guidance": 7.5,
    "guidance_rescale": 0.0,
    "seed": 42,
    "count": 1,
    "width": 64,
    "height": 48,
    "clip_skip": None,
    "eta": 0.0,
    "scheduler": None,
    "overrides": {},
    "keep": [],
}


def case(name, scheduler=None, overrides=None, **options):
    assert options.keys() <= DEFAULTS.keys()
    return {"name": name, **DEFAULTS, "scheduler": scheduler, "overrides": overrides or {}, **options}


def cases():
    yield case("default-1", steps=1)
    yield case("default-2", steps=2)
    yield case("default-3", steps=3, keep=["noise", "steps"])
    yield case("default-5", steps=5, keep=["steps"])
    yield case("default-20", steps=20)
    yield case("default-size", steps=2, width=128, height=128)
    yield case("tall", steps=2, width=96, height=128)
    yield case("odd", steps=2, width=72, height=104)
    yield case("guidance-1", guidance=1.0)
    yield case("guidance-0.5", guidance=0.5)
    yield case("no-negative", negative_prompt=None)
    yield case("empty-prompt", prompt="", negative_prompt="")
    yield case("guidance-rescale", guidance_rescale=0.7)
    yield case("clip-skip-1", clip_skip=1)
    yield case("clip-skip-2", clip_skip=2)
    yield case("count-2", count=2)
    yield case("count-2-no-guidance", count=2, guidance=1.0)
    yield case("large-seed", steps=1, seed=2**40 + 7)
    yield case("ddim", "DDIMScheduler", steps=5)
    yield case("ddim-eta-1", "DDIMScheduler", steps=4, eta=1.0)
    yield case("ddim-eta-0.5-count-2", "DDIMScheduler", steps=3, eta=0.5, count=2)
    yield case("ddim-trailing", "DDIMScheduler", {"timestep_spacing": "trailing"}, steps=4)
    yield case("ddim-linspace", "DDIMScheduler", {"timestep_spacing": "linspace"}, steps=4)
    yield case("ddim-sample", "DDIMScheduler", {"prediction_type": "sample"}, steps=4)
    yield case("pndm", "PNDMScheduler", steps=6)
    yield case("pndm-prk", "PNDMScheduler", {"skip_prk_steps": False}, steps=5, keep=["steps"])
    yield case("pndm-trailing", "PNDMScheduler", {"timestep_spacing": "trailing"}, steps=4)
    yield case("euler", "EulerDiscreteScheduler", steps=5, keep=["steps"])
    yield case("euler-1", "EulerDiscreteScheduler", steps=1)
    yield case("euler-20", "EulerDiscreteScheduler", steps=20)
    yield case("euler-leading", "EulerDiscreteScheduler", {"timestep_spacing": "leading"}, steps=4)
    yield case("euler-trailing", "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}, steps=4)
    yield case("euler-sample", "EulerDiscreteScheduler", {"prediction_type": "sample"}, steps=4)
    yield case("euler-rescale-no-guidance", "EulerDiscreteScheduler", steps=3, guidance=1.0, guidance_rescale=0.7)


def more_cases():
    def one(name, scheduler, overrides=None, **options):
        return case(name, scheduler, overrides, **{"steps": 4, "guidance": 5.0, "width": 56, "height": 40, **options})

    yield one("lms", "LMSDiscreteScheduler")
    yield one("euler-a", "EulerAncestralDiscreteScheduler")
    yield one("euler-a-count-2", "EulerAncestralDiscreteScheduler", count=2)
    yield one("heun", "HeunDiscreteScheduler")
    yield one("kdpm2", "KDPM2DiscreteScheduler")
    yield one("kdpm2-a", "KDPM2AncestralDiscreteScheduler")
    yield one("dpm++", "DPMSolverMultistepScheduler")
    yield one("dpm++-karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True})
    yield one("dpm++-sde", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"})
    yield one("dpm++-single", "DPMSolverSinglestepScheduler")
    yield one("unipc", "UniPCMultistepScheduler")
    yield one("deis", "DEISMultistepScheduler")
    yield one("lcm", "LCMScheduler")
    yield one("tcd", "TCDScheduler")
    yield one("tcd-eta-0.3", "TCDScheduler", eta=0.3)
    yield one("ddpm", "DDPMScheduler")


def step_cases():
    """Every class at few and many steps (more_cases has 4). No case is chaotic: 1e-6 in the initial noise moves the final latents
    by at most 3.4e-4 (KDPM2AncestralDiscreteScheduler, 2 steps, whose latents reach 45)."""
    for name in sorted({c["scheduler"] for c in more_cases()} | {"DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"}):
        for steps in (1, 2, 3, 20):
            yield case(f"{name}-{steps}", name, steps=steps, guidance=5.0)


def run(folder, c, out):
    pipe = load_pipeline(folder)
    if c["scheduler"]:
        pipe.scheduler = getattr(diffusers, c["scheduler"]).from_config(pipe.scheduler.config, **c["overrides"])
    name, size = c["name"], (c["height"] // pipe.vae_scale_factor, c["width"] // pipe.vae_scale_factor)
    steps = []

    def keep_step(pipe, i, t, tensors):
        steps.append(tensors["latents"].clone())
        return tensors

    latents = pipe(
        c["prompt"],
        negative_prompt=c["negative_prompt"],
        num_inference_steps=c["steps"],
        guidance_scale=c["guidance"],
        guidance_rescale=c["guidance_rescale"],
        generator=[torch.Generator("cpu").manual_seed(c["seed"] + k) for k in range(c["count"])],
        num_images_per_prompt=c["count"],
        width=c["width"],
        height=c["height"],
        clip_skip=c["clip_skip"],
        eta=c["eta"],
        output_type="latent",
        callback_on_step_end=keep_step,
    ).images
    decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    picture = pipe.image_processor.postprocess(decoded, output_type="np")
    out[f"{name}/latents"] = latents
    out[f"{name}/image"] = torch.from_numpy((picture * 255).round().astype("uint8"))
    if "noise" in c["keep"]:
        draws = [torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(c["seed"] + k)) for k in range(c["count"])]
        out[f"{name}/noise"] = torch.cat(draws)
    if "steps" in c["keep"]:
        out.update({f"{name}/step-{i}": x for i, x in enumerate(steps)})
    assert all(t.isfinite().all() for k, t in out.items() if k.startswith(name + "/")), name
    return {
        **c,
        "timesteps": [float(t) for t in pipe.scheduler.timesteps],
        "init_noise_sigma": float(pipe.scheduler.init_noise_sigma),
    }


def write(folder, stem, some_cases):
    out = {}
    done = [run(folder, c, out) for c in some_cases]
    path = FIXTURES / "pipelines" / stem
    save_tensors(path.with_suffix(".safetensors"), out)
    lines = ",\n".join("  " + json.dumps(c) for c in done)
    path.with_suffix(".json").write_text(f'{{"checkpoint": "{folder.name}", "cases": [\n{lines}\n]}}\n')


def main():
    deterministic()
    for name in CHECKPOINTS:
        write(FIXTURES / name, name, cases())
        write(FIXTURES / name, f"{name}-more", more_cases())
    write(FIXTURES / "tiny-sd2", "tiny-sd2-steps", step_cases())


if __name__ == "__main__":
    main()
