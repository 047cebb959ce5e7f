"""Checks whether a cache is still what was written, by reading every row and comparing its checksum."""

from collections.abc import Callable, Iterator
from pathlib import Path

from spoofcache.features.plan import MANIFEST, SKIPPED, TRIALS, StoreError, read_manifest, read_trials, skipped_table
from spoofcache.features.store import REMEDY, ShardReader


def cached_partitions(root: Path) -> list[Path]:
    """Every cached partition at or below `root`: complete, unfinished or with missing files."""
    return sorted({path.parent for name in (TRIALS, MANIFEST, "shard-*.h5") for path in root.rglob(name)})


def verify_partition(folder: Path, advance: Callable[[int], None] = lambda n: None) -> list[str]:
    """Return a sentence for each problem of a partition; none if everything is as it was written.

    The checks compare every row with its checksum, every shard with the manifest, its utterances with the trial list,
    and `skipped.tsv` with the utterances that the shards omit. `advance` is called with 1 after every shard.
    """
    return list(_problems(folder, advance))


def _problems(folder: Path, advance: Callable[[int], None]) -> Iterator[str]:
    try:
        plan = read_manifest(folder)
        expected = read_trials(folder, plan).names
    except StoreError as error:
        yield str(error)
        return
    skipped: dict[str, str] | None = {}
    for index in range(plan.shard_count):
        path = plan.shard_path(folder, index)
        try:
            shard = ShardReader(path)
            shard.require(plan, index)
            shard.require_utterances(expected[plan.group(index)])
            corrupt = shard.corrupt()
        except StoreError as error:
            yield str(error)
            skipped = None  # unknown: that shard may have omitted utterances
            continue
        finally:
            advance(1)
        if corrupt:
            rows = f"{len(corrupt)} row{'s' * (len(corrupt) != 1)}"
            fault = f"the values of {rows} have changed since they were written, or are not numbers"
            yield f"{path}: {fault}, first {corrupt[0]}; {REMEDY}"
        if skipped is not None:
            skipped |= shard.skipped
    table = folder / SKIPPED
    found = table.read_bytes() if table.exists() else skipped_table({})
    if skipped is not None and found != skipped_table(skipped):
        yield f"{table}: does not list the utterances that the shards omit, with their reasons"
