"""The description of a cached partition: its identity, the division of its trials into shards, and its other files.

`<out>/<corpus>/<slug>/<partition>/` holds `shard-00000.h5 …`, `trials.tsv` (a snapshot of the protocol), `skipped.tsv`
(the omitted utterances, if any) and `manifest.json`, which is written last and marks the partition as complete.
`earlier_lists.json` lists the trial lists that `preprocess.py --relabel` replaced, which shards may still carry.
`weights_folder.txt` names the local folder from which the front-end's checkpoint was loaded, if there was one. It is a
hint for commands that need the front-end again, and not part of the identity, which contains the hash of the weights.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spoofcache.common.errors import InputError
from spoofcache.common.files import atomic_path
from spoofcache.common.records import flatten
from spoofcache.protocols.snapshot import read_snapshot, sha256_of_file, snapshot, snapshot_sha256
from spoofcache.protocols.trial import Trial
from spoofcache.protocols.trial_table import TrialTable

FORMAT_VERSION = 1
SHARD_ROWS = 512
SHARD_BYTES = 256 * 2**20
ITEM_BYTES: Mapping[str, int] = {"float16": 2, "float32": 4, "int16": 2}

MANIFEST = "manifest.json"
TRIALS = "trials.tsv"
SKIPPED = "skipped.tsv"
WEIGHTS = "weights_folder.txt"
EARLIER_LISTS = "earlier_lists.json"
SHOWN = 12


class StoreError(InputError):
    """A cache that cannot be read or written as asked; the message names the file."""


class ShardMismatch(StoreError):
    """A cache of another identity or trial list than the one expected; the message names what differs."""


@dataclass(frozen=True)
class Identity:
    """All settings that change a cached number, as a mapping that can be written as JSON.

    Caches with equal identities have equal features.
    """

    settings: Mapping[str, Any]

    @classmethod
    def from_json(cls, text: str) -> "Identity":
        """Inverse of `to_json`."""
        return cls(json.loads(text))

    def to_json(self) -> str:
        """The canonical text: equal identities have equal texts."""
        return json.dumps(self.settings, sort_keys=True)

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that represent the identity in the name of a folder."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:8]

    @property
    def dtype(self) -> str:
        """Stored number type, a key of ITEM_BYTES."""
        return str(self.settings["dtype"])

    @property
    def pool(self) -> str | None:
        """The statistics over time that are stored instead of frames, such as `mean+std`; None for frames."""
        front_end = self.settings.get("front_end")
        return front_end.get("pool") if isinstance(front_end, Mapping) else None

    def require_frames(self, where: Path) -> None:
        """Raise StoreError if the cache holds statistics over time, on which no back-end can be trained."""
        if self.pool:
            raise StoreError(
                f"{where}: contains statistics over time (--pool {self.pool}), on which no back-end can be trained; "
                "expected a cache of frames, for which `spoofcache probe` recommends the layers"
            )

    @property
    def clean(self) -> "Identity":
        """The identity of the same features without augmentation."""
        return Identity({name: value for name, value in self.settings.items() if name != "augment"})

    @property
    def effect(self) -> str:
        """A short name of the augmentation, such as `rawboost-5`; empty if there is none."""
        settings = dict(self.settings.get("augment", {}))
        words = [settings.pop("name", ""), *(settings[key] for key in sorted(settings.keys() - {"seed", "view"}))]
        return "-".join(str(word) for word in words if isinstance(word, str | int | float) and ":" not in str(word))

    def folder_name(self, slug: str) -> str:
        """The name of the folder with the partitions of this identity, given the slug of the front-end."""
        view = f"+{self.effect}-v{self.settings['augment']['view']}" if self.effect else ""
        return f"{slug}{view}-{self.digest}"

    def flat(self) -> dict[str, Any]:
        """The settings by dotted name, such as `front_end.layers`."""
        return flatten(self.settings)

    def require(self, expected: Mapping[str, Any], where: Path) -> None:
        """Raise ShardMismatch, which names each difference, unless the dotted fields have the values in `expected`."""
        found = self.flat()
        differing = [
            f"{name} is {found.get(name)!r}, expected {value!r}"
            for name, value in expected.items()
            if found.get(name) != value
        ]
        if differing:
            raise ShardMismatch(f"{where}: a cache of another identity: {'; '.join(differing)}")

    def require_same(self, expected: "Identity", where: Path) -> None:
        """Raise ShardMismatch, which names each difference, unless the two identities are equal."""
        self.require(dict.fromkeys(self.flat()) | expected.flat(), where)


@dataclass(frozen=True)
class Plan:
    """The division of a partition into shards. Shard k is always group k of the trial list, whoever writes it.

    `row_shape` is the shape of one utterance's features: (T, D), (L, T, D) or (n,). `read_by` is the origin of a corpus
    reader of the user's own, or empty; it is recorded in the manifest, and nothing depends on it. `earlier_lists`
    maps the SHA-256 of each trial list that this one replaced to its number of trials; shards of those lists count.
    """

    corpus: str
    partition: str
    identity: Identity
    trial_list_sha256: str
    n_trials: int
    row_shape: tuple[int, ...]
    shard_size: int
    read_by: Mapping[str, str] = field(default_factory=dict, compare=False)
    earlier_lists: Mapping[str, int] = field(default_factory=dict, compare=False)

    @classmethod
    def make(
        cls, corpus: str, partition: str, identity: Identity, trials: Sequence[Trial], row_shape: tuple[int, ...]
    ) -> "Plan":
        """Divide the trial list into groups whose shards are at most 256 MiB."""
        plan = cls.of_count(corpus, partition, identity, len(trials), row_shape)
        return replace(plan, trial_list_sha256=snapshot_sha256(snapshot(trials)))

    @classmethod
    def of_count(
        cls, corpus: str, partition: str, identity: Identity, n_trials: int, row_shape: tuple[int, ...]
    ) -> "Plan":
        """A plan for a number of unknown trials: it gives sizes, and matches no shard."""
        plan = cls(corpus, partition, identity, "", n_trials, row_shape, shard_size=1)
        return replace(plan, shard_size=max(1, min(SHARD_ROWS, SHARD_BYTES // plan.row_bytes)))

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Plan":
        """Inverse of `to_fields`; KeyError or TypeError for anything else."""
        return cls(**{**fields, "identity": Identity(fields["identity"]), "row_shape": tuple(fields["row_shape"])})

    def to_fields(self) -> dict[str, Any]:
        """The plan as it is written in JSON, without earlier lists, which have a file of their own."""
        fields = asdict(self) | {"identity": self.identity.settings, "row_shape": list(self.row_shape)}
        del fields["earlier_lists"]
        if not self.read_by:
            del fields["read_by"]
        return fields

    @property
    def title(self) -> str:
        """The name of the partition and, if it is augmented, of the view: `train, rawboost-5 view 2`."""
        effect = self.identity.effect
        return self.partition + (f", {effect} view {self.identity.settings['augment']['view']}" if effect else "")

    @property
    def row_bytes(self) -> int:
        """Size of the features of one utterance."""
        return math.prod(self.row_shape) * ITEM_BYTES[self.identity.dtype]

    @property
    def n_bytes(self) -> int:
        """Size of the feature rows of the whole partition."""
        return self.n_trials * self.row_bytes

    @property
    def shard_count(self) -> int:
        return math.ceil(self.n_trials / self.shard_size)

    def group(self, index: int) -> slice:
        """The trials of shard `index`."""
        return slice(index * self.shard_size, min((index + 1) * self.shard_size, self.n_trials))

    def of_list(self, sha256: object) -> "Plan":
        """The plan by which shards were cut from the earlier list with that SHA-256; this plan for any other list."""
        if not isinstance(sha256, str) or sha256 not in self.earlier_lists:
            return self
        return replace(self, trial_list_sha256=sha256, n_trials=self.earlier_lists[sha256])

    def shard_path(self, folder: Path, index: int) -> Path:
        return folder / f"shard-{index:05d}.h5"


def write_manifest(folder: Path, plan: Plan, skipped: Mapping[str, str]) -> None:
    """Mark a partition as complete: write `skipped.tsv` if utterances were omitted, and then `manifest.json`."""
    if skipped:
        with atomic_path(folder / SKIPPED) as path:
            path.write_bytes(skipped_table(skipped))
    else:
        (folder / SKIPPED).unlink(missing_ok=True)
    manifest = plan.to_fields() | {"n_skipped": len(skipped)}
    with atomic_path(folder / MANIFEST) as path:
        path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def skipped_table(skipped: Mapping[str, str]) -> bytes:
    """The content of `skipped.tsv`: utterances and reasons as tab-separated text with a header."""
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(("utt_id", "reason"))
    table.writerows(skipped.items())
    return text.getvalue().encode(errors="backslashreplace")


def read_manifest(folder: Path) -> Plan:
    """The plan of a complete partition.

    Raises:
        StoreError: the folder is not a cached partition, or is not complete.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(f"{folder}: {_what_is_there(folder)}")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        version = fields["identity"]["format_version"]
        if version != FORMAT_VERSION:
            raise StoreError(f"{path}: format version {version}; this SpoofCache reads version {FORMAT_VERSION}")
        del fields["n_skipped"]
        return replace(Plan.from_fields(fields), earlier_lists=read_earlier_lists(folder))
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: not a manifest of SpoofCache ({error!r})") from error


def read_earlier_lists(folder: Path) -> Mapping[str, int]:
    """The SHA-256 of each trial list that the partition's present one replaced, with its number of trials.

    Raises:
        StoreError: their file is damaged.
    """
    path = folder / EARLIER_LISTS
    try:
        lists = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not a table of earlier trial lists ({error})") from error
    if not isinstance(lists, dict) or not all(type(count) is int and count > 0 for count in lists.values()):
        raise StoreError(f"{path}: not a table of earlier trial lists; expected SHA-256 and number of trials of each")
    return lists


def _what_is_there(folder: Path) -> str:
    """The content of a folder without a manifest, and what was expected, for an error message."""
    shards = len(list(folder.glob("shard-*.h5")))
    below = sorted(str(path.parent.relative_to(folder)) for path in folder.rglob(MANIFEST))
    if below and not shards:
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        return f"no {MANIFEST}; expected the folder of one partition, here {' or '.join(below[:SHOWN])}{more}"
    found = f"{shards} finished shards but no {MANIFEST}" if shards else f"no {MANIFEST}"
    return f"{found}; expected a complete cache (run preprocess.py again to finish one)"


def keep_weights_folder(folder: Path, weights: Path) -> None:
    """Record in a partition the folder of the front-end's checkpoint, unless a recorded folder still exists."""
    if weights_folder(folder) is None:
        with atomic_path(folder / WEIGHTS) as path:
            path.write_text(f"{weights}\n", encoding="utf-8", errors="surrogateescape")


def weights_folder(folder: Path) -> Path | None:
    """The local folder from which the checkpoint of a partition's front-end was loaded; None if it no longer exists."""
    path = folder / WEIGHTS
    if not path.is_file():
        return None
    weights = Path(path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n"))
    return weights if weights.is_dir() else None


def read_trials(folder: Path, plan: Plan) -> TrialTable:
    """The partition's trials, after checking that `trials.tsv` is the list that was divided into the shards."""
    path = folder / TRIALS
    require_trial_list(path, plan)
    return read_snapshot(path)


def require_trial_list(path: Path, plan: Plan) -> None:
    """Check that the snapshot at `path` is the plan's trial list.

    Raises:
        StoreError: there is no snapshot.
        ShardMismatch: it is of another trial list.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file; expected the trial list that the shards beside it were cut from")
    if sha256_of_file(path) != plan.trial_list_sha256:
        raise ShardMismatch(
            f"{path}: another trial list than the requested one; expected SHA-256 {plan.trial_list_sha256[:12]}…. "
            "Pass --relabel if the utterances are the same, or the same followed by others; otherwise cache the "
            "features of the new list in another folder with --name or --out"
        )
