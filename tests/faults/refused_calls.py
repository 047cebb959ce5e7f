"""What preprocess.py does when the system refuses a call: at every call, with every error, one after another.

    python -m tests.faults.refused_calls

counts the writes, fsyncs, renames, unlinks and mkdirs of an extraction, and repeats it with each of them refused. It
has to end in a sentence that names a file, and the same command has to finish the same cache, with nothing left behind.
"""

import errno
import hashlib
import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spoofcache.features import plan, store
from tests.commands import Command, Done
from tests.corpora import make_trials, write_corpus

CALLS = ("write", "fsync", "replace", "unlink", "mkdir")
ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT")
N_TRIALS, SHARD_ROWS = 24, 8
FAULTS = ("trace", "unnamed", "not finished", "left behind", "differs")


class Fault(NamedTuple):
    """The `number`-th call of that name, from 1 on, is refused with that error; 0 refuses none."""

    call: str
    number: int
    error: str


def refuse(fault: Fault, under: str, log: str) -> None:
    """Have this process count its calls below a folder, each a line of the log, and refuse one of them."""
    plan.SHARD_ROWS = SHARD_ROWS
    counts = Counter[str]()

    def meet(call: str, path: object) -> None:
        if not str(path).startswith(under):
            return
        counts[call] += 1
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{call}\n")
        if (call, counts[call]) == fault[:2]:
            number = getattr(errno, fault.error)
            named = [str(path)] if call in ("replace", "unlink", "mkdir") else []  # what is given a path says it
            raise OSError(number, os.strerror(number), *named)

    for name in ("fsync", "replace", "unlink", "mkdir"):
        setattr(os, name, _met(getattr(os, name), name, meet))
    Path.write_bytes = _met(Path.write_bytes, "write", meet)  # type: ignore[method-assign]
    Path.write_text = _met(Path.write_text, "write", meet)  # type: ignore[method-assign]

    class Below(io.FileIO):
        def write(self, data: Any) -> int:
            meet("write", self.name)
            return super().write(data)

    store.Disk = type("Disk", (store.Disk, Below), {})  # type: ignore[assignment, misc]


def _met(real: Callable[..., Any], name: str, meet: Callable[[str, object], None]) -> Callable[..., Any]:
    def call(place: Any, *arguments: Any, **options: Any) -> Any:
        meet(name, os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fspath(place))
        return real(place, *arguments, **options)

    return call


class Extraction:
    """One that is repeated: its corpus, and what it makes when nothing is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        protocol, audio_dir = write_corpus(folder / "corpus", make_trials(N_TRIALS), seconds=0.1)
        corpus = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir)
        self._command = ("preprocess.py", *corpus, "--partition", "train", "--frontend", "lfcc", "--length", 800)
        self._log = folder / "calls"
        assert self.run(folder / "whole", Fault("none", 0, "EIO")).status == 0
        self.calls = Counter(self._log.read_text().split())
        self.contents = contents(folder / "whole")

    def run(self, out: Path, fault: Fault) -> Done:
        """The command, with that call refused."""
        self._log.unlink(missing_ok=True)
        out.parent.mkdir(exist_ok=True)
        given = (fault, str(out), str(self._log))
        return Command(self.folder, *self._command, "--out", out, before=refuse, given=given).wait()

    def faults(self) -> list[Fault]:
        """All that can be tried."""
        return [Fault(call, n, error) for call in CALLS for n in range(1, self.calls[call] + 1) for error in ERRORS]

    def judge(self, fault: Fault) -> tuple[str, str]:
        """`refused`, `finished`, or one of FAULTS; and a word on it."""
        out = self.folder / f"{fault.call}-{fault.number}-{fault.error}"
        first = self.run(out, fault)
        again = self.run(out, Fault("none", 0, "EIO"))
        if first.status not in (0, 2) or "Traceback" in first.stderr:
            return "trace", first.stderr
        if first.status and str(out) not in first.stderr:
            return "unnamed", first.stderr
        if again.status:
            return "not finished", again.stderr
        found = contents(out)
        if extra := sorted(found.keys() - self.contents.keys()):
            return "left behind", " ".join(extra)
        if found != self.contents:
            return "differs", " ".join(sorted(name for name in found if found[name] != self.contents[name]))
        return ("refused" if first.status else "finished"), first.stderr


def contents(folder: Path) -> Mapping[str, str]:
    """File → hash of its content, hidden files included."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(extraction: Extraction, faults: Sequence[Fault]) -> Mapping[tuple[str, str], int]:
    """Try these; (call, verdict) → how many."""
    outcome = Counter[tuple[str, str]]()
    for fault in faults:
        kind, detail = extraction.judge(fault)
        outcome[fault.call, kind] += 1
        if kind in FAULTS:
            print(f"{fault}: {kind}, {detail[-600:]}", file=sys.stderr, flush=True)
    return outcome


def main() -> None:
    """Try all faults, or as many at random as the argument says."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        extraction = Extraction(Path(folder))
        faults = extraction.faults()
        if sys.argv[1:]:
            faults = random.Random(0).sample(faults, int(sys.argv[1]))
        outcome = run(extraction, faults)
    print(f"{len(faults)} refused calls of {dict(extraction.calls)}, {time.monotonic() - begin:.0f} s")
    for (call, kind), number in sorted(outcome.items()):
        print(f"{call:10}{kind:14}{number}")
    if any(kind in FAULTS for _, kind in outcome):
        sys.exit(1)


if __name__ == "__main__":
    main()
