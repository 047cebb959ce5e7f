"""Audio files → batches of waveforms, some batches ahead of the front-end.

Threads decode small corpora. For large ones each thread hands its files to a process of its own, since threads that
decode hold the interpreter back from the thread that feeds the device; rows then lie in memory that all of them share.
Nothing here imports torch, so that such a process starts in a fraction of a second (`multiprocessing` would import the
whole command into each).
"""

import json
import math
import mmap
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, NamedTuple

import numpy as np

from spoofcache.common.children import child_environment, python_command
from spoofcache.features.augment.base import EffectError
from spoofcache.features.augment.view import View
from spoofcache.features.waveform import AudioError, Waveform, fit_length, load_waveform
from spoofcache.protocols.trial import Trial


@dataclass(frozen=True)
class Form:
    """The form of a batch: `batch_size` waveforms of `n_samples`, augmented by `view`, filled by the rule `fit`."""

    batch_size: int
    n_samples: int
    fit: str
    view: View | None = None

    @classmethod
    def from_json(cls, text: str) -> "Form":
        """Inverse of `to_json`."""
        fields = json.loads(text)
        return cls(**fields | {"view": fields["view"] and View(**fields["view"])})

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Batch(NamedTuple):
    """The waveforms [B, n] of some trials; for each the reason why its row is silent, "" where it is not."""

    trials: Sequence[Trial]
    waveforms: Waveform
    reasons: Sequence[str]


def load_row(row: Waveform, utt_id: str, path: Path, form: Form) -> str:
    """Decode a file into its row [n]; the reason why not, and silence in the row, where it is unusable.

    Raises:
        EffectError: a recording that the view's effect cannot use.
    """
    try:
        waveform = load_waveform(path)
        if form.view:  # before the length rule, as in every recipe that was read
            waveform = form.view(waveform, utt_id)
        row[:] = fit_length(waveform, form.n_samples, form.fit)
    except AudioError as error:
        row[:] = 0
        return str(error)
    return ""


class Decoders:
    """Decode files, in order and a bounded number ahead; a context, whose threads and processes end with it.

    Args:
        form: of the batches.
        workers: how many files are decoded at once.
        in_processes: by a process each; else by threads of this one.
    """

    def __init__(self, form: Form, workers: int, in_processes: bool) -> None:
        self._form = form
        self._chunk = math.ceil(form.batch_size / workers)
        n_rows = (2 + math.ceil(2 * workers / form.batch_size)) * form.batch_size
        if in_processes:
            with _shared_file(n_rows * form.n_samples * 4) as file:
                self._rows = _map_rows(file.fileno(), form.n_samples)
                self._children = [_Child(file.fileno(), form) for _ in range(workers)]
        else:
            self._rows, self._children = np.empty((n_rows, form.n_samples), np.float32), []
        self._slots = range(0, n_rows, form.batch_size)
        self._idle: SimpleQueue[_Child] = SimpleQueue()
        for child in self._children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *exception: object) -> None:
        """End; files whose turn has not come are left."""
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.end()

    def batches(self, trials: Iterable[Trial]) -> Iterator[Batch]:
        """Batches of exactly `batch_size`, only the last one smaller; each is valid until the next is asked for.

        Every trial has a path.

        Raises:
            AudioError: a file that a decoding process died of.
            EffectError: a recording that the view's effect cannot use.
        """
        ahead: deque[_Decoding] = deque()
        trials = iter(trials)
        for slot in cycle(self._slots):
            if len(ahead) == len(self._slots):
                yield ahead.popleft().wait()
            group = list(islice(trials, self._form.batch_size))
            if not group:
                break
            ahead.append(self._start(slot, group))
        while ahead:
            yield ahead.popleft().wait()

    def _start(self, slot: int, group: Sequence[Trial]) -> "_Decoding":
        """Have a group decoded into the rows from `slot` on."""
        decode: Callable[[int, Sequence[Trial]], list[str]] = self._by_child if self._children else self._here
        parts = [
            self._threads.submit(decode, slot + start, group[start : start + self._chunk])
            for start in range(0, len(group), self._chunk)
        ]
        return _Decoding(group, self._rows[slot : slot + len(group)], parts)

    def _here(self, first: int, trials: Sequence[Trial]) -> list[str]:
        rows = self._rows[first : first + len(trials)]
        return [load_row(row, trial.utt_id, trial.audio, self._form) for row, trial in zip(rows, trials, strict=True)]

    def _by_child(self, first: int, trials: Sequence[Trial]) -> list[str]:
        child = self._idle.get()
        try:
            return child.decode(first, trials)
        finally:
            self._idle.put(child)


class _Decoding(NamedTuple):
    """A batch under way."""

    trials: Sequence[Trial]
    waveforms: Waveform
    parts: Sequence[Future[list[str]]]

    def wait(self) -> Batch:
        return Batch(self.trials, self.waveforms, [reason for part in self.parts for reason in part.result()])


class _Child:
    """A process that decodes what it reads of on its standard input; it ends when that ends, as when we are killed."""

    def __init__(self, memory: int, form: Form) -> None:
        self._process = subprocess.Popen(
            python_command("spoofcache.features.decoding", str(memory), form.to_json()),
            env={**child_environment(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[memory],
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def decode(self, first: int, trials: Sequence[Trial]) -> list[str]:
        """Files into the rows from `first` on; the reasons."""
        try:
            self._requests.write(json.dumps([first, [(trial.utt_id, str(trial.audio)) for trial in trials]]) + "\n")
            self._requests.flush()
            answer = self._answers.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            others = f" or one of the {len(trials) - 1} files after it" if len(trials) > 1 else ""
            raise AudioError(
                f"{trials[0].audio}{others}: the decoding process died of it (exit status {self._process.wait()}); "
                "expected an audio file that can be decoded"
            )
        reasons: list[str] | str = json.loads(answer)
        if isinstance(reasons, str):
            raise EffectError(reasons)
        return reasons

    def end(self) -> None:
        self._process.kill()  # it has nothing to lose, and would take its time
        self._process.communicate()


def _serve(memory: int, form: Form) -> None:
    """What a child does, until its standard input ends. Where cores are short it gives way to the front-end."""
    os.nice(10)
    rows = _map_rows(memory, form.n_samples)
    for request in sys.stdin:
        first, tasks = json.loads(request)
        answer: list[str] | str
        try:
            answer = [load_row(rows[first + i], utt_id, Path(path), form) for i, (utt_id, path) in enumerate(tasks)]
        except EffectError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


def _shared_file(n_bytes: int) -> BinaryIO:
    """A file without a name, in memory where the system has such; gone with the last process that has it open."""
    memory = hasattr(os, "memfd_create")
    file: BinaryIO = os.fdopen(os.memfd_create("waveforms"), "w+b") if memory else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(n_bytes)
    return file


def _map_rows(file: int, n_samples: int) -> Waveform:
    """The rows [N, n] in a shared file."""
    return np.frombuffer(mmap.mmap(file, 0), np.float32).reshape(-1, n_samples)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Form.from_json(sys.argv[2]))
