"""Writes test/fixtures/tiny-sd1 and tiny-sd2: Stable Diffusion 1.5- and 2.1-v-shaped checkpoints a few thousand times smaller.

Every tensor is random, norms and biases too, and scaled so that activations stay O(1): defaults (weight 1, bias 0) hide mistakes."""

import math
import shutil

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from common import FIXTURES, deterministic
from tiny_vocabulary import END, write_json, write_tokenizer

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}

# scheduler_config.json as the real repositories have it: keys that are absent there take diffusers' defaults.
SD1_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    **BETAS,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
SD2_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.8.0",
    **BETAS,
    "clip_sample": False,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

DOWN = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
UP = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3

SD1 = {
    "unet": {
        "sample_size": 16,
        "block_out_channels": [8, 16, 24, 24],
        "layers_per_block": 1,
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    },
    "text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "hidden_act": "quick_gelu",
    },
    "pad": END,
    "scheduler": SD1_SCHEDULER,
    "scheduler_class": PNDMScheduler,
}
SD2 = {
    "unet": {
        "sample_size": 16,
        "block_out_channels": [8, 16, 16, 16],
        "layers_per_block": 2,
        "cross_attention_dim": 24,
        "attention_head_dim": [2, 4, 2, 4],
        "norm_num_groups": 8,
        "use_linear_projection": True,
        "upcast_attention": True,
    },
    "text": {
        "hidden_size": 24,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "hidden_act": "gelu",
        "projection_dim": 16,
    },
    "pad": "!",
    "scheduler": SD2_SCHEDULER,
    "scheduler_class": DDIMScheduler,
}


def randomise(model, generator):
    for name, p in model.named_parameters():
        if "embedding" in name and p.dim() == 2 and "linear" not in name:
            p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
        elif p.dim() > 1:
            fan_in = p[0].numel()
            p.copy_(torch.randn(p.shape, generator=generator) * gain(name) / math.sqrt(fan_in))
        elif name.endswith("weight"):
            p.copy_(1 + 0.3 * (2 * torch.rand(p.shape, generator=generator) - 1))
        else:
            p.copy_(0.1 * (2 * torch.rand(p.shape, generator=generator) - 1))


def gain(name):
    """Sharpens the text attention so that a wrong mask or scale shows; keeps the UNet smooth enough
    that 20 steps at guidance 7.5 amplify rounding by less than 100."""
    if name.endswith("time_emb_proj.weight"):
        return 2.0
    if name.endswith(("q_proj.weight", "k_proj.weight")):
        return 1.5
    if name.endswith("attn2.to_out.0.weight"):
        return 0.4
    if name.endswith(("conv2.weight", "proj_out.weight", "attn1.to_out.0.weight", "ff.net.2.weight")):
        return 0.5
    return 1.0


def build(recipe, generator, vocabulary_size):
    unet = UNet2DConditionModel(down_block_types=DOWN, up_block_types=UP, **recipe["unet"])
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            max_position_embeddings=77,
            bos_token_id=vocabulary_size - 2,
            eos_token_id=vocabulary_size - 1,
            pad_token_id=1,
            **recipe["text"],
        )
    )
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 8, 16, 16],
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=0.18215,
    )
    with torch.no_grad():
        for model in (unet, text, vae):
            randomise(model.eval(), generator)
        spread_picture(vae, generator)
    return unet, text, vae


def spread_picture(vae, generator):
    """Centres the decoder's output for unit latents and gives it a deviation of 0.4 of [-1,1], so that few pixels clip."""
    y = vae.decode(torch.randn(4, 4, 16, 16, generator=generator) / vae.config.scaling_factor).sample
    scale = 0.4 / y.std(dim=(0, 2, 3))
    conv = vae.decoder.conv_out
    conv.bias.copy_((conv.bias - y.mean(dim=(0, 2, 3))) * scale + torch.tensor([0.1, -0.05, -0.1]))
    conv.weight.mul_(scale[:, None, None, None])


def make(name, recipe, seed):
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    vocabulary = write_tokenizer(folder / "tokenizer", recipe["pad"])
    unet, text, vae = build(recipe, torch.Generator().manual_seed(seed), len(vocabulary))
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=recipe["scheduler_class"](steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    shutil.rmtree(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer", recipe["pad"])
    write_json(folder / "scheduler" / "scheduler_config.json", recipe["scheduler"])
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    return folder


def name_text_as_before_transformers_5(folder):
    """Published checkpoints prefix the text encoder's tensors with "text_model." and carry position_ids; transformers >= 5
    saves neither. tiny-sd1 is as published, tiny-sd2 as saved today."""
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{k}": v for k, v in load_file(path).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(tensors, path, {"format": "pt"})


def save_half(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    half = {k: v.half() for k, v in load_file(path).items()}
    save_file(half, path.with_suffix(".fp16.safetensors"), {"format": "pt"})
    path.with_suffix(".fp16.safetensors").chmod(0o644)


def main():
    deterministic()
    name_text_as_before_transformers_5(make("tiny-sd1", SD1, seed=1))
    save_half(make("tiny-sd2", SD2, seed=2))


if __name__ == "__main__":
    main()
