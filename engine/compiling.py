"""torch.compile for a network's forward pass: used if a timed trial shows that it is faster.

The choice is made once per training. All processes follow it, and so does a resumed run.
"""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from spoofcache.engine.about import RunError, first_line
from spoofcache.engine.batch_norm import GlobalBatchNorm
from spoofcache.engine.config import TrainConfig
from spoofcache.engine.optim import Forward, Updater
from spoofcache.engine.processes import Processes

PAYS_FROM = 600.0
"""Shortest remaining eager computation, in seconds, for which compiling is tried: trying it takes about a minute."""

LEAST_GAIN = 1.05
"""How many times faster compiled steps must be to be kept."""

TRIAL_STEPS = 3
"""Number of steps that a trial times."""


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
        reason = obstacle(self.forward.model, self.device)
        if reason:
            return f"eager: {reason}"
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


class CompileChoice:
    """The choice between the eager and the compiled forward pass of an updater.

    Args:
        updater: its forward pass may be compiled.
        config: `compile`, and `epochs` for the time that the training may take.
        row_shape: shape of one utterance's features.
        processes: that train together; the main one decides.

    Raises:
        RunError: `compile` is `on`, and the network cannot be compiled on this machine.
    """

    def __init__(self, updater: Updater, config: TrainConfig, row_shape: tuple[int, ...], processes: Processes) -> None:
        self._updater, self._config, self._row_shape, self._processes = updater, config, row_shape, processes
        if config.compile == "on":
            require_compiler(updater.forward.model, processes.device, "train.compile is on")

    def decide(self, features: torch.Tensor, labels: torch.Tensor, seconds_per_step: float) -> str:
        """Decide after the first updates; returns a phrase that says how the training computes, and why.

        Args:
            features: this process's share [B, …] of a batch, which the trial uses.
            labels: class indices [B].
            seconds_per_step: duration of an update that was not the first one, which would hold the start-up of a GPU.
        """
        phrase = ""
        if self._processes.is_main:
            seconds_ahead = seconds_per_step * self._updater.steps_per_epoch * self._config.epochs
            phrase = self._trial(features, labels).choose(self._config.compile, seconds_ahead)
        compiled, phrase = self._processes.broadcast((self.is_compiled, phrase))
        if compiled and not self.is_compiled:
            self._compile("the main process compiles the network")
        return phrase

    def restore(self, run: str) -> None:
        """Compile the network of a resumed run that was compiled when it began, whatever a trial would say today.

        Raises:
            RunError: the network cannot be compiled on this machine.
        """
        reason = f"{run}: begun with a compiled network"
        require_compiler(self._updater.forward.model, self._processes.device, reason)
        self._compile(reason)

    @property
    def is_compiled(self) -> bool:
        return self._updater.forward.is_compiled

    def _compile(self, reason: str) -> None:
        """Compile without a trial; the compiler runs in a step on features of zeros."""
        size = self._updater.part_size
        features = torch.zeros(size, *self._row_shape).to(self._processes.device)
        self._trial(features, torch.zeros(size, dtype=torch.long)).compile(reason)

    def _trial(self, features: torch.Tensor, labels: torch.Tensor) -> CompileTrial:
        size = self._updater.part_size
        features, labels = features[:size], labels[:size]
        return CompileTrial(
            self._updater.forward,
            self._processes.device,
            size,
            lambda: self._updater.trial_step(features, labels),
        )


def require_compiler(model: nn.Module, device: torch.device, purpose: str) -> None:
    """RunError, which begins with the purpose, if a network cannot be compiled on this machine."""
    reason = obstacle(model, device)
    if reason:
        raise RunError(
            f"{purpose}, but {reason}; expected a machine that can compile it, or train.compile=off from the start"
        )


def obstacle(model: nn.Module, device: torch.device) -> str:
    """The reason why a network cannot be compiled on this machine; empty if it can."""
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return "the network has recurrent layers, which torch.compile does not speed up"
    if any(isinstance(module, GlobalBatchNorm | nn.SyncBatchNorm) for module in model.modules()):
        return "its batch norms exchange statistics between processes (train.batch_norm is global)"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    compilers = [os.environ.get("CC", "gcc"), "clang"] if device.type == "cuda" else [os.environ.get("CXX", "g++")]
    if not any(map(shutil.which, compilers)):
        return f"no {'C' if device.type == 'cuda' else 'C++'} compiler ({compilers[0]}) found"
    return ""
