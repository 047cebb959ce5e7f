"""Extract one partition into shards. Any number of processes can share the work, and it can be resumed at any shard."""

from spoofcache.common.signals import end_now, seconds_left

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from spoofcache.common.files import Claim, clear_claims, free_bytes
from spoofcache.features.decoding import Decoders
from spoofcache.features.device import Device, Pace
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.fingerprint import first_that_changed
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.pipeline import OpenShard, Pipeline
from spoofcache.features.plan import (
    FORMAT_VERSION,
    MANIFEST,
    Identity,
    Plan,
    ShardMismatch,
    StoreError,
    keep_weights_folder,
    read_earlier_lists,
    write_manifest,
)
from spoofcache.features.store import DamagedShard, ShardReader, ShardWriter
from spoofcache.features.trial_list import locked_trial_list
from spoofcache.features.waveform import SAMPLE_RATE, AudioError
from spoofcache.protocols.trial import Trial

SECONDS_BETWEEN_LOOKS = 0.5
PROCESSES_FROM = 1_000
"""From this number of utterances on, processes decode; threads finish a smaller number before processes would start."""


class Extracted(NamedTuple):
    """The result of an extraction.

    Attributes:
        made: number of shards that this call wrote.
        found: number of shards that were already complete, among those that this call was asked for.
        skipped: the omitted utterances with their reasons.
        pace: how fast the extraction was.
        unusual: number of silent, constant and clipped recordings among those that this call decoded.
        missing: number of shards that others still have to make; the partition is complete once it is 0.
    """

    made: int
    found: int
    skipped: Mapping[str, str]
    pace: Pace
    unusual: Mapping[str, int]
    missing: int = 0


def make_identity(frontend: FrontEnd, options: ExtractOptions) -> Identity:
    """Build the identity of a cache: every setting that the stored numbers depend on.

    Raises:
        EffectError: the effect of the view is not available.
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
    """Write the shards of `plan` that are missing from `folder`, then mark the folder as complete.

    With `options.shards`, only those are written. Whoever writes the last shard of the partition marks it as complete;
    if two finish at once, both may do so, with the same bytes.

    If the extraction is interrupted, is killed or fails at any moment, only complete shards remain, and the next call
    continues from there. `advance` is called with the number of finished utterances, and also counts those in shards
    that were already complete.

    Raises:
        AudioError: audio is unusable, and `options.skip_bad_audio` is not set.
        EffectError: the effect of the view cannot be applied to a recording.
        StoreError: the folder contains something else, a feature does not fit its number type, or writing fails.
    """
    with ExitStack() as stack:
        with _writing(folder):
            is_complete = stack.enter_context(locked_trial_list(folder, plan, trials, options.relabel))
        plan = replace(plan, earlier_lists=read_earlier_lists(folder))
        extraction = _Extraction(trials, plan, frontend, folder, options, advance)
        made = extraction.run()
        missing = [] if options.shards is None else extraction.missing()
        skipped = extraction.skipped
        if not missing and (made or not is_complete):  # otherwise nothing is written: the disk may be read-only
            with _writing(folder):
                _complete(folder, plan, skipped, frontend)
    found = len(extraction.wanted) - made
    return Extracted(made, found, skipped, extraction.pace, extraction.unusual, len(missing))


def prepare_partition(trials: Sequence[Trial], plan: Plan, folder: Path, relabel: bool) -> None:
    """Write the trial list of a partition, unless it is there; with `relabel`, another list is replaced.

    Raises:
        StoreError: the folder contains something else, or cannot be written.
    """
    with _writing(folder), locked_trial_list(folder, plan, trials, relabel):
        pass


def _complete(folder: Path, plan: Plan, skipped: Mapping[str, str], frontend: FrontEnd) -> None:
    """Write the files that mark a partition as complete, and remove the claims of killed processes."""
    clear_claims(folder)
    write_manifest(folder, plan, skipped)
    if frontend.weights:
        keep_weights_folder(folder, frontend.weights)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an OSError into a StoreError that names the folder, for the files beside the shards."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{folder}: cannot be written ({reason}); expected a folder for the cache") from error


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
    _omitted: dict[int, Mapping[str, str]] = field(default_factory=dict)
    """Index of each finished shard that was read → the utterances that it omits, with their reasons."""

    @property
    def wanted(self) -> Sequence[int]:
        """The shards that this call has to make, unless they are finished."""
        return range(self.plan.shard_count) if self.options.shards is None else self.options.shards

    @property
    def skipped(self) -> dict[str, str]:
        """The utterances that finished shards omit, with their reasons. Shards that were written here are read."""
        skipped: dict[str, str] = {}
        for index in sorted({*self.wanted, *self._omitted}):
            known = self._omitted.get(index)
            skipped |= ShardReader(self._path(index)).skipped if known is None else known
        return skipped

    def missing(self) -> list[int]:
        """The shards of the partition that are not finished, whoever has to make them.

        Only if all of them are there are they opened, so that asking after each of thousands of shards stays cheap.
        """
        everything, there = range(self.plan.shard_count), set(os.listdir(self.folder))
        absent = [index for index in everything if self._path(index).name not in there]
        return absent or [index for index in everything if not self._is_made(index)]

    def run(self) -> int:
        """Repeat until every wanted shard is finished; return the number of shards that this process wrote."""
        made, todo = 0, self._unfinished(self.wanted)
        if any(not self._path(index).exists() for index in todo):
            (self.folder / MANIFEST).unlink(missing_ok=True)
        self._require_room(todo)
        while todo:
            mine = self._make_free(todo)
            made += len(mine)
            todo = self._unfinished(index for index in todo if index not in mine)
            if todo:
                end_now()
            if todo and not mine:
                time.sleep(SECONDS_BETWEEN_LOOKS)  # other processes are working on all remaining shards
        return made

    def _require_room(self, todo: Sequence[int]) -> None:
        """Raise StoreError if the disk has no space for the remaining shards, instead of failing hours later."""
        needed = sum(len(self._group(index)) for index in todo) * self.plan.row_bytes
        free = free_bytes(self.folder)
        if needed > free and not self.options.compression:
            raise StoreError(
                f"{self.folder}: {needed / 1e9:.2f} GB are still to be written there and {free / 1e9:.2f} GB are free; "
                "expected more free space, or another --out"
            )

    def _path(self, index: int) -> Path:
        return self.plan.shard_path(self.folder, index)

    def _group(self, index: int) -> Sequence[Trial]:
        return self.trials[self.plan.group(index)]

    def _unfinished(self, indices: Iterable[int]) -> list[int]:
        """Return the indices of the shards that are not finished; count the others as progress."""
        todo = []
        for index in indices:
            if self._is_finished(index):
                self.advance(len(self._group(index)))
            else:
                todo.append(index)
        return todo

    def _is_finished(self, index: int) -> bool:
        """Whether the shard exists and follows this plan. One that omits utterances counts only if skipping is on."""
        if index in self._omitted:
            return True
        shard = self._read(index, deeply=True) if self._path(index).exists() else None
        if shard is None:
            return False
        if not self.options.trust_audio:
            self._require_same_audio(shard, index)
        if shard.skipped and not self.options.skip_bad_audio:
            return False
        self._omitted[index] = shard.skipped
        return True

    def _is_made(self, index: int) -> bool:
        """Whether the shard exists and follows this plan. Rows and audio are for whoever made it to compare."""
        if index not in self._omitted and self._path(index).exists():
            shard = self._read(index, deeply=False)
            if shard is not None and (self.options.skip_bad_audio or not shard.skipped):
                self._omitted[index] = shard.skipped
        return index in self._omitted

    def _read(self, index: int, deeply: bool) -> ShardReader | None:
        """Open a shard of this plan; return None if it must be recomputed. `deeply`, every row may be read, too.

        A damaged shard is recomputed with `--repair`. The last shard is recomputed if it was partly filled and the
        trial list has been replaced by a longer one since.
        """
        try:
            shard = ShardReader(self._path(index))
        except DamagedShard:
            if self.options.repair and deeply:
                return None
            raise
        shard.require(self.plan, index)
        group = [trial.utt_id for trial in self._group(index)]
        if shard.header["trial_list_sha256"] in self.plan.earlier_lists and not shard.has_utterances(group):
            return None
        shard.require_utterances(group)
        return None if self.options.repair and deeply and shard.corrupt() else shard

    def _require_same_audio(self, shard: ShardReader, index: int) -> None:
        """Raise ShardMismatch unless the rows of a shard were computed from the present audio files."""
        rows = dict(zip(shard.utt_ids, shard.layout.audio if shard.layout.audio is not None else (), strict=False))
        here = [trial for trial in self._group(index) if trial.path is not None and trial.utt_id in rows]
        stored = np.array([rows[trial.utt_id] for trial in here], np.uint64).reshape(-1, 2)
        changed = first_that_changed([trial.audio for trial in here], stored, self.options.workers)
        if changed is not None:
            trial = here[changed]
            raise ShardMismatch(
                f"{shard.path}: the row of utterance {trial.utt_id} was made from other audio than {trial.path}; write "
                "the features of changed audio to another folder with --name or --out, or pass --trust-audio if the "
                "samples are the same"
            )

    def _make_free(self, todo: Sequence[int]) -> set[int]:
        """Write the shards that no other process has claimed; return their indices."""
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
        """Compute features from waveforms [B, n]. Augmented int16 waveforms are clipped to full scale, as in a file."""
        if self.options.view and self.plan.identity.dtype == "int16":
            waveforms = waveforms.clamp(-1, 1)
        return self.frontend.extract(waveforms)

    def _claim(self, todo: Sequence[int], claims: ExitStack, made: set[int], pipeline: Pipeline) -> Iterator[Trial]:
        """Open each shard that no other process has claimed, and yield its trials that have audio.

        When `claims` closes, shards that were not committed are abandoned. The index of each opened shard is added to
        `made`.
        """
        for index in todo:
            if seconds_left() is not None:  # a signal has come: what is open may be finished, but nothing is begun
                return
            claim = Claim.take(self._path(index))
            if claim is None:
                continue
            claims.callback(claim.abandon)
            if self._is_finished(index):  # another process has finished it in the meantime
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
        """Map each utterance without an audio file to a reason; raise AudioError unless such utterances are skipped."""
        missing = {trial.utt_id: _no_audio(trial) for trial in group if trial.path is None}
        if missing and not self.options.skip_bad_audio:
            raise AudioError(next(iter(missing.values())))
        return missing


def _no_audio(trial: Trial) -> str:
    return f"utterance {trial.utt_id}: no audio file; expected {trial.utt_id}.flac, .wav or another ending"
