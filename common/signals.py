"""End a command on a signal: Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 are handled alike, and the exit status tells which.

Every script imports this module before anything else, so that a signal during the slow imports also ends the command
with a sentence. While a command runs, a signal is raised in the main thread as `Interrupted`, a KeyboardInterrupt, so
that the clean-up for Ctrl-C handles all of them. Work that can be finished soon may hold the signal back with
`postponed`. A signal that the user has chosen to ignore (`nohup`) stays ignored. SIGUSR1 is what users of Slurm
usually have it send (`--signal`) before the time of a job is over.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)  # Windows has neither SIGHUP nor SIGUSR1
REQUEUE_STATUS = "--requeue-status"
"""Option whose value replaces the exit status after every ending signal except Ctrl-C."""
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_UNTIL_REPEATED = 0.01
_CLONE = Path(__file__).resolve().parents[1]
_FOLDERS_OF_COMMANDS = {_CLONE, *(_CLONE / name for name in ("spoofcache", "tools", "benchmarks"))}


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end; `number` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_status(interrupt: KeyboardInterrupt, requeue_status: int | None = None) -> int:
    """The exit status from which a shell recognises the signal: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    With `requeue_status`, that is the exit status after every signal except Ctrl-C, which a scheduler does not send.

    >>> exit_status(Interrupted(15)), exit_status(KeyboardInterrupt()), exit_status(Interrupted(15), 99)
    (143, 130, 99)
    """
    number = getattr(interrupt, "number", int(signal.SIGINT))
    return 128 + number if requeue_status is None or number == signal.SIGINT else requeue_status


@dataclass
class _Held:
    """A signal that is held back: its number, 0 until one has come, and when it is raised at the latest."""

    seconds: float
    number: int = 0
    deadline: float = 0.0

    def take(self, number: int) -> None:
        """Hold a signal back for `seconds`."""
        self.number, self.deadline = number, time.monotonic() + self.seconds
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def end(self, *_: object) -> None:
        """Raise the signal, if one has come, and let no second one interrupt the clean-up."""
        if self.number:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Interrupted(self.number)


_held: _Held | None = None


@contextmanager
def postponed(seconds: float) -> Iterator[None]:
    """While the block runs, hold an ending signal back for at most some seconds, so that open work can be finished.

    The block asks `seconds_left` whether a signal has come, then begins nothing new, and calls `end_now` when the time
    will not suffice. When the time is over or the block ends, `Interrupted` is raised. A second Ctrl-C is not held
    back. Outside the main thread and of `raised_as_interrupts`, and for 0 seconds, nothing is held back.
    """
    global _held
    if seconds <= 0 or threading.current_thread() is not threading.main_thread():
        yield
        return
    held = _Held(seconds)
    before = signal.signal(signal.SIGALRM, held.end)
    _held = held
    try:
        yield
    finally:
        _held = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    held.end()


def seconds_left() -> float | None:
    """Seconds until the signal that `postponed` holds back is raised; None while no signal has come."""
    return None if _held is None or not _held.number else max(0.0, _held.deadline - time.monotonic())


def end_now() -> None:
    """Raise the signal that `postponed` holds back, if one has come."""
    if _held is not None:
        _held.end()


@contextmanager
def raised_as_interrupts() -> Iterator[None]:
    """While the block runs, raise `Interrupted` in the main thread for each ending signal.

    After the first one, further signals other than Ctrl-C are ignored, so that a scheduler that sends several does not
    interrupt the clean-up. A signal that meets one of the callbacks whose exceptions Python only prints, such as
    `__del__`, is raised once more.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in set(handled) - {signal.SIGINT}:
            signal.signal(each, signal.SIG_IGN)
        if _held is None:
            raise Interrupted(number)
        _held.end()  # this is the second signal: Ctrl-C again
        _held.take(number)

    def repeat(lost: "sys.UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, Interrupted):
            report(lost)
            return
        for each in handled:
            signal.signal(each, interrupt)
        main = threading.main_thread().ident
        again = threading.Timer(SECONDS_UNTIL_REPEATED, signal.pthread_kill, [main, lost.exc_value.number])
        repeated.append(again)
        again.start()  # the callback is over by then

    repeated: list[threading.Timer] = []
    report, sys.unraisablehook = sys.unraisablehook, repeat
    handled = {each: signal.getsignal(each) for each in ENDING if signal.getsignal(each) is not signal.SIG_IGN}
    for each in handled:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for again in repeated:
            again.cancel()
        sys.unraisablehook = report
        for each, before in handled.items():
            # the interpreter takes a while to end, and meanwhile resets every handler except that of an ignored signal
            signal.signal(each, signal.SIG_IGN if before is _end_before_start else before)


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Let the processes that this thread starts in the block ignore the ending signals; their parent ends them.

    A terminal and a scheduler send a signal to every process of a command. A helper that ended by itself would look
    like one that crashed, and could not help to finish what is open. Blocked signals stay blocked in a program that
    is started (POSIX, execve).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    """End a command whose work has not begun."""
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.stderr.write("Interrupted before any work was started.\n")
    sys.exit(exit_status(Interrupted(number), _requeue_status(sys.argv)))


def _requeue_status(words: Sequence[str]) -> int | None:
    """The value of `--requeue-status` on a command line that no parser has read yet.

    >>> _requeue_status(["x.py", "--requeue-status", "99"]), _requeue_status(["x.py", "--requeue-status=7"])
    (99, 7)
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name == REQUEUE_STATUS and (value or following).isdecimal():
            return int(value or following)
    return None


def _is_command() -> bool:
    """Whether the running program is one of our commands, and not a notebook or a test that imports the package."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and (Path(file).name == "spoofcache" or Path(file).resolve().parent in _FOLDERS_OF_COMMANDS)


def end_on_signals() -> None:
    """Let the ending signals end a command before its work, unless the user ignores them; after it they are ignored."""
    for each in ENDING:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(each, _end_before_start)


if _is_command():
    end_on_signals()
