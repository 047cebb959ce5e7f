"""The engine `ray`: extract with workers in a Ray cluster, as one command.

Each worker loads the front-end once, and receives the numbers of tasks, one after another. The features never pass
through Ray: workers write the shards into the cache, which lies on a file system that all machines share. A task whose
machine is lost is given to another worker; see `task_queue` for those that fail.
"""

from spoofcache.common.signals import ENDING, end_now, postponed, seconds_left

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from spoofcache.common.children import child_environment
from spoofcache.common.cli import Sentence, counted, progress, say
from spoofcache.common.errors import InputError
from spoofcache.features.extracting import check_corpus
from spoofcache.features.joint_results import JointResults
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.ray_pool import Event, Needs, Pool
from spoofcache.features.ray_worker import WorkerOrder
from spoofcache.features.request import ExtractionRequest
from spoofcache.features.sharing_options import RayOptions, SharingOptions
from spoofcache.features.task_plan import TaskPlan
from spoofcache.features.task_queue import MOST_FAILURES, TaskQueue

EXPECTED_ADDRESS = "expected auto on a machine of a running cluster, HOST:PORT of its head, or ray://HOST:10001"
SECONDS_TO_CONNECT = 10.0
NO_STATISTICS = {"RAY_USAGE_STATS_ENABLED": "0"}


class RayEngineError(InputError):
    """Ray is missing or cannot be reached, no worker can start, or tasks failed."""


def extract_with_ray(options: PreprocessOptions, device: str, sharing: SharingOptions, cluster: RayOptions) -> None:
    """Extract all tasks with the workers of a Ray cluster.

    Raises:
        Sentence: the options contradict each other.
        RayEngineError: Ray is missing or cannot be reached, no worker can start, or tasks failed.
        AudioError, RequestError: see `extracting.extract`.
    """
    _require_options(options, device, sharing)
    begin = time.monotonic()
    with _connected(cluster.ray_address) as ray:
        check_corpus(options, ExtractionRequest.from_options(options, torch.device("cpu")))
        needs = needs_of(device, cluster, ray.cluster_resources().get("GPU", 0))
        order = WorkerOrder(options, os.getcwd(), "cuda" if needs.gpus else "cpu", not sharing.no_locks)
        with postponed(sharing.grace), Pool(ray, order, needs, cluster.workers_max) as pool:
            extraction = _Extraction(pool, needs)
            extraction.run()
    extraction.report(time.monotonic() - begin)


def _require_options(options: PreprocessOptions, device: str, sharing: SharingOptions) -> None:
    if device not in ("auto", "cpu", "cuda"):
        raise Sentence(f"--device {device}: expected auto, cpu or cuda for --engine ray, which assigns the GPUs")
    if sharing.tasks is not None or sharing.processes is not None:
        raise Sentence("--engine ray divides the tasks among its workers; expected neither --tasks nor --processes")
    if options.relabel:
        raise Sentence("--relabel replaces the list that workers share; expected --relabel --plan-only before")


def needs_of(device: str, given: RayOptions, cluster_gpus: float) -> Needs:
    """What each worker needs, in a cluster with so many GPUs.

    Raises:
        Sentence: a GPU is asked for on the CPU.
    """
    if device == "cpu" and given.gpus_per_worker:
        raise Sentence("--gpus-per-worker needs workers on GPUs; expected --device auto or cuda")
    by_default = device == "cuda" or (device == "auto" and cluster_gpus and not given.cpus_per_worker)
    gpus = given.gpus_per_worker or (1.0 if by_default else 0.0)
    return Needs(given.cpus_per_worker or (0 if gpus else 1), gpus)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """The library, connected to a cluster; RayEngineError if it is missing, or there is no cluster."""
    os.environ.update(NO_STATISTICS)
    handlers = {number: signal.getsignal(number) for number in ENDING}
    try:
        ray = _library()
        named = address or os.environ.get("RAY_ADDRESS")
        _require_reachable(named or "local")
        variables = {**NO_STATISTICS, **{k: v for k, v in child_environment().items() if k == "PYTHONPATH"}}
        more = {} if named else {"include_dashboard": False}
        try:
            ray.init(
                named or "local",
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": variables},
                **more,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RayEngineError(f"--ray-address {named}: {error}; {EXPECTED_ADDRESS}") from error
    finally:
        for number, handler in handlers.items():  # Ray sets its own
            signal.signal(number, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """Raise RayEngineError if nothing listens at HOST:PORT or ray://HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:  # auto, local
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()
    except (OSError, ValueError, OverflowError) as error:
        raise RayEngineError(f"--ray-address {address}: cannot be reached ({error}); {EXPECTED_ADDRESS}") from error


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise RayEngineError(
            "--engine ray needs the library ray; expected it to be installed: "
            'pip install -r requirements-cluster.txt, or pip install "spoofcache[cluster]"'
        ) from error
    return ray


@dataclass
class _Extraction:
    """The tasks of a plan, on their way through a pool. The plan is that of the first worker that has started."""

    pool: Pool
    needs: Needs
    results: JointResults = field(default_factory=JointResults)
    plan: TaskPlan | None = None
    folder: Path = Path()
    queue: TaskQueue = field(default_factory=lambda: TaskQueue(()))
    n_started: int = 0
    has_said_that_it_waits: bool = False

    def run(self) -> None:
        """Run all tasks to their end. After a signal that is held back, no further task begins."""
        while self.plan is None:
            self._step(lambda n: None)
        n_utterances = sum(each.plan.n_trials for each in self.plan.partitions)
        with progress("extracting with ray", n_utterances) as advance:
            while self.queue.n_left and (seconds_left() is None or self.pool.running):
                self._step(advance)
        end_now()

    def report(self, seconds: float) -> None:
        """Print how the extraction went; RayEngineError if tasks failed for good."""
        self.results.report(counted(self.n_started, "worker"), seconds)
        assert self.plan is not None
        if self.queue.failed:
            reasons = [f"\ntask {self._title(each)}: {reason}" for each, reason in sorted(self.queue.failed.items())]
            raise RayEngineError(
                f"{len(reasons)} of {counted(self.plan.n_tasks, 'task')} failed in {MOST_FAILURES} attempts or more; "
                f"all others are finished{''.join(reasons)}"
            )

    def _step(self, advance: Callable[[int], None]) -> None:
        if seconds_left() is None:
            self.pool.keep_up(None if self.plan is None else self.queue.n_left)
            self._say_that_it_waits()
            for worker in self.pool.idle():
                number = self.queue.take()
                if number is not None:
                    self.pool.run(worker, number)
        elif not self.pool.running:
            end_now()
        for event in self.pool.events():
            if event.task is None:
                self._after_start(event)
            else:
                self._after_task(event, event.task, advance)

    def _say_that_it_waits(self) -> None:
        if not self.pool.room and not self.has_said_that_it_waits:
            needed = f"{self.needs.gpus:g} GPUs" if self.needs.gpus else counted(self.needs.cpus, "CPU")
            say(f"No machine of the cluster has {needed}; waiting for one")
        self.has_said_that_it_waits = not self.pool.room

    def _after_start(self, event: Event) -> None:
        answer = event.answer or {"error": f"worker {event.worker.number} was lost while it started"}
        if "error" in answer:
            if self.pool.is_hopeless:
                raise RayEngineError(f"no worker could start: {answer['error']}")
            return
        self.n_started += 1
        say(f"worker {event.worker.number} has started on {event.worker.host}")
        if self.plan is None:
            self.plan, self.folder = TaskPlan.from_json(answer["plan"]), Path(answer["folder"])
            self.queue = TaskQueue(range(self.plan.n_tasks))
            say(f"{self.folder / self.plan.file_name}: {counted(self.plan.n_tasks, 'task')}")

    def _after_task(self, event: Event, number: int, advance: Callable[[int], None]) -> None:
        assert self.plan is not None
        worker, answer = event.worker, event.answer
        if answer is None:
            say(f"worker {worker.number} on {worker.host} was lost with task {number}")
            self.queue.lose(number, worker.node, self.pool.nodes)
        elif "error" in answer:
            self.queue.fail(number, answer["error"])
        else:
            self.queue.finish(number)
            self.results.add(answer)
            self.results.wanted[answer["title"]] += 1
            task = self.plan.task(number)
            group = self.plan.partitions[task.partition].plan.group(task.shard)
            advance(group.stop - group.start)

    def _title(self, number: int) -> str:
        assert self.plan is not None
        task = self.plan.task(number)
        return f"{number} ({self.plan.partitions[task.partition].plan.title}, shard {task.shard})"
