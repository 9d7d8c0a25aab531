"""Times pinned diffusers on a GPU, on the files `diffuse` is timed on. bench/gpu-visit.sh runs both.

    peer_diffusers.py -m DIR [--compile] [--steps 25] [--images 5]     "NAME<tab>VALUE<tab>UNIT" lines
    peer_diffusers.py -m DIR --once OUT.png                            one picture from a cold start
    peer_diffusers.py --compare REFERENCE.png PICTURE.png…             mean |difference| of pixels to the first

fp16, channels_last, DDIM, seed 42 drawn on the CPU, no safety checker, no progress bar. Steps and the VAE are timed by CUDA
events, so that the GPU never waits for the clock; whole pictures by the wall, up to pixels in memory."""

import argparse
import functools
import os
import pathlib
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def compare(paths):
    import numpy
    from PIL import Image

    pictures = [numpy.asarray(Image.open(p).convert("RGB")).astype(float) for p in paths]
    for path, picture in zip(paths[1:], pictures[1:]):
        print(f"difference.{path.stem}\t{abs(picture - pictures[0]).mean():.3f}\t/ 255")


def load(model):
    import diffusers
    import torch
    import transformers

    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    text = (model / "text_encoder").is_dir()
    more = {"safety_checker": None, "requires_safety_checker": False} if text else {}
    pipe = diffusers.DiffusionPipeline.from_pretrained(model, dtype=torch.float16, **more)
    scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    if text:
        pipe.scheduler = scheduler
        pipe.vae.to(memory_format=torch.channels_last)
    else:
        pipe = diffusers.DDIMPipeline(pipe.unet, scheduler)
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to("cuda")


def compile_parts(pipe):
    import torch

    pipe.unet = torch.compile(pipe.unet, mode="reduce-overhead", fullgraph=True)
    if hasattr(pipe, "vae"):
        pipe.vae.decode = torch.compile(pipe.vae.decode, mode="reduce-overhead", fullgraph=True)


def draw(pipe, steps):
    import torch

    more = {"prompt": "a photo of an astronaut riding a horse on mars"} if hasattr(pipe, "vae") else {}
    return pipe(num_inference_steps=steps, generator=torch.Generator().manual_seed(42), **more).images[0]


class Marks:
    """CUDA events after each call of a function, and before where asked."""

    def __init__(self, owner, name, before=False):
        import torch

        self.events = []
        call = getattr(owner, name)

        def mark():
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.events.append(event)

        @functools.wraps(call)  # pipelines look at the signature
        def marked(*args, **kwargs):
            if before:
                mark()
            result = call(*args, **kwargs)
            mark()
            return result

        setattr(owner, name, marked)

    def take(self):
        """Milliseconds between the events of one picture, which are forgotten."""
        import torch

        torch.cuda.synchronize()
        times = [a.elapsed_time(b) for a, b in zip(self.events, self.events[1:])]
        self.events.clear()
        return times


def measure(a):
    import torch

    start = time.perf_counter()
    pipe = load(a.model)
    load_ms = (time.perf_counter() - start) * 1000
    if a.compile:
        compile_parts(pipe)
    step_marks = Marks(pipe.scheduler, "step")
    vae_marks = Marks(pipe.vae, "decode", before=True) if hasattr(pipe, "vae") else None
    steps, vaes, images = [], [], []
    for i in range(-a.warmup, a.images):
        start = time.perf_counter()
        draw(pipe, a.steps)
        ms = (time.perf_counter() - start) * 1000
        if i == -a.warmup:
            first_ms = ms
        step_ms, vae_ms = step_marks.take(), vae_marks.take() if vae_marks else []
        if i >= 0:
            steps += step_ms
            vaes += vae_ms
            images.append(ms)
    steps.sort()
    rows = {"step": statistics.median(steps), "step_p95": steps[(len(steps) * 95 + 99) // 100 - 1]}
    if vaes:
        rows["vae"] = statistics.median(vaes)
    rows |= {"image": statistics.median(images), "load": load_ms, "first_image": first_ms}
    for name, ms in rows.items():
        print(f"{name}\t{ms:.3f}\tms")
    print(f"peak\t{torch.cuda.max_memory_reserved() / 2**20:.0f}\tMiB")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-m", "--model", type=pathlib.Path)
    p.add_argument("--compile", action="store_true", help="torch.compile, mode reduce-overhead, of the UNet and the decoder")
    p.add_argument("--steps", type=int, default=25)
    p.add_argument("--images", type=int, default=5)
    p.add_argument("--warmup", type=int, default=2, help="pictures before")
    p.add_argument("--once", type=pathlib.Path, metavar="PNG")
    p.add_argument("--compare", type=pathlib.Path, nargs="+", metavar="PNG")
    a = p.parse_args()
    if a.compare:
        compare(a.compare)
    elif not a.model:
        p.error("-m is missing")
    elif a.once:
        draw(load(a.model), a.steps).save(a.once)
    else:
        measure(a)


if __name__ == "__main__":
    main()
