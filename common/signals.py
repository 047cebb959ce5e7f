"""How a command ends when it is told to: Ctrl-C, SIGTERM and SIGHUP do the same, and the exit status says which.

Every script imports this module before anything else, so that a signal during the slow imports ends the command with a
sentence too. While a command runs, a signal is raised in the main thread as `Interrupted`, a KeyboardInterrupt: the
clean-up that was written for Ctrl-C serves them all. A signal that the user has had ignored (`nohup`) stays ignored.
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
_CLONE = Path(__file__).resolve().parents[1]
_FOLDERS_OF_COMMANDS = {_CLONE, *(_CLONE / name for name in ("spoofcache", "tools", "benchmarks"))}


class Interrupted(KeyboardInterrupt):
    """The command was told to end by a signal; `number` says by which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """The status by which a shell recognises the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    >>> exit_status(Interrupted(15)), exit_status(KeyboardInterrupt())
    (143, 130)
    """
    return 128 + getattr(interrupt, "number", int(signal.SIGINT))


@contextmanager
def raised_as_interrupts() -> Iterator[None]:
    """While the block runs, raise `Interrupted` in the main thread for each ending signal.

    Once the first one was raised, a further SIGTERM or SIGHUP is ignored, so that the clean-up is not interrupted by a
    scheduler that sends several; Ctrl-C is not.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

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


def end_with_parent() -> None:
    """Have this child process end as soon as its parent has ended, however that was: killed parents tell nobody."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end_before_start(number: int, frame: FrameType | None) -> None:
    sys.stderr.write("Interrupted before anything was begun.\n")
    sys.exit(128 + number)


def _is_command() -> bool:
    """Whether the program that runs is one of our commands, and not a notebook or a test that imports us."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and (Path(file).name == "spoofcache" or Path(file).resolve().parent in _FOLDERS_OF_COMMANDS)


if _is_command():
    for _each in ENDING:
        if signal.getsignal(_each) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(_each, _end_before_start)
