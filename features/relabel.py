"""Another trial list for a partition whose features stay: new labels, columns, or utterances behind the old ones."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from spoofcache.common.files import atomic_path
from spoofcache.features.plan import (
    EARLIER_LISTS,
    MANIFEST,
    TRIALS,
    Plan,
    ShardMismatch,
    StoreError,
    read_earlier_lists,
    read_manifest,
)
from spoofcache.protocols.trial import Trial, read_snapshot, snapshot, snapshot_sha256


def relabel(folder: Path, plan: Plan, trials: Sequence[Trial]) -> None:
    """Replace the trial list of a partition by that of `plan`, and let the partition be incomplete.

    The extraction that follows accepts the shards of the list before, makes what is missing, and writes the manifest.
    Killed at any moment, this leaves either the old list or the new one, which the same call then finishes: first the
    list before is noted as an earlier one, then the manifest goes, then the list is replaced.

    Args:
        folder: the partition; nothing is done where it has no trial list, or this one already.
        plan: of the new list.
        trials: the new list.

    Raises:
        ShardMismatch: the new list does not begin with the utterances of the old one, in their order.
        StoreError: the list of earlier ones is damaged.
        OSError: the folder cannot be written.
    """
    path = folder / TRIALS
    if not path.exists():
        return
    sha256 = snapshot_sha256(path.read_bytes())
    if sha256 == plan.trial_list_sha256:
        return
    before = read_snapshot(path)
    _require_same_beginning(path, before, trials)
    earlier = {**read_earlier_lists(folder), sha256: len(before)}
    with contextlib.suppress(StoreError):  # of a list that was edited by hand, the manifest still knows the original
        manifest = read_manifest(folder)
        earlier[manifest.trial_list_sha256] = manifest.n_trials
    with atomic_path(folder / EARLIER_LISTS) as temporary:
        temporary.write_text(json.dumps(earlier, indent=1) + "\n", encoding="utf-8")
    (folder / MANIFEST).unlink(missing_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(snapshot(trials))


def _require_same_beginning(path: Path, before: Sequence[Trial], trials: Sequence[Trial]) -> None:
    for number, trial in enumerate(before):
        found = f"utterance {trials[number].utt_id}" if number < len(trials) else "no utterance"
        if found != f"utterance {trial.utt_id}":
            raise ShardMismatch(
                f"{path}:{number + 2}: utterance {trial.utt_id}, where the protocol has {found}; for --relabel the "
                "protocol is expected to begin with the utterances of the cache, in their order. Give another list a "
                "folder of its own with --name or --out"
            )
