"""Makes WORK/start from an older checkpoint with fewer latent channels, for the trainings to begin with.

    python warm.py --old models/doodle --work DIR

The old latent channels keep their meaning and the new ones begin near nothing, so everything learned is still there.
"""
import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn

from transformers import CLIPTextModel, CLIPTokenizer

from networks import CHANNELS, load_tokenizer, new_text_encoder, new_unet, new_vae


def copy_same(old, new):
    """Every parameter whose shape did not change."""
    now, before = new.state_dict(), old.state_dict()
    new.load_state_dict({k: before[k] if before[k].shape == v.shape else v for k, v in now.items()})


@torch.no_grad()
def warm_vae(old):
    new, c = new_vae(), old.config.latent_channels
    copy_same(old, new)
    rows = torch.cat([torch.arange(c), CHANNELS + torch.arange(c)])  # means, logarithms of variance
    out, before = new.encoder.conv_out, old.encoder.conv_out
    nn.init.normal_(out.weight, std=before.weight.std().item())
    nn.init.zeros_(out.bias)
    out.weight[rows], out.bias[rows] = before.weight, before.bias
    q, before = new.quant_conv, old.quant_conv
    q.weight[:] = torch.eye(2 * CHANNELS)[:, :, None, None]
    q.weight[CHANNELS:] *= 0
    q.bias[:CHANNELS], q.bias[CHANNELS:] = 0, -5
    for k, row in enumerate(rows):
        q.weight[row] = 0
        q.weight[row, rows], q.bias[row] = before.weight[k], before.bias[k]
    p, before = new.post_quant_conv, old.post_quant_conv
    p.weight[:] = torch.eye(CHANNELS)[:, :, None, None]
    p.bias[:] = 0
    p.weight[:c, :c], p.bias[:c] = before.weight, before.bias
    into, before = new.decoder.conv_in, old.decoder.conv_in
    into.weight *= 0.1
    into.weight[:, :c], into.bias[:] = before.weight, before.bias
    return new


def readers(unet):
    """The weights that read what conv_in gives, its channels along the second dimension; the last is the outermost skip connection's."""
    down, up = unet.down_blocks[0], unet.up_blocks[-1]
    skipped = [conv.weight[:, -unet.config.block_out_channels[0]:] for r in up.resnets for conv in (r.conv1, r.conv_shortcut)]
    return [down.resnets[0].conv1.weight, down.downsamplers[0].conv.weight, *skipped]


@torch.no_grad()
def warm_unet(old):
    """The new channels' noise goes along a path of its own, as `noise_alone` lays one; it takes the normalisation groups that the old UNet had least use for."""
    new, c = new_unet(), old.config.in_channels
    copy_same(old, new)
    n, into, out, last = CHANNELS - c, new.conv_in, new.conv_out, new.up_blocks[-1].resnets[-1]
    size = old.config.block_out_channels[0] // old.config.norm_num_groups
    into.weight[:] = torch.cat([old.conv_in.weight, torch.zeros_like(old.conv_in.weight)], 1)[:, :CHANNELS]
    into.bias[:] = old.conv_in.bias
    out.weight[:c], out.weight[c:] = old.conv_out.weight, 0
    out.bias[:c], out.bias[c:] = old.conv_out.bias, 0
    assert size == 2 * c == 2 * n, "a path is one normalisation group, the new channels and their opposites"
    groups = [torch.arange(k, k + size) for k in range(size, old.config.block_out_channels[0], size)]
    read = min(groups, key=lambda k: sum(w[:, k].square().mean() for w in readers(new)))
    answer = min(groups, key=lambda k: (out.weight[:, k] * new.conv_norm_out.weight[k, None, None]).square().sum())
    both = torch.cat([torch.eye(n), -torch.eye(n)])
    into.weight[read], into.bias[read] = 0, 0
    into.weight[read, c:, 1, 1] = both
    for w in readers(new):
        w[:, read] = 0
    last.conv_shortcut.weight[answer], last.conv_shortcut.bias[answer] = 0, 0
    last.conv2.weight[answer], last.conv2.bias[answer] = 0, 0
    readers(new)[-1][answer, read] = 1
    new.conv_norm_out.weight[answer], new.conv_norm_out.bias[answer] = 1, 0
    out.weight[:, answer] = 0
    out.weight[c:, answer, 1, 1] = both.T
    return new


@torch.no_grad()
def warm_text(old, spelt, tokenizer):
    """New words begin as the mean of the pieces they were spelt with."""
    new = new_text_encoder(tokenizer)
    copy_same(old, new)
    before, now = old.get_input_embeddings().weight, new.get_input_embeddings().weight
    known = spelt.get_vocab()
    for word, k in tokenizer.get_vocab().items():
        pieces = [known[word]] if word in known else spelt(word.removesuffix("</w>"), add_special_tokens=False).input_ids
        now[k] = before[pieces].mean(0)
    places = lambda model: next(v for k, v in model.named_parameters() if "position_embedding" in k)
    before, now = places(old), places(new)
    now[:len(before)], now[len(before):] = before, before[-1]
    return new


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--old", type=Path, default=Path("models/doodle"))
    p.add_argument("--work", type=Path, default=Path("build/doodle"))
    args = p.parse_args()
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(args.old / "unet", torch_dtype=torch.float32)
    warm_unet(unet).save_pretrained(args.work / "start" / "unet")
    text = CLIPTextModel.from_pretrained(args.old / "text_encoder", torch_dtype=torch.float32)
    warm_text(text, CLIPTokenizer.from_pretrained(args.old / "tokenizer"), load_tokenizer(args.work)).save_pretrained(args.work / "start" / "text_encoder")
    warm_vae(AutoencoderKL.from_pretrained(args.old / "vae", torch_dtype=torch.float32)).save_pretrained(args.work / "start" / "vae")


if __name__ == "__main__":
    main()
