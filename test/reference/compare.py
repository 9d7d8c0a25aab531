"""Compares what `diffuse --dump DIR` wrote with diffusers, stage by stage.

    python test/reference/compare.py DIR -m MODEL [prompt and options as given to diffuse]

Options come from DIR/request.json (or DIR/seed-*/request.json); those on the command line replace them. Prints a table of the
greatest errors and exits 0, or names the first tensor that differs, its coordinates and both values, and exits 1.
--forced gives diffusers our latents after every step, so that errors do not add up and each step is judged alone."""

import argparse
import functools
import json
import pathlib
import sys

import diffusers
import torch
from safetensors.torch import load_file

from common import deterministic, load_pipeline

# Greatest error allowed; a step's is relative to max(1, greatest reference value), for latents grow. Free running, a step inherits
# the drift of those before it.
TOLERANCE = {"ids": 0, "embeddings": 1e-4, "noise": 1e-6, "timestep": 1e-4, "decoded": 1e-3}
STEP_FREE, STEP_FORCED = 1e-3, 1e-4
IMAGE_LEVELS, IMAGE_MAX, IMAGE_SHARE = 1, 2, 0.001  # at most this share of values more than 1 level off, none more than 2

DEFAULTS = {
    "prompt": None,
    "negative": None,
    "seed": None,
    "steps": 50,
    "guidance": 7.5,
    "guidance_rescale": 0.0,
    "eta": 0.0,
    "clip_skip": None,
    "width": None,
    "height": None,
    "scheduler": None,
    "scheduler_class": None,
    "rng": "cpu",
    "rng_dtype": "fp32",
    "latents": None,
}


class Diverged(Exception):
    pass


def coordinates(flat, shape):
    at = []
    for n in reversed(shape):
        at.append(flat % n)
        flat //= n
    return ",".join(map(str, reversed(at)))


class Judge:
    """Compares one image's tensors in the order of the stages and keeps the rows of the table."""

    def __init__(self, folder, step_tolerance, report):
        self.folder, self.step_tolerance, self.report, self.rows = folder, step_tolerance, report, []

    def file(self, stage):
        path = self.folder / f"{stage}.safetensors"
        if not path.exists():
            raise Diverged(f"{path}: missing")
        return load_file(path)

    def tensor(self, stage, ours, name, reference):
        where = f"{self.folder}: {stage}: {name}"
        if name not in ours:
            raise Diverged(f"{where}: missing, diffusers has {list(reference.shape)}")
        x, y = ours[name].double(), reference.double()
        if x.shape != y.shape:
            raise Diverged(f"{where}: shape {list(x.shape)}, diffusers has {list(y.shape)}")
        error = (x - y).abs()
        if name == "image":
            self.image(where, stage, x, y, error)
            return
        kind = name.removeprefix("negative_")
        allowed = TOLERANCE[kind] if kind in TOLERANCE else self.step_tolerance * max(1.0, y.abs().max().item())
        self.rows.append((stage, name, error.max().item(), allowed))
        if not self.report and not error.max().item() <= allowed:
            self.diverged(where, x, y, error, allowed)

    def image(self, where, stage, x, y, error):
        share = (error > IMAGE_LEVELS).double().mean().item()
        self.rows.append((stage, "image (levels)", error.max().item(), IMAGE_MAX))
        if not self.report and not (error.max().item() <= IMAGE_MAX and share <= IMAGE_SHARE):
            self.diverged(where, x, y, error, IMAGE_LEVELS)

    @staticmethod
    def diverged(where, x, y, error, allowed):
        """The first element beyond the tolerance, NaN counting as beyond, and the worst."""
        beyond = ~(error.flatten() <= allowed)
        first, worst = beyond.nonzero()[0].item(), error.nan_to_num(nan=float("inf")).argmax().item()
        lines = [
            f"{label} [{coordinates(i, x.shape)}]: diffuse {x.flatten()[i]:.9g}, diffusers {y.flatten()[i]:.9g}, "
            f"error {error.flatten()[i]:.3g}"
            for label, i in (("first", first), ("worst", worst))
        ]
        n = int(beyond.sum())
        raise Diverged("\n  ".join([f"{where}: {n} of {x.numel()} values differ by more than {allowed:.3g}", *lines]))


class Watched:
    """Keeps what each scheduler row of the pipeline's run saw and made."""

    def __init__(self, pipe):
        self.rows, self.seen = [], None
        pipe.unet.register_forward_pre_hook(self.keep_input)
        pipe.scheduler.step = self.watch(pipe.scheduler.step)

    def keep_input(self, module, args):
        sample, timestep = args[:2]
        self.seen = {"timestep": torch.as_tensor(timestep, dtype=torch.float32).reshape(1), "model_input": sample.clone()}

    def watch(self, step):
        @functools.wraps(step)  # the pipeline passes eta and generator only to a step whose signature has them
        def watched(output, *args, **kwargs):
            result = step(output, *args, **kwargs)
            self.rows.append({**self.seen, "guided": output.clone(), "latents": result[0].clone()})
            return result

        return watched


def parse_override(text):
    key, _, value = text.partition("=")
    if not value:
        return f"use_{key}_sigmas", True
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, {"True": True, "False": False}.get(value, value)


def swap_scheduler(pipe, request):
    """request["scheduler"] is "NAME[,key=value...]" as given to diffuse, scheduler_class what NAME meant to it."""
    if not request["scheduler"]:
        return
    name, *overrides = request["scheduler"].split(",")
    name, options = request["scheduler_class"] or name, dict(map(parse_override, overrides))
    request["eta"] = options.pop("eta", request["eta"])
    if not hasattr(diffusers, name):
        sys.exit(f"compare.py: diffusers has no scheduler class '{name}'")
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config, **options)


def compare_text(judge, pipe, request, guided):
    ours = judge.file("text")
    texts = {"": request["prompt"], **({"negative_": request["negative"] or ""} if guided else {})}
    for prefix, text in texts.items():
        ids = pipe.tokenizer(text, padding="max_length", max_length=pipe.tokenizer.model_max_length, truncation=True, return_tensors="pt").input_ids
        judge.tensor("text", ours, f"{prefix}ids", ids)
    embeddings = pipe.encode_prompt(
        request["prompt"], "cpu", 1, guided, request["negative"], clip_skip=request["clip_skip"] or None
    )
    for prefix, reference in zip(texts, embeddings):
        judge.tensor("text", ours, f"{prefix}embeddings", reference)


def compare_image(folder, model, request, forced, report):
    judge = Judge(folder, STEP_FORCED if forced else STEP_FREE, report)
    pipe = load_pipeline(model)
    swap_scheduler(pipe, request)
    compare_text(judge, pipe, request, request["guidance"] > 1)

    start = judge.file("noise")
    drawn_alike = (request["latents"], request["rng"], request["rng_dtype"]) == (None, "cpu", "fp32")
    given = None if drawn_alike else start["noise"]
    if given is None:
        drawn = torch.randn(start["noise"].shape, generator=torch.Generator().manual_seed(request["seed"]))
        judge.tensor("noise", start, "noise", drawn)

    def force(pipe, i, t, tensors):
        return {"latents": judge.file(f"step-{i:04d}")["latents"]} if forced else tensors

    watched = Watched(pipe)
    final = pipe(
        request["prompt"],
        negative_prompt=request["negative"],
        num_inference_steps=request["steps"],
        guidance_scale=request["guidance"],
        guidance_rescale=request["guidance_rescale"],
        generator=torch.Generator().manual_seed(request["seed"]),
        latents=given,
        width=request["width"],
        height=request["height"],
        clip_skip=request["clip_skip"] or None,
        eta=request["eta"],
        output_type="latent",
        callback_on_step_end=force,
    ).images
    for i, row in enumerate(watched.rows):
        ours = judge.file(f"step-{i:04d}")
        for name, reference in row.items():
            judge.tensor(f"step-{i:04d}", ours, name, reference)
    if (folder / f"step-{len(watched.rows):04d}.safetensors").exists():
        raise Diverged(f"{folder}: more than the {len(watched.rows)} steps diffusers makes")

    ours = judge.file("image")
    decoded = pipe.vae.decode(final / pipe.vae.config.scaling_factor).sample
    judge.tensor("image", ours, "decoded", decoded)
    picture = pipe.image_processor.postprocess(decoded, output_type="np")[0]
    judge.tensor("image", ours, "image", torch.from_numpy((picture * 255).round().astype("uint8")))
    return judge.rows


def read_request(folder, given):
    path = folder / "request.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    request = {**DEFAULTS, **{k: v for k, v in stored.items() if k in DEFAULTS}, **given}
    if "scheduler" in given:
        request["scheduler_class"] = None
    if request["prompt"] is None or request["seed"] is None:
        sys.exit(f"compare.py: {path}: no prompt or seed; give them on the command line")
    return request


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dump", type=pathlib.Path)
    p.add_argument("prompt", nargs="?")
    p.add_argument("-m", "--model", required=True)
    p.add_argument("-n", "--negative")
    p.add_argument("-s", "--seed", type=int)
    p.add_argument("--steps", type=int)
    p.add_argument("-g", "--guidance", type=float)
    p.add_argument("--guidance-rescale", type=float)
    p.add_argument("--eta", type=float)
    p.add_argument("--clip-skip", type=int)
    p.add_argument("-W", "--width", type=int)
    p.add_argument("-H", "--height", type=int)
    p.add_argument("-x", "--scheduler", help="CLASS[,key=value...], for example EulerDiscreteScheduler,timestep_spacing=trailing")
    p.add_argument("--rng", choices=["cpu", "cuda"], help="with cuda, the initial noise is taken from the dump")
    p.add_argument("--forced", action="store_true", help="judge every step alone")
    p.add_argument("--report", action="store_true", help="print every error, judge none: for dumps of --dtype bf16")
    return p.parse_intermixed_args()


def main():
    arguments = parse_arguments()
    deterministic()
    given = {k: v for k, v in vars(arguments).items() if k in DEFAULTS and v is not None}
    folders = sorted(arguments.dump.glob("seed-*")) or [arguments.dump]
    try:
        for folder in folders:
            seed = {"seed": int(folder.name.removeprefix("seed-"))} if folder != arguments.dump else {}
            stored = folder if (folder / "request.json").exists() else arguments.dump
            request = read_request(stored, {**given, **seed})
            rows = compare_image(folder, arguments.model, request, arguments.forced, arguments.report)
            print(f"{folder}\n  {'stage':<12}{'tensor':<22}{'max error':>12}{'allowed':>12}")
            for stage, name, error, allowed in rows:
                print(f"  {stage:<12}{name:<22}{error:>12.3g}{allowed:>12.3g}")
    except Diverged as difference:
        print(f"compare.py: first difference: {difference}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
