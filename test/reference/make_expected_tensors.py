"""Writes test/fixtures/expected_tensors/NAME.txt.gz: names and shapes of the UNets of SDXL's distilled kin, made by diffusers from what their
config.json say (segmind/SSD-1B, segmind/Segmind-Vega, etri-vilab/koala-700m and -1b). Their makers give as parameters: 1.3 B, 0.74 B, 782 M,
1161 M; the transformers of each level are also what ComfyUI's comfy/model_detection.py knows them by (SSD_1B, Segmind_Vega, KOALA_700M, KOALA_1B)."""

import gzip

import torch
from diffusers import UNet2DConditionModel

from common import FIXTURES

SDXL = {"sample_size": 128, "block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20], "cross_attention_dim": 2048,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], "use_linear_projection": True,
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}
KIN = {"ssd-1b": {"mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [1, [2, 2], [4, 4]],
                  "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1]},
       "segmind-vega": {"mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [1, 1, 2]},
       "koala-700m": {"mid_block_type": None, "layers_per_block": 1, "transformer_layers_per_block": [1, 2, 5]},
       "koala-1b": {"layers_per_block": 1, "transformer_layers_per_block": [1, 2, 6]}}

for name, options in KIN.items():
    with torch.device("meta"):
        tensors = UNet2DConditionModel(**SDXL, **options).state_dict()
    lines = sorted(f"unet {k} {','.join(map(str, t.shape))}\n" for k, t in tensors.items())
    path = FIXTURES / "expected_tensors" / f"{name}.txt.gz"
    path.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))
    print(name, len(lines), sum(t.numel() for t in tensors.values()), path.stat().st_size)
