"""What a cached partition is, as far as its files tell without a row being read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.features.plan import MANIFEST, SKIPPED, TRIALS, Plan, StoreError, read_manifest, weights_folder
from spoofcache.features.store import ShardReader
from spoofcache.features.verify import cached_partitions
from spoofcache.protocols.snapshot import read_snapshot
from spoofcache.protocols.trial import UNKNOWN, ProtocolError, table_rows, text_lines
from spoofcache.protocols.trial_table import TrialTable

COMPLETE, INCOMPLETE, EMPTY, UNREADABLE = "complete", "not complete", "no shard yet", "unreadable"


@dataclass(frozen=True)
class CacheFacts:
    """A cached partition, complete or not.

    Attributes:
        folder: the folder of the partition.
        state: `complete`, `not complete`, `no shard yet` or `unreadable`.
        plan: its plan; None where neither a manifest nor a shard tells it.
        n_rows: number of utterances with features in its shards; None if it is not complete.
        n_shards: number of finished shards.
        n_bytes: size in bytes of all files in the folder.
        fault: why the folder cannot be read; empty if it can.
    """

    folder: Path
    state: str
    plan: Plan | None
    n_rows: int | None
    n_shards: int
    n_bytes: int
    fault: str = ""

    @property
    def front_end(self) -> Mapping[str, Any]:
        """The settings of the front-end; none where the plan is not known."""
        found = self.plan.identity.settings.get("front_end") if self.plan else None
        return found if isinstance(found, Mapping) else {}

    @property
    def front_end_in_words(self) -> str:
        """Front-end, layers, statistics and view, such as `xls-r-300m layers 5,last pool mean view 2 of rawboost-5`."""
        layers, words = self.front_end.get("layers"), [str(self.front_end.get("name", "?"))]
        if layers:
            words.append(f"layer{'s' * (len(layers) > 1)} {','.join(map(str, layers))}")
        if self.plan and self.plan.identity.pool:
            words.append(f"pool {self.plan.identity.pool}")
        if self.plan and self.plan.identity.effect:
            words.append(f"view {self.plan.identity.settings['augment']['view']} of {self.plan.identity.effect}")
        return " ".join(words)

    def to_fields(self) -> dict[str, Any]:
        """The facts as JSON types."""
        plan = self.plan
        return {
            "folder": str(self.folder),
            "state": self.state,
            "complete": self.state == COMPLETE,
            "corpus": plan and plan.corpus,
            "partition": plan and plan.partition,
            "front_end": self.front_end.get("name"),
            "layers": self.front_end.get("layers"),
            "pool": plan and plan.identity.pool,
            "augment": plan and plan.identity.settings.get("augment"),
            "dtype": plan and plan.identity.dtype,
            "row_shape": plan and list(plan.row_shape),
            "n_trials": plan and plan.n_trials,
            "n_rows": self.n_rows,
            "n_shards": self.n_shards,
            "n_bytes": self.n_bytes,
            "identity": plan and plan.identity.digest,
            "fault": self.fault,
        }


def find_caches(folders: Sequence[Path]) -> list[Path]:
    """Every cached partition in and below the folders, each once, in their order.

    Raises:
        StoreError: a folder holds none.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        partitions = cached_partitions(folder)
        if not partitions:
            raise StoreError(f"{folder}: expected a cached partition in this folder or below it, but there is none")
        for partition in partitions:
            found.setdefault(partition.resolve(), partition)
    return list(found.values())


def facts_of(folder: Path) -> CacheFacts:
    """The facts of a cached partition. What cannot be read is a fact, too, and no error."""
    shards = sorted(folder.glob("shard-*.h5"))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    try:
        plan = read_manifest(folder)
        return CacheFacts(folder, COMPLETE, plan, plan.n_trials - len(omitted(folder)), len(shards), size)
    except (StoreError, ProtocolError) as error:
        fault = str(error)
    if (folder / MANIFEST).exists():
        return CacheFacts(folder, UNREADABLE, None, None, len(shards), size, fault)
    try:
        unfinished = _plan_of_shard(shards[0]) if shards else None
    except StoreError as error:
        return CacheFacts(folder, UNREADABLE, None, None, len(shards), size, str(error))
    return CacheFacts(folder, INCOMPLETE if shards else EMPTY, unfinished, None, len(shards), size)


def _plan_of_shard(path: Path) -> Plan:
    """The plan by which a shard of an unfinished partition was cut."""
    shard = ShardReader(path)
    try:
        header, shape = shard.header, shard.layout.shape[1:]
        n_trials = len(trials_beside(path.parent))
        named = (str(header["corpus"]), str(header["partition"]), shard.identity, str(header["trial_list_sha256"]))
        return Plan(*named, n_trials, shape, int(header["shard_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: its attributes are not those of a shard of SpoofCache ({error!r})") from error


def trials_beside(folder: Path) -> TrialTable:
    """The trial list of a partition, complete or not; no trials if it has none."""
    return read_snapshot(folder / TRIALS) if (folder / TRIALS).is_file() else TrialTable()


def omitted(folder: Path) -> dict[str, str]:
    """The utterances that a complete partition omits, with their reasons.

    Raises:
        ProtocolError: `skipped.tsv` is not such a table.
    """
    path = folder / SKIPPED
    if not path.is_file():
        return {}
    rows = table_rows(text_lines(path, "a table of utterances and reasons"), "\t", path)
    header = next(rows, [])
    if header != ["utt_id", "reason"]:
        raise ProtocolError(f"{path}:1: header {' '.join(header) or 'missing'}; expected utt_id reason")
    return {row[0]: row[1] for row in rows}


class Counts(NamedTuple):
    """Number of trials for each key, and for each attack of the spoofs."""

    keys: Mapping[str, int]
    attacks: Mapping[str, int]


def counts_of(trials: TrialTable) -> Counts:
    """The number of trials for each key and attack, sorted by name. Trials without an attack are in no attack."""
    attacks = Counter(trials.column("attack", UNKNOWN))
    del attacks[UNKNOWN]
    keys = Counter(trials.column("key", UNKNOWN))
    return Counts(*({name: counter[name] for name in sorted(counter)} for counter in (keys, attacks)))


def details_of(facts: CacheFacts) -> dict[str, Any]:
    """Everything that `info` prints of a partition, as JSON types: the facts, the identity, counts and omissions."""
    counts, weights = counts_of(trials_beside(facts.folder)), weights_folder(facts.folder)
    skipped: Mapping[str, str] = {}
    with suppress(ProtocolError):  # verify.py reports it
        skipped = omitted(facts.folder)
    return facts.to_fields() | {
        "settings": dict(facts.plan.identity.flat()) if facts.plan else {},
        "shard_size": facts.plan and facts.plan.shard_size,
        "keys": dict(counts.keys),
        "attacks": dict(counts.attacks),
        "weights_folder": weights and str(weights),
        "omitted": dict(skipped),
    }
