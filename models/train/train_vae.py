"""Trains the autoencoder: crops first, whole pictures over the last fifth of the time.

    python train_vae.py --work DIR --minutes 25 [--device cuda --amp --batch 64]
"""
import copy

import numpy as np
import torch
from torch.nn import functional as F

from networks import CHANNELS, begin, new_vae
from pictures import Drawing
from trainer import Training, arguments

SIZE, CROP = 128, 64
SHARP = 1.0  # how much the roughness of patches counts, over the second half of the time
KEPT = 8  # latent channels of an older autoencoder that stay what they are, so that its UNet can go on


def crops(pictures, r, size):
    """Two crops of each picture as float [N, 3, size, size] in -1..1; the picture itself where size is its own."""
    if size < SIZE:
        corners = r.integers(0, SIZE - size + 1, (len(pictures), 2, 2))
        pictures = np.stack([p[y:y + size, x:x + size] for p, two in zip(pictures, corners) for y, x in two])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def edges(x):
    return torch.cat([(x[..., 1:, :] - x[..., :-1, :]).flatten(), (x[..., 1:] - x[..., :-1]).flatten()])


def roughness(x):
    """How much goes on in each patch of 4x4: the root of the mean square of its differences down, across and crosswise, and of those of half the size."""
    half, down = F.avg_pool2d(x, 2), x[..., 1:, :] - x[..., :-1, :]
    bands = down, x[..., 1:] - x[..., :-1], down[..., 1:] - down[..., :-1], half[..., 1:, :] - half[..., :-1, :], half[..., 1:] - half[..., :-1]
    return torch.cat([(F.avg_pool2d(b.square().mean(1, keepdim=True), 4, 2) + 1e-4).sqrt().flatten() for b in bands])


def distance(y, x, sharp):
    """Squares, hues above all, pull it out of the grey that L1 settles on.

    What squares cannot place they blur; `sharp` is how much the roughness of a patch counts, wherever in it the edges are.
    """
    error, rims = y - x, edges(y) - edges(x)
    hue = error - error.mean(1, keepdim=True)
    patches = F.avg_pool2d(hue, 4).abs().mean()
    likeness = 0.5 * error.abs().mean() + 10 * error.square().mean() + 10 * hue.square().mean() + 2 * patches + 0.5 * rims.abs().mean() + 4 * rims.square().mean()
    return likeness + sharp * F.l1_loss(roughness(y), roughness(x))


def main():
    args = arguments(__doc__, batch=4, lr=2e-3)
    torch.manual_seed(0)
    vae = begin(args.work, "vae", new_vae()).to(args.device, memory_format=torch.channels_last)
    old = copy.deepcopy(vae).requires_grad_(False) if (args.work / "start" / "vae").exists() else None
    t = Training("vae", args, {"vae": vae}, args.lr, 0.998, muon=True)
    if args.compile:
        vae.encoder.compile()
        vae.decoder.compile()
    drawing, r = Drawing(10_000_000 + t.step * args.batch, args.batch, args.threads - 1 if args.device == "cuda" else 0), np.random.default_rng(t.step)
    for _ in t.steps():
        x = crops(drawing.take()[0], r, CROP if t.progress() < 0.8 else SIZE).to(args.device, memory_format=torch.channels_last)
        with t.autocast():
            posterior = vae.encode(x).latent_dist
            y = vae.decode(posterior.sample()).sample.float()
        kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
        loss = distance(y, x, SHARP if t.progress() > 0.5 else 0) + 2e-4 * kl
        if old:
            with torch.no_grad(), t.autocast():
                kept = old.encode(x[::2]).latent_dist.mean[:, :KEPT]
            loss = loss + 0.2 * (posterior.mean[::2, :KEPT] - kept).square().mean()
        t.update(loss)
        if t.step % 200 == 0:
            print(f"{t.step} {t.seconds() / 60:.1f} min: psnr {10 * torch.log10(4 / F.mse_loss(y, x)):.2f} dB, kl {kl:.2f}", flush=True)
    drawing.close()
    normalise(t.averaged["vae"], args).save_pretrained(args.work / "autoencoder")


@torch.no_grad()
def normalise(vae, args, batches=16, count=16):
    """Folds into the 1x1 convolutions at both ends what makes each latent channel zero mean and unit variance."""
    drawing = Drawing(20_000_000, count, 0)
    x = [crops(drawing.take()[0], None, SIZE).to(args.device) for _ in range(batches)]
    z = torch.cat([vae.encode(b).latent_dist.mean for b in x])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    print(f"latents: mean {mean.tolist()}, std {std.tolist()}")
    into, out, c = vae.quant_conv, vae.post_quant_conv, CHANNELS
    into.bias.data[:c] = (into.bias[:c] - mean) / std
    into.weight.data[:c] /= std[:, None, None, None]
    into.bias.data[c:] -= 2 * std.log()  # the logarithm of the variance
    out.bias.data += out.weight[:, :, 0, 0] @ mean
    out.weight.data *= std[None, :, None, None]
    again = torch.cat([vae.encode(b).latent_dist.mean for b in x])
    vae.register_to_config(scaling_factor=1 / again.std().item())
    print(f"psnr {10 * torch.log10(4 / F.mse_loss(vae.decode(again[:64]).sample, torch.cat(x)[:64])):.2f} dB, scaling factor {vae.config.scaling_factor:.4f}")
    return vae


if __name__ == "__main__":
    main()
