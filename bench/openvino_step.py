"""Times OpenVINO on the CPU, to stand beside `diffuse` on the same cores: pip install openvino==2026.4.1 beside test/reference/requirements.txt.

    python bench/openvino_step.py -m DIR --threads 2 --repetitions 3                 one UNet step: batch 2, 512x512, 77 tokens
    python bench/openvino_step.py -m DIR --part vae                                  a decode

The checkpoint's own weights, converted by OpenVINO's PyTorch frontend (kept beside the checkpoint, in DIR/openvino), static shapes, latency.
Prints one JSON line a repetition, as diffusers_step.py does; the first ("warmup") pays for page faults."""

import argparse
import json
import pathlib
import resource
import time

import numpy
import openvino


def converted(model, part, shapes):
    """The part as OpenVINO's own files, made once."""
    path = model / "openvino" / ("-".join([part] + ["x".join(map(str, s)) for s in shapes]) + ".xml")
    if not path.exists():
        import diffusers
        import torch

        class Step(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = diffusers.UNet2DConditionModel.from_pretrained(model / "unet")

            def forward(self, sample, context):
                return self.net(sample, torch.tensor(500), context, return_dict=False)[0]

        class Decode(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = diffusers.AutoencoderKL.from_pretrained(model / "vae")

            def forward(self, latents):
                return self.net.decode(latents, return_dict=False)[0]

        net = (Step if part == "unet" else Decode)().eval()
        with torch.no_grad():
            found = openvino.convert_model(net, example_input=tuple(torch.randn(*s) for s in shapes), input=[list(s) for s in shapes])
        path.parent.mkdir(exist_ok=True)
        openvino.save_model(found, path, compress_to_fp16=False)
    return path


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("-m", "--model", type=pathlib.Path, required=True)
    p.add_argument("--part", choices=("unet", "vae"), default="unet")
    p.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--repetitions", type=int, default=3)
    p.add_argument("-W", "--width", type=int, default=512)
    p.add_argument("-H", "--height", type=int, default=512)
    a = p.parse_args()

    config = json.loads((a.model / "unet" / "config.json").read_text())
    latents = (2 if a.part == "unet" else 1, config["in_channels"], a.height // 8, a.width // 8)
    shapes = [latents] + ([(2, 77, config["cross_attention_dim"])] if a.part == "unet" else [])
    path = converted(a.model, a.part, shapes)
    start = time.perf_counter()
    hints = {
        "INFERENCE_NUM_THREADS": a.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32" if a.dtype == "fp32" else "bf16",
        "EXECUTION_MODE_HINT": "ACCURACY" if a.dtype == "fp32" else "PERFORMANCE",
    }
    request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
    case = {"program": f"openvino {openvino.__version__.split('-')[0]}", "what": a.part, "dtype": a.dtype, "threads": a.threads}
    print(json.dumps(case | {"load_ms": round((time.perf_counter() - start) * 1e3, 1)}), flush=True)
    inputs = [numpy.random.default_rng(0).standard_normal(s, dtype=numpy.float32) for s in shapes]
    for i in range(a.repetitions + 1):
        start, used = time.perf_counter(), time.process_time()
        request.infer(inputs)
        ms, cpu_ms = ((time.perf_counter() - start) * 1e3, (time.process_time() - used) * 1e3)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        which = {"warmup": True} if i == 0 else {"repetition": i}
        print(json.dumps(case | which | {"ms": round(ms, 2), "cpu_ms": round(cpu_ms, 2), "peak_mib": peak}), flush=True)


if __name__ == "__main__":
    main()
