"""Draws the training pictures and encodes them: latents.f16 and captions.i16 in DIR grow until there are enough.

    python encode.py --work DIR --pictures 100000

May run beside train_diffusion.py, which takes up new pictures as they come. Goes on where it stopped.
"""
import argparse
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from networks import CHANNELS, LATENT, load_tokenizer
from pictures import CAPTIONS, Drawing

SHAPE = CHANNELS, LATENT, LATENT


class Files:
    """latents as float16 [n, 8, 16, 16], token ids as int16 [n, CAPTIONS, length]"""

    def __init__(self, work, length):
        self.paths, self.shapes = (work / "latents.f16", work / "captions.i16"), (SHAPE, (CAPTIONS, length))

    def count(self):
        return min(p.stat().st_size // (2 * int(np.prod(s))) if p.exists() else 0 for p, s in zip(self.paths, self.shapes))

    def cut(self):
        """A run stopped while writing leaves one file longer than the other."""
        for p, s in zip(self.paths, self.shapes):
            if p.exists():
                os.truncate(p, self.count() * 2 * int(np.prod(s)))

    def append(self, *values):
        for p, v in zip(self.paths, values):
            with p.open("ab") as f:
                f.write(v.contiguous().cpu().numpy().tobytes())

    def read(self, first):
        """Those from number `first` on."""
        n = self.count() - first
        return [torch.from_numpy(np.fromfile(p, dtype, n * int(np.prod(s)), offset=first * 2 * int(np.prod(s)))).view(n, *s)
                for p, s, dtype in zip(self.paths, self.shapes, (np.float16, np.int16))]


def tokens(tokenizer, texts):
    return tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids


@torch.no_grad()
def encode(vae, pictures):
    x = torch.from_numpy(pictures).to(vae.device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mean * vae.config.scaling_factor


def load_vae(work, device, which="autoencoder"):
    return AutoencoderKL.from_pretrained(work / which).to(device, memory_format=torch.channels_last).eval()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    p.add_argument("--pictures", type=int, default=100_000)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int, default=1, help="of the CPU; drawing processes where there is a GPU")
    args = p.parse_args()
    torch.set_num_threads(1 if args.device != "cpu" else args.threads)
    tokenizer, vae = load_tokenizer(args.work), load_vae(args.work, args.device)
    files = Files(args.work, tokenizer.model_max_length)
    files.cut()
    n, batch = files.count(), 16 if args.device == "cpu" else 512
    drawing = Drawing(n, batch, 0 if args.device == "cpu" else args.threads)
    while n < args.pictures:
        pictures, captions = drawing.take()
        files.append(encode(vae, pictures).half(), tokens(tokenizer, [c for four in captions for c in four]).view(batch, CAPTIONS, -1).short())
        n += batch
        if n % (batch * 125) == 0:
            print(n, flush=True)
    drawing.close()


if __name__ == "__main__":
    main()
