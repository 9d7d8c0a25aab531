"""Goes on training the autoencoder's decoder alone, on whole pictures: the latents stay what they are, so the UNet may train beside it.

    python train_decoder.py --work DIR --minutes 60

The UNet's latents are never quite right; a little noise on the encoder's makes the decoder forgive that. What noise makes uncertain, squares alone
would blur: the roughness of patches counts more here.
"""
import torch
from torch.nn import functional as F

from encode import encode, load_vae
from pictures import Drawing
from train_vae import distance
from trainer import Training, arguments

NOISE, SHARP = 0.35, 4.0


def main():
    args = arguments(__doc__, batch=2, lr=1e-3)
    vae = load_vae(args.work, args.device)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    t = Training("decoder", args, {"decoder": vae}, args.lr, 0.998, muon=True)
    drawing, lost = Drawing(30_000_000 + t.step * args.batch, args.batch, args.threads - 1 if args.device == "cuda" else 0), []
    for _ in t.steps():
        pictures = drawing.take()[0]
        z = encode(vae, pictures)
        x = torch.from_numpy(pictures).to(args.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with t.autocast():
            y = vae.decode((z + NOISE * torch.rand(()) * torch.randn_like(z)) / vae.config.scaling_factor).sample.float()
        t.update(distance(y, x, SHARP))
        lost.append(F.mse_loss(y.detach(), x))
        if t.step % 250 == 0:
            print(f"{t.step} {t.seconds() / 60:.1f} min: psnr {10 * torch.log10(4 / torch.stack(lost).mean()):.2f} dB", flush=True)
            lost.clear()
    drawing.close()


if __name__ == "__main__":
    main()
