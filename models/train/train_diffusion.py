"""Trains the UNet and the text encoder together on the finished autoencoder's latents.

    python train_diffusion.py --work DIR --minutes 60 [--device cuda --amp --batch 512 --prefill 300000 --fresh 0]

Pictures are drawn and encoded as training goes, `fresh` new ones at each step, and kept: the rest of a batch is picked from those
already there. On a GPU drawing is the slow part, so it is all done before (prefill).
"""
import os

import numpy as np
import torch
from diffusers import AutoencoderKL

from networks import LATENT, load_tokenizer, new_text_encoder, new_unet, noise_schedule
from pictures import CAPTIONS, Drawing
from trainer import Training, arguments

DROPPED = 0.1  # captions left out, for guidance
GAMMA = 5.0    # min-SNR weighting (Hang et al. 2023)


def weights(snr):
    """How much the error in epsilon counts at each signal-to-noise ratio.

    Plain epsilon is nearly all about fine detail, where words are of no help: 16 000 pictures into a training by min-SNR alone, the right caption
    predicted no better than a wrong one. The square root makes all but the lowest noise count about the same.
    """
    return (1 + 1 / snr).sqrt() * torch.clamp(GAMMA / snr, max=1)


class Latents:
    """The pictures encoded so far, with their captions' ids; kept in files too."""

    def __init__(self, args, tokenizer):
        self.args, self.tokenizer, self.n = args, tokenizer, 0
        self.vae = AutoencoderKL.from_pretrained(args.work / "autoencoder").to(args.device, memory_format=torch.channels_last).eval()
        self.z = torch.empty(args.pictures, 4, LATENT, LATENT, dtype=torch.half, device=args.device)
        self.ids = torch.empty(args.pictures, CAPTIONS, tokenizer.model_max_length, dtype=torch.int16, device=args.device)
        self.files = args.work / "latents.f16", args.work / "captions.i16"
        if all(f.exists() for f in self.files):
            z = torch.from_numpy(np.fromfile(self.files[0], np.float16)).view(-1, *self.z.shape[1:])
            ids = torch.from_numpy(np.fromfile(self.files[1], np.int16)).view(-1, *self.ids.shape[1:])
            whole = min(len(z), len(ids))  # a run stopped while writing leaves one file longer than the other
            for path, values in zip(self.files, (z, ids)):
                os.truncate(path, whole * values[0].numel() * 2)
            n = min(whole, args.pictures)
            self.put(z[:n], ids[:n])
            print(f"{n} pictures read", flush=True)

    def tokens(self, texts):
        return self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids

    def put(self, z, ids):
        self.z[self.n:self.n + len(z)], self.ids[self.n:self.n + len(ids)] = z.to(self.z.device), ids.to(self.ids.device)
        self.n += len(z)

    @torch.no_grad()
    def add(self, pictures, captions):
        pictures, captions = pictures[:self.args.pictures - self.n], captions[:self.args.pictures - self.n]
        x = torch.from_numpy(pictures).to(self.args.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        parts = [self.vae.encode(p.contiguous(memory_format=torch.channels_last)).latent_dist.mean for p in x.split(256)]
        z = (torch.cat(parts) * self.vae.config.scaling_factor).half()
        ids = self.tokens([c for four in captions for c in four]).view(-1, *self.ids.shape[1:]).short()
        for path, values in zip(self.files, (z, ids)):
            with path.open("ab") as f:
                f.write(values.cpu().contiguous().numpy().tobytes())
        self.put(z, ids)

    def full(self):
        return self.n >= self.args.pictures

    def batch(self, count, newest):
        """count latents and ids: the newest ones, and others from everywhere."""
        k = torch.randint(self.n, (count,), device=self.z.device)
        k[:newest] = torch.arange(self.n - newest, self.n, device=self.z.device)
        which = torch.randint(CAPTIONS, (count,), device=self.z.device)
        return self.z[k].float(), self.ids[k, which].int()


def main():
    args = arguments(__doc__, batch=16, lr=1e-3, decay=0.999, pictures=60_000, prefill=1024, fresh=4)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(args.work)
    latents = Latents(args, tokenizer)
    empty = latents.tokens([""]).int().to(args.device)
    unet = new_unet().to(args.device, memory_format=torch.channels_last)
    text = new_text_encoder(tokenizer).to(args.device)
    t = Training("diffusion", args, {"unet": unet, "text_encoder": text}, args.lr, args.decay)
    if args.compile:
        unet.compile()
    workers = max(1, args.threads - 1) if args.device != "cpu" else 0
    if latents.n < args.prefill:
        drawing = Drawing(latents.n, 16 if not workers else 4096, workers)
        while latents.n < args.prefill and not latents.full():
            latents.add(*drawing.take())
        drawing.close()
        print(f"{latents.n} pictures", flush=True)
    drawing = Drawing(latents.n, args.fresh, workers) if args.fresh else None
    alphas = noise_schedule().alphas_cumprod.to(args.device)
    snr = alphas / (1 - alphas)
    for _ in t.steps():
        fresh = args.fresh if drawing and not latents.full() else 0
        if fresh:
            latents.add(*drawing.take())
        x, ids = latents.batch(args.batch, fresh if not latents.full() else 0)
        ids = torch.where(torch.rand(len(ids), 1, device=args.device) < DROPPED, empty, ids)
        # one step in each of the batch's equal slices of the 1000: less noise in the loss than independent draws
        steps = ((torch.arange(len(x), device=args.device) + torch.rand(len(x), device=args.device)) / len(x) * 1000).long().clamp(0, 999)
        noise, a = torch.randn_like(x), alphas[steps][:, None, None, None]
        noisy = (a.sqrt() * x + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with t.autocast():
            guess = unet(noisy, steps, text(ids).last_hidden_state).sample
        error = (guess.float() - noise).square().mean((1, 2, 3))
        t.update((error * weights(snr[steps])).mean())
        if t.step % 200 == 0:
            print(f"{t.step} {t.seconds() / 60:.1f} min, {latents.n} pictures", flush=True)
    if drawing:
        drawing.close()


if __name__ == "__main__":
    main()
