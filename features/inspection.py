"""Lets a child process open a shard without a seal first, to find out whether HDF5 survives it.

HDF5's library loops forever on some damaged files, and crashes on others. The child opens each file that it receives,
and the system ends it if that takes too long. Ctrl-C interrupts this process while it waits.
"""

from spoofcache.common.signals import unheard_by_children

import atexit
import contextlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from spoofcache.common.children import child_environment, python_command
from spoofcache.common.errors import InputError

SECONDS = 60
"""Time limit for opening a shard. It usually takes milliseconds, or longer on a slow network."""


class Unopenable(InputError):
    """HDF5 crashes on a file, or does not return from opening it."""


class _Inspector:
    """The child process. It starts when it is first needed, and ends when its standard input closes."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._child: subprocess.Popen[str] | None = None

    def inspect(self, path: Path) -> None:
        with self._turn:
            answer = self._ask(path)
        if answer:
            raise Unopenable(answer)

    def _ask(self, path: Path) -> str:
        child = self._child = self._child or _start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps([str(path.absolute()), SECONDS]) + "\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        except KeyboardInterrupt:
            child.kill()
            self._end()
            raise
        if answer:
            return ""
        return self._end()

    def end(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._end()

    def _end(self) -> str:
        """Wait for the end of the child, and return the reason for it."""
        assert self._child is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.communicate()
        status, self._child = self._child.returncode, None
        if status == -signal.SIGALRM:
            return f"HDF5 does not come back from opening it within {SECONDS} s"
        return f"HDF5 crashes over it (exit status {status})"


def _start() -> "subprocess.Popen[str]":
    with unheard_by_children():
        return subprocess.Popen(
            python_command("spoofcache.features.inspection"),
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


_INSPECTOR = _Inspector()
atexit.register(_INSPECTOR.end)


def inspect(path: Path) -> None:
    """Return if HDF5 can open the file and read all but its features, or fails with an ordinary error.

    Raises:
        Unopenable: HDF5 crashes, or does not return in time.
    """
    _INSPECTOR.inspect(path)


def _serve() -> None:
    """The work of the child: it opens each file that it receives, and answers with a line."""
    from spoofcache.features.shard_layout import (
        read_layout,  # imported here, since the parent does not need h5py for this
    )

    for request in sys.stdin:
        path, seconds = json.loads(request)
        signal.alarm(seconds)  # its default action ends the process even while HDF5 loops
        with contextlib.suppress(Exception):  # the parent opens the file next, and reports the error
            read_layout(Path(path))
        signal.alarm(0)
        print("back", flush=True)


if __name__ == "__main__":
    _serve()
