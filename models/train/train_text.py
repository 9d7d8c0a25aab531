"""Trains the text encoder, before there are any pictures: its states must tell the recipe of a caption.

    python train_text.py --work DIR --minutes 3

A linear map of the mean over a caption's states, and one of its last state, must say what the recipe's subjects, colours, style
and so on are. The UNet's cross-attention then has words to read from the start.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from captions import BACKGROUNDS, COLOURS, STYLES, SUBJECTS, typed
from illustrator import training_recipe
from networks import CONTEXT, begin, load_tokenizer, new_text_encoder
from trainer import Training, arguments

ITEM = {"subject": [None, *SUBJECTS], "colour": [None, *COLOURS], "count": [None, 1, 2, 3]}
ANSWERS = {f"{k} {n}": v for n in (1, 2) for k, v in ITEM.items()} | {"style": list(STYLES), "background": list(BACKGROUNDS), "layout": ["one", "many", "beside", "above"]}


def answers(recipe):
    items = recipe["items"] + [dict.fromkeys(ITEM)]
    said = {f"{k} {n}": items[n - 1][k] for n in (1, 2) for k in ITEM} | {k: recipe[k] for k in ("style", "background", "layout")}
    return [ANSWERS[k].index(said[k]) for k in ANSWERS]


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.sizes = [len(v) for v in ANSWERS.values()]
        self.mean, self.last = nn.Linear(CONTEXT, sum(self.sizes)), nn.Linear(CONTEXT, sum(self.sizes))

    def forward(self, states):
        return [head(s).split(self.sizes, 1) for head, s in ((self.mean, states.mean(1)), (self.last, states[:, -1]))]

    def save_pretrained(self, folder):
        pass  # of no use afterwards


def main():
    args = arguments(__doc__, batch=128, lr=2e-3)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(args.work)
    text = begin(args.work, "text_encoder", new_text_encoder(tokenizer)).to(args.device)
    heads = Heads().to(args.device)
    t = Training("text", args, {"text_encoder": text, "heads": heads}, args.lr, 0.99)
    r = np.random.default_rng([6, t.step])
    for _ in t.steps():
        recipes = [training_recipe(r) for _ in range(args.batch)]
        ids = tokenizer([typed(r, x) for x in recipes], padding="max_length", truncation=True, return_tensors="pt").input_ids
        truth = torch.tensor([answers(x) for x in recipes], device=args.device).unbind(1)
        guesses = heads(text(ids.to(args.device)).last_hidden_state)
        t.update(sum(F.cross_entropy(g, w) for head in guesses for g, w in zip(head, truth)))
        if t.step % 200 == 0:
            right = [(g.argmax(1) == w).float().mean().item() for g, w in zip(guesses[0], truth)]
            print(t.step, *[f"{k} {v:.0%}" for k, v in zip(ANSWERS, right)], flush=True)


if __name__ == "__main__":
    main()
