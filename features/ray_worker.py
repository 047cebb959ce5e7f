"""A worker of the engine `ray`: it loads the front-end once, and then runs the tasks whose numbers it receives."""

import os
import socket
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.common.cli import explanation, resolve_device
from spoofcache.common.errors import InputError
from spoofcache.common.files import without_locks
from spoofcache.common.machine import keep_freed_memory
from spoofcache.features.extracting import Prepared, keep_origin, prepare
from spoofcache.features.joint_results import as_message
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.request import ExtractionRequest, Job
from spoofcache.features.task_plan import agree
from spoofcache.features.tasks import Advance, run_tasks

Answer = Mapping[str, Any]
"""What a worker answers; `error` is a sentence if it could not do what it was asked for."""


class WorkerOrder(NamedTuple):
    """What every worker of an extraction is told before it begins.

    Attributes:
        folder: the current folder of the command, from which its relative paths count.
        device: `cpu` or `cuda`; Ray shows each worker its own GPU only.
    """

    options: PreprocessOptions
    folder: str
    device: str
    uses_locks: bool


class FolderError(InputError):
    """A machine of the cluster does not have the folder in which the command was started."""


class _Stopped(KeyboardInterrupt):
    """The command ends, so that the open shard is dropped."""


class RayWorker:
    """An actor. Its methods return a few lines of JSON, and raise nothing for an error in the inputs."""

    def __init__(self, order: WorkerOrder) -> None:
        self._order = order
        self._stops = threading.Event()
        self._for_life = ExitStack()
        self._prepared: Prepared | None = None

    def where(self) -> Answer:
        """The machine of this worker, and the identifier of its node in the cluster."""
        import ray

        return {"host": socket.gethostname(), "node": ray.get_runtime_context().get_node_id()}

    def start(self) -> Answer:
        """Load the front-end, and agree with the other workers on the plan; returns the plan and its folder."""
        try:
            _enter(self._order.folder)
            keep_freed_memory()
            if not self._order.uses_locks:
                self._for_life.enter_context(without_locks())
            return self._load()
        except Exception as error:
            return {"error": _sentence(error)}

    def run(self, number: int) -> Answer:
        """Run one task; returns what it did, as `joint_results.as_message` describes it."""
        assert self._prepared is not None
        try:
            for job, done in run_tasks(self._prepared.jobs, self._prepared.network, [number], self._watched):
                keep_origin(job, self._order.options)
                return as_message(job, done)
        except _Stopped:
            return {"error": "stopped"}
        except Exception as error:
            return {"error": _sentence(error)}
        raise AssertionError(f"task {number} has no partition")

    def stop(self) -> None:
        """Make `run`, in another thread, drop its shard after the present batch."""
        self._stops.set()

    def _load(self) -> Answer:
        options, device = self._order.options, resolve_device(self._order.device)
        request = ExtractionRequest.from_options(options, device)
        self._prepared = prepare(request, options, device, lambda sentence: None)
        agree(self._prepared.folder, self._prepared.plan)
        return {"plan": self._prepared.plan.to_json(), "folder": str(self._prepared.folder)}

    @contextmanager
    def _watched(self, job: Job) -> Iterator[Advance]:
        def advance(n: int) -> None:
            if self._stops.is_set():
                raise _Stopped

        yield advance


def _enter(folder: str) -> None:
    if not Path(folder).is_dir():
        raise FolderError(
            f"{socket.gethostname()} has no folder {folder}; expected every machine of the cluster to have the folder "
            "in which the command is started, the corpus and the cache at the same paths"
        )
    os.chdir(folder)


def _sentence(error: Exception) -> str:
    return explanation(error) or "".join(traceback.format_exception(error)).strip()
