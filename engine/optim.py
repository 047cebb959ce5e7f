"""The optimizers, the learning-rate schedules, and the update of a network's weights.

The learning rate of every update is a pure function of its number, so that a resumed run continues as an uninterrupted
one.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch

from spoofcache.engine.config import ExperimentConfig, OptimizerConfig, ScheduleConfig
from spoofcache.engine.countermeasure import SPEECH_MODEL, Countermeasure
from spoofcache.engine.processes import ALONE, Processes, even_parts
from spoofcache.models.output import BackendOutput

Parameters = Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]


def _adam(kind: type[torch.optim.Optimizer]) -> Callable[[Parameters, OptimizerConfig], torch.optim.Optimizer]:
    def make(parameters: Parameters, config: OptimizerConfig) -> torch.optim.Optimizer:
        settings: dict[str, Any] = {"betas": config.betas, "eps": config.eps, "weight_decay": config.weight_decay}
        return kind(parameters, lr=config.lr, **settings)  # type: ignore[call-arg]

    return make


def _sgd(parameters: Parameters, config: OptimizerConfig) -> torch.optim.Optimizer:
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(parameters, config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=nesterov)


OPTIMIZERS: Mapping[str, Callable[[Parameters, OptimizerConfig], torch.optim.Optimizer]] = {
    "adam": _adam(torch.optim.Adam),
    "adamw": _adam(torch.optim.AdamW),
    "nadam": _adam(torch.optim.NAdam),
    "sgd": _sgd,
}


class Progress(NamedTuple):
    """Position in a training: `step` updates are done, of `steps_per_epoch` in each of `epochs` epochs."""

    step: int
    steps_per_epoch: int
    epochs: int

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch


def _cosine(share: float) -> float:
    """Half a cosine: from 1 down to 0 as `share` goes from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


def _restarts(progress: Progress, config: ScheduleConfig) -> float:
    """Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, eq. 5."""
    position, length = progress.step / progress.steps_per_epoch, float(config.epochs)
    while position >= length:
        position, length = position - length, length * config.restart_factor
    return _cosine(position / length)


SCHEDULES: Mapping[str, Callable[[Progress, ScheduleConfig], float]] = {
    "constant": lambda progress, config: 1.0,
    "halve_every": lambda progress, config: 0.5 ** (progress.epoch // config.epochs),
    "multi_step": lambda progress, config: config.gamma ** sum(progress.epoch >= each for each in config.milestones),
    "cosine_per_step": lambda progress, config: _cosine(progress.step / (progress.steps_per_epoch * progress.epochs)),
    "cosine_per_epoch": lambda progress, config: _cosine(min(1.0, progress.epoch / config.epochs)),
    "sgdr": _restarts,
}
"""Schedule → position of the learning rate between its end (0) and its start (1); see `learning_rate`."""


def learning_rate(schedule: ScheduleConfig, start: float, progress: Progress) -> float:
    """Learning rate of the next update.

        lr_min + (lr − lr_min)·SCHEDULES[name],    times (step + 1)/warmup_steps while that is below 1

    `lr_min` is the rate at which a cosine ends; it is 0 in a configuration with another schedule.
    """
    rate = schedule.lr_min + (start - schedule.lr_min) * SCHEDULES[schedule.name](progress, schedule)
    warmed = (progress.step + 1) / schedule.warmup_steps if schedule.warmup_steps else 1.0
    return rate * min(1.0, warmed)


class Forward:
    """A network's pass over features [B, …] of any floating type, which it sees as float32; eager, or compiled.

    It is compiled as one graph for batches of a single size. The last, smaller batch of an epoch stays eager: it would
    be compiled for itself, and a graph for all sizes would be slower.

    >>> forward = Forward(Countermeasure(torch.nn.Linear(2, 2), torch.nn.Identity()))
    >>> forward(torch.zeros(3, 2, dtype=torch.float16)).dtype, forward.is_compiled
    (torch.float32, False)

    Attributes:
        model: the network.
    """

    def __init__(self, model: Countermeasure) -> None:
        self.model = model
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
        self._compiled = torch.compile(self.model, fullgraph=True, dynamic=False)

    def __call__(self, features: torch.Tensor) -> BackendOutput:
        network: Callable[[torch.Tensor], BackendOutput] = self.model
        if self._compiled is not None and len(features) == self._batch_size:
            network = self._compiled
        # converted outside of the compiled graph: the C++ back-end mixes float16 features badly with bfloat16 ones
        return network(features.float())


class Updater:
    """Updates the weights of a countermeasure, including those of its objective, batch by batch.

    Args:
        model: the network and its objective, on `device`.
        config: the experiment; its optimizer, schedule, gradient clipping, micro-batches and precision are used.
        steps_per_epoch: number of updates in an epoch.
        device: where the network computes.
        processes: the processes that share every batch; `model` is the copy of this one.

    Attributes:
        steps_per_epoch: as given.
        precision: floating type of the forward pass.
        forward: the forward pass; eager until it is compiled for parts of `part_size`.
    """

    def __init__(
        self,
        model: Countermeasure,
        config: ExperimentConfig,
        steps_per_epoch: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self._model, self._config, self.steps_per_epoch, self._device = model, config, steps_per_epoch, device
        self._processes = processes
        self._optimizer = OPTIMIZERS[config.optimizer.name](_groups(model, config), config.optimizer)
        self.precision = _precision(config.train.precision, device)
        self.forward = Forward(model)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)

    def rate(self, step: int) -> float:
        """Learning rate of an update of the training; updates are counted from 0."""
        progress = Progress(step, self.steps_per_epoch, self._config.train.epochs)
        return learning_rate(self._config.schedule, self._config.optimizer.lr, progress)

    def update(self, step: int, features: torch.Tensor, labels: torch.Tensor) -> float:
        """Update the weights by a batch, and return its loss. Several processes each bring their share of the batch.

        With labels on the host, the host waits for the device only once, for the loss.

        Args:
            step: number of the update in the training, counted from 0.
            features: [B, …] on any device.
            labels: class indices [B] on any device.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self.rate(step) * group.get("share", 1.0)
        self._optimizer.zero_grad(set_to_none=True)
        own_weight = self._model.objective.batch_weight(labels)
        sums = self._processes.total(torch.tensor([own_weight, len(labels)], dtype=torch.float64))
        weight, batch_size = sums.tolist()
        micro_batch = self._config.train.micro_batch
        parts = [even_parts(each, micro_batch, int(batch_size)) for each in (features, labels)]
        own_loss = torch.zeros((), device=self._device)
        for part, own in zip(*parts, strict=True):
            own_loss = own_loss + self._add_gradient(part.to(self._device), own, weight)
        loss = self._total_gradients(own_loss)
        self._clip()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return float(loss)

    @property
    def part_size(self) -> int:
        """Number of utterances that go through the network at once: this process's share of a batch's largest part."""
        largest = even_parts(torch.arange(self._config.train.batch_size), self._config.train.micro_batch)[0]
        return len(self._processes.own(largest))

    def trial_step(self, features: torch.Tensor, labels: torch.Tensor) -> float:
        """Run a forward and a backward pass as an update does; the network and the random state stay unchanged."""
        self._model.train()
        state = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        try:
            with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
                return float(self._add_gradient(features, labels, self._model.objective.batch_weight(labels)))
        finally:
            self._optimizer.zero_grad(set_to_none=True)
            self._model.load_state_dict(state)

    def _add_gradient(self, features: torch.Tensor, labels: torch.Tensor, weight: float) -> torch.Tensor:
        """Add the gradient of a part of a batch, and return its contribution to the batch's loss.

        `weight` is the total class weight of the batch, over all parts and processes.
        """
        objective, share = self._model.objective, self._model.objective.batch_weight(labels) / weight
        labels = labels.to(self._device, non_blocking=True)
        with torch.autocast(self._device.type, self.precision, enabled=self.precision is not torch.float32):
            output = self.forward(features)
        loss: torch.Tensor = objective(output, labels) * share
        self._scaler.scale(loss).backward()
        return loss.detach()

    def _total_gradients(self, loss: torch.Tensor) -> torch.Tensor:
        """Sum the gradients over all processes and return the summed loss, which travels in the same message."""
        if self._processes.count == 1:
            return loss
        gradients = [each.grad for each in self._model.parameters() if each.grad is not None]
        summed = self._processes.total(torch.cat([*(each.flatten() for each in gradients), loss.reshape(1)]))
        pieces = summed.split([*(each.numel() for each in gradients), 1])
        for gradient, piece in zip(gradients, pieces[:-1], strict=True):
            gradient.copy_(piece.view_as(gradient))
        return pieces[-1]

    def _clip(self) -> None:
        if self._config.optimizer.clip_norm:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.optimizer.clip_norm)

    def state_dict(self) -> dict[str, Any]:
        """State of the optimizer and of the gradient scaler, as entries `optimizer` and `scaler`."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`; other entries are ignored."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


def _groups(model: Countermeasure, config: ExperimentConfig) -> Parameters:
    """All parameters, or with an encoder those of the back-end and the objective, and those of the encoder.

    `share` is the learning rate of a group as a multiple of that of the back-end, all through the schedule.
    """
    encoder = config.encoder
    if encoder is None:
        return model.parameters()
    trained = model.trained()
    upper = [each for name, each in trained.items() if name.startswith(SPEECH_MODEL)]
    head = [each for name, each in trained.items() if not name.startswith(SPEECH_MODEL)]
    share, decay = encoder.lr / config.optimizer.lr, encoder.weight_decay
    groups = [{"params": head, "share": 1.0}, {"params": upper, "share": share, "weight_decay": decay}]
    return [group for group in groups if group["params"]]


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
