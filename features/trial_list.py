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
def locked_trial_list(folder: Path, plan: Plan, trials: Sequence[Trial], replace: bool) -> Iterator[bool]:
    """Lock the trial list of a partition while its shards are written. Other processes may write shards meanwhile.

    If the folder has no list, that of the plan is written. With `replace`, a different list is replaced first. The
    partition is then incomplete until the extraction has accepted the shards of the previous list, written the missing
    ones, and written the manifest.

    Args:
        folder: the partition, which need not exist.
        plan: the plan by which the shards are written.
        trials: the trial list of the plan.
        replace: whether to replace a list with the same utterances, or with only the first of them.

    Yields:
        Whether the partition is complete. If so, nothing has been written, and the folder may be read-only.

    Raises:
        ShardMismatch: the folder has another list. With `replace`: that list is not the beginning of the new one.
        StoreError: another process writes shards although the list is to be replaced, or replaces the list; or the
            table of earlier lists is damaged.
        OSError: the folder cannot be written.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
    if replace:
        _replace(folder, plan, trials)
    with _occupied(folder, alone=False):
        yield _prepare(folder, plan, trials)


def _prepare(folder: Path, plan: Plan, trials: Sequence[Trial]) -> bool:
    """Check the trial list, or write it if there is none; returns whether the partition is complete."""
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

    If the process is killed at any moment, the folder has either the old list or the new one, and another call
    completes the replacement: the old list is first recorded as an earlier one, then the manifest is removed, and the
    list is replaced last.
    """
    path = folder / TRIALS
    if not path.exists() or sha256_of_file(path) == plan.trial_list_sha256:
        return
    with _occupied(folder, alone=True):
        before = read_snapshot(path)
        _require_same_beginning(path, before, trials)
        earlier = {**read_earlier_lists(folder), sha256_of_file(path): len(before)}
        with suppress(StoreError):  # if the list was edited by hand, the manifest still records the original
            manifest = read_manifest(folder)
            earlier[manifest.trial_list_sha256] = manifest.n_trials
        with atomic_path(folder / EARLIER_LISTS) as temporary:
            temporary.write_text(json.dumps(earlier, indent=1) + "\n", encoding="utf-8")
        (folder / MANIFEST).unlink(missing_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(snapshot(trials))


@contextmanager
def _occupied(folder: Path, alone: bool) -> Iterator[None]:
    """`occupied`, with a StoreError if another preprocess.py prevents it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(occupied(folder, alone))
        except BlockingIOError as error:
            others = "is writing shards there" if alone else "is replacing the trial list (--relabel)"
            raise StoreError(
                f"{folder}: another preprocess.py {others}; run this command after it has ended"
            ) from error
        yield


def _require_same_beginning(path: Path, before: Sequence[Trial], trials: Sequence[Trial]) -> None:
    for number, trial in enumerate(before):
        found = f"utterance {trials[number].utt_id}" if number < len(trials) else "no utterance"
        if found != f"utterance {trial.utt_id}":
            raise ShardMismatch(
                f"{path}:{number + 2}: utterance {trial.utt_id}, where the protocol has {found}; with --relabel, the "
                "protocol is expected to begin with the utterances of the cache, in their order. Cache the features of "
                "a different list in another folder with --name or --out"
            )
