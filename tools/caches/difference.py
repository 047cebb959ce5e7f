"""What distinguishes two caches: the fields of their identities, their trials, and the numbers in their rows."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.common.cli import counted
from spoofcache.features.plan import Plan, read_manifest, read_trials
from spoofcache.features.store import ShardReader

SHOWN = 10


class Difference(NamedTuple):
    """The differences of two complete caches A and B.

    Attributes:
        fields: by dotted name, the values in A and in B of what differs in identity, corpus, partition and shape; None
            where a cache has no such field.
        only_a: utterances that only A has.
        only_b: utterances that only B has.
        changed: utterances of both whose key, attack, speaker or other columns differ.
        is_reordered: whether the common utterances stand in another order.
        other_rows: utterances of both whose features differ in at least one bit; not compared if identities differ.
    """

    fields: Mapping[str, tuple[Any, Any]]
    only_a: list[str]
    only_b: list[str]
    changed: list[str]
    is_reordered: bool
    other_rows: list[str]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for name, (in_a, in_b) in self.fields.items():
            yield f"{name}: A has {in_a!r}, B has {in_b!r}"
        for names, what in (
            (self.only_a, "only in A"),
            (self.only_b, "only in B"),
            (self.changed, "with another key, attack, speaker or other column"),
            (self.other_rows, "with other features, although the identities are equal"),
        ):
            if names:
                yield f"{counted(len(names), 'trial')} {what}: {_some(names)}"
        if self.is_reordered:
            yield "the trials that both have stand in another order"


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def difference(a: Path, b: Path) -> Difference:
    """Compare two complete cached partitions. No row is read: checksums tell whether features are equal.

    Raises:
        StoreError: a folder is not a complete cached partition, or a shard cannot be read.
    """
    plans = read_manifest(a), read_manifest(b)
    trials = read_trials(a, plans[0]), read_trials(b, plans[1])
    places = [{name: row for row, name in enumerate(table.names)} for table in trials]
    common = [name for name in places[0] if name in places[1]]
    fields = _fields_that_differ(*plans)
    is_same_identity = plans[0].identity == plans[1].identity and plans[0].row_shape == plans[1].row_shape
    return Difference(
        fields,
        [name for name in places[0] if name not in places[1]],
        [name for name in places[1] if name not in places[0]],
        [name for name in common if trials[0][places[0][name]] != trials[1][places[1][name]]],
        common != [name for name in places[1] if name in places[0]],
        _rows_that_differ(checksums(a, plans[0]), checksums(b, plans[1])) if is_same_identity else [],
    )


def _fields_that_differ(a: Plan, b: Plan) -> dict[str, tuple[Any, Any]]:
    flat = [
        {"corpus": plan.corpus, "partition": plan.partition, "row_shape": list(plan.row_shape)} | plan.identity.flat()
        for plan in (a, b)
    ]
    names = dict.fromkeys(chain(*flat))
    both = {name: (flat[0].get(name), flat[1].get(name)) for name in names}
    return {name: values for name, values in both.items() if values[0] != values[1]}


def checksums(folder: Path, plan: Plan) -> dict[str, int | str]:
    """The checksum of each utterance's row or, where the cache omits the utterance, the reason."""
    found: dict[str, int | str] = {}
    for index in range(plan.shard_count):
        shard = ShardReader(plan.shard_path(folder, index))
        shard.require(plan, index)
        found.update(zip(shard.utt_ids, shard.layout.checksums.tolist(), strict=True))
        found.update(shard.skipped)
    return found


def _rows_that_differ(a: Mapping[str, int | str], b: Mapping[str, int | str]) -> list[str]:
    return [name for name, checksum in a.items() if name in b and b[name] != checksum]
