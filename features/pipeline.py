"""Files → features → shards, the three at once: decoding ahead of the front-end, writing and committing behind it.

What is in flight is bounded, so memory does not grow with the corpus. A batch may span shards, so that all of them but
the last are of the same size.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from spoofcache.features.decoding import Batch, Decoders
from spoofcache.features.device import Device, Launched, Pace, seconds_between
from spoofcache.features.fingerprint import fingerprint
from spoofcache.features.store import ShardWriter, require_fit
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.trial import Trial

BATCHES_IN_FLIGHT = 4
"""Launched and not yet written."""

COMMITS_IN_FLIGHT = 2


@dataclass(eq=False)
class OpenShard:
    """A shard that is being made.

    Attributes:
        writer: where its rows go.
        group: its trials.
        reasons: utterance → why it is left out; those without an audio file are there from the start.
        n_expected: how many trials of the group are still to come.
    """

    writer: ShardWriter
    group: Sequence[Trial]
    reasons: dict[str, str]
    n_expected: int = field(init=False)

    def __post_init__(self) -> None:
        self.n_expected = len(self.group) - len(self.reasons)

    @property
    def is_whole(self) -> bool:
        """Whether every utterance of the group has been written or left out."""
        return not self.n_expected

    def add(self, trials: Sequence[Trial], rows: NDArray[Any], reasons: Sequence[str]) -> None:
        """Write the features [B, *row] of the next trials, except where there is a reason to leave one out."""
        kept = [index for index, reason in enumerate(reasons) if not reason]
        if kept:
            self.writer.append([trials[index].utt_id for index in kept], rows if len(kept) == len(rows) else rows[kept])
        for trial, reason in zip(trials, reasons, strict=True):
            if reason:
                self.reasons[trial.utt_id] = _without_folder(reason, trial.audio)
        self.n_expected -= len(trials)

    def commit(self) -> None:
        """Make the shard visible to readers, with the fingerprints of the audio that its rows were made from."""
        for trial in self.group:  # in the order of the group, whichever reason was found first
            if trial.utt_id in self.reasons:
                self.writer.skip(trial.utt_id, self.reasons[trial.utt_id])
        self.writer.commit([fingerprint(trial.audio) for trial in self.group if trial.utt_id not in self.reasons])


class _InFlight(NamedTuple):
    launched: Launched
    held_up: Mapping[str, float]
    """Seconds that the launching thread waited since the batch before, by what for."""

    n_utterances: int
    written: Future[None]


class Pipeline:
    """Runs utterances through decoding, front-end and writing; a context.

    What was launched is written even when the block is left by an error or Ctrl-C.

    Args:
        decoders: what reads the files.
        device: what runs the front-end.
        skip_bad_audio: leave an unusable utterance out, with its reason; else stop at it.
        pace: is told how fast it goes.
        advance: is told of every utterance done.
    """

    def __init__(
        self, decoders: Decoders, device: Device, skip_bad_audio: bool, pace: Pace, advance: Callable[[int], None]
    ) -> None:
        self._decoders = decoders
        self._device = device
        self._skip_bad_audio = skip_bad_audio
        self._pace = pace
        self._advance = advance
        self._disk, self._committer = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._in_flight: deque[_InFlight] = deque()
        self._commits: deque[Future[None]] = deque()
        self._shards: deque[OpenShard] = deque()  # in the order of the trials; the disk's thread takes them off

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *exception: object) -> None:
        self._disk.shutdown()
        self._committer.shutdown()

    def run(self, trials: Iterator[Trial]) -> None:
        """Extract trials that have audio, and commit each shard once it is whole.

        `trials` opens the shards (see `open`) while it is read: those of a shard follow its opening, in order.

        Raises:
            AudioError: unusable audio, unless it is skipped.
            StoreError: a feature does not fit its type, or the disk refuses.
        """
        begin = time.perf_counter()
        self._last = self._device.stamp()
        batches = self._decoders.batches(trials)
        held_up = {"decoding": 0.0, "writing": 0.0}
        while batch := _timed(held_up, "decoding", lambda: next(batches, None)):
            self._launch(batch, held_up)
            held_up = {"decoding": 0.0, "writing": 0.0}
            while self._in_flight and (len(self._in_flight) > BATCHES_IN_FLIGHT or self._in_flight[0].written.done()):
                self._finish_oldest(held_up)
        while self._in_flight:
            self._finish_oldest(held_up)
        while self._commits:
            self._commits.popleft().result()
        self._pace.idle(seconds_between(self._last, self._device.stamp()), {"writing": math.inf})
        self._pace.seconds += time.perf_counter() - begin

    def open(self, shard: OpenShard) -> None:
        """Let the next trials be those of this shard; one of which no utterance is to come is committed at once."""
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
        """Hand the features of a batch to the open shards, in order; commit those that become whole."""
        stored = launched.wait()
        good = [index for index, reason in enumerate(reasons) if not reason]
        require_fit(stored.largest[good].tolist(), stored.dtype, [trials[index].utt_id for index in good])
        features, start = stored.rows.numpy(), 0
        while start < len(trials):
            shard = self._shards[0]
            stop = min(len(trials), start + shard.n_expected)
            shard.add(trials[start:stop], features[start:stop], reasons[start:stop])
            if shard.is_whole:
                self._commit(self._shards.popleft())
            start = stop


def _without_folder(reason: str, path: Path) -> str:
    """A reason without the folder of the file: a cache is to be the same on every machine."""
    return reason.replace(f"{path.parent}/", "")


def _timed(seconds: dict[str, float], name: str, act: Callable[[], Any]) -> Any:
    """What `act` gives; its time is added to that name's."""
    start = time.perf_counter()
    try:
        return act()
    finally:
        seconds[name] += time.perf_counter() - start
