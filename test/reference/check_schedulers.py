"""Random schedulers against diffusers: classes, constructor's arguments, swaps of a stored file to another class, step arguments, strengths and numbers of
steps, N of them; what diffusers refuses, we refuse. Left out is what README's limits name.

    python test/reference/check_schedulers.py [N [SEED]]        (make build/release/test_schedulers first)
"""

import contextlib
import inspect
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import diffusers
import numpy as np
import torch

import make_schedulers as fixed

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build" / "release" / "test_schedulers"

CLASSES = list(fixed.EXTRAS)
STEPS = [1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 17, 20, 25, 31, 50]
COMMON = {
    "num_train_timesteps": [1000, 1000, 1000, 500, 100, 777],
    "beta_start": [0.00085, 0.0001, 0.001], "beta_end": [0.012, 0.02, 0.03],
    "beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2"],
    "prediction_type": ["epsilon", "v_prediction", "sample"], "steps_offset": [0, 1, 1, 3], "timestep_spacing": fixed.SPACINGS,
    "clip_sample": [False, True], "clip_sample_range": [1.0, 0.5, 2.0], "set_alpha_to_one": [False, True],
    "thresholding": [False, False, False, True], "dynamic_thresholding_ratio": [0.995, 0.8], "sample_max_value": [1.0, 1.5, 4.0],
    "use_karras_sigmas": [False, True], "use_exponential_sigmas": [False, False, False, True], "use_beta_sigmas": [False, False, False, True],
    "sigma_min": [None, 0.05, 0.2], "sigma_max": [None, 5.0, 14.0], "final_sigmas_type": ["zero", "sigma_min"],
    "solver_order": [1, 2, 2, 3], "lower_order_final": [True, False], "euler_at_final": [False, True],
    "use_lu_lambdas": [False, False, True], "rescale_betas_zero_snr": [False, False, False, True],
    "skip_prk_steps": [False, True], "predict_x0": [True, False], "disable_corrector": [[], [0], [0, 1, 5]],
    "variance_type": ["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"],
    "interpolation_type": ["linear", "log_linear"], "timestep_type": ["discrete", "discrete", "continuous"],
    "original_inference_steps": [50, 50, 100, 25], "timestep_scaling": [10.0, 3.0],
    "solver_type": ["midpoint", "heun"], "algorithm_type": ["dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"],
}
OF_CLASS = {
    "UniPCMultistepScheduler": {"solver_type": ["bh1", "bh2"]},
    "DEISMultistepScheduler": {"solver_type": ["logrho"], "algorithm_type": ["deis"], "thresholding": [False]},
    "DPMSolverSinglestepScheduler": {"algorithm_type": ["dpmsolver++", "sde-dpmsolver++", "dpmsolver"]},
    "DDPMScheduler": {"beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace"]},
    "HeunDiscreteScheduler": {"beta_schedule": ["linear", "scaled_linear", "squaredcos_cap_v2", "exp"]},
    "EDMEulerScheduler": {"sigma_min": [0.002, 0.1], "sigma_max": [80.0, 20.0], "sigma_data": [0.5, 1.0], "rho": [7.0, 5.0], "sigma_schedule": ["karras", "exponential"],
                          "prediction_type": ["epsilon", "v_prediction"], "num_train_timesteps": [1000]},
}
OF_CLASS["EDMDPMSolverMultistepScheduler"] = {**OF_CLASS["EDMEulerScheduler"], "algorithm_type": ["dpmsolver++", "sde-dpmsolver++"]}
ARGUMENTS = {
    "DDIMScheduler": {"eta": [0.0, 0.3, 1.0], "use_clipped_model_output": [False, True]}, "TCDScheduler": {"eta": [0.0, 0.3, 1.0]},
    "EulerDiscreteScheduler": {"s_churn": [0.0, 3.0], "s_noise": [1.0, 1.05], "s_tmin": [0.0, 0.1]},
    "EDMEulerScheduler": {"s_churn": [0.0, 3.0], "s_noise": [1.0, 1.05]},
}


def pick(r, pools, share):
    return {k: r.choice(v) for k, v in pools.items() if r.random() < share}


def config_of(r, cls):
    accepted = inspect.signature(getattr(diffusers, cls).__init__).parameters
    pools = {**COMMON, **OF_CLASS.get(cls, {})}
    config = pick(r, {k: v for k, v in pools.items() if k in accepted}, r.choice([0.15, 0.3, 0.6]))
    if "trained_betas" in accepted and r.random() < 0.05:
        n = config.get("num_train_timesteps", 1000)
        config["trained_betas"] = [round(0.0005 + 0.01 * i / n, 7) for i in range(n)]
    return config


def direct(r, cls):
    config, arguments = config_of(r, cls), pick(r, ARGUMENTS.get(cls, {}), 0.4)
    n = r.choice(STEPS)
    strength = r.choice([0.05, 0.3, 0.5, 0.58, 0.75, 0.99, 1.0]) if r.random() < 0.25 else None
    if strength and int(n * strength) == 0:  # diffusers goes on with no steps
        strength = None
    return fixed.case_of(cls, "random", config, n, arguments, strength, full=r.random() < 0.5)


def swapped(r, stored):
    """A file of one class loaded as itself or as another, within a pipeline or alone, and swapped."""
    name, target = f"s{len(stored)}", r.choice([None, *CLASSES])
    while name not in stored:
        cls = r.choice([c for c in CLASSES if not c.startswith("EDM")])
        config = {"_class_name": cls, **config_of(r, cls)}
        if (target or "").startswith("EDM"):  # has no default for a null
            config = {k: v for k, v in config.items() if v is not None}
        try:
            fixed.piped(config, fixed.NO_PIPELINE).set_timesteps(10)  # a file that its own class takes: ours is not asked whether it would
            stored[name] = config
        except (ValueError, NotImplementedError):
            pass
    case = {"tag": f"{name}: {cls}", "stored": name, "pipeline": r.choice([fixed.SD_PIPELINE, fixed.INPAINT_PIPELINE, fixed.NO_PIPELINE]), "target": target,
            "num_inference_steps": r.choice(STEPS)}
    return attempt(case, stored, False)


def attempt(case, stored, full):
    def make():
        if "cls" in case:
            return getattr(diffusers, case["cls"])(**case["config"])
        scheduler = fixed.piped(stored[case["stored"]], case["pipeline"])
        return getattr(diffusers, case["target"]).from_config(scheduler.config) if case["target"] else scheduler

    return fixed.attempt(case, make, case["num_inference_steps"], case.get("step_kwargs", {}), case.get("strength"), full)


class Wide:
    """A module whose float32 is float64."""

    def __init__(self, module):
        self.module, self.float32 = module, module.float64

    def __getattr__(self, name):
        return getattr(self.module, name)


@contextlib.contextmanager
def widely():
    modules = {sys.modules[getattr(diffusers, c).__module__] for c in CLASSES}
    for m in modules:
        m.np, m.torch = Wide(np), Wide(torch)
    try:
        yield
    finally:
        for m in modules:
            m.np, m.torch = np, torch


def own_error(case, stored, what, index):
    """How far diffusers' f32 takes it from its own formulas in f64: some differences cancel to nearly nothing."""
    asked = {k: v for k, v in case.items() if k in ("tag", "cls", "config", "stored", "pipeline", "target", "num_inference_steps", "step_kwargs", "strength")}
    key, full = "traj_first4" if what.startswith("x after") else what, "traj_first4" in case or what in ("timesteps", "sigmas")
    values = lambda: np.array(attempt(asked, stored, full)[key], np.float64)
    narrow = values()
    with widely():
        wide = values()
    fixed.DTYPE = torch.float32
    all_narrow = values()
    fixed.DTYPE = torch.float64
    error = np.maximum(np.abs(narrow - wide), np.abs(narrow - all_narrow))
    return error[index] if what in ("timesteps", "sigmas") else error.max()


def judge(line, cases, stored):
    """Whether what the test complains of is more than diffusers' own rounding."""
    case = cases[int(re.search(r" (\d+) \(", line)[1])]
    if line.endswith("DEISMultistepScheduler: thresholding is not supported by this scheduler"):  # README's limits name it
        return True
    found = re.search(r"\): ([a-z][a-z0-9 ]*)\[(\d+)\]: expected (\S+), found (\S+)$", line)
    if found and "refused" not in case:
        off, own = abs(float(found[3]) - float(found[4])), own_error(case, stored, found[1], int(found[2]))
        if off <= 4 * own or (found[1] == "timesteps" and off <= 1e-4):  # whole ones by chance
            print(f"within rounding: off by {off:.2g}, diffusers itself by {own:.2g}: {line}")
            return True
    if "expected to be refused" in line and "refused" not in case:  # it computes NaN: of two levels that are one but for rounding?
        with widely():
            if np.isfinite(np.array(attempt(dict(case), stored, False).get("final", np.nan), np.float64)).all():
                print(f"within rounding: diffusers computes NaN in f32 alone: {line}")
                return True
    print(f"WRONG: {line}\n    {json.dumps(case)[:500]}")
    return False


def main():
    n, seed = [int(a) for a in [*sys.argv[1:], *["1500", "1"][len(sys.argv) - 1:]]]
    r, stored, cases = random.Random(seed), {}, []
    fixed.draw_as_we_do()
    for i in range(n):
        cases.append(swapped(r, stored) if r.random() < 0.4 else direct(r, r.choice(CLASSES)))
        cases[-1]["tag"] += f" {i}"
    refused = sum("refused" in c for c in cases)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump({"z": fixed.Z, "stored": stored, "cases": cases}, f)
        f.flush()
        print(f"{n} schedulers of seed {seed}, {refused} of them refused by diffusers", flush=True)
        run = subprocess.run([PROGRAM, f.name], capture_output=True, text=True, check=False)
    lines = [line.split(": ", 1)[1] for line in (run.stdout + run.stderr).splitlines() if line.startswith(f.name) and " steps): " in line]
    wrong = sum(not judge(line, cases, stored) for line in lines)
    print(f"{n} schedulers, {n - len(lines)} equal, {len(lines) - wrong} within diffusers' rounding, {wrong} wrong")
    sys.exit(wrong > 0 or (run.returncode != 0 and not lines))


if __name__ == "__main__":
    main()
