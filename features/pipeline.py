"""Files → features → shards, the three at once: decoding ahead of the front-end, writing and committing behind it.

What is in flight is bounded, so memory does not grow with the corpus. A batch may span shards, so that all of them but
the last are of the same size.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from spoofcache.features.decoding import Batch, Decoders, Task
from spoofcache.features.device import Device, Launched, Pace, seconds_between
from spoofcache.features.store import ShardWriter, require_fit
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.trial import Trial

BATCHES_IN_FLIGHT = 4
"""Launched and not yet written."""

COMMITS_IN_FLIGHT = 2


@dataclass(eq=False)
class OpenShard:
    """A shard being made: its writer, its group, and why utterances of it are left out."""

    writer: ShardWriter
    group: Sequence[Trial]
    reasons: dict[str, str]

    def __post_init__(self) -> None:
        self._left = len(self.group) - len(self.reasons)

    @property
    def is_whole(self) -> bool:
        """Has every utterance of the group been written or left out?"""
        return not self._left

    def add(self, utt_ids: Sequence[str], rows: NDArray[Any], reasons: Mapping[str, str]) -> None:
        """The next rows [B, *row], and the utterances among them that are left out."""
        if utt_ids:
            self.writer.append(utt_ids, rows)
        self.reasons.update(reasons)
        self._left -= len(utt_ids) + len(reasons)

    def commit(self) -> None:
        """Make the shard visible."""
        for trial in self.group:  # in its order, whatever was noticed first
            if trial.utt_id in self.reasons:
                self.writer.skip(trial.utt_id, self.reasons[trial.utt_id])
        self.writer.commit()


class Row(NamedTuple):
    """An utterance on its way, and the shard that it is for."""

    shard: OpenShard
    trial: Trial
    path: Path


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

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *exception: object) -> None:
        self._disk.shutdown()
        self._committer.shutdown()

    def run(self, rows: Iterator[Row]) -> None:
        """Make the rows and commit their shards.

        Raises:
            AudioError: unusable audio, unless it is skipped.
            StoreError: a feature does not fit its type, or the disk refuses.
        """
        begin = time.perf_counter()
        self._last = self._device.stamp()
        batches = self._decoders.batches(Task(row, row.trial.utt_id, row.path) for row in rows)
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

    def commit(self, shard: OpenShard) -> None:
        """Have a whole shard committed."""
        self._commits.append(self._committer.submit(shard.commit))

    def _launch(self, batch: Batch[Row], held_up: Mapping[str, float]) -> None:
        if not self._skip_bad_audio:
            for reason in filter(None, batch.reasons):
                raise AudioError(reason)
        launched = self._device.launch(batch.waveforms)
        written = self._disk.submit(self._write, batch.keys, batch.reasons, launched)
        self._in_flight.append(_InFlight(launched, held_up, len(batch.keys), written))

    def _finish_oldest(self, held_up: dict[str, float]) -> None:
        """Wait for the writing of the oldest batch, and count it."""
        oldest = self._in_flight.popleft()
        oldest.launched.wait()
        _timed(held_up, "writing", oldest.written.result)
        while len(self._commits) > COMMITS_IN_FLIGHT:
            _timed(held_up, "writing", self._commits.popleft().result)
        self._pace.idle(seconds_between(self._last, oldest.launched.start), oldest.held_up)
        self._pace.utterances += oldest.n_utterances
        self._last = oldest.launched.stop
        self._advance(oldest.n_utterances)

    def _write(self, rows: Sequence[Row], reasons: Sequence[str], launched: Launched) -> None:
        """Hand the features of a batch to their shards, in order; commit those that it makes whole."""
        stored = launched.wait()
        good = [i for i, reason in enumerate(reasons) if not reason]
        require_fit(stored.largest[good].tolist(), stored.dtype, [rows[i].trial.utt_id for i in good])
        features = stored.rows.numpy()
        for shard, members in groupby(range(len(rows)), key=lambda i: rows[i].shard):
            indices = list(members)
            kept = [i for i in indices if not reasons[i]]
            left_out = {rows[i].trial.utt_id: _without_folder(reasons[i], rows[i].path) for i in indices if reasons[i]}
            part = features[indices[0] : indices[-1] + 1] if not left_out else features[kept]
            shard.add([rows[i].trial.utt_id for i in kept], part, left_out)
            if shard.is_whole:
                self.commit(shard)


def _without_folder(reason: str, path: Path) -> str:
    return reason.replace(f"{path.parent}/", "")  # no machine's folders in a cache


def _timed(seconds: dict[str, float], name: str, act: Callable[[], Any]) -> Any:
    """What `act` gives; its time is added to that name's."""
    start = time.perf_counter()
    try:
        return act()
    finally:
        seconds[name] += time.perf_counter() - start
