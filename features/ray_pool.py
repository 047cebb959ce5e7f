"""The workers that an extraction has in a Ray cluster: as many as there is room for, replaced when they are lost."""

import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from spoofcache.features.ray_worker import Answer, RayWorker, WorkerOrder

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_COUNTS = 2.0
SECONDS_TO_CLEAN_UP = 15.0
"""Seconds after which a worker that was asked to drop its shard is killed."""
LONGEST_PAUSE = 60.0
"""Most seconds between a worker that could not start and the next attempt."""
MOST_FAILED_STARTS = 3


@dataclass(frozen=True)
class Needs:
    """What Ray reserves for each worker; 0 GPUs for a worker on CPUs."""

    cpus: int
    gpus: float

    def fit_into(self, resources: Mapping[str, float]) -> int:
        """How many workers a machine with these resources has room for."""
        needed = {"CPU": self.cpus, "GPU": self.gpus}
        return min(int(resources.get(name, 0) / each) for name, each in needed.items() if each)


@dataclass(eq=False)
class Worker:
    """A worker of the pool, numbered from 1, with the names of its machine and of its node in the cluster."""

    number: int
    actor: Any
    host: str = ""
    node: str = ""


class Event(NamedTuple):
    """Something that happened to a worker.

    Attributes:
        worker: the worker.
        task: the task that it was running; None while it starts.
        answer: what it answered; None if it was lost.
    """

    worker: Worker
    task: int | None
    answer: Answer | None


class _Call(NamedTuple):
    worker: Worker
    method: str
    task: int | None


class Pool:
    """A context with workers, which are all ended when it is left.

    Args:
        ray: the library, connected to a cluster.
        order: what every worker does.
        needs: what every worker needs.
        most: number of workers to ask for; None for as many as the cluster has room for.
    """

    def __init__(self, ray: Any, order: WorkerOrder, needs: Needs, most: int | None) -> None:
        self._ray, self._order, self._needs, self._most = ray, order, needs, most
        self._remote = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_restarts=0, max_concurrency=2)(
            RayWorker
        )  # two threads: one works, the other can be told to stop
        self._workers: dict[int, Worker] = {}
        self._calls: dict[Any, _Call] = {}
        self._n_created = 0
        self._next_start = self._next_count = 0.0
        self._room = 0
        self.nodes: Set[str] = frozenset()
        self.failed_starts = 0
        """Number of workers that could not start since the last one that could."""

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        open_calls = list(self._calls)
        if open_calls:
            for worker in self._workers.values():
                worker.actor.stop.remote()
            working = [ref for ref, call in self._calls.items() if call.method == "run"]
            if working:
                self._ray.wait(working, num_returns=len(working), timeout=SECONDS_TO_CLEAN_UP)
        for worker in self._workers.values():
            self._ray.kill(worker.actor)

    @property
    def room(self) -> int:
        """The number of workers that the machines of the cluster have room for."""
        return self._room

    @property
    def running(self) -> int:
        """The number of tasks that workers are running."""
        return sum(call.method == "run" for call in self._calls.values())

    def keep_up(self, n_tasks: int | None) -> None:
        """Start workers where there is room, but not more than there are tasks left; None if that is not known yet."""
        now = time.monotonic()
        if now >= self._next_count:
            alive = [node for node in self._ray.nodes() if node["Alive"]]
            self.nodes = frozenset(node["NodeID"] for node in alive)
            self._room = sum(self._needs.fit_into(node["Resources"]) for node in alive)
            self._next_count = now + SECONDS_BETWEEN_COUNTS
        wanted = self._room if self._most is None else self._most
        wanted = wanted if n_tasks is None else min(wanted, n_tasks)
        while len(self._workers) < wanted and now >= self._next_start:
            self._n_created += 1
            worker = Worker(self._n_created, self._remote.remote(self._order))
            self._workers[worker.number] = worker
            self._call(worker, "where")

    def idle(self) -> Iterator[Worker]:
        """The workers that have started and run no task."""
        busy = {call.worker.number for call in self._calls.values()}
        yield from [worker for number, worker in self._workers.items() if number not in busy]

    def run(self, worker: Worker, task: int) -> None:
        """Let an idle worker run a task."""
        self._call(worker, "run", task)

    def events(self) -> Iterator[Event]:
        """What has happened since the last call; waits for at most half a second."""
        if not self._calls:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            return
        ready, _ = self._ray.wait(list(self._calls), timeout=SECONDS_BETWEEN_LOOKS)
        for ref in ready:
            call = self._calls.pop(ref)
            answer = self._answer(ref)
            event = self._after(call, answer)
            if event is not None:
                yield event

    def _call(self, worker: Worker, method: str, task: int | None = None) -> None:
        arguments = () if task is None else (task,)
        self._calls[getattr(worker.actor, method).remote(*arguments)] = _Call(worker, method, task)

    def _answer(self, ref: Any) -> Answer | None:
        """The answer to a call; None if the worker is gone."""
        errors = self._ray.exceptions
        try:
            return dict(self._ray.get(ref))
        except errors.ActorDiedError as error:
            reason = str(error)  # its constructor failed, for example because it cannot import what it needs
            return {"error": reason} if "creation task" in reason else None
        except errors.RayActorError:
            return None
        except errors.RayError as error:
            return {"error": str(error).strip()}

    def _after(self, call: _Call, answer: Answer | None) -> Event | None:
        """Go on after an answer; None if nobody needs to know of it."""
        worker = call.worker
        if call.method == "run":
            if answer is None:
                self._drop(worker)
            return Event(worker, call.task, answer)
        if answer is None or "error" in answer:
            self._drop(worker)
            self.failed_starts += 1
            self._next_start = time.monotonic() + min(LONGEST_PAUSE, 2.0**self.failed_starts)
            return Event(worker, None, answer)
        if call.method == "where":
            worker.host, worker.node = answer["host"], answer["node"]
            self._call(worker, "start")
            return None
        self.failed_starts, self._next_start = 0, 0.0
        return Event(worker, None, answer)

    def _drop(self, worker: Worker) -> None:
        """Forget a worker. If only the connection to it is lost, it is ended."""
        del self._workers[worker.number]
        self._ray.kill(worker.actor)
        self._next_count = 0.0

    @property
    def is_hopeless(self) -> bool:
        """Whether workers could not start several times in a row, and none is left."""
        return self.failed_starts >= MOST_FAILED_STARTS and not self._workers
