"""torch.compile for a network's forward pass, used where a timed trial shows that it pays."""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from spoofcache.engine.batch_norm import GlobalBatchNorm
from spoofcache.engine.checkpoint import Countermeasure, RunError, first_line
from spoofcache.models.output import BackendOutput

PAYS_FROM = 600.0
"""Seconds of eager computation ahead from which on compiling is tried: it takes a minute or so, and may not pay."""

LEAST_GAIN = 1.05
"""How many times faster compiled steps must be to be kept."""

TRIAL_STEPS = 3


class Forward:
    """A network's pass over features [B, …] of any floating type, which it sees as float32; eager, or compiled.

    It is compiled as one graph for batches of a single size. The last, smaller batch of an epoch stays eager: it would
    be compiled for itself, and a graph for all sizes would be slower.

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
        """Compute without the compiler from now on."""
        self._compiled: Callable[[torch.Tensor], BackendOutput] | None = None

    def compile(self, batch_size: int) -> None:
        """Compile for batches of that size; the compiler runs at the first of them."""
        self._batch_size = batch_size
        self._compiled = torch.compile(self._model, fullgraph=True, dynamic=False)

    def __call__(self, features: torch.Tensor) -> BackendOutput:
        network: Callable[[torch.Tensor], BackendOutput] = self._model
        if self._compiled is not None and len(features) == self._batch_size:
            network = self._compiled
        # converted outside of the compiled graph: the C++ back-end mixes float16 features badly with bfloat16 ones
        return network(features.float())

    def obstacle(self, device: torch.device) -> str:
        """Why this network cannot be compiled on this machine; empty if it can."""
        if any(isinstance(module, nn.RNNBase) for module in self._model.modules()):
            return "the network has recurrent layers, which torch.compile does not speed up"
        if any(isinstance(module, GlobalBatchNorm | nn.SyncBatchNorm) for module in self._model.modules()):
            return "its batch norms exchange statistics between processes (train.batch_norm is global)"
        if device.type == "cuda" and importlib.util.find_spec("triton") is None:
            return "Triton is not installed"
        compilers = [os.environ.get("CC", "gcc"), "clang"] if device.type == "cuda" else [os.environ.get("CXX", "g++")]
        if not any(map(shutil.which, compilers)):
            return f"no {'C' if device.type == 'cuda' else 'C++'} compiler ({compilers[0]}) found"
        return ""


@dataclass(frozen=True)
class CompileTrial:
    """A forward pass that may be compiled for batches of `batch_size`, and a step to try it with.

    `step` runs the forward pass and its gradient for one batch, and waits for the device.
    """

    forward: Forward
    device: torch.device
    batch_size: int
    step: Callable[[], object]

    def choose(self, wanted: str, seconds_ahead: float) -> str:
        """Compile the forward pass or leave it eager; returns a phrase that says which, and why.

        Args:
            wanted: `train.compile`: `on`, `off` or `auto` (compile if the trial is faster for it).
            seconds_ahead: estimated duration of the eager steps to come.

        Raises:
            RunError: `wanted` is `on`, nothing is known to prevent it, and the compiler fails nevertheless.
        """
        if wanted == "off":
            return "eager, as train.compile asks"
        obstacle = self.forward.obstacle(self.device)
        if obstacle:
            return f"eager: {obstacle}"
        if wanted == "on":
            self.compile("train.compile is on")
            return "compiled, as train.compile asks"
        if seconds_ahead < PAYS_FROM:
            return f"eager: the training is too short for compiling to pay, {seconds_ahead:.0f} s"
        return self._faster()

    def compile(self, reason: str) -> None:
        """Compile the forward pass and run a step; RunError, which begins with the reason, if the compiler fails."""
        self.forward.compile(self.batch_size)
        try:
            self.step()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the compiler's own errors, and any error of the code that it generates
            raise RunError(
                f"{reason}, but the network cannot be compiled ({first_line(error)}); expected a machine that can "
                "compile it, or train.compile=off from the start"
            ) from error

    def _faster(self) -> str:
        eager = self._seconds()
        self.forward.compile(self.batch_size)
        try:
            self.step()
            compiled = self._seconds()
        except Exception as error:  # as in `compile`; here the training goes on without the compiler
            self.forward.eager()
            return f"eager: the network cannot be compiled ({first_line(error)})"
        times = f"{compiled:.3f} s per step, eager {eager:.3f} s"
        if eager < LEAST_GAIN * compiled:
            self.forward.eager()
            return f"eager: compiled is no faster, {times}"
        return f"compiled: {times}"

    def _seconds(self) -> float:
        """Median duration of a few steps."""
        times = []
        for _ in range(TRIAL_STEPS):
            start = time.perf_counter()
            self.step()
            times.append(time.perf_counter() - start)
        return median(times)


def require_compiler(forward: Forward, device: torch.device, reason: str) -> None:
    """RunError, which begins with the reason, if the forward pass cannot be compiled on this machine."""
    obstacle = forward.obstacle(device)
    if obstacle:
        raise RunError(
            f"{reason}, but {obstacle}; expected a machine that can compile it, or train.compile=off from the start"
        )
