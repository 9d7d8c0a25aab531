"""A small network that says what a picture shows: subject, colour, style. Trained on the illustrator's own pictures; it only keeps score.

    python classifier.py --work DIR --minutes 6 [--device cuda --batch 256]
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from captions import COLOURS, STYLES, SUBJECTS
from encode import load_vae
from illustrator import draw, draw_recipe
from trainer import Training, arguments

LABELS = {"subject": list(SUBJECTS), "colour": list(COLOURS), "style": list(STYLES)}
CHANNELS = (3, 24, 48, 96, 128, 160)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for a, b in zip(CHANNELS, CHANNELS[1:]):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        layers += [nn.Conv2d(CHANNELS[-1], CHANNELS[-1], 3, padding=1), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({k: nn.Linear(2 * CHANNELS[-1], len(v)) for k, v in LABELS.items()})

    def forward(self, x):
        f = self.features(x)
        f = torch.cat([f.mean((2, 3)), f.amax((2, 3))], 1)
        return {k: head(f) for k, head in self.heads.items()}

    def save_pretrained(self, folder):
        folder.mkdir(exist_ok=True)
        torch.save(self.state_dict(), folder / "weights.pt")


def load(work):
    net = Classifier().eval()
    net.load_state_dict(torch.load(work / "classifier" / "weights.pt", map_location="cpu", weights_only=True))
    return net


def to_tensor(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def labels(recipe):
    """The numbers of subject, colour and style; -100 for a colour that was not asked for."""
    item = recipe["items"][0]
    named = {"subject": item["subject"], "colour": item["colour"], "style": recipe["style"]}
    return {k: LABELS[k].index(v) if v else -100 for k, v in named.items()}


def single(r):
    while True:
        recipe = draw_recipe(r)
        if recipe["layout"] == "one":
            return recipe


@torch.no_grad()
def spoil(x, vae):
    """Generated pictures are never quite sharp or clean: nor are these. Every second one has been through the autoencoder, with some noise on the latents."""
    half = len(x) // 2
    z = vae.encode(x[:half]).latent_dist.mean
    x = torch.cat([vae.decode(z + 0.3 * torch.rand(half, 1, 1, 1, device=x.device) * torch.randn_like(z)).sample.clamp(-1, 1), x[half:]])
    if torch.rand(()) < 0.5:
        k = torch.rand(()).item()
        x = (1 - k) * x + k * F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return x + torch.randn_like(x) * torch.rand(len(x), 1, 1, 1, device=x.device) * 0.1


def batch(r, count, device):
    recipes = [single(r) for _ in range(count)]
    wanted = [labels(x) for x in recipes]
    return to_tensor([draw(x) for x in recipes]).to(device), {k: torch.tensor([w[k] for w in wanted], device=device) for k in LABELS}


def right(answers, wanted):
    return {k: (answers[k].argmax(1) == wanted[k])[wanted[k] >= 0].float().mean().item() for k in LABELS}


def main():
    args = arguments(__doc__, batch=32, lr=2e-3)
    torch.manual_seed(0)
    net = Classifier().to(args.device)
    t = Training("classifier", args, {"classifier": net}, args.lr, 0.99)
    vae = load_vae(args.work, args.device, "decoder" if (args.work / "decoder").exists() else "autoencoder")
    r = np.random.default_rng([4, t.step])
    for _ in t.steps():
        x, wanted = batch(r, args.batch, args.device)
        answers = net(spoil(x, vae))
        t.update(sum(F.cross_entropy(answers[k], wanted[k]) for k in LABELS))
    with torch.no_grad():
        x, wanted = batch(np.random.default_rng(5), 1000, args.device)
        print("on 1000 new pictures:", {k: f"{v:.1%}" for k, v in right(t.averaged["classifier"](x), wanted).items()})
        x, wanted = x[:200], {k: v[:200] for k, v in wanted.items()}
        x = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in x.split(20)])
        print("through the autoencoder, 200:", {k: f"{v:.1%}" for k, v in right(t.averaged["classifier"](x), wanted).items()})


if __name__ == "__main__":
    main()
