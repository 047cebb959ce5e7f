"""torch.compile where it pays: a network's forward pass, and the trial that decides."""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from spoofcache.engine.batch_norm import GlobalBatchNorm
from spoofcache.engine.checkpoint import Countermeasure, RunError, first_line
from spoofcache.models.output import BackendOutput

PAYS_FROM = 600.0
"""Seconds of eager steps to come from which on compiling is tried: it takes a minute or so, and may gain nothing."""

LEAST_GAIN = 1.05
"""How much faster compiled steps must be."""

TRIAL_STEPS = 3


class Forward:
    """A network's pass over features [B, …] of any type, which it sees as float32: eager, or compiled.

    Compiled it is for batches of one size, in one piece or not at all. The last, smaller batch of an epoch is eager:
    it would be compiled for itself, and a form for all sizes would be slower.

    >>> forward = Forward(Countermeasure(nn.Linear(2, 2), nn.Identity()))
    >>> forward(torch.zeros(3, 2, dtype=torch.float16)).dtype, forward.is_compiled
    (torch.float32, False)
    """

    def __init__(self, model: Countermeasure) -> None:
        self._model = model
        self.eager()

    @property
    def is_compiled(self) -> bool:
        return self._compiled is not None

    def eager(self) -> None:
        self._compiled: Callable[[torch.Tensor], BackendOutput] | None = None

    def compile(self, batch_size: int) -> None:
        """Compile for batches of that size, at the first of them."""
        self._batch_size = batch_size
        self._compiled = torch.compile(self._model, fullgraph=True, dynamic=False)

    def __call__(self, features: torch.Tensor) -> BackendOutput:
        network: Callable[[torch.Tensor], BackendOutput] = self._model
        if self._compiled is not None and len(features) == self._batch_size:
            network = self._compiled
        # outside of what is compiled: the C++ back-end mixes float16 features badly with bfloat16 ones
        return network(features.float())

    def hindrance(self, device: torch.device) -> str:
        """Why this network cannot be compiled on this machine; empty where it can."""
        if any(isinstance(module, nn.RNNBase) for module in self._model.modules()):
            return "the network has recurrent layers, which compilers leave as they are"
        if any(isinstance(module, GlobalBatchNorm | nn.SyncBatchNorm) for module in self._model.modules()):
            return "its batch norms wait for the other processes (train.batch_norm is global)"
        if device.type == "cuda" and importlib.util.find_spec("triton") is None:
            return "Triton is not installed"
        compilers = [os.environ.get("CC", "gcc"), "clang"] if device.type == "cuda" else [os.environ.get("CXX", "g++")]
        if not any(map(shutil.which, compilers)):
            return f"no {'C' if device.type == 'cuda' else 'C++'} compiler ({compilers[0]}) found"
        return ""


def settle(
    forward: Forward,
    wanted: str,
    device: torch.device,
    batch_size: int,
    seconds: float,
    steps: int,
    trial: Callable[[], object],
) -> str:
    """Compile the forward pass for batches of that size, or leave it eager; says which, and why.

    Args:
        wanted: `on` (where nothing hinders it), `off` or `auto`: where it makes `trial` faster.
        seconds: what an eager step has taken, with what the first one takes longer.
        steps: so many are to come; where they are over soon there is no trial.
        trial: does a step and waits for the device.

    Raises:
        RunError: it is wanted `on`, nothing hinders it, and yet the compiler fails.
    """
    hindrance = forward.hindrance(device)
    if wanted == "off":
        return "eager, as train.compile asks"
    if hindrance:
        return f"eager: {hindrance}"
    if wanted == "on":
        compile_or_refuse(forward, batch_size, trial, "train.compile is on")
        return "compiled, as train.compile asks"
    if seconds * steps < PAYS_FROM:
        return f"eager: too short to compile for, {seconds * steps:.0f} s"
    return _try(forward, batch_size, trial, _seconds(trial))


def compile_or_refuse(forward: Forward, batch_size: int, trial: Callable[[], object], said: str) -> None:
    """Compile the forward pass for batches of that size, and do a step: RunError, with what was `said`, if it fails."""
    forward.compile(batch_size)
    try:
        trial()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of any kind, as in `_try`
        raise RunError(
            f"{said}, but the network cannot be compiled ({first_line(error)}); expected a machine that can, or "
            "train.compile=off from the start"
        ) from error


def _try(forward: Forward, batch_size: int, trial: Callable[[], object], eager: float) -> str:
    forward.compile(batch_size)
    try:
        trial()
        compiled = _seconds(trial)
    except Exception as error:  # of any kind: the compiler's own, and those of the code that it makes
        forward.eager()
        return f"eager: the network cannot be compiled ({first_line(error)})"
    times = f"{compiled:.3f} s a step, eager {eager:.3f} s"
    if eager < LEAST_GAIN * compiled:
        forward.eager()
        return f"eager: compiled is no faster, {times}"
    return f"compiled: {times}"


def _seconds(trial: Callable[[], object]) -> float:
    """Of a step: the median of a few."""
    times = []
    for _ in range(TRIAL_STEPS):
        start = time.perf_counter()
        trial()
        times.append(time.perf_counter() - start)
    return median(times)
