"""Writes test/fixtures/models/safety-checker.safetensors: the checker of synthetic/safety-checker.json, stage by stage.

    tower/pixels [1,3,42,42], tower/MODULE [1,T,16] of each block, tower/visual_projection [1,16]
    compare/embeds [N,16], compare/cosines [N,20]: the 3 special ones, then the 17 concepts
    rule/scores [N,20], rule/flagged [N] of those: StableDiffusionSafetyChecker.forward's own, around its thresholds"""

import torch
from PIL import Image
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion import safety_checker as module

from common import FIXTURES, deterministic, save_tensors
from make_models import Recorder, add
from make_synthetic import checked
from synthetic import picture

BLOCKS = r"vision_model\.(embeddings|pre_layrnorm|encoder\.layers\.\d+|post_layernorm)|visual_projection"


def tower(out, pipe):
    image = Image.fromarray(picture("seen.png", 70, 53, 3))
    pixels = pipe.feature_extractor(image, return_tensors="pt").pixel_values
    with Recorder(pipe.safety_checker, BLOCKS) as blocks:
        pipe.safety_checker(clip_input=pixels, images=torch.zeros(1, 3, 8, 8))
    add(out, "tower", {"pixels": pixels, **blocks})


def near_thresholds(checker, generator):
    """Embeddings whose cosine to one of the 20 is its threshold, give or take what rounding and the adjustment of 0.01 decide."""
    embeds = torch.cat([checker.special_care_embeds, checker.concept_embeds])
    allowed = torch.cat([checker.special_care_embeds_weights, checker.concept_embeds_weights])
    rows = [torch.randn(16, generator=generator) for _ in range(64)]
    for e, w in zip(embeds, allowed):
        unit = e / e.norm()
        for more in (-0.0106, -0.0094, -0.0006, 0.0, 0.0004, 0.0006, 0.002):
            across = torch.randn(16, generator=generator)
            across = across - across @ unit * unit
            c = w + more
            rows.append(c * unit + (1 - c * c).sqrt() * across / across.norm())
    return torch.stack(rows)


class Spy:
    """Stands for the module's cosine_distance and round, and remembers what they gave."""

    def __init__(self):
        self.cosines, self.scores = [], []
        self.cosine_distance = module.cosine_distance

    def distance(self, x, y):
        result = self.cosine_distance(x, y)
        self.cosines.append(result.clone())
        return result

    def round(self, value, digits):
        result = round(value, digits)
        self.scores.append(float(result))
        return result


def decisions(checker, embeds):
    spy = Spy()
    module.cosine_distance, module.round = spy.distance, spy.round
    checker.vision_model, checker.visual_projection = lambda x: (None, x), torch.nn.Identity()
    _, flagged = checker(clip_input=embeds, images=torch.zeros(len(embeds), 3, 8, 8))
    return torch.cat(spy.cosines, 1), torch.tensor(spy.scores).reshape(len(embeds), 20), torch.tensor(flagged)


def main():
    deterministic()
    pipe = checked("safety-checker").load(StableDiffusionPipeline)
    out = {}
    tower(out, pipe)
    del pipe.safety_checker._modules["vision_model"], pipe.safety_checker._modules["visual_projection"]
    embeds = near_thresholds(pipe.safety_checker, torch.Generator().manual_seed(5))
    cosines, scores, flagged = decisions(pipe.safety_checker, embeds)
    print(len(embeds), "embeddings,", int(flagged.sum()), "flagged,", int((scores[:, :3] > 0).any(1).sum()), "with special care")
    out.update({"compare/embeds": embeds, "compare/cosines": cosines, "rule/scores": scores, "rule/flagged": flagged.float()})
    save_tensors(FIXTURES / "models" / "safety-checker.safetensors", out)


if __name__ == "__main__":
    main()
