"""One partition: trials × front-end → shards, resumable at every shard, by any number of processes at once.

Decoding threads run ahead of the front-end and one thread writes behind it. What is in flight is bounded, so
memory does not grow with the corpus.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from features.commit import Claim, atomic_path, clear_claims
from features.frontends.base import FrontEnd
from features.plan import (
    FORMAT_VERSION,
    MANIFEST,
    TRIALS,
    Identity,
    Plan,
    StoreError,
    require_trial_list,
    write_manifest,
)
from features.store import ShardReader, ShardWriter, to_stored
from features.waveform import N_SAMPLES, SAMPLE_RATE, AudioError, Waveform, fit_length, load_waveform
from protocols.trial import Trial, snapshot

WRITES_IN_FLIGHT = 2
SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract. Only `fit`, `n_samples` and `dtype` change what is stored.

    Attributes:
        fit: what fills a waveform that is too short, a key of `features.waveform.FIT_RULES`.
        n_samples: length of every waveform.
        dtype: stored number type; None for the front-end's default.
        batch_size: utterances per call of the front-end.
        workers: decoding threads.
        skip_bad_audio: leave unusable utterances out instead of stopping.
        compression: `lzf`, `gzip`, or None for contiguous rows that are read through a memory map.
    """

    fit: str = "repeat"
    n_samples: int = N_SAMPLES
    dtype: str | None = None
    batch_size: int = 8
    workers: int = 2
    skip_bad_audio: bool = False
    compression: str | None = None


class Extracted(NamedTuple):
    """Shards made by this call, shards found finished, and utterances left out with their reasons."""

    made: int
    found: int
    skipped: Mapping[str, str]


def make_identity(frontend: FrontEnd, options: ExtractOptions) -> Identity:
    """Everything that decides the cached numbers.

    Raises:
        StoreError: this front-end's output may not be stored in that type.
    """
    dtype = options.dtype or frontend.dtypes[0]
    if dtype not in frontend.dtypes:
        raise StoreError(f"--dtype {dtype} for {frontend.slug}; expected {' or '.join(frontend.dtypes)}")
    return Identity(
        {
            "format_version": FORMAT_VERSION,
            "front_end": dict(frontend.settings()),
            "sample_rate": SAMPLE_RATE,
            "n_samples": options.n_samples,
            "fit": options.fit,
            "dtype": dtype,
        }
    )


def measure_rate(trials: Sequence[Trial], frontend: FrontEnd, options: ExtractOptions) -> float:
    """Utterances per second, decoding included, over the second of two batches; the first one warms up.

    0 where the first audio files cannot be used.
    """
    present = [trial for trial in trials if trial.path is not None][: 2 * options.batch_size]
    rate = 0.0
    for batch in (present[: options.batch_size], present[-options.batch_size :]):
        start = time.perf_counter()
        try:
            frontend.extract(_stack([_load(trial, options) for trial in batch])).cpu()  # waits for the device
        except AudioError:
            return 0.0
        rate = len(batch) / (time.perf_counter() - start)
    return rate


def extract_partition(
    trials: Sequence[Trial],
    plan: Plan,
    frontend: FrontEnd,
    folder: Path,
    options: ExtractOptions,
    advance: Callable[[int], None] = lambda n: None,
) -> Extracted:
    """Make the shards of `plan` that `folder` lacks, then say that it is complete.

    Interrupted, killed or failed at any moment it leaves finished shards and nothing that a reader takes for one;
    called again, it goes on from there. `advance` hears of every utterance done, those found finished included.

    Raises:
        AudioError: unusable audio, unless `options.skip_bad_audio`.
        StoreError: the folder holds something else, a feature does not fit its type, or the disk refuses.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _keep_trial_list(folder, plan, trials)
    extraction = _Extraction(trials, plan, frontend, folder, options, advance)
    made = extraction.run()
    skipped: dict[str, str] = {}
    for index in range(plan.shard_count):
        skipped |= ShardReader(plan.shard_path(folder, index)).skipped
    with _writing(folder):
        clear_claims(folder)
        write_manifest(folder, plan, skipped)
    return Extracted(made, plan.shard_count - made, skipped)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """StoreError that names the folder when what is beside the shards cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{folder}: cannot be written ({reason}); expected a folder for the cache") from error


def _keep_trial_list(folder: Path, plan: Plan, trials: Sequence[Trial]) -> None:
    path = folder / TRIALS
    if path.exists():
        require_trial_list(path, plan)
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(snapshot(trials))


class _Decoded(NamedTuple):
    """An utterance on its way: the shard that it is for, and its waveform or why there is none."""

    writer: ShardWriter
    utt_id: str
    waveform: Waveform | None
    reason: str


@dataclass(frozen=True)
class _Extraction:
    trials: Sequence[Trial]
    plan: Plan
    frontend: FrontEnd
    folder: Path
    options: ExtractOptions
    advance: Callable[[int], None]

    def run(self) -> int:
        """Go over the plan until every shard is finished; the number made here."""
        made, todo = 0, self._unfinished(range(self.plan.shard_count))
        if any(not self._path(index).exists() for index in todo):
            (self.folder / MANIFEST).unlink(missing_ok=True)
        while todo:
            mine = self._make_free(todo)
            made += len(mine)
            todo = self._unfinished(index for index in todo if index not in mine)
            if todo and not mine:
                time.sleep(SECONDS_BETWEEN_LOOKS)  # other processes are making all that is left
        return made

    def _path(self, index: int) -> Path:
        return self.plan.shard_path(self.folder, index)

    def _group(self, index: int) -> Sequence[Trial]:
        return self.trials[self.plan.group(index)]

    def _unfinished(self, indices: Iterable[int]) -> list[int]:
        """Those still to be made; tells `advance` of the others."""
        todo = []
        for index in indices:
            if self._is_finished(index):
                self.advance(len(self._group(index)))
            else:
                todo.append(index)
        return todo

    def _is_finished(self, index: int) -> bool:
        """Is that shard there, and of this plan? One that left utterances out counts only where that is allowed."""
        if not self._path(index).exists():
            return False
        shard = ShardReader(self._path(index))
        shard.require(self.plan, index)
        shard.require_utterances([trial.utt_id for trial in self._group(index)])
        return self.options.skip_bad_audio or not shard.skipped

    def _make_free(self, todo: Sequence[int]) -> set[int]:
        """Make the shards that no other process holds; their indices."""
        made: set[int] = set()
        writes: deque[Future[None]] = deque()

        def write(act: Callable[..., None], *args: object) -> None:
            writes.append(disk.submit(act, *args))
            if len(writes) > WRITES_IN_FLIGHT:
                writes.popleft().result()

        with ExitStack() as writers, _threads(self.options.workers) as decoders, _threads(1) as disk:
            utterances = self._decode_ahead(decoders, self._claim(todo, writers, made))
            for writer, group in groupby(utterances, key=lambda utterance: utterance.writer):
                while batch := list(islice(group, self.options.batch_size)):
                    self._extract_batch(writer, batch, write)
                    self.advance(len(batch))
                write(writer.commit)
            while writes:
                writes.popleft().result()
        return made

    def _claim(self, todo: Sequence[int], writers: ExitStack, made: set[int]) -> Iterator[tuple[ShardWriter, Trial]]:
        """Open a writer for each free shard and hand out its trials; `writers` abandons what is not committed."""
        for index in todo:
            claim = Claim.take(self._path(index))
            if claim is None:
                continue
            writers.callback(claim.abandon)
            if self._is_finished(index):  # by another process, since we looked
                claim.abandon()
                continue
            writer = ShardWriter(claim, self.plan, index, self.options.compression)
            writers.callback(writer.abandon)
            made.add(index)
            for trial in self._group(index):
                yield writer, trial

    def _decode_ahead(
        self, decoders: ThreadPoolExecutor, tasks: Iterator[tuple[ShardWriter, Trial]]
    ) -> Iterator[_Decoded]:
        """Decode in order, a bounded number of utterances ahead of the front-end."""
        ahead: deque[Future[_Decoded]] = deque()
        window = 2 * (self.options.batch_size + self.options.workers)
        for writer, trial in tasks:
            ahead.append(decoders.submit(self._decode, writer, trial))
            if len(ahead) >= window:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _decode(self, writer: ShardWriter, trial: Trial) -> _Decoded:
        try:
            return _Decoded(writer, trial.utt_id, _load(trial, self.options), "")
        except AudioError as error:
            if not self.options.skip_bad_audio:
                raise
            here = "" if trial.path is None else f"{trial.path.parent}/"  # no machine's folders in a cache
            return _Decoded(writer, trial.utt_id, None, str(error).replace(here, ""))

    def _extract_batch(self, writer: ShardWriter, batch: Sequence[_Decoded], write: Callable[..., None]) -> None:
        for utterance in batch:
            if utterance.waveform is None:
                writer.skip(utterance.utt_id, utterance.reason)
        utt_ids = [u.utt_id for u in batch if u.waveform is not None]
        if utt_ids:
            features = self.frontend.extract(_stack([u.waveform for u in batch if u.waveform is not None]))
            write(writer.append, utt_ids, to_stored(features, self.plan.identity.dtype, utt_ids))


def _load(trial: Trial, options: ExtractOptions) -> Waveform:
    if trial.path is None:
        raise AudioError(
            f"utterance {trial.utt_id}: no audio file; expected {trial.utt_id}.flac, .wav or another ending"
        )
    return fit_length(load_waveform(trial.path), options.n_samples, options.fit)


def _stack(waveforms: Sequence[Waveform]) -> torch.Tensor:
    return torch.from_numpy(np.stack(waveforms))


@contextmanager
def _threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the block; work that has not begun by then is dropped."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
