"""Run tasks of a plan: the unit that every way of sharing an extraction is built on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from spoofcache.features.extract import Extracted, extract_partition
from spoofcache.features.frontends.base import FrontEnd
from spoofcache.features.request import Job
from spoofcache.features.task_plan import TaskPlan

Advance = Callable[[int], None]


def unwatched(job: Job) -> AbstractContextManager[Advance]:
    """Report no progress."""
    return nullcontext(lambda n: None)


def run_tasks(
    jobs: Sequence[Job],
    frontend: FrontEnd,
    numbers: Iterable[int],
    watch: Callable[[Job], AbstractContextManager[Advance]] = unwatched,
) -> Iterator[tuple[Job, Extracted]]:
    """Run the tasks with these numbers; yields each partition that has some, when they are finished.

    Finished shards are kept, also those that others finish meanwhile. Whoever finishes the last shard of a partition
    marks it as complete. The same tasks may run anywhere any number of times: the shards have the same bytes.

    Args:
        jobs: the jobs of a request, in order (`ExtractionRequest.jobs`); `TaskPlan.of_jobs` numbers their shards.
        frontend: the front-end of the jobs.
        numbers: task numbers of that plan, in any order.
        watch: called with the job of each partition whose tasks begin; a context that is given the number of utterances
            that were finished since the last call.

    Raises:
        IndexError: there is no task with such a number.
        AudioError, EffectError, StoreError: see `extract_partition`.
    """
    for job in own_jobs(jobs, frontend, numbers):
        with watch(job) as advance:
            done = extract_partition(job.trials, job.plan, frontend, job.folder, job.options, advance)
        yield job, done


def own_jobs(jobs: Sequence[Job], frontend: FrontEnd, numbers: Iterable[int]) -> list[Job]:
    """The jobs that have tasks among these, each limited to them."""
    plan, shards = TaskPlan.of_jobs(jobs, frontend.slug), dict[int, list[int]]()
    for number in sorted(set(numbers)):
        task = plan.task(number)
        shards.setdefault(task.partition, []).append(task.shard)
    return [limited(jobs[partition], own) for partition, own in sorted(shards.items())]


def limited(job: Job, shards: Sequence[int]) -> Job:
    """A job of these shards alone. A job of all shards waits for those that others are making."""
    is_whole = len(shards) == job.plan.shard_count
    return job._replace(options=replace(job.options, shards=None if is_whole else shards))
