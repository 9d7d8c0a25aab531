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
# One batch in eight is of another size, each of these in turn: width, height.
SIZES = (96, 96), (192, 128), (128, 96), (128, 192), (96, 128), (160, 160), (192, 192)
SELDOM = 8


class Files:
    """latents as float16 [n, CHANNELS, height, width], token ids as int16 [n, CAPTIONS, length]; those of other sizes have their own"""

    def __init__(self, work, length, size=None):
        end, shape = (f"-{size[0]}x{size[1]}", (CHANNELS, size[1] // 8, size[0] // 8)) if size else ("", SHAPE)
        self.paths, self.shapes = (work / f"latents{end}.f16", work / f"captions{end}.i16"), (shape, (CAPTIONS, length))
        for p in self.paths:
            p.touch()

    def count(self):
        return min(p.stat().st_size // (2 * int(np.prod(s))) for p, s in zip(self.paths, self.shapes))

    def cut(self):
        """A run stopped while writing leaves one file longer than the other."""
        for p, s in zip(self.paths, self.shapes):
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


class Series:
    """The pictures of one size: number 0 is the usual one, number k > 0 the k-th of SIZES."""

    def __init__(self, work, tokenizer, vae, k, batch, threads):
        self.tokenizer, self.vae, self.batch = tokenizer, vae, batch
        self.files = Files(work, tokenizer.model_max_length, SIZES[k - 1] if k else None)
        self.files.cut()
        self.n = self.files.count()
        workers = 0 if vae.device.type == "cpu" or k else threads
        self.drawing = Drawing(50_000_000 * k + self.n, batch, workers, *([SIZES[k - 1]] if k else []))

    def grow(self):
        pictures, captions = self.drawing.take()
        ids = tokens(self.tokenizer, [c for four in captions for c in four]).view(self.batch, CAPTIONS, -1)
        self.files.append(encode(self.vae, pictures).half(), ids.short())
        self.n += self.batch


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    p.add_argument("--pictures", type=int, default=100_000)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int, default=1, help="of the CPU; drawing processes where there is a GPU")
    args = p.parse_args()
    torch.set_num_threads(1 if args.device != "cpu" else args.threads)
    tokenizer, vae = load_tokenizer(args.work), load_vae(args.work, args.device)
    batch = 16 if args.device == "cpu" else 512
    series = [Series(args.work, tokenizer, vae, k, batch, args.threads) for k in range(len(SIZES) + 1)]
    while series[0].n < args.pictures:
        done = series[0].n // batch
        if done % SELDOM == SELDOM - 1:
            series[1 + done // SELDOM % len(SIZES)].grow()
        series[0].grow()
        if series[0].n % (batch * 125) == 0:
            print(series[0].n, flush=True)
    for s in series:
        s.drawing.close()


if __name__ == "__main__":
    main()
