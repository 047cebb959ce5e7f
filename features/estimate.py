"""Estimate the cost of an extraction before it starts: its size from the plan, its time from a few batches."""

import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.files import free_bytes
from spoofcache.features.decoding import Decoders
from spoofcache.features.device import Device
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.request import Job
from spoofcache.protocols.trial import Trial

SECONDS = 2.0
"""Batches after the first one are timed for this long, but at least LEAST_BATCHES of them."""

LEAST_BATCHES = 3
MOST_SECONDS = 20.0
"""After this time, slow batches are no longer timed, even if there were fewer than LEAST_BATCHES of them."""

LOUDNESS = 0.1


class Speed(NamedTuple):
    """The speed of a front-end.

    Attributes:
        batch_size: number of utterances in a batch.
        first: duration of the first batch in seconds, in which the network is checked and memory is allocated.
        rate: utterances per second in the later batches.
    """

    batch_size: int
    first: float
    rate: float

    def seconds(self, n_utterances: int) -> float:
        """Time in seconds for that number of utterances, including the first batch."""
        return self.first + max(0, n_utterances - self.batch_size) / self.rate


class Estimate(NamedTuple):
    """The estimated cost of one cached partition.

    Attributes:
        sentence: the numbers of utterances, missing files, gigabytes and shards, the free space, and the time.
        folder: the folder of the partition; None if the checkpoint is not at hand, since the name depends on it.
        n_bytes: size of the features.
        seconds: the time; None if it cannot be measured.
    """

    sentence: str
    folder: Path | None
    n_bytes: int
    seconds: float | None


class Estimator:
    """Estimates the jobs of one front-end. Each effect is timed once, and the slow first batch counts once."""

    def __init__(self, frontend: FrontEnd) -> None:
        self._frontend = frontend
        self._speeds: dict[str, Speed | None] = {}

    def estimate(self, job: Job) -> Estimate:
        """Estimate the size and the time of a job."""
        plan = job.plan
        shape = " × ".join(map(str, plan.row_shape))
        free = free_bytes(job.folder)
        speed = None if self._frontend.obstacle() else self._speed(job)
        seconds = speed and speed.seconds(plan.n_trials)
        sentence = (
            f"{job.title}: {_utterances(job)}; {plan.n_bytes / 1e9:.2f} GB in {plan.shard_count} shards of {shape} "
            f"{plan.identity.dtype} ({free / 1e9:.0f} GB free); {self._time(job, speed)}"
        )
        return Estimate(sentence, None if self._frontend.is_stand_in else job.folder, plan.n_bytes, seconds)

    def _time(self, job: Job, speed: Speed | None) -> str:
        """The time in words, with how it was measured, or why it was not."""
        if speed is None:
            return f"time unknown: {self._frontend.obstacle() or 'there is no usable audio file'}"
        notes = [
            *(
                ["timed with random weights of the same size, since the checkpoint is absent"]
                if self._frontend.is_stand_in
                else []
            ),
            *(["not including the time to decode audio files"] if not job.trials else []),
        ]
        minutes = speed.seconds(job.plan.n_trials) / 60
        return ", ".join((f"about {minutes:.1f} minutes at {speed.rate:.1f} utterances/s", *notes))

    def _speed(self, job: Job) -> Speed | None:
        """Time the effect of this job, unless it is known; the slow first batch counts for the first job only."""
        effect = job.plan.identity.effect
        if not job.trials:
            effect = ""
        if effect in self._speeds:
            known = self._speeds[effect]
            return known and known._replace(first=known.batch_size / known.rate)
        measured = (
            measure_speed(job.trials, self._frontend, job.options)
            if job.trials
            else measure_speed_on_noise(self._frontend, job.options)
        )
        self._speeds[effect] = measured
        return measured


def _utterances(job: Job) -> str:
    if not job.trials:
        return f"{job.plan.n_trials} utterances (the published count; audio files were not looked for)"
    missing = sum(trial.path is None for trial in job.trials)
    return f"{len(job.trials)} utterances, {missing} audio files missing"


def measure_speed(trials: Sequence[Trial], frontend: FrontEnd, options: ExtractOptions) -> Speed | None:
    """Time a few batches under the conditions of an extraction, without storing anything.

    As in an extraction, files are decoded ahead while the front-end computes, and every batch is full. The files of a
    small corpus are used several times.

    Returns:
        The speed; None if there is no audio file, or if a batch contains no usable one.
    """
    found = [trial for trial in trials if trial.path is not None]
    device = _device(frontend, options)
    moments = [time.perf_counter()]
    with Decoders(options.form, options.workers, in_processes=False) as decoders:
        for batch in decoders.batches(cycle(found)):
            if all(batch.reasons):
                return None
            device.launch(batch.waveforms).wait()
            moments.append(time.perf_counter())
            if _is_enough(moments):
                return _speed(moments, options.batch_size)
    return None


def measure_speed_on_noise(frontend: FrontEnd, options: ExtractOptions) -> Speed:
    """Time a few batches of noise instead of audio files, so that the time to decode files is not included."""
    device = _device(frontend, options)
    random = np.random.default_rng(0)
    noise = LOUDNESS * random.standard_normal((options.batch_size, options.n_samples), dtype=np.float32)
    moments = [time.perf_counter()]
    while not _is_enough(moments):
        device.launch(noise).wait()
        moments.append(time.perf_counter())
    return _speed(moments, options.batch_size)


def _device(frontend: FrontEnd, options: ExtractOptions) -> Device:
    return Device(options.device, frontend.extract, options.dtype or frontend.dtypes[0])


def _is_enough(moments: Sequence[float]) -> bool:
    """Whether the moments (the start, then the end of each batch) suffice to compute the speed."""
    n_batches = len(moments) - 2  # after the first one
    if n_batches < 1:
        return False
    whole, measured = moments[-1] - moments[0], moments[-1] - moments[1]
    return whole > MOST_SECONDS or (n_batches >= LEAST_BATCHES and measured > SECONDS)


def _speed(moments: Sequence[float], batch_size: int) -> Speed:
    n_utterances = (len(moments) - 2) * batch_size
    return Speed(batch_size, moments[1] - moments[0], n_utterances / (moments[-1] - moments[1]))
