"""The three networks, of Stable Diffusion 1.x's classes: 5.9 million parameters, 11.3 MiB in half precision."""
import torch
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

CONTEXT, LATENT, CHANNELS = 128, 16, 16  # width of the words' vectors; the latents' side and depth
NOISE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def quiet(module, *ends):
    """Residual branches that start at zero train sooner."""
    for name, m in module.named_modules():
        if name.endswith(ends):
            nn.init.zeros_(m.weight)
            nn.init.zeros_(m.bias)
    return module


def new_vae():
    vae = AutoencoderKL(
        sample_size=128, latent_channels=CHANNELS, block_out_channels=(16, 24, 48, 64), layers_per_block=1, norm_num_groups=1,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4)
    # the posterior's logarithm of variance starts small: noise of the latents' own size would hide them for hundreds of steps
    nn.init.zeros_(vae.quant_conv.weight.data[CHANNELS:])
    nn.init.constant_(vae.quant_conv.bias.data[CHANNELS:], -5)
    return quiet(vae, ".conv2", ".to_out.0")


@torch.no_grad()
def noise_alone(unet):
    """Makes a new UNet answer with its input, which is nearly right where there is much noise, and so leaves it the rest to learn.

    Two copies of the latents, x and -x, go along the outermost skip connection to the last normalisation, as one of its groups;
    silu(x) - silu(-x) is x again. Where the latents have more channels than a group can take twice, nothing is done.
    """
    c = CHANNELS
    if unet.config.block_out_channels[0] != 2 * c * unet.config.norm_num_groups:
        return unet
    both = torch.cat([torch.eye(c), -torch.eye(c)])
    unet.conv_in.weight[:2 * c] = 0
    unet.conv_in.weight[:2 * c, :, 1, 1] = both
    unet.conv_in.bias[:2 * c] = 0
    last = unet.up_blocks[-1].resnets[-1].conv_shortcut
    last.weight[:2 * c] = 0
    last.weight[:2 * c, -unet.config.block_out_channels[0]:][:, :2 * c, 0, 0] = torch.eye(2 * c)
    last.bias[:2 * c] = 0
    unet.conv_out.weight[:, :2 * c, 1, 1] = both.T
    return unet


def new_unet():
    """16x16 and 4x4 are convolutions alone; 8x8 and the middle attend, to themselves and to the words."""
    unet = UNet2DConditionModel(
        sample_size=LATENT, in_channels=CHANNELS, out_channels=CHANNELS, block_out_channels=(64, 96, 128), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=CONTEXT, attention_head_dim=4)  # diffusers' name for the number of heads
    return noise_alone(quiet(unet, ".conv2", ".proj_out", "conv_out"))


def new_text_encoder(tokenizer):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length, hidden_size=CONTEXT, intermediate_size=3 * CONTEXT, num_hidden_layers=2,
        num_attention_heads=4, hidden_act="quick_gelu", projection_dim=CONTEXT, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id))


def begin(work, name, new):
    """The network WORK/start/NAME holds (warm.py), or a new one."""
    folder = work / "start" / name
    return type(new).from_pretrained(folder) if folder.exists() else new


def noise_schedule():
    return DDPMScheduler(**NOISE, clip_sample=False)


def shipped_scheduler():
    """Stable Diffusion 1.x's own scheduler_config.json."""
    return PNDMScheduler(**NOISE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)


def load_tokenizer(work):
    return CLIPTokenizer.from_pretrained(work / "tokenizer")
