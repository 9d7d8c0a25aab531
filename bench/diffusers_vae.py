"""Times pinned diffusers' AutoencoderKL on the CPU, of SD's shape with random weights, as bench_vae does ours:

    python bench/diffusers_vae.py [SIDE] [THREADS] [REPEATS]"""

import sys
import time

import diffusers
import torch

side, threads, repeats = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((1, 512), (2, 2), (3, 3)))
torch.set_num_threads(threads)
kinds = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
vae = diffusers.AutoencoderKL(block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4, **kinds).eval()
pixels, latents = torch.rand(1, 3, side, side), torch.rand(1, 4, side // 8, side // 8)

with torch.inference_mode():
    for i in range(repeats + 1):
        for name, call in (("decode", lambda: vae.decode(latents).sample), ("encode", lambda: vae.encode(pixels).latent_dist.parameters)):
            start, used = time.perf_counter(), time.process_time()
            call()
            if i:
                print(name, round((time.perf_counter() - start) * 1e3, 1), round((time.process_time() - used) * 1e3, 1), flush=True)
