"""Removes cached partitions that no live process holds, so that an interruption leaves none that looks complete."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spoofcache.common.files import makers, occupied
from spoofcache.engine.checkpoint import ABOUT
from spoofcache.features.origin import FILE as ORIGIN
from spoofcache.features.plan import (
    EARLIER_LISTS,
    MANIFEST,
    SKIPPED,
    TRIALS,
    WEIGHTS,
    Plan,
    StoreError,
    read_earlier_lists,
)

BESIDE = (MANIFEST, SKIPPED, EARLIER_LISTS, WEIGHTS, ORIGIN)
"""Files of a partition besides shards and trial list. The manifest is the first to go: without it nothing is read."""

OF_IDENTITY = re.compile(r"-[0-9a-f]{8}$")
"""The end of the name of an identity's folder, which is in the folder of the corpus."""


def remove(folder: Path) -> list[Path]:
    """Remove a cached partition, and the folders of its identity and its corpus if they are empty then.

    Only files that SpoofCache writes are removed. If the removal is interrupted, the partition is incomplete, and the
    same call continues: the trial list, by which a partition is recognised, is removed last.

    Returns:
        Other files in the folder, which are kept.

    Raises:
        StoreError: a live process reads or writes the partition.
        OSError: a file cannot be removed.
    """
    with not_in_use(folder):
        for name in BESIDE:
            (folder / name).unlink(missing_ok=True)
        for pattern in ("shard-*.h5", ".*.part", ".*.lock"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        (folder / TRIALS).unlink(missing_ok=True)
    others = sorted(folder.iterdir())
    if not others:
        folder.rmdir()
        _remove_if_empty(folder)
    return others


def _remove_if_empty(partition: Path) -> None:
    """Remove the folders above a partition that preprocess.py makes, and no folder of the user's own."""
    of_identity = partition.absolute().parent
    if OF_IDENTITY.search(of_identity.name):
        with suppress(OSError):  # not empty
            of_identity.rmdir()
            of_identity.parent.rmdir()


@contextmanager
def not_in_use(folder: Path) -> Iterator[None]:
    """Lock a partition, so that nobody begins to use it; raise StoreError if a live process uses it already."""
    with ExitStack() as stack:
        for name, maker in makers(folder).items():
            raise StoreError(f"{folder}: {maker.machine} is writing {name}; expected a cache that no process uses")
        for path, what in ((folder, "writing into it"), (folder / TRIALS, "reading it")):
            try:
                if path.exists():
                    stack.enter_context(occupied(path, alone=True))
            except BlockingIOError as error:
                raise StoreError(f"{folder}: a process is {what}; expected a cache that no process uses") from error
        yield


def runs_that_name(plans: Sequence[Plan], folders: Sequence[Path], below: Path) -> list[Path]:
    """The run folders below a folder whose `model.json` names one of these partitions, as train, dev or view.

    Args:
        plans: of the partitions.
        folders: of the partitions, whose earlier trial lists count too.
        below: where to look for runs.
    """
    named = [
        f"{plan.identity.digest} {sha256} "
        for plan, folder in zip(plans, folders, strict=True)
        for sha256 in (plan.trial_list_sha256, *read_earlier_lists(folder))
    ]
    return [path.parent for path in sorted(below.rglob(ABOUT)) if any(each in _data_of(path) for each in named)]


def _data_of(path: Path) -> str:
    """The digests of a run's data; empty where `model.json` has none or is not readable."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["data"]
        return "; ".join(map(str, data.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
