"""What both trainings share: a time budget, a learning rate, averaged weights, and a state file to resume from."""
import argparse
import copy
import os
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from muon import Muon, is_matrix


def arguments(description, **defaults):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--work", type=Path, default=Path("build/doodle"), help="folder of every file made on the way")
    p.add_argument("--minutes", type=float, required=True, help="of training in all, those of earlier runs included")
    p.add_argument("--deadline", type=float, default=float("inf"), help="stop and save at this time (seconds of the epoch), to be resumed")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (cpu) or drawing processes (cuda)")
    p.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    for name, value in defaults.items():
        p.add_argument(f"--{name}", type=type(value), default=value)
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads if args.device == "cpu" else 1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return args


class Training:
    """Trains the modules for a number of minutes: `for step in t.steps(): t.update(loss)`.

    The learning rate warms up, stays, and falls to zero over the last quarter of the budget; state/NAME.pt holds everything,
    so a run that is stopped goes on from its last save, and one that is given more minutes goes back to the full rate.
    """

    def __init__(self, name, args, modules, lr, decay, save_every=180, muon=False):
        self.name, self.args, self.modules, self.lr, self.decay, self.save_every = name, args, modules, lr, decay, save_every
        self.averaged = {k: copy.deepcopy(m).requires_grad_(False) for k, m in modules.items()}
        named = [(n, p) for m in modules.values() for n, p in m.named_parameters() if p.requires_grad]
        self.live = [p for _, p in named]
        parts = [p for n, p in named if not (muon and is_matrix(n, p))], [p for n, p in named if muon and is_matrix(n, p)]
        self.optimizers = [torch.optim.AdamW(parts[0], lr=lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)] + [Muon(p, lr) for p in parts[1:] if p]
        self.step, self.before, self.logged = 0, 0.0, []
        self.path, self.csv = args.work / "state" / f"{name}.pt", args.work / f"{name}.csv"
        self.path.parent.mkdir(exist_ok=True)
        if self.path.exists():
            state = torch.load(self.path, map_location=args.device, weights_only=True)
            for k, m in modules.items():
                m.load_state_dict(state["modules"][k])
                self.averaged[k].load_state_dict(state["averaged"][k])
            for optimizer, before in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(before)
            self.step, self.before = state["step"], state["seconds"]
            print(f"{name}: resumed at step {self.step}, {self.before / 60:.1f} min", flush=True)
        elif not self.csv.exists():
            self.csv.write_text("step,minutes,lr,loss\n")
        torch.manual_seed(self.step + 1)

    def seconds(self):
        return self.before + time.monotonic() - self.start

    def progress(self):
        return min(1.0, self.seconds() / (60 * self.args.minutes))

    def autocast(self):
        return torch.autocast(self.args.device.split(":")[0], torch.bfloat16) if self.args.amp else nullcontext()

    def steps(self):
        self.start = saved = time.monotonic()
        while self.seconds() < 60 * self.args.minutes:
            yield self.step
            if time.monotonic() - saved > self.save_every:
                self.save()
                saved = time.monotonic()
            if time.time() > self.args.deadline:
                self.save()
                raise SystemExit(75)
        self.save()

    def update(self, loss):
        rate = self.lr * min(1, (self.step + 1) / 200, 4 * (1 - self.progress()) + 1e-3)
        for p in self.live:
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.live, 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        keep = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for k, m in self.modules.items():
                torch._foreach_lerp_(list(self.averaged[k].parameters()), list(m.parameters()), 1 - keep)
        self.step += 1
        self.logged.append(loss.detach())
        if self.step % 50 == 0:
            mean = torch.stack(self.logged).mean().item()
            self.logged.clear()
            with self.csv.open("a") as f:
                f.write(f"{self.step},{self.seconds() / 60:.2f},{rate:.2e},{mean:.5f}\n")
            assert mean == mean, "the loss is not a number"

    def save(self):
        state = {"modules": {k: m.state_dict() for k, m in self.modules.items()}, "averaged": {k: m.state_dict() for k, m in self.averaged.items()},
                 "optimizers": [o.state_dict() for o in self.optimizers], "step": self.step, "seconds": self.seconds()}
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").rename(self.path)
        for k, m in self.averaged.items():
            m.save_pretrained(self.args.work / k)
