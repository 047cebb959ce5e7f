"""The trial list of a cached partition: written before its shards, and replaced by `preprocess.py --relabel`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spoofcache.common.files import atomic_path, occupied, remove_leftovers
from spoofcache.features.plan import (
    EARLIER_LISTS,
    MANIFEST,
    TRIALS,
    Plan,
    ShardMismatch,
    StoreError,
    read_earlier_lists,
    read_manifest,
    require_trial_list,
)
from spoofcache.protocols.snapshot import read_snapshot, sha256_of_file, snapshot
from spoofcache.protocols.trial import Trial


@contextmanager
def kept_list(folder: Path, plan: Plan, trials: Sequence[Trial], replace: bool) -> Iterator[bool]:
    """Hold a partition while its shards are made. Other processes may make shards, but none may replace the trial list.

    A folder without a list gets that of the plan. With `replace`, another list is replaced first, and the partition is
    incomplete from then on: the extraction accepts the shards of the list before, makes the missing ones, and writes
    the manifest.

    Args:
        folder: the partition, which need not exist.
        plan: the plan by which the shards are made.
        trials: the trial list of the plan.
        replace: whether a list with the same utterances, or with fewer at its end, is replaced.

    Yields:
        Whether the folder holds all of the plan. Nothing was written then, so it may be read-only.

    Raises:
        ShardMismatch: the folder has another list. With `replace`: that list is not the beginning of the new one.
        StoreError: another process makes shards while the list is to be replaced, or replaces it; or the list of
            earlier lists is damaged.
        OSError: the folder cannot be written.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    if replace:
        _replace(folder, plan, trials)
    with _occupied(folder, alone=False):
        yield _settle(folder, plan, trials)


def _settle(folder: Path, plan: Plan, trials: Sequence[Trial]) -> bool:
    """Write the trial list if there is none; returns whether the folder holds all of the plan."""
    path = folder / TRIALS
    if path.exists():
        require_trial_list(path, plan)
        with suppress(StoreError):  # not complete
            if read_manifest(folder) == plan:
                return True
    remove_leftovers(folder)
    if not path.exists():
        with atomic_path(path) as temporary:
            temporary.write_bytes(snapshot(trials))
    return False


def _replace(folder: Path, plan: Plan, trials: Sequence[Trial]) -> None:
    """Replace the trial list of a partition by that of the plan, unless it has that list already or none.

    Killed at any moment, this leaves either the old list or the new one, which the same call then finishes: first the
    list before is noted as an earlier one, then the manifest goes, then the list is replaced.
    """
    path = folder / TRIALS
    if not path.exists() or sha256_of_file(path) == plan.trial_list_sha256:
        return
    with _occupied(folder, alone=True):
        before = read_snapshot(path)
        _require_same_beginning(path, before, trials)
        earlier = {**read_earlier_lists(folder), sha256_of_file(path): len(before)}
        with suppress(StoreError):  # of a list that was edited by hand, the manifest still knows the original
            manifest = read_manifest(folder)
            earlier[manifest.trial_list_sha256] = manifest.n_trials
        with atomic_path(folder / EARLIER_LISTS) as temporary:
            temporary.write_text(json.dumps(earlier, indent=1) + "\n", encoding="utf-8")
        (folder / MANIFEST).unlink(missing_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(snapshot(trials))


@contextmanager
def _occupied(folder: Path, alone: bool) -> Iterator[None]:
    """`occupied` with a StoreError, for another preprocess.py that stands in the way."""
    with ExitStack() as stack:
        try:
            stack.enter_context(occupied(folder, alone))
        except BlockingIOError as error:
            others = "makes shards there" if alone else "replaces the trial list (--relabel)"
            raise StoreError(f"{folder}: another preprocess.py {others}; expected it to have ended") from error
        yield


def _require_same_beginning(path: Path, before: Sequence[Trial], trials: Sequence[Trial]) -> None:
    for number, trial in enumerate(before):
        found = f"utterance {trials[number].utt_id}" if number < len(trials) else "no utterance"
        if found != f"utterance {trial.utt_id}":
            raise ShardMismatch(
                f"{path}:{number + 2}: utterance {trial.utt_id}, where the protocol has {found}; for --relabel the "
                "protocol is expected to begin with the utterances of the cache, in their order. Give another list a "
                "folder of its own with --name or --out"
            )
