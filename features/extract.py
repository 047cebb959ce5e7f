"""One partition: trials × front-end → shards, resumable at every shard, by any number of processes at once."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from spoofcache.common.files import Claim, atomic_path, clear_claims, remove_leftovers
from spoofcache.features.augment.view import View
from spoofcache.features.decoding import Decoders, Form
from spoofcache.features.device import Device, Pace
from spoofcache.features.fingerprint import first_that_changed
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.pipeline import OpenShard, Pipeline
from spoofcache.features.plan import (
    FORMAT_VERSION,
    MANIFEST,
    TRIALS,
    Identity,
    Plan,
    ShardMismatch,
    StoreError,
    keep_weights_folder,
    read_earlier_lists,
    read_manifest,
    require_trial_list,
    write_manifest,
)
from spoofcache.features.relabel import relabel
from spoofcache.features.store import DamagedShard, ShardReader, ShardWriter
from spoofcache.features.waveform import N_SAMPLES, SAMPLE_RATE, AudioError
from spoofcache.protocols.trial import Trial, snapshot

SECONDS_BETWEEN_LOOKS = 0.5
PROCESSES_FROM = 1_000
"""Number of utterances from which processes decode. Fewer are decoded sooner than the processes could start."""


@dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """How to extract. Only `fit`, `n_samples`, `dtype` and `view` change what is stored.

    Attributes:
        fit: what fills a waveform that is too short, a key of `features.waveform.FIT_RULES`.
        n_samples: length of every waveform.
        dtype: stored number type; None for the front-end's default.
        view: what augments the waveforms; None for clean ones.
        batch_size: utterances per call of the front-end.
        workers: threads that decode; processes, from `PROCESSES_FROM` utterances on.
        skip_bad_audio: leave unusable utterances out instead of stopping.
        compression: `lzf`, `gzip`, or None for contiguous rows that are read through a memory map.
        device: where the front-end is given its batches.
        relabel: replace the trial list of a partition whose utterances agree; see `features.relabel`.
        repair: read every row of finished shards, and make the damaged ones anew.
        trust_audio: take finished shards without comparing the audio files with those that they were made from.
    """

    fit: str = "repeat"
    n_samples: int = N_SAMPLES
    dtype: str | None = None
    view: View | None = None
    batch_size: int = 8
    workers: int = 2
    skip_bad_audio: bool = False
    compression: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    relabel: bool = False
    repair: bool = False
    trust_audio: bool = False

    @property
    def form(self) -> Form:
        """What the rows depend on besides the front-end and the audio."""
        return Form(self.batch_size, self.n_samples, self.fit, self.view)


def default_batch_size(device: torch.device) -> int:
    """Utterances per call of the front-end; on an H200, 64 went faster than more or less."""
    return 64 if device.type == "cuda" else 8


def default_workers(device: torch.device) -> int:
    """How many files to decode at once: a GPU wants some 2,000 a second, which takes two to four cores."""
    return min(8, max(2, (os.cpu_count() or 2) // 2)) if device.type == "cuda" else 2


class Extracted(NamedTuple):
    """Shards made by this call, shards found finished, utterances left out with their reasons, and how fast it went.

    `unusual` counts the recordings, among those decoded by this call, that are silent, constant or clipped.
    """

    made: int
    found: int
    skipped: Mapping[str, str]
    pace: Pace
    unusual: Mapping[str, int]


def make_identity(frontend: FrontEnd, options: ExtractOptions) -> Identity:
    """Everything that decides the cached numbers.

    Raises:
        EffectError: the view's effect cannot be made.
        StoreError: the output of this front-end cannot be stored in that number type.
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
            **({"augment": dict(options.view.settings())} if options.view else {}),
        }
    )


def extract_partition(
    trials: Sequence[Trial],
    plan: Plan,
    frontend: FrontEnd,
    folder: Path,
    options: ExtractOptions,
    advance: Callable[[int], None] = lambda n: None,
) -> Extracted:
    """Make the shards of `plan` that are missing in `folder`, then mark the folder as complete.

    If it is interrupted or killed or fails at any moment, it leaves only finished shards, and the next call continues
    from there. `advance` is called for every finished utterance, including those that were found finished.

    Raises:
        AudioError: audio is unusable, unless `options.skip_bad_audio` is set.
        EffectError: the view's effect cannot use a recording.
        StoreError: the folder holds something else, a feature does not fit its type, or writing fails.
    """
    was_complete = _is_complete(folder, plan)
    if not was_complete:
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            if options.relabel:
                relabel(folder, plan, trials)
            _keep_trial_list(folder, plan, trials)
    plan = replace(plan, earlier_lists=read_earlier_lists(folder))
    extraction = _Extraction(trials, plan, frontend, folder, options, advance)
    made = extraction.run()
    skipped: dict[str, str] = {}
    for index in range(plan.shard_count):
        skipped |= ShardReader(plan.shard_path(folder, index)).skipped
    if was_complete and not made:  # so that a finished cache may lie where nothing can be written
        return Extracted(made, plan.shard_count, skipped, extraction.pace, extraction.unusual)
    with _writing(folder):
        clear_claims(folder)
        write_manifest(folder, plan, skipped)
        if frontend.weights:
            keep_weights_folder(folder, frontend.weights)
    return Extracted(made, plan.shard_count - made, skipped, extraction.pace, extraction.unusual)


def _is_complete(folder: Path, plan: Plan) -> bool:
    """Whether the folder says that it holds all of this plan."""
    try:
        require_trial_list(folder / TRIALS, plan)
        return read_manifest(folder) == plan
    except StoreError:
        return False


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


@dataclass(frozen=True)
class _Extraction:
    trials: Sequence[Trial]
    plan: Plan
    frontend: FrontEnd
    folder: Path
    options: ExtractOptions
    advance: Callable[[int], None]
    pace: Pace = field(default_factory=Pace)
    unusual: Counter[str] = field(default_factory=Counter)

    def run(self) -> int:
        """Go over the plan until every shard is finished; the number made here."""
        made, todo = 0, self._unfinished(range(self.plan.shard_count))
        if any(not self._path(index).exists() for index in todo):
            (self.folder / MANIFEST).unlink(missing_ok=True)
        self._require_room(todo)
        while todo:
            mine = self._make_free(todo)
            made += len(mine)
            todo = self._unfinished(index for index in todo if index not in mine)
            if todo and not mine:
                time.sleep(SECONDS_BETWEEN_LOOKS)  # other processes are making all that is left
        return made

    def _require_room(self, todo: Sequence[int]) -> None:
        """Raise StoreError where the disk cannot hold what is still to be made: better now than after hours."""
        needed = sum(len(self._group(index)) for index in todo) * self.plan.row_bytes
        free = shutil.disk_usage(self.folder).free
        if needed > free and not self.options.compression:
            raise StoreError(
                f"{self.folder}: {needed / 1e9:.2f} GB are still to be written there and {free / 1e9:.2f} GB are free; "
                "expected more room, or another --out"
            )

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
        shard = self._read(index)
        if shard is None:
            return False
        if not self.options.trust_audio:
            self._require_same_audio(shard, index)
        return self.options.skip_bad_audio or not shard.skipped

    def _read(self, index: int) -> ShardReader | None:
        """That shard of this plan; None where it is to be made anew.

        That is so for damaged ones where they are to be repaired, and for the last, partly filled one of a trial list
        that a longer one replaced.
        """
        try:
            shard = ShardReader(self._path(index))
        except DamagedShard:
            if self.options.repair:
                return None
            raise
        shard.require(self.plan, index)
        group = [trial.utt_id for trial in self._group(index)]
        if shard.header["trial_list_sha256"] in self.plan.earlier_lists and not shard.has_utterances(group):
            return None
        shard.require_utterances(group)
        return None if self.options.repair and shard.corrupt() else shard

    def _require_same_audio(self, shard: ShardReader, index: int) -> None:
        """Raise ShardMismatch unless the rows of a shard were made from these very audio files."""
        rows = dict(zip(shard.utt_ids, shard.layout.audio if shard.layout.audio is not None else (), strict=False))
        here = [trial for trial in self._group(index) if trial.path is not None and trial.utt_id in rows]
        stored = np.array([rows[trial.utt_id] for trial in here], np.uint64).reshape(-1, 2)
        changed = first_that_changed([trial.audio for trial in here], stored, self.options.workers)
        if changed is not None:
            trial = here[changed]
            raise ShardMismatch(
                f"{shard.path}: the row of utterance {trial.utt_id} was made from other audio than {trial.path}; give "
                "the features of changed audio a folder of their own with --name or --out, or pass --trust-audio if "
                "the samples are the same"
            )

    def _make_free(self, todo: Sequence[int]) -> set[int]:
        """Make the shards that no other process holds; their indices."""
        made: set[int] = set()
        in_processes = sum(len(self._group(index)) for index in todo) >= PROCESSES_FROM
        device = Device(self.options.device, self._features, self.plan.identity.dtype)
        with (
            ExitStack() as claims,
            Decoders(self.options.form, self.options.workers, in_processes) as decoders,
            Pipeline(decoders, device, self.options.skip_bad_audio, self.pace, self.advance) as pipeline,
        ):
            pipeline.run(self._claim(todo, claims, made, pipeline))
            self.unusual.update(pipeline.unusual)
        return made

    def _features(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Waveforms [B, n] → features; of views for int16, clipped at full scale as by any 16-bit file."""
        if self.options.view and self.plan.identity.dtype == "int16":
            waveforms = waveforms.clamp(-1, 1)
        return self.frontend.extract(waveforms)

    def _claim(self, todo: Sequence[int], claims: ExitStack, made: set[int], pipeline: Pipeline) -> Iterator[Trial]:
        """Open each shard that no other process holds, and hand out its trials that have audio.

        `claims` abandons what is not committed; `made` is told which shards are made here.
        """
        for index in todo:
            claim = Claim.take(self._path(index))
            if claim is None:
                continue
            claims.callback(claim.abandon)
            if self._is_finished(index):  # by another process, since we looked
                claim.abandon()
                continue
            writer = ShardWriter(claim, self.plan, index, self.options.compression)
            claims.callback(writer.abandon)
            made.add(index)
            group = self._group(index)
            missing = self._missing(group)
            pipeline.open(OpenShard(writer, group, missing))
            self.advance(len(missing))
            yield from (trial for trial in group if trial.path is not None)

    def _missing(self, group: Sequence[Trial]) -> dict[str, str]:
        """Utterance → reason for the trials without an audio file; AudioError unless they are to be skipped."""
        missing = {trial.utt_id: _no_audio(trial) for trial in group if trial.path is None}
        if missing and not self.options.skip_bad_audio:
            raise AudioError(next(iter(missing.values())))
        return missing


def _no_audio(trial: Trial) -> str:
    return f"utterance {trial.utt_id}: no audio file; expected {trial.utt_id}.flac, .wav or another ending"
