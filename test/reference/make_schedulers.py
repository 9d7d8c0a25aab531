"""test/fixtures/schedulers/CLASS.json and swaps.json: what diffusers' schedulers make of a model of one line.

    python test/reference/make_schedulers.py [CLASS… | swaps]        (diffusers 0.42.1, torch 2.15.0, scipy)

Each case is a whole run: model(x, t) = 0.7 tanh(x) + 0.1 cos(0.01 t) on sixteen values, x0 = z init_noise_sigma (or, with a strength,
0.8 z noised as image to image does), f32 noise from torch's CPU generator, all
else in f64, so that the cases hold diffusers' arithmetic and not its rounding (Euler's and DPM-Solver's step() goes through f32). Text to image leaves the scheduler to find its place by the
timestep; image to image tells it the index. Kept: timesteps and sigmas (with the first prediction type only), four values after some of the
rows, all values at the end; null where diffusers computes NaN, "refused" where it raises.
"""
import inspect
import json
import os
import sys
import warnings

import torch

import diffusers

warnings.simplefilter("ignore")
diffusers.utils.logging.set_verbosity(50)

Z = [0.5, -1.25, 0.1, 2.0, -0.3, 0.0, 1.5, -2.2, 0.75, -0.6, 1.1, -0.05, 0.9, -1.8, 0.33, -0.9]
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
STEPS = [1, 2, 3, 7, 10, 20, 50]
SPACINGS = ["leading", "trailing", "linspace"]
KARRAS, EXPONENTIAL, BETA = ({"use_%s_sigmas" % k: True} for k in ("karras", "exponential", "beta"))
V, SAMPLE = {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}
DPM = {"final_sigmas_type": "sigma_min"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

# Beyond the grid, on top of SD: (config, step arguments, steps).
EXTRAS = {
    "PNDMScheduler": [
        ({"skip_prk_steps": True, "set_alpha_to_one": True}, {}, [3, 20]),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [10]),
        ({"num_train_timesteps": 500}, {}, [4, 5, 13]),
        *[({"skip_prk_steps": True, "timestep_spacing": s, **p}, {}, STEPS) for s in SPACINGS for p in ({}, V)],
        ({"skip_prk_steps": True}, {}, [61, 333, 1000]),
        ({"skip_prk_steps": True, "timestep_spacing": "trailing"}, {}, [61, 1000]),
    ],
    "DDIMScheduler": [
        ({"clip_sample": False, "set_alpha_to_one": False}, {"eta": e}, [1, 5, 20]) for e in (0.3, 1.0)
    ] + [
        (SAMPLE, {"eta": 0.5}, [5]), (V, {"eta": 0.5}, [5]),
        ({}, {"use_clipped_model_output": True}, [5]),
        ({"clip_sample_range": 0.5, **V}, {"use_clipped_model_output": True}, [5]),
        ({"thresholding": True, "sample_max_value": 1.5}, {}, [1, 7]),
        ({"thresholding": True, "sample_max_value": 3.0, "dynamic_thresholding_ratio": 0.8, **V}, {"eta": 0.3}, [7]),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]),
        ({"clip_sample": False, **ZERO_SNR, **V}, {}, [1, 7, 20]), ({"clip_sample": False, **ZERO_SNR, **SAMPLE}, {}, [7]),
        ({"clip_sample": False, **ZERO_SNR}, {}, [7]), (ZERO_SNR, {}, [7]), ({"thresholding": True, **ZERO_SNR}, {}, [7]),
        ({"timestep_spacing": "trailing", "clip_sample": False}, {}, [61, 1000]),
        ({}, {}, [1000]),
        ({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 777, "steps_offset": 0, "timestep_spacing": "linspace", "clip_sample_range": 2.0}, {"eta": 1.0}, [4]),
    ],
    "EulerDiscreteScheduler": [
        (extra, {}, [1, 2, 7, 20, 50]) for extra in (KARRAS, EXPONENTIAL, BETA)
    ] + [
        ({**KARRAS, "timestep_spacing": s}, {}, [10]) for s in ("leading", "trailing")
    ] + [
        ({**KARRAS, "sigma_min": 0.1, "sigma_max": 10.0}, {}, [7]), ({**EXPONENTIAL, "sigma_max": 5.0}, {}, [7]),
        ({}, {"s_churn": 5.0}, [1, 10]), (V, {"s_churn": 3.0, "s_noise": 1.1, "s_tmin": 0.1, "s_tmax": 5.0}, [10]),
        (SAMPLE, {"s_churn": 2.0}, [10]),
        ({"final_sigmas_type": "sigma_min"}, {}, [2, 10]), ({"interpolation_type": "log_linear"}, {}, [2, 10]),
        ({"timestep_type": "continuous", **V}, {}, [2, 10]), ({"timestep_type": "continuous"}, {}, [10]),
        ({**ZERO_SNR, **V}, {}, [1, 7, 20]), (ZERO_SNR, {}, [7]),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({"beta_schedule": "linear"}, {}, [7]),
        ({"timestep_spacing": "trailing"}, {}, [61]), ({**KARRAS, "timestep_spacing": "trailing"}, {}, [61]),
        ({"num_train_timesteps": 500}, {}, [7]), ({}, {}, [333, 1000]), ({**KARRAS, **BETA}, {}, [7]),
        ({"trained_betas": [0.001 * (i + 1) for i in range(20)], "num_train_timesteps": 20}, {}, [1, 5, 20]),
    ],
    "EulerAncestralDiscreteScheduler": [
        ({**ZERO_SNR, **V}, {}, [1, 7, 20]), ({"timestep_spacing": "trailing"}, {}, [61]), ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]),
        ({}, {}, [333]),
    ],
    "LMSDiscreteScheduler": [
        (extra, {}, [1, 2, 7, 20]) for extra in (KARRAS, EXPONENTIAL, BETA, {**KARRAS, **V, "timestep_spacing": "leading"})
    ] + [({"timestep_spacing": "trailing"}, {}, [61])],
    "DPMSolverMultistepScheduler": [
        ({**DPM, "algorithm_type": a, "solver_type": s, "solver_order": o}, {}, [2, 5, 20])
        for a in ("dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++") for s in ("midpoint", "heun") for o in (1, 2, 3)
    ] + [
        (extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA, {"use_lu_lambdas": True})
    ] + [
        ({**KARRAS, "algorithm_type": "sde-dpmsolver++", "solver_order": 3, "timestep_spacing": "leading", **V}, {}, [10, 20]),
        ({**KARRAS, "beta_schedule": "squaredcos_cap_v2"}, {}, [10]), ({"solver_order": 3, **SAMPLE}, {}, [5, 20]),
        ({"euler_at_final": True, **DPM}, {}, [5, 20]), ({"lower_order_final": False, **DPM}, {}, [5, 20]),
        ({"lower_order_final": False}, {}, [5]), ({"algorithm_type": "dpmsolver"}, {}, [5]),
        ({"algorithm_type": "dpmsolver", **DPM, **V}, {}, [5]), ({"algorithm_type": "dpmsolver", **DPM, **SAMPLE}, {}, [5]),
        ({"use_lu_lambdas": True, **BETA}, {}, [5]), ({"lambda_min_clipped": -2.0}, {}, [5, 20]), ({"lambda_min_clipped": -2.0, "timestep_spacing": "trailing"}, {}, [5]),
        ({"lambda_min_clipped": -2.0, "timestep_spacing": "leading"}, {}, [5]),
        ({"thresholding": True, "sample_max_value": 2.0}, {}, [1, 7]), ({"thresholding": True, "solver_order": 3, **V}, {}, [7]),
        ({**ZERO_SNR, **V}, {}, [1, 7, 20]), ({**ZERO_SNR, "algorithm_type": "sde-dpmsolver++", **V}, {}, [7]), (ZERO_SNR, {}, [7]),
        ({"timestep_spacing": "trailing"}, {}, [61]), ({}, {}, [333, 1000]), ({"solver_order": 3}, {}, [333]),
        ({**EXPONENTIAL, **DPM, "use_lu_lambdas": True, "algorithm_type": "sde-dpmsolver", "num_train_timesteps": 100, "beta_start": 0.001, "beta_schedule": "linear",
          "steps_offset": 0, **SAMPLE}, {}, [2, 3, 5, 7, 10]),
    ],
    "UniPCMultistepScheduler": [
        ({**DPM, "predict_x0": x, "solver_type": t, "solver_order": o}, {}, [2, 5, 20])
        for x in (True, False) for t in ("bh1", "bh2") for o in (1, 2, 3)
    ] + [
        (extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA)
    ] + [
        ({**KARRAS, **DPM, "sigma_min": 0.1, "sigma_max": 10.0}, {}, [7]), ({**EXPONENTIAL, **DPM}, {}, [7]),
        ({"solver_type": "bh1"}, {}, [5]), ({"predict_x0": False}, {}, [5]), ({"lower_order_final": False}, {}, [5]),
        ({"lower_order_final": False, **DPM}, {}, [5, 20]), ({"disable_corrector": [0, 1, 5]}, {}, [10]),
        ({"predict_x0": False, **DPM, **V}, {}, [7]), ({"predict_x0": False, **DPM, **SAMPLE}, {}, [7]),
        ({"predict_x0": False, **DPM, "thresholding": True}, {}, [7]), ({"thresholding": True, "sample_max_value": 2.0}, {}, [1, 7]),
        ({**ZERO_SNR, **V}, {}, [1, 7, 20]), (ZERO_SNR, {}, [7]), ({"timestep_spacing": "trailing"}, {}, [61]),
        ({"beta_schedule": "squaredcos_cap_v2", **KARRAS}, {}, [7]), ({"solver_order": 3}, {}, [333]), ({}, {}, [1000]),
    ],
    "HeunDiscreteScheduler": [
        (extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA, {"clip_sample": True, "clip_sample_range": 1.2, "timestep_spacing": "leading"})
    ] + [
        ({"clip_sample": True, **V}, {}, [7]), ({"clip_sample": True, **SAMPLE}, {}, [7]), ({"beta_schedule": "exp"}, {}, [7]),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({"timestep_spacing": "trailing"}, {}, [61]), ({}, {}, [333]),
    ],
    "DDPMScheduler": [
        ({"variance_type": t}, {}, [1, 10, 50]) for t in ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log")
    ] + [
        ({"clip_sample": False, "variance_type": t}, {}, [20]) for t in ("fixed_small", "fixed_small_log", "fixed_large")
    ] + [
        ({"beta_schedule": t, "clip_sample": False}, {}, [7]) for t in ("squaredcos_cap_v2", "sigmoid", "laplace")
    ] + [
        ({"thresholding": True, "sample_max_value": 2.0}, {}, [1, 7]), ({"thresholding": True, **V}, {}, [7]),
        ({"clip_sample_range": 0.5, **SAMPLE}, {}, [7]), ({**ZERO_SNR, "clip_sample": False, **V}, {}, [1, 7, 20]), (ZERO_SNR, {}, [7]),
        ({"timestep_spacing": "trailing"}, {}, [61]), ({"steps_offset": 0, "clip_sample": False}, {}, [20, 333, 1000]),
        ({"steps_offset": 0, "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}, {}, [1000]),
    ],
    "KDPM2DiscreteScheduler": [(extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA)] + [
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({"timestep_spacing": "trailing"}, {}, [61]), ({}, {}, [333]),
    ],
    "KDPM2AncestralDiscreteScheduler": [(extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA)] + [
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({"timestep_spacing": "trailing"}, {}, [61]), ({}, {}, [333]),
    ],
    "DEISMultistepScheduler": [
        ({"solver_order": o}, {}, [2, 5, 20, 50]) for o in (1, 3)
    ] + [
        (extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA, {**KARRAS, "solver_order": 3, **V})
    ] + [
        ({"lower_order_final": False, "solver_order": 3}, {}, [5]), ({"algorithm_type": "dpmsolver++", "solver_type": "heun"}, {}, [5]),
        ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({"timestep_spacing": "trailing"}, {}, [61]), ({}, {}, [333]),
    ],
    "DPMSolverSinglestepScheduler": [
        ({**DPM, "algorithm_type": a, "solver_type": s, "solver_order": o}, {}, [2, 6, 20])
        for a in ("dpmsolver", "dpmsolver++", "sde-dpmsolver++") for s in ("midpoint", "heun") for o in (1, 2, 3)
    ] + [
        ({"solver_order": o, "lower_order_final": l}, {}, [1, 2, 3, 4, 5, 6, 7, 9]) for o in (2, 3) for l in (False, True)
    ] + [
        (extra, {}, [1, 2, 10, 50]) for extra in (KARRAS, EXPONENTIAL, BETA)
    ] + [
        ({"lambda_min_clipped": -2.0}, {}, [6]), ({"thresholding": True, "sample_max_value": 2.0}, {}, [1, 7]),
        ({"algorithm_type": "dpmsolver"}, {}, [6]), ({"beta_schedule": "squaredcos_cap_v2"}, {}, [7]), ({}, {}, [333]),
    ],
    "EDMEulerScheduler": [
        ({"sigma_schedule": s, "final_sigmas_type": f, **p}, a, STEPS) for s in ("karras", "exponential") for f in ("zero", "sigma_min")
        for p in ({}, V) for a in ({}, {"s_churn": 5.0, "s_noise": 1.01})
    ] + [({"sigma_min": 0.1, "sigma_max": 20.0, "sigma_data": 1.0, "rho": 5.0}, {"s_churn": 2.0, "s_tmin": 1.0, "s_tmax": 10.0}, [7])],
    "EDMDPMSolverMultistepScheduler": [
        ({"sigma_schedule": s, "final_sigmas_type": f, "solver_order": o, "solver_type": t, "algorithm_type": a, **p}, {}, [1, 2, 3, 7, 20])
        for s, f, p in (("karras", "zero", {}), ("exponential", "sigma_min", V)) for o in (1, 2, 3) for t in ("midpoint", "heun")
        for a in ("dpmsolver++", "sde-dpmsolver++")
    ] + [
        ({"lower_order_final": False}, {}, [7]), ({"euler_at_final": True, "final_sigmas_type": "sigma_min"}, {}, [20]),
        ({"thresholding": True, "sample_max_value": 2.0}, {}, [1, 7]), ({"algorithm_type": "deis"}, {}, [6]),
        ({"sigma_min": 0.1, "sigma_max": 20.0, "sigma_data": 1.0, "rho": 5.0}, {}, [7]), ({"solver_type": "bh2"}, {}, [6]),
    ],
    "LCMScheduler": [
        ({}, {}, [4, 8, 25, 51]), ({"original_inference_steps": 100}, {}, [4, 75]), ({"timestep_scaling": 3.0}, {}, [4]),
        ({"clip_sample": True, "clip_sample_range": 0.8}, {}, [4]), ({"clip_sample": True, **V}, {}, [4]),
        ({"thresholding": True, "sample_max_value": 2.0, **SAMPLE}, {}, [4]), ({**ZERO_SNR, **V}, {}, [4]), (ZERO_SNR, {}, [4]),
        ({"set_alpha_to_one": False}, {}, [4]), ({"original_inference_steps": 2000}, {}, [4]),
    ],
    "TCDScheduler": [
        ({}, {"eta": e}, [1, 4, 8]) for e in (0.0, 0.3, 1.0)
    ] + [
        (V, {"eta": 0.5}, [4]), (SAMPLE, {"eta": 0.5}, [4]), ({"original_inference_steps": 100}, {}, [4, 75]), ({}, {}, [51]),
        ({**ZERO_SNR, **V}, {}, [4]), (ZERO_SNR, {}, [4]), ({"set_alpha_to_one": False}, {}, [4]),
    ],
}


def model(x, t):
    return 0.7 * torch.tanh(x) + 0.1 * torch.cos(0.01 * t)


def randn(shape, generator=None, dtype=None, **kwargs):
    return torch.randn(shape, generator=generator).to(dtype)


def short(values, digits=7):
    return [None if v != v or abs(v) == float("inf") else float("%.*g" % (digits, v)) for v in values]


def step_arguments(scheduler, given, generator):
    accepted = inspect.signature(scheduler.step).parameters
    return dict(given, **({"generator": generator} if "generator" in accepted else {}))


DTYPE = torch.float64  # of the values
BLENDS = []  # not empty: what inpainting blends with is recorded


def start(scheduler, n, strength, generator):
    z = torch.tensor(Z).to(DTYPE).reshape(1, 4, 2, 2)
    scheduler.set_timesteps(n)
    if type(scheduler).__name__ == "DEISMultistepScheduler":
        scheduler.sigmas = scheduler.sigmas.to(DTYPE)  # in f32 its coefficients cancel, by logarithms that differ between CPUs
    if strength is None:
        if (scheduler.timesteps == scheduler.timesteps[0]).sum() > 1 and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)  # else it takes the second for the first and runs off the end
        return z * scheduler.init_noise_sigma, scheduler.timesteps
    first = (n - min(int(n * strength), n)) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    timesteps = scheduler.timesteps[first:]
    noise = randn(z.shape, generator, z.dtype)
    return scheduler.add_noise(0.8 * z, noise, timesteps[:1]), timesteps


def blend(scheduler, timesteps, i):
    """How much of the clean latents and of the noise inpainting holds the rest of the picture to behind call i."""
    one, zero = (torch.full((1, 1, 1, 1), v, dtype=DTYPE) for v in (1.0, 0.0))
    return short([float(scheduler.add_noise(a, b, timesteps[i + 1:i + 2])) for a, b in ((one, zero), (zero, one))])


def run(scheduler, n, given, strength=None, full=True):
    generator = torch.Generator("cpu").manual_seed(0)
    x, timesteps = start(scheduler, n, strength, generator)
    out = {} if strength is None else {"noised": short(x.flatten().tolist(), 9)}
    arguments = step_arguments(scheduler, given, generator)
    rows = sorted({0, len(timesteps) // 2} & set(range(len(timesteps) - 1))) if full else []
    trajectory, blends = [], []
    for i, t in enumerate(timesteps):
        x = scheduler.step(model(scheduler.scale_model_input(x, t), t), t, x, **arguments).prev_sample
        if i in rows:
            trajectory.append(short(x.flatten()[:4].tolist()))
        if BLENDS and i + 1 < len(timesteps):
            blends.append(blend(scheduler, timesteps, i))
    if BLENDS:
        out["blend"] = blends
    out["init_noise_sigma"] = float("%.8g" % float(scheduler.init_noise_sigma))
    out["order"] = scheduler.order
    if full:
        out["timesteps"] = short(timesteps.tolist(), 9)
        if strength is None and hasattr(scheduler, "sigmas"):
            out["sigmas"] = short(scheduler.sigmas.tolist())
    elif strength is None and len(timesteps) <= 20:
        out["timesteps"] = short(timesteps.tolist(), 9)
    if rows:
        out["traj_rows"], out["traj_first4"] = rows, trajectory
    out["final"] = short(x.flatten().tolist())
    return out


def attempt(case, make, *args, **kwargs):
    """The case with what diffusers made of it, or why it did not."""
    try:
        return dict(case, **run(make(), *args, **kwargs))
    except Exception as e:  # whatever diffusers raises is its refusal
        return dict(case, refused=f"{type(e).__name__}: {str(e)[:80]}")


def takes(cls, key):
    return key in inspect.signature(getattr(diffusers, cls).__init__).parameters


def case_of(cls, tag, config, n, arguments=None, strength=None, full=True):
    config = {k: v for k, v in config.items() if takes(cls, k)}
    case = {"tag": tag, "cls": cls, "config": config, "num_inference_steps": n}
    if arguments:
        case["step_kwargs"] = arguments
    if strength is not None:
        case["strength"] = strength
    return attempt(case, lambda: getattr(diffusers, cls)(**config), n, arguments or {}, strength, full)


def grid(cls):
    for spacing in SPACINGS if takes(cls, "timestep_spacing") else [None]:
        space = {"timestep_spacing": spacing} if spacing else {}
        for prediction in ("epsilon", "v_prediction", "sample"):
            for n in STEPS:
                config = {**SD, **space, "prediction_type": prediction}
                yield case_of(cls, f"sd {spacing} {prediction}", config, n, full=prediction == "epsilon" and n < 50)
        for n in (1, 4, 20):
            yield case_of(cls, f"default {spacing}", space, n, full=n < 20)


def extras(cls):
    for config, arguments, steps in EXTRAS.get(cls, []):
        for n in steps:
            yield case_of(cls, "extra", {**SD, **config}, n, arguments, full=n < 30)


def image_to_image(cls):
    for strength in (0.3, 0.58, 1.0):
        for config in (SD, {**SD, "timestep_spacing": "leading", "skip_prk_steps": True, "clip_sample": False, **V}):
            yield case_of(cls, "image to image", config, 10, strength=strength, full=False)


def inpainting(classes):
    """Karras' levels are not those of the timesteps beside them, which are rounded."""
    BLENDS.append(True)
    for cls in classes:
        for config in [SD] + ([{**SD, **KARRAS}] if takes(cls, "use_karras_sigmas") else []):
            if not cls.startswith("EDM"):
                yield case_of(cls, "inpainting", config, 10, strength=0.6, full=False)
    BLENDS.clear()


# scheduler_config.json as checkpoints have it, or had it.
STORED = {
    "sd15": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SD, "clip_sample": False, "num_train_timesteps": 1000,
             "set_alpha_to_one": False, "skip_prk_steps": True, "trained_betas": None},
    "sd14 outdated": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.2.2", "beta_start": 0.00085, "beta_end": 0.012,
                      "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "skip_prk_steps": True},
    "pndm with Runge-Kutta": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SD, "steps_offset": 0, "skip_prk_steps": False},
    "ddim outdated": {"_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                      "clip_sample": True, "steps_offset": 0},
    "sd21 v": {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", **SD, "clip_sample": False, "num_train_timesteps": 1000,
               "prediction_type": "v_prediction", "set_alpha_to_one": False, "skip_prk_steps": True, "trained_betas": None},
    "sdxl": {"_class_name": "EulerDiscreteScheduler", **SD, "clip_sample": False, "interpolation_type": "linear",
             "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
             "skip_prk_steps": True, "timestep_spacing": "leading", "trained_betas": None, "use_karras_sigmas": False},
    "ddpm": {"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear", "clip_sample": True,
             "num_train_timesteps": 1000, "variance_type": "fixed_small"},
    "dpm": {"_class_name": "DPMSolverMultistepScheduler", **SD, "algorithm_type": "dpmsolver++", "solver_order": 2,
            "solver_type": "heun", "lower_order_final": True, "thresholding": False, "use_karras_sigmas": True},
    "deis": {"_class_name": "DEISMultistepScheduler", **SD, "algorithm_type": "dpmsolver", "solver_type": "heun", "solver_order": 3},
    "unipc": {"_class_name": "UniPCMultistepScheduler", **SD, "solver_type": "bh1", "predict_x0": True,
              "disable_corrector": [0, 1], "use_karras_sigmas": True, "sigma_max": 10.0, "sigma_min": 0.05,
              "final_sigmas_type": "sigma_min"},
    "a class of another family": {"_class_name": "FlowMatchEulerDiscreteScheduler", **SD, "shift": 3.0, "use_flow_sigmas": False,
                                  "beta_schedule": "of no class", "trained_betas": [0.001 + 0.00001 * i for i in range(1000)]},
    "declared defaults": {"_class_name": "EulerDiscreteScheduler", **SD, "timestep_spacing": "leading",
                          "_use_default_values": ["timestep_spacing"]},
}
SD_PIPELINE, INPAINT_PIPELINE, NO_PIPELINE = "StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "none"


def piped(stored, pipeline, class_name=None):
    """The scheduler as it sits in a loaded pipeline, whose index names the class."""
    scheduler = getattr(diffusers, class_name or stored["_class_name"]).from_config(dict(stored))
    if pipeline == NO_PIPELINE:
        return scheduler
    unet = tiny_unet() if pipeline == INPAINT_PIPELINE else None
    return getattr(diffusers, pipeline)(vae=None, text_encoder=None, tokenizer=None, unet=unet, scheduler=scheduler, safety_checker=None,
                                        feature_extractor=None, requires_safety_checker=False).scheduler


def tiny_unet():
    """The constructor asks for its config."""
    return diffusers.UNet2DConditionModel(sample_size=64, block_out_channels=[4], down_block_types=["DownBlock2D"], up_block_types=["UpBlock2D"], norm_num_groups=1, attention_head_dim=1)


def swaps(classes):
    for name, stored in STORED.items():
        if stored["_class_name"] not in classes:
            continue
        for pipeline in (SD_PIPELINE, INPAINT_PIPELINE, NO_PIPELINE):
            for target in [None] + (classes if pipeline == SD_PIPELINE else ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"]):
                case = {"tag": f"{name} in {pipeline}", "stored": name, "pipeline": pipeline, "target": target,
                        "num_inference_steps": 5}

                def make():
                    scheduler = piped(stored, pipeline)
                    return getattr(diffusers, target).from_config(scheduler.config) if target else scheduler

                yield attempt(case, make, 5, {}, full=False)
    for name in ("sd15", "dpm", "unipc", "a class of another family"):
        for class_name in classes:
            for target in [None] if class_name == STORED[name]["_class_name"] else [None, "DDIMScheduler", "UniPCMultistepScheduler"]:
                case = {"tag": f"{name} as {class_name}", "stored": name, "class_name": class_name, "pipeline": SD_PIPELINE,
                        "target": target, "num_inference_steps": 5}

                def make():
                    scheduler = piped(STORED[name], SD_PIPELINE, class_name)
                    return getattr(diffusers, target).from_config(scheduler.config) if target else scheduler

                yield attempt(case, make, 5, {}, full=False)
    for target, overrides in (("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
                              ("DDIMScheduler", {"timestep_spacing": "trailing", "set_alpha_to_one": True}),
                              ("DDIMScheduler", {"rescale_betas_zero_snr": True, **V})):
        case = {"tag": "sd15 with options", "stored": "sd15", "pipeline": SD_PIPELINE, "target": target,
                "overrides": overrides, "num_inference_steps": 5}
        yield attempt(case, lambda: getattr(diffusers, target).from_config(piped(STORED["sd15"], SD_PIPELINE).config, **overrides), 5, {})


def write(name, cases):
    path = os.path.join(os.path.dirname(__file__), "..", "fixtures", "schedulers", name + ".json")
    with open(path, "w") as f:
        f.write('{"about":"diffusers %s, torch %s; made by test/reference/make_schedulers.py","z":%s,\n"stored":%s,\n"cases":[\n' %
                (diffusers.__version__, torch.__version__, json.dumps(Z), json.dumps(STORED if name == "swaps" else {})))
        f.write(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
        f.write("\n]}\n")


def draw_as_we_do():
    for cls in EXTRAS:
        module = sys.modules[getattr(diffusers, cls).__module__]
        if hasattr(module, "randn_tensor"):
            module.randn_tensor = randn


def main():
    draw_as_we_do()
    for name in sys.argv[1:] or [*EXTRAS, "swaps", "inpainting"]:
        if name in ("swaps", "inpainting"):
            write(name, globals()[name](list(EXTRAS)))
        else:
            write(name, [*grid(name), *extras(name), *image_to_image(name)])


if __name__ == "__main__":
    main()
