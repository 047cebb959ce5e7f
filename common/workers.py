"""Worker processes that answer one request at a time; if a worker dies, only its current request is lost.

A worker runs one of our modules, which calls `serve`. It ends when the process that started it ends for any reason.
"""

from spoofcache.common.signals import unheard_by_children

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from io import BufferedReader
from queue import SimpleQueue
from typing import Any

from spoofcache.common.children import child_environment, python_command
from spoofcache.common.errors import InputError

READY = b"ready\n"
FROM_OUTSIDE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that other processes send. With other signals, the system ends a process for a fault of its own."""


class WorkerError(InputError):
    """A worker cannot work at all, for example because a library is missing; the cause is not in the inputs."""


class Death(Exception):
    """A worker died while it was answering a request.

    Attributes:
        status: its exit status; if negative, the negated number of the signal that ended it.
        last_words: the last line that it wrote to standard error.
    """

    def __init__(self, status: int, last_words: str) -> None:
        super().__init__(_explain(status, last_words))
        self.status = status
        self.last_words = last_words

    def require_own_fault(self, what: str) -> None:
        """Raise WorkerError unless its request made the worker crash; `what` names the work in the message."""
        if self.status == -signal.SIGKILL:
            raise WorkerError(
                f"the process for {what} was killed from outside, most likely by the system because memory ran out; "
                "fewer --workers need less memory"
            ) from self
        if self.status >= 0 or -self.status in FROM_OUTSIDE:
            raise WorkerError(f"the process for {what} ended before its work was done: {self}") from self


class Worker:
    """A process that answers requests.

    Args:
        what: what the worker does, for messages.
        module: the module to run; its `__main__` part calls `serve`.
        arguments: command-line arguments of the module.
        files: file descriptors that the worker inherits.

    Raises:
        WorkerError: the worker cannot start; the message says why.
    """

    def __init__(self, what: str, module: str, arguments: Sequence[str] = (), files: Sequence[int] = ()) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        with unheard_by_children():
            self._process = subprocess.Popen(
                python_command(module, *arguments),
                env={**child_environment(), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                pass_fds=files,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert isinstance(self._process.stdout, BufferedReader)
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._what, self._is_ready = what, False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Any) -> Any:
        """Send a request and wait for the answer; both must be representable in JSON.

        Raises:
            Death: the worker crashed while answering, or was ended from outside.
            WorkerError: the worker did not start.
        """
        self._wait_until_ready()
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            return json.loads(self._answers.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise self._death() from error

    def read(self, n_bytes: int) -> bytearray:
        """The bytes that follow an answer; Death if the worker ends before it has sent them."""
        content = bytearray(n_bytes)
        if self._answers.readinto(content) < n_bytes:
            raise self._death()
        return content

    def end(self) -> None:
        """Kill the worker, which has nothing to save; a regular exit would take longer."""
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


def serve(answer: Callable[[Any], tuple[Any, bytes | memoryview]]) -> None:
    """Answer the requests on standard input until it ends; called in a worker.

    Args:
        answer: request → the answer, which must be representable in JSON, and the bytes that follow it.
    """
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    out = sys.stdout.buffer
    out.write(READY)
    out.flush()
    try:
        while True:
            reply, content = answer(json.loads(requests.get()))
            out.write(json.dumps(reply).encode() + b"\n")
            out.write(content)
            out.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # an ordinary end would wait for the thread that reads, and be aborted


def _receive(requests: "SimpleQueue[bytes]") -> None:
    """Queue the requests, and end this process at once when standard input ends, even if its writer was killed."""
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)
