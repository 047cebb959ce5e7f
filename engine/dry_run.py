"""What a training would take: parameters, memory and time, from one measured step. Nothing is written."""

import math
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from spoofcache.common.machine import peak_bytes
from spoofcache.engine.config import ExperimentConfig
from spoofcache.engine.processes import Processes
from spoofcache.engine.sampling import draw_rows, seed_epoch
from spoofcache.engine.score import run_batch
from spoofcache.engine.training_set import TrainingSet
from spoofcache.engine.training_setup import TrainingSetup
from spoofcache.features.dataset import CachedFeatures


class Forecast(NamedTuple):
    """What a training would take.

    Attributes:
        trainable: number of parameters that are trained.
        frozen: number of other parameters of the network; blocks below a cached layer are not part of it.
        peak_bytes: largest memory during a step: of the GPU, or else of the whole process.
        on_gpu: whether it is the memory of a GPU.
        batch_size: number of utterances in the measured step.
        step_seconds: duration of an update.
        epoch_seconds: expected duration of an epoch with its pass over the dev partition.
    """

    trainable: int
    frozen: int
    peak_bytes: int
    on_gpu: bool
    batch_size: int
    step_seconds: float
    epoch_seconds: float

    def __str__(self) -> str:
        where = "GPU memory" if self.on_gpu else "memory of the process"
        return (
            f"parameters: {self.trainable:,} trainable, {self.frozen:,} frozen\n"
            f"memory: {self.peak_bytes / 1e9:.2f} GB at most with a batch of {self.batch_size} ({where})\n"
            f"time: {self.step_seconds:.3g} s per update, about {self.epoch_seconds:.3g} s per epoch with dev"
        )


def forecast(config: ExperimentConfig, train: TrainingSet, dev: CachedFeatures, processes: Processes) -> Forecast:
    """Build the training, update its weights twice on the first batch, and measure the second update.

    The first update is slower, since it allocates the memory. The network is not compiled for it.

    Raises:
        RunError, ShardMismatch, StoreError: as `fit`.
    """
    setup = TrainingSetup(config, train, dev, processes)
    seed_epoch(config.train.seed, 0)
    rows = list(next(iter(draw_rows(setup.train.pool, config.train, 0.0))))
    share = next(processes.share_out(setup.train_feed, [rows], config.train.micro_batch))
    setup.model.train()
    setup.updater.update(0, share.batch.features, share.batch.label)
    step = _seconds(lambda: setup.updater.update(1, share.batch.features, share.batch.label), processes.device)
    part = share.batch.features[: setup.updater.part_size]
    setup.model.eval()
    with torch.inference_mode():
        dev_part = _seconds(lambda: run_batch(setup.model, part, processes.device), processes.device)
    dev_parts = math.ceil(len(dev) / (len(part) * processes.count))
    parameters = list(setup.model.parameters())
    return Forecast(
        trainable=sum(each.numel() for each in parameters if each.requires_grad),
        frozen=sum(each.numel() for each in parameters if not each.requires_grad),
        peak_bytes=_peak_bytes(processes.device),
        on_gpu=processes.device.type == "cuda",
        batch_size=len(rows),
        step_seconds=step,
        epoch_seconds=step * setup.updater.steps_per_epoch + dev_part * dev_parts,
    )


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
