"""Extract in several processes of this machine, one on each GPU or several on the CPU, as one command.

The processes share the tasks by locks, or by numbers where there are no locks. They are ended, gracefully, with this
process; if one of them fails, the others are ended and its sentence is that of the command. `extraction_process` is the
other side.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import torch

from spoofcache.common.children import child_environment, python_command
from spoofcache.common.cli import progress, resolve_device, say
from spoofcache.common.errors import InputError
from spoofcache.features.extracting import Sharing, check_corpus
from spoofcache.features.joint_results import JointResults
from spoofcache.features.options import PreprocessOptions
from spoofcache.features.request import ExtractionRequest
from spoofcache.features.sharing_options import SharingOptions
from spoofcache.features.task_plan import TaskPlan

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_CLEAN_UP = 60.0
"""Seconds after which a process that was told to end, and does not, is killed; those of `--grace` come before."""
SECONDS_FOR_OWN_SIGNAL = 2.0
"""A scheduler sends a signal to all processes of a command; within this time, it has reached this one, too."""


class ProcessError(InputError):
    """One of several processes failed; the message is that of its error, or states how the process ended."""


class Order(NamedTuple):
    """The instructions that a process receives before it begins; see `extracting.extract`."""

    options: PreprocessOptions
    device: str
    sharing: Sharing
    uses_locks: bool
    threads: int


class Message(NamedTuple):
    """A message of a process: its number, and a kind with its content; None when the process has ended."""

    process: int
    content: Mapping[str, Any] | None


def extract_in_processes(options: PreprocessOptions, devices: Sequence[str], given: SharingOptions) -> None:
    """Extract with one process for each of the devices.

    Raises:
        ProcessError: a process failed.
        AudioError, RequestError: see `extracting.extract`.
    """
    if given.tasks is None:
        check_corpus(options, ExtractionRequest.from_options(options, resolve_device(devices[0])))
    threads = max(1, torch.get_num_threads() // len(devices))
    orders = [
        Order(
            _with_divided_workers(options, len(devices)),
            device,
            Sharing(
                tasks=given.tasks,
                part=(index, len(devices)) if given.no_locks else (0, 1),
                has_looked_for_audio=given.tasks is None,
                grace=given.grace,
            ),
            not given.no_locks,
            threads,
        )
        for index, device in enumerate(devices)
    ]
    begin = time.monotonic()
    with _Processes(orders, given.grace) as processes:
        results = _follow(processes)
    results.report(f"{len(devices)} processes", time.monotonic() - begin)


def _with_divided_workers(options: PreprocessOptions, n_processes: int) -> PreprocessOptions:
    """Decode with fewer workers in each process, unless the user has said how many."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return options if options.workers else replace(options, workers=max(1, min(8, n_cores // n_processes)))


class Watched:
    """The shards of the tasks that the processes share, as far as they are there.

    Args:
        plan: their plan.
        folder: the folder of the plan.
        numbers: the task numbers that all processes do together.
    """

    def __init__(self, plan: TaskPlan, folder: Path, numbers: Sequence[int]) -> None:
        self._left: dict[Path, dict[str, int]] = {}
        self.wanted = Counter[str]()
        for number in numbers:
            task = plan.task(number)
            part = plan.partitions[task.partition]
            group = part.plan.group(task.shard)
            path = part.plan.shard_path(folder / part.folder, task.shard)
            self._left.setdefault(path.parent, {})[path.name] = group.stop - group.start
            self.wanted[part.plan.title] += 1
        self.total = sum(size for sizes in self._left.values() for size in sizes.values())

    def finished(self) -> int:
        """The number of utterances in the shards that have appeared since the last call."""
        count = 0
        for folder, sizes in self._left.items():
            for name in sizes.keys() & set(os.listdir(folder) if folder.is_dir() else ()):
                count += sizes.pop(name)
        return count


def _follow(processes: "_Processes") -> JointResults:
    """Show the progress of all processes in one line until they have ended; ProcessError if one of them fails."""
    results, first = JointResults(), processes.first_shares()
    watched = Watched(first.plan, first.folder, first.numbers)
    results.wanted = watched.wanted
    with progress(f"extracting in {len(processes)} processes", watched.total) as advance:
        is_over = False
        while not is_over:
            is_over = not processes.are_running  # what they said before is still to be read
            for message in processes.messages():
                processes.require_no_failure(message)
                if message.content is not None and "finished" in message.content:
                    results.add(message.content["finished"])
            advance(watched.finished())
    return results


class _First(NamedTuple):
    plan: TaskPlan
    folder: Path
    numbers: Sequence[int]


class _Processes:
    """The processes, running; a context that ends them all when it is left.

    Args:
        orders: what each of them does.
        grace: see `Sharing`.
    """

    def __init__(self, orders: Sequence[Order], grace: float) -> None:
        self._orders, self._grace = orders, grace
        self._queue: SimpleQueue[Message] = SimpleQueue()
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "_Processes":
        try:
            for number, order in enumerate(self._orders):
                self._running[number] = self._start(number, order)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end(error)

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def are_running(self) -> bool:
        return bool(self._running)

    def first_shares(self) -> _First:
        """Wait until every process has begun; returns the plan, and the tasks that all of them do together."""
        shares: dict[int, Mapping[str, Any]] = {}
        finished: list[Message] = []  # by a process that was done before another one had begun
        while len(shares) < len(self):
            for message in self.messages():
                self.require_no_failure(message)
                if message.content is not None and "begin" in message.content:
                    shares[message.process] = message.content["begin"]
                elif message.content is not None and "finished" in message.content:
                    finished.append(message)
        for message in finished:
            self._queue.put(message)
        numbers = sorted({number for share in shares.values() for number in share["numbers"]})
        return _First(TaskPlan.from_json(shares[0]["plan"]), Path(shares[0]["folder"]), numbers)

    def messages(self) -> list[Message]:
        """The messages of the processes since the last call; waits for at most half a second."""
        found, seconds = list[Message](), SECONDS_BETWEEN_LOOKS
        while True:
            try:
                found.append(self._queue.get(timeout=seconds))
            except Empty:
                return found
            seconds = 0.0

    def require_no_failure(self, message: Message) -> None:
        """Handle what every process may say at any time; ProcessError if it failed."""
        where = f"process {message.process + 1} of {len(self)} ({self._orders[message.process].device})"
        if message.content is None:
            status = self._running.pop(message.process).wait()
            if status:
                time.sleep(SECONDS_FOR_OWN_SIGNAL)  # then this process is interrupted here
                raise ProcessError(f"{where} {_how_it_ended(status)}; the finished shards are kept")
        elif "say" in message.content:
            say(f"{where}: {message.content['say']}" if message.process else message.content["say"])
        elif "error" in message.content:
            raise ProcessError(message.content["error"])

    def _start(self, number: int, order: Order) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            python_command("spoofcache.features.extraction_process"),
            env={**child_environment(), "OMP_NUM_THREADS": str(order.threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is passed on by this process
        )
        assert process.stdin is not None
        pickle.dump(order, process.stdin)
        process.stdin.flush()
        threading.Thread(target=self._listen, args=(number, process), daemon=True).start()
        return process

    def _listen(self, number: int, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._queue.put(Message(number, json.loads(line)))
        self._queue.put(Message(number, None))

    def _end(self, error: BaseException | None) -> None:
        """Pass a signal on to the processes that still run, and wait until they have ended."""
        for process in self._running.values():
            process.send_signal(getattr(error, "number", signal.SIGTERM))
        deadline = time.monotonic() + self._grace + SECONDS_TO_CLEAN_UP
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _how_it_ended(status: int) -> str:
    if status == -signal.SIGKILL:
        return "was killed from outside, most likely by the system because memory ran out"
    number = -status if status < 0 else status - 128
    if number in signal.valid_signals():
        return f"was ended by signal {number} ({signal.strsignal(number)})"
    return f"ended with exit status {status}"


Tell = Callable[[Mapping[str, Any]], None]


def teller() -> Tell:
    """The function that sends a message, in a process. Whatever libraries print goes to standard error from now on."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def tell(content: Mapping[str, Any]) -> None:
        out.write(json.dumps(content).encode() + b"\n")
        out.flush()

    return tell
