"""Writes test/fixtures/dpt/NAME.json and .safetensors: what each stage of tiny depth estimators computes, weights by synthetic.py's rule.

Tensors are named SIDE/STAGE, for a picture of that side: "x" [1,3,S,S], "out" [1,1,D,D], and, where all are kept, the stages' outputs as torch
has them. make_dpt.py --names writes test/fixtures/expected_tensors/dpt-hybrid-midas.txt: the tensors of the real one."""

import json
import sys

import torch
from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

from common import FIXTURES, deterministic, save_tensors
from synthetic import noise, values

FILE = "depth_estimator/model.safetensors"
# The names, the first of ours that differ: of a module, of a tap (engine/nets).
STAGES = [("dpt.embeddings.backbone.bit.embedder", "backbone.stem"), ("dpt.embeddings.backbone.bit.encoder.stages.", "backbone.stage"),
          ("dpt.embeddings", "dpt.embeddings"), ("dpt.encoder.layer.", "dpt.encoder.layers."), ("neck.reassemble_stage.layers.", None), ("neck.convs.", None),
          ("neck.fusion_stage.layers.", None), ("head.head.0", None)]


def stage_of(name):
    for module, ours in STAGES:
        rest = name[len(module):]
        if name.startswith(module) and (rest == "" and not module.endswith(".") or module.endswith(".") and rest.isdigit()):
            return f"backbone.stage{int(rest) + 1}" if ours == "backbone.stage" else ours + rest if ours else name
    return None


def tensor_of(output):
    return output if isinstance(output, torch.Tensor) else output.last_hidden_states


def backbone(**options):
    return BitConfig(**{"layer_type": "bottleneck", "global_padding": "SAME", "embedding_dynamic_padding": True, "embedding_size": 8,
                        "hidden_sizes": [16, 24, 40, 48], "depths": [2, 1, 3], "num_groups": 4, "out_features": ["stage1", "stage2", "stage3"],
                        **options})


def config(**options):
    return DPTConfig(**{"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 24,
                        "patch_size": 8, "neck_hidden_sizes": [8, 12, 16, 20], "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3],
                        **options})


def hybrid(**options):
    return config(**{"is_hybrid": True, "backbone_config": backbone(), "image_size": 48, "patch_size": 16, "reassemble_factors": [1, 1, 1, 0.5],
                     "neck_hidden_sizes": [16, 24, 16, 20], "backbone_featmap_shape": [1, 40, 3, 3], "backbone_out_indices": [0, 1, 1, 3], **options})


def write(name, config, sides, stages=True):
    model = DPTForDepthEstimation(config).eval()
    shapes = {k: list(t.shape) for k, t in sorted(model.state_dict().items()) if t.is_floating_point()}
    state = {k: values(f"{FILE}:{k}", s) for k, s in shapes.items()}
    model.load_state_dict(state, strict=False)
    out, hooks = {}, []
    for side in sides:
        case = {"x": torch.from_numpy(noise(f"{name}.{side}", 3 * side * side).reshape(1, 3, side, side))}
        for path, module in model.named_modules():
            stage = stage_of(path)
            skipped = config.is_hybrid and path in ("neck.reassemble_stage.layers.0", "neck.reassemble_stage.layers.1")
            if stage and stages and not skipped:
                hooks.append(module.register_forward_hook(lambda m, i, o, stage=stage: case.update({stage: tensor_of(o).clone()})))
        with torch.no_grad():
            case["out"] = model(case["x"]).predicted_depth[:, None]
        for hook in hooks:
            hook.remove()
        assert case["out"].max() > case["out"].min() + 0.05, (name, case["out"].min(), case["out"].max())
        out |= {f"{side}/{k}": v for k, v in case.items()}
    path = FIXTURES / "dpt" / name
    path.parent.mkdir(exist_ok=True)
    save_tensors(path.with_suffix(".safetensors"), out)
    files = {"model_index.json": {"_class_name": "Depth", "depth_estimator": ["transformers", "DPTForDepthEstimation"]},
             "depth_estimator/config.json": json.loads(config.to_json_string())}
    path.with_suffix(".json").write_text(json.dumps({"files": files, "links": {}, "weights": {FILE: shapes}, "pictures": {}, "sides": list(sides)},
                                                    separators=(",", ":")) + "\n")
    print(name, {s: (out[f"{s}/out"].min().item(), out[f"{s}/out"].max().item()) for s in sides})


def names():
    with torch.device("meta"):
        model = DPTForDepthEstimation(DPTConfig(is_hybrid=True, neck_hidden_sizes=[256, 512, 768, 768], reassemble_factors=[1, 1, 1, 0.5]))
    lines = [f"{k} {','.join(map(str, t.shape))}\n" for k, t in model.state_dict().items()]
    (FIXTURES / "expected_tensors" / "dpt-hybrid-midas.txt").write_text("".join(lines))
    print(len(lines), "tensors", sum(t.numel() for t in model.state_dict().values()), "parameters")


def main():
    deterministic()
    if sys.argv[1:] == ["--names"]:
        return names()
    write("hybrid", hybrid(), [48])
    write("vit", config(), [24])
    write("vit-sizes", config(readout_type="add", image_size=40, backbone_out_indices=[3, 1, 2, 0]), [16, 32], stages=False)
    write("vit-ignore", config(layer_norm_eps=0.01, readout_type="ignore", qkv_bias=False, use_batch_norm_in_fusion_residual=True, head_in_index=2), [24], stages=False)
    write("vit-norm-bias", config(use_batch_norm_in_fusion_residual=True, use_bias_in_fusion_residual=True, reassemble_factors=[3, 1, 0.5, 0.25]), [24], stages=False)
    write("vit-projection", config(fusion_hidden_size=256, add_projection=True, neck_hidden_sizes=[4, 4, 4, 4], head_in_index=1), [16], stages=False)


if __name__ == "__main__":
    main()
