"""Does HDF5 survive opening this file? A child process tries first, for the shards that have no seal.

HDF5's library loops for ever over some damaged files, and crashes over others. The child opens what it is told to, and
the system ends it if that takes too long; this process waits in a way that Ctrl-C interrupts.
"""

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
"""How long opening a shard may take: milliseconds are usual, more on a slow network."""


class Unopenable(InputError):
    """HDF5 crashes, or does not come back, over a file."""


class _Inspector:
    """The child, started when it is first needed; it ends when its standard input does, as when we are killed."""

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
        """End the child, or wait until it has died; what it died of."""
        assert self._child is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.communicate()
        status, self._child = self._child.returncode, None
        if status == -signal.SIGALRM:
            return f"HDF5 does not come back from opening it within {SECONDS} s"
        return f"HDF5 crashes over it (exit status {status})"


def _start() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        python_command("spoofcache.features.inspection"),
        env=child_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is the parent's to answer
    )


_INSPECTOR = _Inspector()
atexit.register(_INSPECTOR.end)


def inspect(path: Path) -> None:
    """Return if HDF5 comes back from opening the file and reading all but its features, with whatever result.

    Raises:
        Unopenable: it crashes, or does not come back in time.
    """
    _INSPECTOR.inspect(path)


def _serve() -> None:
    """What the child does: it opens each file that it is told of, and answers with a line."""
    from spoofcache.features.shard_layout import read_layout  # here, not above: the parent needs no h5py for this

    for request in sys.stdin:
        path, seconds = json.loads(request)
        signal.alarm(seconds)  # its default action ends the process even while HDF5 loops
        with contextlib.suppress(Exception):  # the parent meets it again, and reports it
            read_layout(Path(path))
        signal.alarm(0)
        print("back", flush=True)


if __name__ == "__main__":
    _serve()
