"""Whether a training computes with torch.compile: decided once, kept by all processes and by a resumed run."""

import torch

from spoofcache.engine.compiling import CompileTrial, require_compiler
from spoofcache.engine.config import TrainConfig
from spoofcache.engine.optim import Updater
from spoofcache.engine.processes import Processes


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
            require_compiler(updater.forward, processes.device, "train.compile is on")

    def decide(self, features: torch.Tensor, labels: torch.Tensor, seconds_per_step: float) -> str:
        """Decide after the first update; returns a phrase that says how the training computes, and why.

        Args:
            features: this process's share [B, …] of a batch, which the trial uses.
            labels: class indices [B].
            seconds_per_step: duration of the first update, which takes longer than the later ones.
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
        require_compiler(self._updater.forward, self._processes.device, reason)
        self._compile(reason)

    @property
    def is_compiled(self) -> bool:
        return self._updater.forward.is_compiled

    def _compile(self, reason: str) -> None:
        """Compile for certain; the step that runs the compiler is on zeros."""
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
