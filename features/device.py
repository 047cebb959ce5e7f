"""Runs a front-end on batches of waveforms without waiting for the device.

Batches are copied to a GPU and back through pinned memory, on streams of their own, while the front-end computes. The
thread that launches the work never waits. `Pace` reports afterwards how long the device was idle, and why.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from spoofcache.features.in_parts import InParts
from spoofcache.features.store import Stored, convert
from spoofcache.features.waveform import Waveform

Stamp = torch.cuda.Event | float
"""A point in time: by the clock of a GPU, or by `time.perf_counter` on the CPU."""


class Launched(NamedTuple):
    """Features that are being copied to the host. If `done` is an event of a GPU, they must not be read before it."""

    stored: Stored
    start: Stamp
    stop: Stamp
    done: torch.cuda.Event | None

    def wait(self) -> Stored:
        """Wait until the features have arrived, and return them."""
        if self.done is not None:
            self.done.synchronize()
        return self.stored


class Device:
    """Runs a front-end on batches, in order. A batch that does not fit into the GPU's memory is computed in parts.

    Args:
        device: where the front-end runs.
        extract: `FrontEnd.extract`.
        dtype: the number type in which features are stored.
    """

    def __init__(self, device: torch.device, extract: Callable[[torch.Tensor], torch.Tensor], dtype: str) -> None:
        self._device = device
        self._extract = InParts(extract)
        self._dtype = dtype
        if device.type == "cuda":
            self._up, self._down = torch.cuda.Stream(device), torch.cuda.Stream(device)

    @property
    def largest(self) -> int | None:
        """The number of utterances that fit into the memory at once, if a batch did not; None if all of them did."""
        return self._extract.largest

    def launch(self, waveforms: Waveform) -> Launched:
        """Waveforms [B, n] → features [B, *row] in the stored type. The waveforms may be overwritten afterwards."""
        if self._device.type != "cuda":
            batch = torch.from_numpy(waveforms).clone()
            start = self.stamp()
            return Launched(convert(self._extract(batch), self._dtype), start, self.stamp(), None)
        with torch.cuda.device(self._device):
            batch = self._upload(waveforms)
            start = self.stamp()
            stored = convert(self._extract(batch), self._dtype)
            return self._download(stored, start)

    def stamp(self) -> Stamp:
        """The current time; on a GPU, the time at which it finishes everything launched so far."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True, blocking=True)  # a host that waits sleeps instead of spinning
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _upload(self, waveforms: Waveform) -> torch.Tensor:
        pinned = torch.from_numpy(waveforms).pin_memory()  # a copy, whose memory is reused after the upload
        with torch.cuda.stream(self._up):
            batch = pinned.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._up)
        batch.record_stream(computing)
        return batch

    def _download(self, stored: Stored, start: Stamp) -> Launched:
        stop = self.stamp()
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        done = torch.cuda.Event(blocking=True)
        with torch.cuda.stream(self._down):
            here = stored._replace(  # in pinned memory
                rows=stored.rows.to("cpu", non_blocking=True), largest=stored.largest.to("cpu", non_blocking=True)
            )
            done.record(self._down)
        stored.rows.record_stream(self._down)
        stored.largest.record_stream(self._down)
        return Launched(here, start, stop, done)


def end_of_work(device: torch.device) -> torch.cuda.Event | None:
    """An event that has happened once a GPU has done everything launched so far; None for the CPU, which never lags."""
    if device.type != "cuda":
        return None
    event = torch.cuda.Event(blocking=True)
    event.record(torch.cuda.current_stream(device))
    return event


def seconds_between(before: Stamp, after: Stamp) -> float:
    """The seconds between two stamps of one device, waiting until both have passed."""
    if isinstance(before, float) or isinstance(after, float):
        assert isinstance(before, float)
        assert isinstance(after, float)
        return after - before
    after.synchronize()
    return before.elapsed_time(after) / 1000


@dataclass
class Pace:
    """How fast an extraction was.

    Attributes:
        utterances: number of utterances that went through the front-end.
        seconds: duration of the extraction, including reading and writing.
        waited: seconds for which the device was idle, by what it waited for: `decoding`, `writing`, or `launching` if
            neither of them delayed the launching thread.
        largest: number of utterances that were computed at once, if a whole batch did not fit into the memory.
    """

    utterances: int = 0
    seconds: float = 0.0
    largest: int | None = None
    waited: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("decoding", "writing", "launching"), 0.0))

    def idle(self, seconds: float, host: Mapping[str, float]) -> None:
        """Attribute a gap between two batches to what delayed the launching thread in it, the longest delay first.

        Args:
            seconds: duration of the gap.
            host: seconds for which `decoding` and `writing` delayed the thread. The rest of the gap counts as
                `launching`.
        """
        left = max(0.0, seconds)
        for reason in sorted(host, key=lambda reason: host[reason], reverse=True):
            held_up = min(left, host[reason])
            self.waited[reason] += held_up
            left -= held_up
        self.waited["launching"] += left

    def __str__(self) -> str:
        shares = {reason: waited / self.seconds for reason, waited in self.waited.items()} if self.seconds else {}
        reasons = ", ".join(f"{share:.0%} for {reason}" for reason, share in shares.items() if share >= 0.005)
        rate = self.utterances / self.seconds if self.seconds else 0.0
        waited = f"{sum(shares.values()):.0%} of the time" + (f" ({reasons})" if reasons else "")
        parts = (
            f"; a batch did not fit into the memory of the GPU and was computed in parts; a --batch-size of "
            f"{self.largest} fits"
        )
        return (
            f"{self.utterances} utterances at {rate:.1f}/s, the device waited {waited}{parts if self.largest else ''}"
        )
