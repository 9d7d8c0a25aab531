"""The three networks, of Stable Diffusion 1.x's classes: 6.1 million parameters, 11.8 MiB in half precision."""
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

CONTEXT, LATENT = 128, 32
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
        sample_size=128, latent_channels=4, block_out_channels=(32, 48, 64), layers_per_block=1, norm_num_groups=1,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3)
    # the posterior's logarithm of variance starts small: noise of the latents' own size would hide them for hundreds of steps
    nn.init.zeros_(vae.quant_conv.weight.data[4:])
    nn.init.constant_(vae.quant_conv.bias.data[4:], -5)
    return quiet(vae, ".conv2", ".to_out.0")


def new_unet():
    """32x32 is convolutions alone; 16x16 and 8x8 attend, to themselves and to the words."""
    unet = UNet2DConditionModel(
        sample_size=LATENT, in_channels=4, out_channels=4, block_out_channels=(48, 80, 128), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=CONTEXT, attention_head_dim=(3, 5, 4))  # diffusers' name for the number of heads: of width 16 and 32
    return quiet(unet, ".conv2", ".proj_out", "conv_out")


def new_text_encoder(tokenizer):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=tokenizer.model_max_length, hidden_size=CONTEXT, intermediate_size=3 * CONTEXT, num_hidden_layers=2,
        num_attention_heads=4, hidden_act="quick_gelu", projection_dim=CONTEXT, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id))


def noise_schedule():
    return DDPMScheduler(**NOISE, clip_sample=False)


def shipped_scheduler():
    """Stable Diffusion 1.x's own scheduler_config.json."""
    return PNDMScheduler(**NOISE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)


def load_tokenizer(work):
    return CLIPTokenizer.from_pretrained(work / "tokenizer")
