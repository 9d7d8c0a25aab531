"""What every fixture maker shares: where fixtures go, and settings under which torch repeats itself bit for bit."""

import pathlib
import warnings

import diffusers
import torch
import transformers

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
