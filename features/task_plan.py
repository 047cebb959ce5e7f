"""The plan of an extraction that several workers share: its tasks by number, which all of them agree on.

A task is one shard of one partition in one view. `plan-<front-end>.json` lies beside the folders of the caches, and
contains for each partition everything that decides its shards: identity, trial list, division; and the settings that
decide their bytes besides. Whoever writes it, writes the same bytes. A worker with other options is refused.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.common.files import atomic_path
from spoofcache.common.records import flatten
from spoofcache.features.plan import Plan, ShardMismatch, StoreError, read_manifest
from spoofcache.features.request import Job

PLAN_VERSION = 1
MOST_NAMED = 6
"""Number of differences that a refusal names."""


class PlanMismatch(ShardMismatch):
    """A plan of another extraction than the one expected; the message names what differs."""


class PlannedPartition(NamedTuple):
    """One partition in one view.

    Attributes:
        folder: where its cache lies, relative to the folder of the plan.
        plan: its division into shards.
    """

    folder: str
    plan: Plan


class Task(NamedTuple):
    """Shard `shard` of partition number `partition` of a plan."""

    partition: int
    shard: int


@dataclass(frozen=True)
class TaskPlan:
    """All tasks of an extraction. Task numbers count the shards of the first partition, then those of the next.

    Attributes:
        corpus: name of the corpus folder, in which the plan lies.
        front_end: slug of the front-end.
        settings: settings of the command that decide what is written, besides the identities.
        partitions: the partitions, each in each of its views, in order.
    """

    corpus: str
    front_end: str
    settings: Mapping[str, Any]
    partitions: Sequence[PlannedPartition]

    @classmethod
    def of_jobs(cls, jobs: Sequence[Job], front_end: str) -> "TaskPlan":
        """The plan of the jobs of a request, of which there is at least one, for the front-end with this slug."""
        options, corpus = jobs[0].options, jobs[0].plan.corpus
        settings = {
            "compression": options.compression,
            "on_bad_audio": "skip" if options.skip_bad_audio else "stop",
        }
        partitions = [PlannedPartition("/".join(job.folder.parts[-2:]), job.plan) for job in jobs]
        return cls(corpus, front_end, settings, partitions)

    @classmethod
    def from_json(cls, text: str) -> "TaskPlan":
        """Inverse of `to_json`; KeyError, TypeError or ValueError for anything else."""
        fields = json.loads(text)
        if fields["plan_version"] != PLAN_VERSION:
            raise ValueError(f"version {fields['plan_version']}; this SpoofCache reads version {PLAN_VERSION}")
        partitions = [
            PlannedPartition(each["folder"], Plan.from_fields({k: v for k, v in each.items() if k not in ABOUT_TASKS}))
            for each in fields["partitions"]
        ]
        return cls(fields["corpus"], fields["front_end"], fields["settings"], partitions)

    def to_json(self) -> str:
        """The canonical text: equal plans have equal texts."""
        partitions = [
            {"folder": folder, "first_task": numbers.start, "n_tasks": len(numbers), **plan.to_fields()}
            for (folder, plan), numbers in zip(self.partitions, self.numbers, strict=True)
        ]
        fields = {
            "plan_version": PLAN_VERSION,
            "corpus": self.corpus,
            "front_end": self.front_end,
            "n_tasks": self.n_tasks,
            "settings": self.settings,
            "partitions": partitions,
        }
        return json.dumps(fields, indent=1) + "\n"

    @property
    def file_name(self) -> str:
        return f"plan-{self.front_end}.json"

    @property
    def numbers(self) -> Sequence[range]:
        """The task numbers of each partition."""
        counts = [each.plan.shard_count for each in self.partitions]
        return [range(end - count, end) for count, end in zip(counts, accumulate(counts), strict=True)]

    @property
    def n_tasks(self) -> int:
        return sum(each.plan.shard_count for each in self.partitions)

    def task(self, number: int) -> Task:
        """The task with a number; IndexError if there is none."""
        for partition, numbers in enumerate(self.numbers):
            if number in numbers:
                return Task(partition, number - numbers.start)
        raise IndexError(f"task {number} of {self.n_tasks}")

    def is_complete(self, folder: Path) -> bool:
        """Whether every partition below the folder of the plan is complete."""
        return all(_is_complete(folder / each.folder, each.plan) for each in self.partitions)

    def require_same(self, other: "TaskPlan", where: Path) -> None:
        """Raise PlanMismatch, which names each difference, unless the two plans are equal."""
        differences = [
            f"{name} is {value!r} there and {here!r} here"
            for name, value, here in _differences(_fields(self), _fields(other))
        ]
        if differences:
            more = f"; and {len(differences) - MOST_NAMED} more" if len(differences) > MOST_NAMED else ""
            raise PlanMismatch(
                f"{where}: the plan of another extraction: {'; '.join(differences[:MOST_NAMED])}{more}. Expected the "
                "options that the plan was written with; another extraction that is to run before this one is complete "
                "needs another folder (--name or --out)"
            )


ABOUT_TASKS = frozenset({"folder", "first_task", "n_tasks"})
"""What the plan of a partition has besides the fields of a manifest."""


def _is_complete(folder: Path, plan: Plan) -> bool:
    with suppress(StoreError):
        return read_manifest(folder) == plan
    return False


def _fields(plan: TaskPlan) -> dict[str, Any]:
    """The fields of a plan by dotted name, those of a partition behind its title."""
    fields = json.loads(plan.to_json())
    del fields["partitions"], fields["n_tasks"]
    flat = {**flatten(fields), "partitions": [each.plan.title for each in plan.partitions]}
    for _, part in plan.partitions:
        flat |= {f"{part.title}: {name}": value for name, value in flatten(part.to_fields()).items()}
    return flat


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    if there["partitions"] != here["partitions"]:  # their fields would only repeat that
        here = {name: value for name, value in here.items() if ": " not in name or name in there}
        there = {name: value for name, value in there.items() if ": " not in name or name in here}
    names = dict.fromkeys([*there, *here])
    return [(name, there.get(name), here.get(name)) for name in names if there.get(name) != here.get(name)]


def read_plan(path: Path) -> TaskPlan:
    """Read a plan; StoreError if the file is not one."""
    try:
        return TaskPlan.from_json(path.read_text(encoding="utf-8"))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: not a plan of SpoofCache ({error!r})") from error


def agree(folder: Path, plan: TaskPlan) -> Path:
    """Write a plan into the folder of its corpus, or agree with the one that is there; returns its path.

    A plan that is complete makes room for another one.

    Raises:
        PlanMismatch: another extraction, which is not complete, has a plan there.
        StoreError: the file there is not a plan, or cannot be written.
    """
    path = folder / plan.file_name
    if path.exists():
        there = read_plan(path)
        if there.to_json() == plan.to_json():
            return path
        if not there.is_complete(folder):
            there.require_same(plan, path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(plan.to_json(), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def find_plans(folder: Path) -> list[Path]:
    """The plans in and below a folder."""
    return sorted(path for path in folder.rglob("plan-*.json") if path.is_file())
