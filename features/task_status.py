"""The status of the tasks of a plan: finished, missing, damaged, or being made by a process at present."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.common.files import Maker, makers
from spoofcache.features.plan import Plan, StoreError, read_earlier_lists, read_manifest
from spoofcache.features.shares import array_expression
from spoofcache.features.store import ShardReader
from spoofcache.features.task_plan import PlannedPartition, TaskPlan

AT_ONCE = 8
"""Number of shards that are opened at the same time, since file systems may answer slowly."""


class Damage(NamedTuple):
    """A shard that cannot be used: the number of its task, and the reason."""

    task: int
    reason: str


class BeingMade(NamedTuple):
    """A shard that is being made at present: the number of its task, and the process that makes it."""

    task: int
    maker: Maker


@dataclass(frozen=True)
class PartitionStatus:
    """The status of one partition in one view, by task numbers.

    Attributes:
        title: the name and the view of the partition.
        folder: the folder of its cache.
        tasks: all of its tasks.
        finished: number of tasks whose shards exist and belong to the plan. The rows of the shards are not checked.
        missing: tasks without a shard that no process is making at present.
        damaged: tasks whose shards exist but cannot be used.
        being_made: tasks that a process is making at present.
        is_complete: whether the manifest declares the partition complete, and no shard is missing or damaged.
    """

    title: str
    folder: Path
    tasks: range
    finished: int
    missing: Sequence[int]
    damaged: Sequence[Damage]
    being_made: Sequence[BeingMade]
    is_complete: bool

    @property
    def to_run(self) -> Sequence[int]:
        """The tasks that have to be run: the missing ones or, if only the manifest is missing, the last one."""
        lacks_manifest = not (self.is_complete or self.missing or self.damaged or self.being_made)
        return self.tasks[-1:] if lacks_manifest else self.missing

    def to_fields(self) -> dict[str, Any]:
        """The status as it is written in JSON."""
        return {
            "partition": self.title,
            "folder": str(self.folder),
            "first_task": self.tasks.start,
            "n_tasks": len(self.tasks),
            "finished": self.finished,
            "missing": list(self.missing),
            "damaged": [each._asdict() for each in self.damaged],
            "being_made": [
                {"task": task, "machine": maker.machine, "since": utc(maker.since)} for task, maker in self.being_made
            ],
            "complete": self.is_complete,
        }


@dataclass(frozen=True)
class PlanStatus:
    """The status of a plan.

    Attributes:
        path: the file of the plan, or where it would be.
        partitions: its partitions, in order.
    """

    path: Path
    partitions: Sequence[PartitionStatus]

    @property
    def is_complete(self) -> bool:
        return all(each.is_complete for each in self.partitions)

    @property
    def array(self) -> str:
        """The tasks that have to be run, as `sbatch --array` and `--tasks` read them; empty if there are none."""
        return array_expression(task for each in self.partitions for task in each.to_run)

    def to_fields(self) -> dict[str, Any]:
        """The status as it is written in JSON."""
        return {
            "plan": str(self.path),
            "complete": self.is_complete,
            "n_tasks": sum(len(each.tasks) for each in self.partitions),
            "array": self.array,
            "partitions": [each.to_fields() for each in self.partitions],
        }

    def __str__(self) -> str:
        n_tasks = sum(len(each.tasks) for each in self.partitions)
        array = f"; missing: {self.array}" if self.array else ""
        return "\n".join([f"{self.path}: {n_tasks} task{'s' * (n_tasks != 1)}{array}", *map(_lines, self.partitions)])


def _lines(status: PartitionStatus) -> str:
    counts = f"{status.finished} finished, {len(status.missing)} missing, {len(status.damaged)} damaged"
    state = "complete" if status.is_complete else "not complete"
    if status.to_run and not status.missing:
        state = f"not complete, since its manifest is missing (run task {status.to_run[0]})"
    lines = [f"  {status.title}: {counts}, {len(status.being_made)} being made; {state}"]
    lines += [
        f"    task {task}: being made by {maker.machine} since {utc(maker.since)}" for task, maker in status.being_made
    ]
    if status.damaged:
        tasks = array_expression(each.task for each in status.damaged)
        lines += [f"    task {task}: {reason}" for task, reason in status.damaged]
        lines.append(f"    make the damaged shards again with --tasks {tasks} --repair")
    return "\n".join(lines)


def utc(seconds: float) -> str:
    """A time in seconds since 1970, as ISO 8601 to the second.

    >>> utc(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_of(plan: TaskPlan, folder: Path) -> PlanStatus:
    """The status of a plan whose caches are below a folder. Every finished shard is opened, but no row is read."""
    parts = zip(plan.partitions, plan.numbers, strict=True)
    return PlanStatus(folder / plan.file_name, [_partition_status(part, tasks, folder) for part, tasks in parts])


def _partition_status(part: PlannedPartition, tasks: range, above: Path) -> PartitionStatus:
    folder, plan = above / part.folder, part.plan
    at_work: Mapping[str, Maker] = makers(folder) if folder.is_dir() else {}
    plan = replace(plan, earlier_lists=read_earlier_lists(folder))
    missing, being_made = list[int](), list[BeingMade]()
    for shard, task in enumerate(tasks):
        path = plan.shard_path(folder, shard)
        if path.name in at_work:
            being_made.append(BeingMade(task, at_work[path.name]))
        elif not path.exists():
            missing.append(task)
    open_tasks = {*missing, *(each.task for each in being_made)}
    present = [task for task in tasks if task not in open_tasks]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        reasons = list(threads.map(lambda task: _fault(folder, plan, task - tasks.start), present))
    damaged = [Damage(task, reason) for task, reason in zip(present, reasons, strict=True) if reason]
    is_complete = len(damaged) + len(open_tasks) == 0 and _has_manifest(folder, plan)
    finished = len(present) - len(damaged)
    return PartitionStatus(plan.title, folder, tasks, finished, missing, damaged, being_made, is_complete)


def _fault(folder: Path, plan: Plan, shard: int) -> str:
    """Why a shard that is there cannot be used; empty if it can."""
    try:
        ShardReader(plan.shard_path(folder, shard)).require(plan, shard)
    except StoreError as error:
        return str(error)
    return ""


def _has_manifest(folder: Path, plan: Plan) -> bool:
    try:
        return read_manifest(folder) == plan
    except StoreError:
        return False
