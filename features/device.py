"""What lies between waveforms in memory and features in memory: the way to the device and back, never waiting for it.

On a GPU, batches go up and down through pinned memory on streams of their own while the front-end computes; the
thread that launches it waits nowhere. `Pace` tells afterwards how long the device had nothing to do, and why.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from spoofcache.features.store import Stored, convert
from spoofcache.features.waveform import Waveform

Stamp = torch.cuda.Event | float
"""A moment: of the device's own clock, or on the CPU that of `time.perf_counter`."""


class Launched(NamedTuple):
    """Features on their way to the host. Where `done` is an event of a GPU they must not be read before it."""

    stored: Stored
    start: Stamp
    stop: Stamp
    done: torch.cuda.Event | None

    def wait(self) -> Stored:
        """The features, once they are there."""
        if self.done is not None:
            self.done.synchronize()
        return self.stored


class Device:
    """Runs a front-end on batches, in order.

    Args:
        device: where it runs.
        extract: `FrontEnd.extract`.
        dtype: the type that is stored.
    """

    def __init__(self, device: torch.device, extract: Callable[[torch.Tensor], torch.Tensor], dtype: str) -> None:
        self._device = device
        self._extract = extract
        self._dtype = dtype
        if device.type == "cuda":
            self._up, self._down = torch.cuda.Stream(device), torch.cuda.Stream(device)

    def launch(self, waveforms: Waveform) -> Launched:
        """Waveforms [B, n] → features [B, *row] in the stored type; the waveforms may then be overwritten."""
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
        """This moment; on a GPU the one when it has done all that was launched."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _upload(self, waveforms: Waveform) -> torch.Tensor:
        pinned = torch.from_numpy(waveforms).pin_memory()  # a copy; its memory is used again once it has gone up
        with torch.cuda.stream(self._up):
            batch = pinned.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._up)
        batch.record_stream(computing)
        return batch

    def _download(self, stored: Stored, start: Stamp) -> Launched:
        stop = self.stamp()
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        done = torch.cuda.Event()
        with torch.cuda.stream(self._down):
            here = stored._replace(  # in pinned memory
                rows=stored.rows.to("cpu", non_blocking=True), largest=stored.largest.to("cpu", non_blocking=True)
            )
            done.record(self._down)
        stored.rows.record_stream(self._down)
        stored.largest.record_stream(self._down)
        return Launched(here, start, stop, done)


def seconds_between(before: Stamp, after: Stamp) -> float:
    """Of two stamps of one device, both past."""
    if isinstance(before, float) or isinstance(after, float):
        assert isinstance(before, float)
        assert isinstance(after, float)
        return after - before
    after.synchronize()
    return before.elapsed_time(after) / 1000


@dataclass
class Pace:
    """How fast an extraction went.

    Attributes:
        utterances: that went through the front-end.
        seconds: that it took, reading and writing included.
        waited: seconds that the device stood idle, by what it waited for: `decoding`, `writing`, or where neither
            held the launching thread up, its `launching`.
    """

    utterances: int = 0
    seconds: float = 0.0
    waited: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("decoding", "writing", "launching"), 0.0))

    def idle(self, seconds: float, host: Mapping[str, float]) -> None:
        """Count a gap between two batches for what held the launching thread up meanwhile, the longest first.

        Args:
            seconds: of the gap.
            host: seconds that the thread was held up, by `decoding` and `writing`; what they leave is `launching`.
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
        return f"{self.utterances} utterances at {rate:.1f}/s, the device waited {waited}"
