"""What every fixture maker shares: where fixtures go, and settings under which torch repeats itself bit for bit."""

import pathlib
import warnings

import diffusers
import torch
import transformers
from safetensors.torch import save_file

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
CHECKPOINTS = ("tiny-sd1", "tiny-sd2")


def deterministic():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    warnings.filterwarnings("ignore")
    diffusers.logging.set_verbosity_error()
    diffusers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def load_pipeline(folder):
    """diffusers 0.42.1's clip_skip reads text_encoder.text_model, which transformers >= 5 has flattened away: the alias
    gives it its meaning back. Set past torch, or the module would contain itself."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)  # transformers takes the files' type if not told
    if not hasattr(pipe.text_encoder, "text_model"):
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def save_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: t.clone().contiguous() for k, t in tensors.items()}, path)
    path.chmod(0o644)
