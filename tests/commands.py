"""Commands in processes of their own, which start in a fraction of a second instead of the seconds that torch takes.

They are forked from a server process that has imported the large libraries once. Everything else is as on the command
line: arguments, exit status, output, signals. The script itself is read and run in the new process.
"""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.preloaded"])


def semaphore(permits: int) -> Semaphore:
    """One that a test shares with a command, through `given`."""
    return _SERVER.Semaphore(permits)


class Done(NamedTuple):
    """How a command ended: its exit status (−9 after SIGKILL) and what it printed."""

    status: int
    stdout: str
    stderr: str


class Command:
    """A command of SpoofCache, started.

    Args:
        folder: where its output is kept until it has ended.
        script: its file name in the repository, `preprocess.py`.
        options: its arguments.
        before: called in the new process before the script, to change what it will find. A function of a test module.
    """

    def __init__(
        self, folder: Path, script: str, *options: object, before: Callable[..., None] | None = None, given: tuple = ()
    ) -> None:
        self._files = [folder / f"{id(self)}.{name}" for name in ("stdout", "stderr")]
        self._given = given  # kept: a semaphore that is forgotten here is gone there
        arguments = (self._files, script, [str(option) for option in options], before, given)
        self._process = _SERVER.Process(target=_run, args=arguments)
        self._process.start()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: int) -> None:
        if self._process.pid is not None and self.is_running:
            os.kill(self._process.pid, number)

    def wait(self) -> Done:
        """Wait until it has ended."""
        self._process.join()
        stdout, stderr = (path.read_text() if path.exists() else "" for path in self._files)
        for path in self._files:
            path.unlink(missing_ok=True)
        assert self._process.exitcode is not None
        return Done(self._process.exitcode, stdout, stderr)


def run(script: str, *options: object) -> Done:
    """A command from beginning to end."""
    with TemporaryDirectory() as folder:
        return Command(Path(folder), script, *options).wait()


def _run(files: list[Path], script: str, options: list[str], before: Callable[..., None] | None, given: tuple) -> None:
    for descriptor, path in enumerate(files, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if before is not None:
        before(*given)
    sys.argv = [str(ROOT / script), *options]
    runpy.run_path(str(ROOT / script), run_name="__main__")
