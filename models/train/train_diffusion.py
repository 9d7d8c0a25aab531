"""Trains the UNet on the latents that encode.py makes, with the text encoder of train_text.py.

    python train_diffusion.py --work DIR --minutes 90 [--device cuda --amp --batch 512]
"""
import time

import torch
from transformers import CLIPTextModel

from encode import SELDOM, SIZES, Files, encode, load_vae, tokens
from networks import LATENT, begin, load_tokenizer, new_unet, noise_schedule
from pictures import CAPTIONS, probes
from trainer import Training, arguments

DROPPED = 0.12  # captions left out, for guidance
ENOUGH = 1500  # pictures to start with


def weights(snr):
    """How much the error in epsilon counts at each signal-to-noise ratio.

    Plain epsilon is nearly all about fine detail, where words are of no help. Counted as an error in v, every noise level weighs about
    the same; the least noise, which only hides what the decoder hardly shows, weighs less (min-SNR, Hang et al. 2023), and the most no more than 30.
    """
    return torch.clamp(1 + 1 / snr, max=30) * torch.clamp(5 / snr, max=1)


class Latents:
    """What has been encoded so far, of one size."""

    def __init__(self, args, length, size=None):
        self.files, self.device = Files(args.work, length, size), args.device
        while not size and self.files.count() < ENOUGH:
            time.sleep(1)
        self.z, self.ids = [v.to(self.device) for v in self.files.read(0)]

    def grow(self):
        if self.files.count() > len(self.z):
            z, ids = self.files.read(len(self.z))
            self.z, self.ids = torch.cat([self.z, z.to(self.device)]), torch.cat([self.ids, ids.to(self.device)])

    def batch(self, count):
        """As many, or fewer of larger pictures: so that each batch takes about as long."""
        count = max(2, round(count * LATENT * LATENT / (self.z.shape[2] * self.z.shape[3])))
        k = torch.randint(len(self.z), (count,), device=self.device)
        return self.z[k].float(), self.ids[k, torch.randint(CAPTIONS, (count,), device=self.device)].int()


class Probe:
    """Is the noise predicted better with the right caption than with one that is wrong in one word?"""

    STEPS = 350, 500, 650, 800, 900

    def __init__(self, args, tokenizer, text, alphas):
        pictures, captions = probes(64)
        self.x = encode(load_vae(args.work, args.device), pictures)
        self.noise = torch.randn(self.x.shape, generator=torch.Generator().manual_seed(1)).to(args.device)
        self.alphas, self.captions = alphas, captions
        with torch.no_grad():
            self.states = {k: text(tokens(tokenizer, v).to(args.device)).last_hidden_state for k, v in captions.items()}

    @torch.no_grad()
    def __call__(self, unet):
        lines = []
        for t in self.STEPS:
            a = self.alphas[t]
            x = a.sqrt() * self.x + (1 - a).sqrt() * self.noise
            error = {k: (unet(x, t, s).sample - self.noise).square().mean().item() for k, s in self.states.items()}
            # as an error of the clean latents, whose variance is 1
            lines.append(f"{t}: {error['right'] * (1 - a) / a:.3f} " + " ".join(f"{k} {e / error['right'] - 1:+.1%}" for k, e in error.items() if k != "right"))
        return "; ".join(lines)


def main():
    args = arguments(__doc__, batch=32, lr=1e-3, decay=0.998, probe=500)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(args.work)
    text = CLIPTextModel.from_pretrained(args.work / "text_encoder").to(args.device).eval().requires_grad_(False)
    latents = Latents(args, tokenizer.model_max_length)
    others = [Latents(args, tokenizer.model_max_length, size) for size in SIZES]
    empty = tokens(tokenizer, [""]).int().to(args.device)
    unet = begin(args.work, "unet", new_unet()).to(args.device, memory_format=torch.channels_last)
    t = Training("diffusion", args, {"unet": unet}, args.lr, args.decay, muon=True)
    alphas = noise_schedule().alphas_cumprod.to(args.device)
    weight = weights(alphas / (1 - alphas))
    probe = Probe(args, tokenizer, text, alphas)
    if args.compile:
        unet.compile()
    for _ in t.steps():
        other = others[t.step // SELDOM % len(SIZES)] if t.step % SELDOM == SELDOM - 1 else latents
        x, ids = (other if len(other.z) else latents).batch(args.batch)
        ids = torch.where(torch.rand(len(ids), 1, device=args.device) < DROPPED, empty, ids)
        # one step in each of the batch's equal slices of the 1000: less noise in the loss than independent draws
        steps = ((torch.arange(len(x), device=args.device) + torch.rand(len(x), device=args.device)) / len(x) * 1000).long().clamp(0, 999)
        noise, a = torch.randn_like(x), alphas[steps][:, None, None, None]
        noisy = (a.sqrt() * x + (1 - a).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            states = text(ids).last_hidden_state
        with t.autocast():
            guess = unet(noisy, steps, states).sample
        error = (guess.float() - noise).square().mean((1, 2, 3))
        t.update((error * weight[steps]).mean())
        if t.step % 100 == 0:
            for some in (latents, *others):
                some.grow()
        if t.step % args.probe == 0:
            print(f"{t.step} {t.seconds() / 60:.1f} min, {len(latents.z)} pictures; {probe(t.averaged['unet'])}", flush=True)


if __name__ == "__main__":
    main()
