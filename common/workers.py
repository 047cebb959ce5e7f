"""Processes that work for this one, a request at a time: one that dies over a request costs that request alone.

A worker runs a module of ours that calls `serve`. It ends with the process that started it, however that ends.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from spoofcache.common.children import child_environment, python_command
from spoofcache.common.errors import InputError

READY = b"ready\n"
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that others send; by those that are left the system ends a process for a fault of its own."""


class WorkerError(InputError):
    """A worker cannot do any work: a library is missing, memory is short. No input is to blame."""


class Death(Exception):
    """A worker ended while it worked on a request.

    Attributes:
        status: its exit status; below 0 the signal that ended it, negated.
        last_words: the last line that it wrote on standard error.
    """

    def __init__(self, status: int, last_words: str) -> None:
        super().__init__(_explain(status, last_words))
        self.status = status
        self.last_words = last_words

    def require_own_fault(self, what: str) -> None:
        """WorkerError unless the worker, which does `what`, was ended for a fault that its request provoked."""
        if self.status == -signal.SIGKILL:
            raise WorkerError(
                f"the process for {what} was killed from outside, most likely by the system for want of memory; "
                "fewer --workers need less"
            ) from self
        if self.status >= 0 or -self.status in FROM_OUTSIDE:
            raise WorkerError(f"the process for {what} ended before its work was done: {self}") from self


class Worker:
    """A process that answers requests.

    Args:
        what: what it does, for messages.
        module: the module that it runs; its `__main__` part calls `serve`.
        arguments: command line of the module.
        files: descriptors that it inherits.

    Raises:
        WorkerError: it cannot start; says why.
    """

    def __init__(self, what: str, module: str, arguments: Sequence[str] = (), files: Sequence[int] = ()) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python_command(module, *arguments),
            env={**child_environment(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=files,
            start_new_session=True,  # Ctrl-C is this process's to answer
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._what, self._is_ready = what, False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Any) -> Any:
        """Send a request and wait for the answer, both of what JSON can hold.

        Raises:
            Death: the worker ended over it, or was ended from outside.
            WorkerError: the worker has never started.
        """
        self._wait_until_ready()
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            return json.loads(self._answers.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise self._death() from error

    def read(self, n_bytes: int) -> bytes:
        """The bytes that follow an answer; Death where the worker ended before they had come."""
        content = self._answers.read(n_bytes)
        if len(content) < n_bytes:
            raise self._death()
        return content

    def end(self) -> None:
        """End the worker at once; it has nothing to lose, and would take its time."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _wait_until_ready(self) -> None:
        if not self._is_ready and self._answers.readline() != READY:
            death = self._death()
            if -death.status in FROM_OUTSIDE:
                raise death
            raise WorkerError(f"the process for {self._what} could not start: {death}")
        self._is_ready = True

    def _death(self) -> Death:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return Death(status, lines[-1] if lines else "")


def _explain(status: int, last_words: str) -> str:
    if status == -signal.SIGXCPU:
        return "it took far more processor time than any recording needs"
    if status < 0:
        return f"signal {-status}, {signal.strsignal(-status)}"
    return f"exit status {status}" + (f", {last_words}" if last_words else "")


def serve(answer: Callable[[Any], tuple[Any, bytes]]) -> None:
    """In a worker: answer the requests on standard input, until that ends.

    Args:
        answer: request → the answer, of what JSON can hold, and bytes that follow it.
    """
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    out = sys.stdout.buffer
    out.write(READY)
    out.flush()
    try:
        while True:
            reply, content = answer(json.loads(requests.get()))
            out.write(json.dumps(reply).encode() + b"\n" + content)
            out.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # an ordinary end would wait for the thread that reads, and be aborted


def _receive(requests: "SimpleQueue[bytes]") -> None:
    """Hand on the requests; the end of standard input, also by the death of its writer, ends this process at once."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)
