"""Writes test/fixtures/tiny-ddpm, tiny-ddpm-new and tiny-ddpm-learned, what their UNet2DModel computes block by block (models/) and whole
generations of DDPMPipeline and DDIMPipeline (pipelines/), named and laid out as make_models.py and make_pipelines.py say;
NAME/latents is the picture before x / 2 + 0.5.

tiny-ddpm is shaped and stored as google/ddpm-cat-256: everything in the root, attention named query/key/value/proj_attn.
tiny-ddpm-new is stored as today, less the keys whose value is UNet2DModel's default.
tiny-ddpm-learned predicts in three more channels the variance of its noise."""

import copy
import json
import shutil

import diffusers
import torch
from diffusers import DDIMPipeline, DDPMPipeline, UNet2DModel
from safetensors.torch import save_file

from common import FIXTURES, deterministic, save_tensors
from make_models import NO_BLOCKS, UNET_BLOCKS, Recorder, add
from make_pipelines import case
from make_tiny import randomise
from tiny_vocabulary import write_json

OLD_UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [8, 8, 16, 16],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": 16,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
}
OLD_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.1.1",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_small",
}
# By default: layers_per_block 2, downsample_padding 1, freq_shift 0, flip_sin_to_cos, norm_eps 1e-5, attention at three levels.
NEW_UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": diffusers.__version__,
    "add_attention": True,
    "attention_head_dim": 4,
    "block_out_channels": [8, 12, 16, 16],
    "norm_num_groups": 4,
    "sample_size": [16, 24],
}
NEW_SCHEDULER = json.loads(diffusers.DDPMScheduler().to_json_string())
LEARNED_UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": diffusers.__version__,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 6,
    "sample_size": [12, 16],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
}
LEARNED_SCHEDULER = {**NEW_SCHEDULER, "variance_type": "learned_range"}

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def build(config, seed):
    """A random UNet whose output for unit noise has mean 0 and deviation 1, as a prediction of noise has. Channels after the
    first three predict a variance: positive, of which there is a root, and within -1 and 1."""
    generator = torch.Generator().manual_seed(seed)
    unet = UNet2DModel(**{k: v for k, v in config.items() if not k.startswith("_")}).eval()
    randomise(unet, generator)
    size = config["sample_size"]
    height, width = size if isinstance(size, list) else (size, size)
    y = unet(torch.randn(8, 3, height, width, generator=generator), 500).sample
    variances = y.shape[1] - 3
    scale = torch.tensor([1.0] * 3 + [0.08] * variances) / y.std(dim=(0, 2, 3))
    mean = torch.tensor([0.1, -0.05, -0.1] + [0.4] * variances)
    unet.conv_out.bias.copy_((unet.conv_out.bias - y.mean(dim=(0, 2, 3))) * scale + mean)
    unet.conv_out.weight.mul_(scale[:, None, None, None])
    return unet


def old_name(name):
    for new, old in OLD_NAMES.items():
        name = name.replace(f".{new}.", f".{old}.")
    return name


def write_checkpoint(name, pipeline, unet_config, scheduler_config, seed, old):
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model, scheduler = (folder, folder) if old else (folder / "unet", folder / "scheduler")
    model.mkdir(parents=True)
    scheduler.mkdir(exist_ok=True)
    index = {
        "_class_name": pipeline,
        "_diffusers_version": scheduler_config["_diffusers_version"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    write_json(folder / "model_index.json", index)
    write_json(model / "config.json", unet_config)
    write_json(scheduler / "scheduler_config.json", scheduler_config)
    weights = build(unet_config, seed).state_dict()
    path = model / "diffusion_pytorch_model.safetensors"
    save_file({old_name(k) if old else k: v for k, v in weights.items()}, path, {"format": "pt"})
    path.chmod(0o644)


def load(name, pipeline):
    """Raises where from_pretrained would only warn that it made up a tensor."""
    folder = FIXTURES / name
    model = folder / "unet" if (folder / "unet").exists() else folder
    _, loading = UNet2DModel.from_pretrained(model, output_loading_info=True)
    assert not any(loading.values()), loading
    pipe = pipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def unet_case(out, unet, case_name, size, timestep, seed, every_block):
    sample = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed))
    timestep = torch.tensor([timestep], dtype=torch.float32)
    with Recorder(unet, UNET_BLOCKS if every_block else NO_BLOCKS) as blocks:
        result = unet(sample, timestep).sample
    add(out, case_name, {"sample": sample, "timestep": timestep, "out": result, **blocks})


def write_model(name, unet):
    out, size = {}, image_size(unet)
    unet_case(out, unet, "unet_t1", size, 1, 10, False)
    unet_case(out, unet, "unet_t500", size, 500, 11, True)
    unet_case(out, unet, "unet_t999", size, 999, 12, False)
    unet_case(out, unet, "unet_larger", (24, 40), 640, 13, False)
    save_tensors(FIXTURES / "models" / f"{name}.safetensors", out)


def image_size(unet):
    size = unet.config.sample_size
    return (size, size) if isinstance(size, int) else tuple(size)


def own_error(pipe, c, latents):
    """How far f32 alone carries the latents off: against the same run with the UNet in f64. Many steps magnify roundings."""
    single, double = pipe.unet.forward, copy.deepcopy(pipe.unet).double()

    def forward(x, t, **options):
        result = double(x.double(), t, **options)
        result.sample = result.sample.float()
        return result

    pipe.unet.forward = forward
    exact = {}
    run(pipe, {**c, "own_error": False}, exact)
    pipe.unet.forward = single
    return float(f"{(exact[c['name'] + '/latents'] - latents).abs().max().item():.2g}")


def run(pipe, c, out):
    """One case. DDPMPipeline has no eta: a DDIM scheduler is run by DDIMPipeline, which has."""
    if c["scheduler"]:
        pipeline = DDIMPipeline if c["scheduler"] == "DDIMScheduler" else DDPMPipeline
        scheduler = getattr(diffusers, c["scheduler"]).from_config(pipe.scheduler.config, **c["overrides"])
        pipe = pipeline(unet=pipe.unet, scheduler=scheduler)
        pipe.set_progress_bar_config(disable=True)
    steps, step = [], pipe.scheduler.step

    def keep_step(*args, **options):
        result = step(*args, **options)
        steps.append(result.prev_sample.clone())
        return result

    pipe.scheduler.step = keep_step
    options = {"eta": c["eta"]} if isinstance(pipe, DDIMPipeline) else {}
    assert options or not c["eta"]
    generators = [torch.Generator("cpu").manual_seed(c["seed"] + k) for k in range(c["count"])]
    picture = pipe(c["count"], generators, num_inference_steps=c["steps"], output_type="np", **options).images
    pipe.scheduler.step = step
    name = c["name"]
    out[f"{name}/latents"] = steps[-1]
    out[f"{name}/image"] = torch.from_numpy((picture * 255).round().astype("uint8"))
    if "noise" in c["keep"]:
        draws = [torch.randn(1, 3, *image_size(pipe.unet), generator=g.manual_seed(g.initial_seed())) for g in generators]
        out[f"{name}/noise"] = torch.cat(draws)
    if "steps" in c["keep"]:
        out.update({f"{name}/step-{i}": x for i, x in enumerate(steps)})
    assert all(t.isfinite().all() for k, t in out.items() if k.startswith(name + "/")), name
    return {
        **c,
        **({"own_error": own_error(pipe, c, steps[-1])} if c.get("own_error") else {}),
        "timesteps": [float(t) for t in pipe.scheduler.timesteps],
        "init_noise_sigma": float(pipe.scheduler.init_noise_sigma),
    }


def picture_case(unet, name, scheduler=None, overrides=None, **options):
    height, width = image_size(unet)
    nothing = {"prompt": None, "negative_prompt": None, "guidance": 0.0}
    return case(name, scheduler, overrides, width=width, height=height, **nothing, **options)


def old_cases(unet):
    def one(*args, **options):
        return picture_case(unet, *args, **options)

    yield one("default-1", steps=1)
    yield one("default-5", steps=5, keep=["noise", "steps"])
    yield one("default-7", steps=7, seed=2**40 + 7)
    yield one("default-10", steps=10, seed=1)
    yield one("default-50", steps=50)
    yield one("default-1000", steps=1000, seed=7)
    yield one("count-2", steps=10, count=2)
    yield one("fixed-large", "DDPMScheduler", {"variance_type": "fixed_large"}, steps=10)
    yield one("fixed-large-count-2", "DDPMScheduler", {"variance_type": "fixed_large"}, steps=5, count=2)
    yield one("ddim-5", "DDIMScheduler", steps=5, keep=["steps"])
    yield one("ddim-20", "DDIMScheduler", steps=20)
    yield one("ddim-5-eta-1", "DDIMScheduler", steps=5, eta=1.0)
    yield one("ddim-20-eta-1", "DDIMScheduler", steps=20, eta=1.0)
    yield one("ddim-eta-1-count-2", "DDIMScheduler", steps=5, eta=1.0, count=2)


def new_cases(unet):
    """At most 10 steps without noise: a random model's DDIM amplifies a difference 2000 times in 50, eta 1 forgets it."""

    def one(*args, **options):
        return picture_case(unet, *args, **options)

    yield one("default-5", steps=5, keep=["noise", "steps"])
    yield one("default-10", steps=10)
    yield one("count-2", steps=5, count=2)
    yield one("eta-0.5-5", steps=5, eta=0.5, keep=["steps"])
    yield one("eta-0.5-10", steps=10, eta=0.5)
    yield one("eta-0.5-count-2", steps=5, eta=0.5, count=2)
    yield one("eta-1-10", steps=10, eta=1.0)
    yield {**one("eta-1-50", steps=50, eta=1.0), "own_error": True}
    yield one("ddpm", "DDPMScheduler", steps=10)


def learned_cases(unet):
    def one(*args, **options):
        return picture_case(unet, *args, **options)

    learned = ("DDPMScheduler", {"variance_type": "learned"})
    yield one("range-5", steps=5, keep=["noise", "steps"])
    yield one("range-10", steps=10)
    yield one("range-count-2", steps=5, count=2)
    yield one("range-trailing", "DDPMScheduler", {"timestep_spacing": "trailing"}, steps=4)
    yield one("learned-5", *learned, steps=5, keep=["steps"])
    yield one("learned-10", *learned, steps=10)


def write_pipelines(name, pipe, cases):
    out = {}
    done = [run(pipe, c, out) for c in cases]
    path = FIXTURES / "pipelines" / name
    save_tensors(path.with_suffix(".safetensors"), out)
    lines = ",\n".join("  " + json.dumps(c) for c in done)
    path.with_suffix(".json").write_text(f'{{"checkpoint": "{name}", "cases": [\n{lines}\n]}}\n')


def main():
    deterministic()
    write_checkpoint("tiny-ddpm", "DDPMPipeline", OLD_UNET, OLD_SCHEDULER, seed=3, old=True)
    write_checkpoint("tiny-ddpm-new", "DDIMPipeline", NEW_UNET, NEW_SCHEDULER, seed=4, old=False)
    for name, pipeline, cases in (("tiny-ddpm", DDPMPipeline, old_cases), ("tiny-ddpm-new", DDIMPipeline, new_cases)):
        pipe = load(name, pipeline)
        write_model(name, pipe.unet)
        write_pipelines(name, pipe, cases(pipe.unet))
    write_checkpoint("tiny-ddpm-learned", "DDPMPipeline", LEARNED_UNET, LEARNED_SCHEDULER, seed=5, old=False)
    pipe = load("tiny-ddpm-learned", DDPMPipeline)
    write_pipelines("tiny-ddpm-learned", pipe, learned_cases(pipe.unet))


if __name__ == "__main__":
    main()
