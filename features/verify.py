"""Is a cache still what was written? Re-reads every row against its checksum."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

from features.plan import SKIPPED, TRIALS, StoreError, read_manifest, read_trials
from features.store import ShardReader


def cached_partitions(root: Path) -> list[Path]:
    """Every cached partition at or below `root`, begun or complete."""
    return sorted(path.parent for path in root.rglob(TRIALS))


def verify_partition(folder: Path, advance: Callable[[int], None] = lambda n: None) -> list[str]:
    """Sentences that say what is wrong with a partition; none when all is as it was written.

    Every row is read against its checksum, every shard against the manifest, and the utterances of the shards and
    of `skipped.tsv` together must be those of the protocol. `advance` is told of every shard.
    """
    return list(_problems(folder, advance))


def _problems(folder: Path, advance: Callable[[int], None]) -> Iterator[str]:
    try:
        plan = read_manifest(folder)
        expected = [trial.utt_id for trial in read_trials(folder, plan)]
    except StoreError as error:
        yield str(error)
        return
    skipped = _read_skipped(folder / SKIPPED)
    for index in range(plan.shard_count):
        path = plan.shard_path(folder, index)
        try:
            shard = ShardReader(path)
            shard.require(plan, index)
            corrupt = shard.corrupt()
        except StoreError as error:
            yield str(error)
            continue
        finally:
            advance(1)
        if corrupt:
            yield f"{path}: {len(corrupt)} rows changed since they were written, first {corrupt[0]}"
        group = expected[plan.group(index)]
        if shard.utt_ids != [utt_id for utt_id in group if utt_id not in skipped]:
            yield f"{path}: its utterances and those of {SKIPPED} are not those of {TRIALS}"


def _read_skipped(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with path.open(encoding="utf-8", newline="") as file:
        return {row["utt_id"] for row in csv.DictReader(file, delimiter="\t")}
