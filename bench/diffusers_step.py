"""Times pinned diffusers on the CPU, to stand beside `diffuse` on the same cores. Versions: test/reference/requirements.txt.

    python bench/diffusers_step.py -m DIR --threads 2 --repetitions 5                one UNet step: batch 2, 512x512, 77 tokens
    python bench/diffusers_step.py --threads 2                                       the same on random weights, SD 1.5's shape
    python bench/diffusers_step.py --xl --threads 2 --repetitions 0 -W 1024 -H 1024  one step of SDXL's shape
    python bench/diffusers_step.py -m DIR --threads 2 --whole 20                     a whole generation of 20 steps

Prints one JSON line a repetition; the first ("warmup") pays for page faults and kernel choice."""

import argparse
import json
import pathlib
import resource
import time

import diffusers
import torch
import transformers

SD15 = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {"sample_size": 128, "block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20], "cross_attention_dim": 2048,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "transformer_layers_per_block": [1, 2, 10],
        "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_unet(model, dtype, shape):
    if model:
        return diffusers.UNet2DConditionModel.from_pretrained(model / "unet", dtype=dtype)
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**shape)
    unet = unet.to_empty(device="cpu").to(dtype)
    for p in unet.parameters():
        p.uniform_(-0.02, 0.02)
    return unet


def step_runner(a):
    unet = load_unet(a.model, DTYPES[a.dtype], SDXL if a.xl else SD15).eval()
    h, w, width = a.height // 8, a.width // 8, unet.config.cross_attention_dim
    sample = torch.randn(a.batch, unet.config.in_channels, h, w).to(unet.dtype)
    context = torch.randn(a.batch, 77, width).to(unet.dtype)
    added = {"text_embeds": torch.randn(a.batch, 1280).to(unet.dtype), "time_ids": torch.full((a.batch, 6), 512.0).to(unet.dtype)} if a.xl else None
    if a.channels_last:
        unet, sample = unet.to(memory_format=torch.channels_last), sample.contiguous(memory_format=torch.channels_last)
    return lambda: unet(sample, 500, context, added_cond_kwargs=added).sample


def vae_runner(a):
    vae = diffusers.AutoencoderKL.from_pretrained(a.model / "vae", dtype=DTYPES[a.dtype]).eval()
    latents = torch.randn(1, vae.config.latent_channels, a.height // 8, a.width // 8).to(vae.dtype)
    if a.channels_last:
        vae, latents = vae.to(memory_format=torch.channels_last), latents.contiguous(memory_format=torch.channels_last)
    return lambda: vae.decode(latents).sample


def whole_runner(a):
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(a.model, dtype=DTYPES[a.dtype], safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return lambda: pipe(
        "a photo of an astronaut riding a horse on mars",
        num_inference_steps=a.whole,
        width=a.width,
        height=a.height,
        generator=torch.Generator().manual_seed(42),
        output_type="np",
    ).images


def report(**fields):
    fields["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(fields), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-m", "--model", type=pathlib.Path, help="checkpoint directory; without it, a step on random weights")
    p.add_argument("--xl", action="store_true", help="SDXL's shape")
    p.add_argument("--whole", type=int, metavar="STEPS", help="time a whole generation instead of one step")
    p.add_argument("--vae", action="store_true", help="time a decode by the checkpoint's VAE instead")
    p.add_argument("--channels-last", action="store_true", help="of a step or a decode")
    p.add_argument("--dtype", choices=DTYPES, default="fp32")
    p.add_argument("--threads", type=int, default=torch.get_num_threads())
    p.add_argument("--repetitions", type=int, default=3)
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("-W", "--width", type=int, default=512)
    p.add_argument("-H", "--height", type=int, default=512)
    a = p.parse_args()
    if (a.whole or a.vae) and not a.model:
        p.error("--whole and --vae need -m")

    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.disable_progress_bar()
    case = {"program": f"diffusers {diffusers.__version__}, torch {torch.__version__}", "dtype": a.dtype, "threads": a.threads}
    case |= {"what": f"{a.whole} steps" if a.whole else "vae" if a.vae else "step", "width": a.width, "height": a.height}

    start = time.perf_counter()
    run = (whole_runner if a.whole else vae_runner if a.vae else step_runner)(a)
    report(**case, load_ms=round((time.perf_counter() - start) * 1000, 1))
    for i in range(a.repetitions + 1):
        start, used = time.perf_counter(), time.process_time()
        run()
        ms, cpu_ms = round((time.perf_counter() - start) * 1000, 2), round((time.process_time() - used) * 1000, 2)
        report(**case, **({"warmup": True} if i == 0 else {"repetition": i}), ms=ms, cpu_ms=cpu_ms)


if __name__ == "__main__":
    main()
