"""What the harnesses of damaged files share: the kinds of fault, the table of what happened, and the command line."""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

FAULTS = ("trace", "hang", "differs")
"""What must not happen to a damaged file: a stack trace, no answer, or other numbers without a word."""

Outcome = Mapping[tuple[str, str], int]
"""(kind of file, what happened) → how often."""


def table(outcome: Outcome, harmless: Sequence[str], width: int) -> str:
    """The counts as text, a kind of file on each line; `harmless` names what may happen besides the faults."""
    kinds = (*harmless, *FAULTS)
    names = sorted({name for name, _ in outcome})
    rows = [("", *kinds), *((name, *(str(outcome.get((name, kind), 0)) for kind in kinds)) for name in names)]
    total = ("total", *(str(sum(outcome.get((name, kind), 0) for name in names)) for kind in kinds))
    return "\n".join("".join(cell.ljust(width) for cell in row).rstrip() for row in (*rows, total))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the block, in the main thread, once it has taken so many seconds."""
    former = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def _too_long(*_: object) -> None:
    raise TimeoutError


def run_command(
    run: Callable[[int, int, Path, Path | None], Outcome], default: int, harmless: Sequence[str], width: int
) -> None:
    """Run as many mutants as the first argument says, with the random seed that the second one says.

    Files that show a fault are kept in the folder of the third argument; the exit status is then 1.
    """
    count, seed = int((sys.argv[1:] or [str(default)])[0]), int((sys.argv[2:] or ["0"])[0])
    keep = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(count, seed, Path(folder), keep)
    seconds = time.monotonic() - begin
    print(f"{count} mutants, seed {seed}, {seconds:.0f} s\n{table(outcome, harmless, width)}")
    if any(kind in FAULTS for _, kind in outcome):
        sys.exit(1)
