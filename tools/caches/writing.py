"""Writes a derived cache shard by shard, so that it continues after an interruption and is complete or not there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spoofcache.common.files import Claim, clear_claims, free_bytes
from spoofcache.features.fingerprint import Fingerprint
from spoofcache.features.origin import Origin
from spoofcache.features.plan import (
    MANIFEST,
    TRIALS,
    StoreError,
    keep_weights_folder,
    weights_folder,
    write_manifest,
)
from spoofcache.features.store import DamagedShard, ShardReader, ShardWriter, to_stored
from spoofcache.features.trial_list import locked_trial_list
from spoofcache.protocols.snapshot import sha256_of_file
from spoofcache.tools.caches.derived import Derived

ROWS_AT_ONCE = 32


def write_derived(
    derived: Derived, folder: Path, compression: str | None = None, advance: Callable[[int], None] = lambda n: None
) -> None:
    """Write a derived cache into a folder that is new, or that the same call began before it was interrupted.

    Finished shards of an interrupted call stay. Rows are compared with their checksums as they are read, and what the
    sources record of audio, omitted utterances and weights is kept.

    Args:
        derived: the cache.
        folder: its partition.
        compression: `gzip` or `lzf`; None for contiguous rows.
        advance: called with the number of finished utterances.

    Raises:
        StoreError: the folder holds something else, a source is damaged, a value does not fit the number type, the disk
            has no space, or another process writes there.
    """
    require_new(folder, derived.plan.trial_list_sha256)
    if derived.plan.n_bytes > free_bytes(folder) and not compression:
        raise StoreError(
            f"{folder}: {derived.plan.n_bytes / 1e9:.2f} GB are to be written there and {free_bytes(folder) / 1e9:.2f} "
            "GB are free; expected more free space, or another --out"
        )
    with locked_trial_list(folder, derived.plan, derived.trials, replace=False):
        skipped: dict[str, str] = {}
        for index in range(derived.plan.shard_count):
            skipped |= _write_shard(derived, folder, index, compression)
            advance(len(derived.trials[derived.plan.group(index)]))
        clear_claims(folder)
        _keep_hints(derived, folder)
        write_manifest(folder, derived.plan, skipped)


def require_new(folder: Path, trial_list_sha256: str = "") -> None:
    """Raise StoreError unless a folder is new, empty, or an unfinished cache of this trial list."""
    if not folder.exists():
        return
    if not folder.is_dir() or (folder / MANIFEST).exists():
        raise StoreError(f"{folder}: exists already, and is not overwritten; expected another --out")
    visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
    is_ours = (folder / TRIALS).is_file() and sha256_of_file(folder / TRIALS) == trial_list_sha256
    if visible and not is_ours:
        raise StoreError(
            f"{folder}: not empty, and not what the same command left when it was interrupted; expected another --out"
        )


def _write_shard(derived: Derived, folder: Path, index: int, compression: str | None) -> dict[str, str]:
    """Write a shard, unless it is finished; returns the utterances that it omits, with their reasons."""
    path = derived.plan.shard_path(folder, index)
    claim = Claim.take(path)
    if claim is None:
        raise StoreError(f"{path}: another process is writing it; run this command after that one has ended")
    try:
        if _is_finished(derived, path, index, compression):
            return dict(ShardReader(path).skipped)
        return _fill(ShardWriter(claim, derived.plan, index, compression), derived, index)
    finally:
        claim.abandon()


def _is_finished(derived: Derived, path: Path, index: int, compression: str | None) -> bool:
    """Whether a shard of the derived cache is there, compressed or not as requested; a damaged one is made again."""
    if not path.exists():
        return False
    try:
        shard = ShardReader(path)
    except DamagedShard:
        return False
    shard.require(derived.plan, index)
    shard.require_utterances(derived.trials.names[derived.plan.group(index)])
    return not shard.utt_ids or (shard.layout.offset is None) == bool(compression)


def _fill(writer: ShardWriter, derived: Derived, index: int) -> dict[str, str]:
    try:
        group = derived.plan.group(index)
        kept, skipped, audio = list[int](), dict[str, str](), list[Fingerprint | None]()
        for trial in range(group.start, group.stop):
            source, number = derived.origin(trial)
            if number in source.omitted:
                skipped[derived.trials.names[trial]] = source.omitted[number]
                writer.skip(derived.trials.names[trial], source.omitted[number])
            else:
                kept.append(trial)
                audio.append(source.audio(number))
        for start in range(0, len(kept), ROWS_AT_ONCE):
            some = kept[start : start + ROWS_AT_ONCE]
            writer.append([derived.trials.names[trial] for trial in some], _rows(derived, some))
        known = [each for each in audio if each is not None]
        writer.commit(known if len(known) == len(audio) else None)
        return skipped
    finally:
        writer.abandon()


def _rows(derived: Derived, trials: Sequence[int]) -> NDArray[np.generic]:
    """The rows [B, *row] of trials in the number type of the derived cache."""
    origins = [derived.origin(trial) for trial in trials]
    rows = np.stack([source.row(number) for source, number in origins])
    if rows.dtype == derived.plan.identity.dtype:
        return rows
    names = [derived.trials.names[trial] for trial in trials]
    try:
        return to_stored(torch.from_numpy(rows), derived.plan.identity.dtype, names)
    except StoreError as error:
        raise StoreError(f"{origins[0][0].folder}: {error}") from error


def _keep_hints(derived: Derived, folder: Path) -> None:
    """Copy from the first source what is a hint for later commands: the folder of the weights, and the options."""
    source = derived.pieces[0].source.folder
    weights, origin = weights_folder(source), Origin.read(source)
    if weights:
        keep_weights_folder(folder, weights)
    if origin and len(derived.pieces) == 1:
        origin.keep(folder)
