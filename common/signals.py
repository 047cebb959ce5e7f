"""End a command on a signal: Ctrl-C, SIGTERM and SIGHUP are handled alike, and the exit status shows which one it was.

Every script imports this module before anything else, so that a signal during the slow imports also ends the command
with a sentence. While a command runs, a signal is raised in the main thread as `Interrupted`, a KeyboardInterrupt, so
that the clean-up for Ctrl-C handles all of them. A signal that the user has chosen to ignore (`nohup`) stays ignored.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
SECONDS_BETWEEN_LOOKS = 0.5
_HAS_STARTED = threading.Event()
_CLONE = Path(__file__).resolve().parents[1]
_FOLDERS_OF_COMMANDS = {_CLONE, *(_CLONE / name for name in ("spoofcache", "tools", "benchmarks"))}


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end; `number` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """The exit status from which a shell recognises the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    >>> exit_status(Interrupted(15)), exit_status(KeyboardInterrupt())
    (143, 130)
    """
    return 128 + getattr(interrupt, "number", int(signal.SIGINT))


@contextmanager
def raised_as_interrupts() -> Iterator[None]:
    """While the block runs, raise `Interrupted` in the main thread for each ending signal.

    After the first one, further SIGTERM and SIGHUP signals are ignored, so that a scheduler that sends several does not
    interrupt the clean-up. Ctrl-C is not ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    _HAS_STARTED.set()

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in set(handled) - {signal.SIGINT}:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    handled = {each: signal.getsignal(each) for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN}
    for each in handled:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, before in handled.items():
            signal.signal(each, before)


def end_with_parent(parent: int) -> None:
    """Make this child process end soon after its parent, even if the parent was killed and could not end it.

    Args:
        parent: process number of the parent, which may have ended already.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end_before_start(number: int, frame: FrameType | None) -> None:
    """Handle a signal outside of the work: before it, end; after it, ignore the signal, since the end is under way."""
    if _HAS_STARTED.is_set():
        return
    sys.stderr.write("Interrupted before any work was started.\n")
    sys.exit(128 + number)


def _is_command() -> bool:
    """Whether the running program is one of our commands, and not a notebook or a test that imports the package."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and (Path(file).name == "spoofcache" or Path(file).resolve().parent in _FOLDERS_OF_COMMANDS)


def handle_outside_of_work() -> None:
    """Answer the ending signals before and after the work of a command, unless the user has chosen otherwise."""
    for each in ENDING:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(each, _end_before_start)


if _is_command():
    handle_outside_of_work()
