"""What test_processes.py compares: the same trainings by two processes and by one, in double precision.

Started by torchrun it is two processes, which leave what they found in the folder that they are given.
"""

import shutil
import sys
from pathlib import Path

import torch
from torch import distributed, nn

from spoofcache.engine.batch_norm import over_all_processes
from spoofcache.engine.config_file import load_config
from spoofcache.engine.processes import ALONE, join_processes, report_error_once
from spoofcache.engine.train import FitOptions, Listener, fit
from spoofcache.features.dataset import CachedFeatures

CPU = torch.device("cpu")

CONFIG = """
[loss]
class_weights = { bonafide = 0.9, spoof = 0.1 }

[optimizer]
lr = 1e-3

[train]
epochs = 2
batch_size = 8
seed = 1
"""

LCNN = ("backend.name=lcnn", "backend.settings.dropout=0")

TRAININGS = {
    "lcnn": (*LCNN, "train.average=swa", "optimizer.clip_norm=0.5"),
    "res2net": ("backend.name=res2net", "train.micro_batch=4", "train.balanced=true", "train.epochs=1"),
    "per_process": (*LCNN, "train.batch_norm=per_process"),
    "dropout": ("backend.name=lcnn", "backend.settings.dropout=0.5", "train.average=ema"),
}
"""Run folder → overrides. Of 27 utterances the last batch has 3, which two processes cannot share evenly."""

NORMS = {
    "images": (nn.BatchNorm2d, (3, 4, 5), {}),
    "no_affine": (nn.BatchNorm2d, (3, 4, 5), {"affine": False}),
    "vectors": (nn.BatchNorm1d, (3,), {"momentum": None}),
    "sequences": (nn.BatchNorm1d, (3, 7), {"momentum": 0.3}),
}
"""Case → batch norm, shape [C, …] of an utterance, and settings."""

FIRST = 2
"""Utterances of five that the first process has in a case of NORMS."""


def in_double():
    """Have networks made, and features read, in float64, where training says float32."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double


def train(folder, name, run, processes=ALONE, **options):
    """On the config and the caches of `folder`."""
    config = load_config(folder / "config.toml", TRAININGS[name])
    caches = (CachedFeatures(folder / part) for part in ("train", "dev"))
    return fit(config, *caches, run, FitOptions(processes=processes, **options))


def norm_case(name):
    """Batch norm, its input [5, C, …] and the gradient of its output."""
    make, shape, settings = NORMS[name]
    random = torch.Generator().manual_seed(0)
    x, gradient = 100 + torch.randn(2, 5, *shape, generator=random)  # far from 0, where squares cancel
    norm = make(shape[0], **settings)
    for parameter in norm.parameters():
        nn.init.normal_(parameter, generator=random)
    return norm, x, gradient


def through(norm, x, gradient):
    """Two passes in training and one in evaluation: outputs, the gradients of the first, and the norm's state; the
    gradients of its parameters."""
    x = x.clone().requires_grad_()
    y = norm(x)
    y.backward(gradient)
    norm(2 * x.detach())
    gradients = {name: parameter.grad for name, parameter in norm.named_parameters()}
    return {"y": y.detach(), "x": x.grad, "state": norm.state_dict(), "eval": norm.eval()(x).detach()}, gradients


def main(folder, out):
    processes = join_processes(CPU)
    assert (processes.count, distributed.get_world_size()) == (2, 2)
    found = {}
    for name in NORMS:
        norm, x, gradient = norm_case(name)
        over_all_processes(norm, CPU)
        own = slice(FIRST) if processes.is_main else slice(FIRST, None)
        found[name] = through(norm, x[own], gradient[own])
    after_one = Listener(epoch=lambda line: line.epoch or shutil.copytree(out / "dropout", out / "resumed"))
    for name in TRAININGS:
        listener = after_one if name == "dropout" else Listener()
        found[f"best of {name}"] = train(folder, name, out / name, processes, listener=listener)[:-1]  # but its seconds
    train(folder, "dropout", out / "resumed", processes, resume=True)
    torch.save(found, out / f"found{processes.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    in_double()
    with report_error_once():
        main(*map(Path, sys.argv[1:]))
