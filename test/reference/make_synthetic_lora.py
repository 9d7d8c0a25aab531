"""Writes test/fixtures/synthetic/lora*: LoRAs in every way of naming, as make_synthetic.py does checkpoints. What diffusers reads as the file means
it is drawn by diffusers with peft; the rest (its alphas of mixed files, the original layout's names, LoHa, LoKr) by adding to the weights what
each file's own format says, the products of the last two by peft's functions."""

import json
import sys

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft.tuners.loha.layer import make_weight as loha_weight
from peft.tuners.lokr.layer import make_kron
from safetensors.torch import load_file, save_file

import make_synthetic_xl
import original_layout
from common import deterministic
from make_synthetic import TEXT, UNET, stable_diffusion, unet
from make_synthetic_single import TEXT_2, xl_tensors
from synthetic import Checkpoint, values

PROMPT, COMMON = "a photo of a cat", ["a photo of a cat", "-s", 7, "--steps", 3]


def modules(checkpoint, file, wanted):
    """The names and shapes of linear layers and convolutions whose name has one of these in it."""
    w = checkpoint.weights[file]
    named = {k.removesuffix(".weight"): s for k, s in w.items() if k.endswith(".weight") and len(s) >= 2 and "embeddings" not in k}
    return {k: s for k, s in named.items() if any(x in k for x in wanted)}


def pair(name, shape, rank, down, up):
    """Factors of a module under these names."""
    kernel = shape[2:]
    return {f"{name}{down}": [rank, shape[1], *kernel], f"{name}{up}": [shape[0], rank, *([1, 1] if kernel else [])]}


def underscored(name):
    return name.replace(".", "_")


def kohya_name(file, name):
    return "lora_te_text_model_" + underscored(name) if file == TEXT else "lora_unet_" + underscored(name)


def write(checkpoint, file, tensors, metadata=None):
    """tensors: NAME -> shape, its own values; or a number."""
    checkpoint.single[file] = {k: v for k, v in tensors.items()}
    if metadata:
        checkpoint.single[file]["__metadata__"] = metadata
    data = {k: torch.tensor(v, dtype=torch.float32) if isinstance(v, float) else values(k, v) for k, v in tensors.items()}
    save_file(data, checkpoint.dir / file, metadata)
    return checkpoint.dir / file


def picture(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe(PROMPT, num_inference_steps=3, generator=[torch.Generator("cpu").manual_seed(7)], output_type="pil").images


def with_diffusers(checkpoint, *files):
    pipe = checkpoint.load(StableDiffusionPipeline)
    for i, (file, _) in enumerate(files):
        pipe.load_lora_weights(checkpoint.dir / file, adapter_name=f"a{i}")
    pipe.set_adapters([f"a{i}" for i in range(len(files))], [weight for _, weight in files])
    return picture(pipe)


def with_deltas(checkpoint, deltas):
    """deltas: (file, name) -> what is added to that weight."""
    pipe = checkpoint.load(StableDiffusionPipeline)
    state = {UNET: pipe.unet.state_dict(), TEXT: pipe.text_encoder.state_dict()}
    for (file, name), delta in deltas.items():
        weight = state[file][f"{name}.weight"]
        weight += delta.reshape(weight.shape).to(weight.dtype)
    pipe.unet.load_state_dict(state[UNET])
    pipe.text_encoder.load_state_dict(state[TEXT])
    return picture(pipe)


def product(data, up, down):
    u, d = data[up].double(), data[down].double()
    return u.flatten(1) @ d.flatten(1)


def lora():
    checkpoint = stable_diffusion("lora", unet(layers_per_block=2))
    plain = picture(checkpoint.load(StableDiffusionPipeline))
    checkpoint.add("plain", COMMON, plain)
    attention = [(UNET, k, s) for k, s in modules(checkpoint, UNET, ["attn1.", "attn2.", "ff.net", "proj_in", "proj_out"]).items()]
    text = [(TEXT, k, s) for k, s in modules(checkpoint, TEXT, ["self_attn", "mlp"]).items()]

    # kohya: one alpha for all
    tensors = {}
    for file, name, shape in attention + text:
        tensors |= pair(kohya_name(file, name), shape, 4, ".lora_down.weight", ".lora_up.weight")
        tensors[kohya_name(file, name) + ".alpha"] = 2.0
    write(checkpoint, "kohya.safetensors", tensors)
    for weight in (1.0, 0.5, -0.7):
        checkpoint.add(f"kohya-{weight}", [*COMMON, "--lora", f"@kohya.safetensors:{weight}"], with_diffusers(checkpoint, ("kohya.safetensors", weight)))
    checkpoint.add("nothing", [*COMMON, "--lora", "@kohya.safetensors:0"], plain, same_as="plain")

    # PEFT: alpha in the metadata, another for some
    few = [m for m in attention if "down_blocks.0.attentions.1" in m[1] or "mid_block" in m[1]] + text[:4]
    tensors = {}
    for file, name, shape in few:
        tensors |= pair(("text_encoder.text_model." if file == TEXT else "unet.") + name, shape, 4, ".lora_A.weight", ".lora_B.weight")
    write(checkpoint, "peft.safetensors", tensors)
    checkpoint.add("peft", [*COMMON, "--lora", "@peft.safetensors"], with_diffusers(checkpoint, ("peft.safetensors", 1.0)))
    metadata = {"r": 4, "lora_alpha": 2, "alpha_pattern": {}, "rank_pattern": {}}
    whole = {f"{part}.{k}": v for part in ("unet", "text_encoder") for k, v in metadata.items()}
    whole["unet.target_modules"] = [n for f, n, _ in few if f == UNET]
    whole["text_encoder.target_modules"] = [n for f, n, _ in few if f == TEXT]
    write(checkpoint, "adapter.safetensors", tensors, {"format": "pt", "lora_adapter_metadata": json.dumps(whole)})
    checkpoint.add("adapter", [*COMMON, "--lora", "@adapter.safetensors"], with_diffusers(checkpoint, ("adapter.safetensors", 1.0)))
    checkpoint.add("both", [*COMMON, "--lora", "@kohya.safetensors:0.5", "--lora", "@peft.safetensors:0.25"],
                   with_diffusers(checkpoint, ("kohya.safetensors", 0.5), ("peft.safetensors", 0.25)))

    # DoRA: by peft, as it stands and at half its weight
    some = few + [(UNET, k, s) for k, s in modules(checkpoint, UNET, ["mid_block.resnets.0.conv", "up_blocks.1.resnets.0.conv_shortcut"]).items()]
    tensors = {}
    for file, name, shape in some:
        key = ("text_encoder.text_model." if file == TEXT else "unet.") + name
        tensors |= pair(key, shape, 4, ".lora_A.weight", ".lora_B.weight")
        tensors[key + ".lora_magnitude_vector.weight"] = [1, shape[0], 1, 1] if len(shape) > 2 else [shape[0]]
    write(checkpoint, "dora.safetensors", tensors)
    for weight in (1.0, 0.5):
        checkpoint.add(f"dora-{weight}", [*COMMON, "--lora", f"@dora.safetensors:{weight}"], with_diffusers(checkpoint, ("dora.safetensors", weight)))

    # of 2023
    tensors = {}
    for file, name, shape in [m for m in attention if ".attn" in m[1] and "up_blocks" in m[1]]:
        old = name.replace(".to_out.0", ".processor.to_out").replace(".to_q", ".processor.to_q").replace(".to_k", ".processor.to_k").replace(".to_v", ".processor.to_v")
        tensors |= pair("unet." + old, shape, 4, "_lora.down.weight", "_lora.up.weight")
    write(checkpoint, "old.safetensors", tensors)
    checkpoint.add("old", [*COMMON, "--lora", "@old.safetensors"], with_diffusers(checkpoint, ("old.safetensors", 1.0)))

    # the original layout's names, convolutions, ranks and alphas of all kinds, some without
    tensors, named = {}, []
    everything = modules(checkpoint, UNET, ["conv", "time_emb_proj", "proj_in", "attn2.to_k", "linear_1", "ff.net.0"])
    for i, (name, shape) in enumerate(everything.items()):
        theirs = "lora_unet_" + underscored(original_layout.unet_name(name + ".weight", checkpoint.files["unet/config.json"]).removesuffix(".weight"))
        tensors |= pair(theirs, shape, 1 + i % 3, ".lora_down.weight", ".lora_up.weight")
        if i % 4:
            tensors[theirs + ".alpha"] = float(i % 4) / 2
        named.append((name, theirs))
    data = load_file(write(checkpoint, "sgm.safetensors", tensors))
    deltas = {}
    for name, theirs in named:
        rank = data[theirs + ".lora_down.weight"].shape[0]
        alpha = float(data[theirs + ".alpha"]) if theirs + ".alpha" in data else rank
        deltas[UNET, name] = 0.5 * alpha / rank * product(data, theirs + ".lora_up.weight", theirs + ".lora_down.weight")
    checkpoint.add("sgm", [*COMMON, "--lora", "@sgm.safetensors:0.5"], with_deltas(checkpoint, deltas))

    # LyCORIS
    tensors, deltas = {}, {}
    some = [m for m in attention if "mid_block" in m[1]] + [(UNET, k, s) for k, s in modules(checkpoint, UNET, ["mid_block.resnets.0.conv"]).items()]
    for file, name, shape in some:
        inner = int(np.prod(shape[1:]))
        for side in "12":
            tensors[f"{kohya_name(file, name)}.hada_w{side}_a"] = [shape[0], 3]
            tensors[f"{kohya_name(file, name)}.hada_w{side}_b"] = [3, inner]
        tensors[f"{kohya_name(file, name)}.alpha"] = 1.5
    data = load_file(write(checkpoint, "loha.safetensors", tensors))
    for file, name, shape in some:
        factors = [data[f"{kohya_name(file, name)}.hada_w{side}_{x}"].double() for side in "12" for x in "ab"]
        deltas[file, name] = loha_weight(*factors, torch.tensor(1.5 / 3))
    checkpoint.add("loha", [*COMMON, "--lora", "@loha.safetensors"], with_deltas(checkpoint, deltas))
    tensors, deltas = {}, {}
    for i, (file, name, shape) in enumerate(some):
        key, kernel = kohya_name(file, name), shape[2:]
        one, other = [2, 4], [shape[0] // 2, shape[1] // 4, *kernel]
        if i % 2:
            tensors |= {f"{key}.lokr_w1_a": [one[0], 2], f"{key}.lokr_w1_b": [2, one[1]]}
        else:
            tensors[f"{key}.lokr_w1"] = one
        if i % 3:
            tensors |= {f"{key}.lokr_w2_a": [other[0], 2], f"{key}.lokr_w2_b": [2, int(np.prod(other[1:]))]}
        else:
            tensors[f"{key}.lokr_w2"] = other
        tensors[f"{key}.alpha"] = 1.0
    data = load_file(write(checkpoint, "lokr.safetensors", tensors))
    for i, (file, name, shape) in enumerate(some):
        key = kohya_name(file, name)
        w1 = data[f"{key}.lokr_w1_a"].double() @ data[f"{key}.lokr_w1_b"].double() if i % 2 else data[f"{key}.lokr_w1"].double()
        w2 = data[f"{key}.lokr_w2_a"].double() @ data[f"{key}.lokr_w2_b"].double() if i % 3 else data[f"{key}.lokr_w2"].double()
        scale = 0.5 if i % 2 or i % 3 else 1.0
        deltas[file, name] = make_kron(w1, w2.reshape(shape[0] // 2, shape[1] // 4, *shape[2:]), torch.tensor(scale))
    checkpoint.add("lokr", [*COMMON, "--lora", "@lokr.safetensors"], with_deltas(checkpoint, deltas))
    return checkpoint


def xl():
    """SDXL as one file, and a LoRA as kohya's scripts name it there: blocks of the original layout, both text encoders."""
    c = Checkpoint("single-xl", make_synthetic_xl.pipeline(unet=make_synthetic_xl.unet(layers_per_block=2)), make_synthetic_xl.TOKENIZERS)
    make_synthetic_xl.draw(c, "plain")
    config = c.files["unet/config.json"]
    c.add_single("whole.safetensors", xl_tensors(c))
    common = [PROMPT, "-s", 7, "--steps", 3]
    c.add("whole", [*common, "-m", "@whole.safetensors", "--config", "@."], c.tensors["plain"].numpy(), same_as="plain")
    tensors = {}
    for name, shape in modules(c, UNET, ["attn1.to_q", "attn2.to_k", "ff.net.2", "proj_in"]).items():
        theirs = "lora_unet_" + underscored(original_layout.unet_name(name + ".weight", config).removesuffix(".weight"))
        tensors |= pair(theirs, shape, 4, ".lora_down.weight", ".lora_up.weight")
        tensors[theirs + ".alpha"] = 2.0
    for file, prefix in ((TEXT, "lora_te1_text_model_"), (TEXT_2, "lora_te2_text_model_")):
        for name, shape in modules(c, file, ["fc1"]).items():
            theirs = prefix + underscored(name.removeprefix("text_model."))
            tensors |= pair(theirs, shape, 4, ".lora_down.weight", ".lora_up.weight")
            tensors[theirs + ".alpha"] = 2.0
    write(c, "kohya.safetensors", tensors)
    pipe = c.load(StableDiffusionXLPipeline)
    pipe.load_lora_weights(c.dir / "kohya.safetensors", adapter_name="a")
    pipe.set_adapters(["a"], [0.6])
    images = picture(pipe)
    c.add("lora", [*common, "--lora", "@kohya.safetensors:0.6"], images)
    c.add("lora-whole", [*common, "-m", "@whole.safetensors", "--config", "@.", "--lora", "@kohya.safetensors:0.6"], images, same_as="lora")
    return c


def main():
    deterministic()
    for make in (lora, xl):
        if len(sys.argv) == 1 or make.__name__ in sys.argv[1:]:
            make().write()


if __name__ == "__main__":
    main()
