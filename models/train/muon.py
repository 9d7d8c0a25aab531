"""Muon (Jordan et al. 2024): momentum whose every direction of a weight matrix counts the same, by a Newton-Schulz iteration.

Convolutions count as matrices of one row for each output channel. The update is scaled as Adam's would be (Liu et al. 2025), so that both share a learning rate.
"""
import torch

OUTER = "conv_in", "conv_out", "quant_conv", "embedding", "head"  # first and last layers, which are Adam's
STEPS, COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)


def is_matrix(name, p):
    return p.ndim >= 2 and not any(part in name for part in OUTER)


def matrix(t):
    """[rows, columns]; of a convolution in the order that channels_last keeps it in."""
    return t.permute(0, 2, 3, 1).flatten(1) if t.ndim == 4 else t


def orthogonal(g):
    """The nearest matrices [n, short, long] to g whose singular values are all about 1."""
    a, b, c = COEFFICIENTS
    x = g / (g.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Parameters whose matrices are of one size share a group, and their iterations go together."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.01):
        shapes = {}
        for p in params:
            shapes.setdefault((len(p), p[0].numel()), []).append(p)
        super().__init__([{"params": same} for same in shapes.values()], {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params, beta = group["params"], group["momentum"]
            state, g = self.state[params[0]], torch.stack([matrix(p.grad) for p in params])
            if not state:
                state["mean"] = torch.zeros_like(g)
            mean = state["mean"].lerp_(g, 1 - beta)
            g.lerp_(mean, beta)
            update = orthogonal(g.mT.contiguous()).mT if g.shape[1] > g.shape[2] else orthogonal(g)
            keep, rate = 1 - group["lr"] * group["weight_decay"], -0.2 * group["lr"] * max(g.shape[1:]) ** 0.5
            for p, u in zip(params, update):
                u = u.view(len(p), *p.shape[2:], p.shape[1]).permute(0, 3, 1, 2) if p.ndim == 4 else u
                p.mul_(keep).add_(u, alpha=rate)
