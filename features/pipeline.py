"""Runs the stages of an extraction at once: decoding ahead of the front-end, and writing and committing behind it.

The number of batches in flight is limited, so that memory does not grow with the corpus. A batch may span several
shards, so that all batches except the last one have the same size.
"""

from spoofcache.common.signals import end_now, seconds_left

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from spoofcache.features.decoding import Batch, Decoders
from spoofcache.features.device import Device, Launched, Pace, seconds_between
from spoofcache.features.fingerprint import fingerprint
from spoofcache.features.store import ShardWriter, Stored, misfit, require_fit
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.trial import Trial

BATCHES_IN_FLIGHT = 4
"""Largest number of batches that are launched and not yet written."""

BYTES_IN_FLIGHT = 2**30
"""Largest size of their features, which lie in pinned memory; a single batch may be larger."""

COMMITS_IN_FLIGHT = 2

SUSPICIOUS = 4
"""If none of the features in a batch of at least this many utterances can be stored, the front-end is at fault."""


@dataclass(eq=False)
class OpenShard:
    """A shard that is being written.

    Attributes:
        writer: writes its rows.
        group: its trials.
        reasons: the reason for each omitted utterance; those without an audio file are included from the start.
        n_expected: number of trials of the group that are still to come.
    """

    writer: ShardWriter
    group: Sequence[Trial]
    reasons: dict[str, str]
    n_expected: int = field(init=False)

    def __post_init__(self) -> None:
        self.n_expected = len(self.group) - len(self.reasons)

    @property
    def is_whole(self) -> bool:
        """Whether every utterance of the group has been written or omitted."""
        return not self.n_expected

    def add(self, trials: Sequence[Trial], rows: NDArray[Any], reasons: Sequence[str]) -> None:
        """Write the features [B, *row] of the next trials, except those with a reason to omit them."""
        kept = [index for index, reason in enumerate(reasons) if not reason]
        if kept:
            self.writer.append([trials[index].utt_id for index in kept], rows if len(kept) == len(rows) else rows[kept])
        for trial, reason in zip(trials, reasons, strict=True):
            if reason:
                self.reasons[trial.utt_id] = _without_folder(reason, trial.audio)
        self.n_expected -= len(trials)

    def commit(self) -> None:
        """Make the shard visible to readers, with the fingerprints of the audio that its rows were made from."""
        for trial in self.group:  # in the order of the group, not in that of the reasons
            if trial.utt_id in self.reasons:
                self.writer.skip(trial.utt_id, self.reasons[trial.utt_id])
        self.writer.commit([fingerprint(trial.audio) for trial in self.group if trial.utt_id not in self.reasons])


class _InFlight(NamedTuple):
    launched: Launched
    held_up: Mapping[str, float]
    """Seconds for which the launching thread waited since the previous batch, by what it waited for."""

    n_utterances: int
    written: Future[None]


class Pipeline:
    """A context that runs utterances through decoding, the front-end and writing.

    Batches that the front-end has begun are written even if the block ends with an error or Ctrl-C. `unusual` counts
    the unusual recordings, which the user should listen to, by `unusual.KINDS`.

    Args:
        decoders: reads the files.
        device: runs the front-end.
        skip_bad_audio: omit an unusable utterance and record the reason, instead of stopping at it.
        pace: records how fast the extraction is.
        advance: called with the number of utterances that were finished since the last call.
    """

    def __init__(
        self, decoders: Decoders, device: Device, skip_bad_audio: bool, pace: Pace, advance: Callable[[int], None]
    ) -> None:
        self._decoders = decoders
        self._device = device
        self._skip_bad_audio = skip_bad_audio
        self._pace = pace
        self._advance = advance
        self.unusual: Counter[str] = Counter()
        self._disk, self._committer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._in_flight: deque[_InFlight] = deque()
        self._commits: deque[Future[None]] = deque()
        self._shards: deque[OpenShard] = deque()  # in the order of the trials; the writing thread removes them

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *exception: object) -> None:
        self._disk.shutdown()
        self._committer.shutdown()

    def run(self, trials: Iterator[Trial]) -> None:
        """Extract the trials that have audio, and commit each shard once it is complete.

        The iterator `trials` opens each shard (see `open`) before it yields the trials of that shard, in order.

        Raises:
            AudioError: an utterance has unusable audio and is not to be skipped.
            StoreError: a feature does not fit the stored type, or the disk refuses a write.
        """
        begin = time.perf_counter()
        self._last = self._device.stamp()
        batches = self._decoders.batches(trials)
        held_up, before = {"decoding": 0.0, "writing": 0.0}, self._pace.utterances
        while batch := _timed(held_up, "decoding", lambda: next(batches, None)):
            self._launch(batch, held_up)
            held_up = {"decoding": 0.0, "writing": 0.0}
            while self._in_flight and (self._is_full() or self._in_flight[0].written.done()):
                self._finish_oldest(held_up)
            if self._pace.utterances > before:
                self._give_up_unless_soon((time.perf_counter() - begin) / (self._pace.utterances - before))
        while self._in_flight:
            self._finish_oldest(held_up)
        while self._commits:
            self._commits.popleft().result()
        self._pace.idle(seconds_between(self._last, self._device.stamp()), {"writing": math.inf})
        self._pace.seconds += time.perf_counter() - begin
        self._pace.largest = self._device.largest

    def _give_up_unless_soon(self, seconds_per_utterance: float) -> None:
        """After a signal that is held back, raise it unless the oldest open shard is finished before its time is over.

        Of the shards that are open, the older ones may be finished though the time does not suffice for all.
        """
        left, shards = seconds_left(), [*self._shards]
        if left is not None and shards and shards[0].n_expected * seconds_per_utterance > left:
            end_now()

    def _is_full(self) -> bool:
        """Whether the oldest batch must be written before another one is launched."""
        n_bytes = sum(each.launched.stored.rows.nbytes for each in self._in_flight)
        return len(self._in_flight) > BATCHES_IN_FLIGHT or n_bytes > BYTES_IN_FLIGHT

    def open(self, shard: OpenShard) -> None:
        """Open the shard of the next trials. If all of its utterances are omitted, it is committed at once."""
        if shard.is_whole:
            self._commit(shard)
        else:
            self._shards.append(shard)

    def _commit(self, shard: OpenShard) -> None:
        self._commits.append(self._committer.submit(shard.commit))

    def _launch(self, batch: Batch, held_up: Mapping[str, float]) -> None:
        if not self._skip_bad_audio:
            for reason in filter(None, batch.reasons):
                raise AudioError(reason)
        self.unusual.update(filter(None, batch.unusual))
        launched = self._device.launch(batch.waveforms)
        written = self._disk.submit(self._write, batch.trials, batch.reasons, launched)
        self._in_flight.append(_InFlight(launched, held_up, len(batch.trials), written))

    def _finish_oldest(self, held_up: dict[str, float]) -> None:
        """Wait until the oldest batch is written, and count it."""
        oldest = self._in_flight.popleft()
        oldest.launched.wait()
        _timed(held_up, "writing", oldest.written.result)
        while len(self._commits) > COMMITS_IN_FLIGHT:
            _timed(held_up, "writing", self._commits.popleft().result)
        self._pace.idle(seconds_between(self._last, oldest.launched.start), oldest.held_up)
        self._pace.utterances += oldest.n_utterances
        self._last = oldest.launched.stop
        self._advance(oldest.n_utterances)

    def _write(self, trials: Sequence[Trial], reasons: Sequence[str], launched: Launched) -> None:
        """Pass the features of a batch to the open shards, in order, and commit each shard that becomes complete."""
        stored = launched.wait()
        reasons = self._unusable(trials, reasons, stored)
        features, start = stored.rows.numpy(), 0
        while start < len(trials):
            shard = self._shards[0]
            stop = min(len(trials), start + shard.n_expected)
            shard.add(trials[start:stop], features[start:stop], reasons[start:stop])
            if shard.is_whole:
                self._commit(self._shards.popleft())
            start = stop

    def _unusable(self, trials: Sequence[Trial], reasons: Sequence[str], stored: Stored) -> Sequence[str]:
        """The reasons why trials are omitted, with those whose features cannot be stored.

        Raises:
            StoreError: features cannot be stored, and are not to be skipped; or those of a whole batch cannot, which
                is not the fault of the audio.
        """
        good = [index for index, reason in enumerate(reasons) if not reason]
        largest = stored.largest.tolist()
        faults = {index: fault for index in good if (fault := misfit(largest[index], stored.dtype))}
        if not self._skip_bad_audio or len(faults) == len(good) >= SUSPICIOUS:
            require_fit([largest[index] for index in good], stored.dtype, [trials[index].utt_id for index in good])
        return [reason or faults.get(index, "") for index, reason in enumerate(reasons)]


def _without_folder(reason: str, path: Path) -> str:
    """A reason without the folder of the file, so that a cache is the same on every machine."""
    return reason.replace(f"{path.parent}/", "")


def _timed(seconds: dict[str, float], name: str, act: Callable[[], Any]) -> Any:
    """The result of `act`, whose duration is added to `seconds[name]`."""
    start = time.perf_counter()
    try:
        return act()
    finally:
        seconds[name] += time.perf_counter() - start
