"""Decodes audio files into batches of waveforms, some batches ahead of the front-end.

Small corpora are decoded by threads. For large corpora, each thread passes its files to a process of its own, because
decoding threads would slow down the thread that feeds the device (they share the interpreter); the waveforms are then
in memory that all processes share. Nothing here imports torch, so that such a process starts in a fraction of a second
(`multiprocessing` would import the whole command into each process).
"""

import json
import math
import mmap
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from spoofcache.common.errors import InputError
from spoofcache.common.workers import Death, Worker, WorkerError, serve
from spoofcache.features.audio import isolated
from spoofcache.features.augment.base import EffectError
from spoofcache.features.augment.view import View
from spoofcache.features.unusual import unusual
from spoofcache.features.waveform import AudioError, Waveform, fit_length, load_waveform
from spoofcache.protocols.trial import Trial

WHAT = "decoding"


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
    """The waveforms [B, n] of some trials.

    `reasons` states why each trial is unusable, or is ""; the row of an unusable trial is silent. `unusual` names what
    is unusual about each recording, one of `unusual.KINDS`, or "".
    """

    trials: Sequence[Trial]
    waveforms: Waveform
    reasons: Sequence[str]
    unusual: Sequence[str]


class Decoded(NamedTuple):
    """The reason why a file is unusable, and what is unusual about it; "" if there is nothing."""

    reason: str = ""
    unusual: str = ""


def load_row(row: Waveform, utt_id: str, path: Path, form: Form) -> Decoded:
    """Decode a file into its row [n]. If the file is unusable, the row is silent.

    Only as much of the file is decoded as the row needs, unless a view changes the whole waveform before it is cut.

    Raises:
        EffectError: the effect of the view cannot use a recording.
        WorkerError: the decoder cannot run, for example because a library is missing.
    """
    try:
        waveform = load_waveform(path, at_most=None if form.view else form.n_samples)
        peculiarity = unusual(waveform)
        if form.view:  # before the length rule, as in every published recipe that was read
            waveform = form.view(waveform, utt_id)
        row[:] = fit_length(waveform, form.n_samples, form.fit)
    except AudioError as error:
        row[:] = 0
        return Decoded(str(error))
    return Decoded("", peculiarity)


class Decoders:
    """A context that decodes files in order, a limited number ahead. Its threads and processes end with the block.

    Args:
        form: the form of the batches.
        workers: number of files that are decoded at the same time.
        in_processes: decode in processes instead of in threads.
    """

    def __init__(self, form: Form, workers: int, in_processes: bool) -> None:
        self._form = form
        self._chunk = math.ceil(form.batch_size / workers)
        n_rows = (2 + math.ceil(2 * workers / form.batch_size)) * form.batch_size
        self._children = _Children(form, n_rows, workers) if in_processes else None
        self._rows = self._children.rows if self._children else np.empty((n_rows, form.n_samples), np.float32)
        self._slots = range(0, n_rows, form.batch_size)
        self._threads = ThreadPoolExecutor(workers)

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *exception: object) -> None:
        """End at once: files that are being decoded are abandoned, and those that are waiting are not decoded."""
        if self._children:
            self._children.end()
        self._threads.shutdown(cancel_futures=True)

    def batches(self, trials: Iterable[Trial]) -> Iterator[Batch]:
        """Yield batches of `batch_size` utterances; only the last one may be smaller.

        A batch is valid until the next one is requested. Every trial must have a path.

        Raises:
            EffectError: the effect of the view cannot use a recording.
            WorkerError: the decoder cannot run, for example because a library is missing.
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
        """Start to decode a group of trials into the rows from `slot` on."""
        decode = self._children.decode if self._children else self._decode_in_thread
        parts = [
            self._threads.submit(decode, slot + start, group[start : start + self._chunk])
            for start in range(0, len(group), self._chunk)
        ]
        return _Decoding(group, self._rows[slot : slot + len(group)], parts)

    def _decode_in_thread(self, first: int, trials: Sequence[Trial]) -> list[Decoded]:
        rows = self._rows[first : first + len(trials)]
        return [load_row(row, trial.utt_id, trial.audio, self._form) for row, trial in zip(rows, trials, strict=True)]


class _Decoding(NamedTuple):
    """A batch that is being decoded."""

    trials: Sequence[Trial]
    waveforms: Waveform
    parts: Sequence[Future[list[Decoded]]]

    def wait(self) -> Batch:
        decoded = [each for part in self.parts for each in part.result()]
        return Batch(self.trials, self.waveforms, [each.reason for each in decoded], [each.unusual for each in decoded])


class _Children:
    """Processes that decode into rows [N, n] of memory that they share with this process.

    If a process dies, its files are decoded again one by one. The file that makes the process crash again is treated as
    unusable.
    """

    def __init__(self, form: Form, n_rows: int, count: int) -> None:
        self._form = form
        self._file = _shared_file(n_rows * form.n_samples * 4)
        self.rows = _map_rows(self._file.fileno(), form.n_samples)
        self._lock, self._has_ended = Lock(), False
        self._workers: set[Worker] = set()
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for _ in range(count):
            self._idle.put(self._start())

    def decode(self, first: int, trials: Sequence[Trial]) -> list[Decoded]:
        """Decode the files of trials into the rows from `first` on."""
        worker = self._idle.get()
        try:
            return _ask(worker, first, trials)
        except Death:
            worker = self._replace(worker)
            decoded = []
            for index, trial in enumerate(trials, first):
                worker, each = self._decode_alone(worker, index, trial)
                decoded.append(each)
            return decoded
        finally:
            self._idle.put(worker)

    def end(self) -> None:
        """End all processes, even while they are decoding."""
        with self._lock:
            self._has_ended = True
            for worker in self._workers:
                worker.end()
        self._file.close()

    def _decode_alone(self, worker: Worker, index: int, trial: Trial) -> tuple[Worker, Decoded]:
        """Decode one file into its row; returns the process for the next file, too."""
        try:
            return worker, _ask(worker, index, [trial])[0]
        except Death as death:
            death.require_own_fault(WHAT)
            self.rows[index] = 0
            reason = f"{trial.audio}: it crashes the decoder ({death}); expected a whole audio file"
            return self._replace(worker), Decoded(reason)

    def _start(self) -> Worker:
        descriptor = self._file.fileno()
        arguments = (str(descriptor), self._form.to_json())
        worker = Worker(WHAT, "spoofcache.features.decoding", arguments, [descriptor])
        self._workers.add(worker)
        return worker

    def _replace(self, dead: Worker) -> Worker:
        with self._lock:
            if self._has_ended:
                raise WorkerError(f"{WHAT} was ended")
            dead.end()
            self._workers.discard(dead)
            return self._start()


def _ask(worker: Worker, first: int, trials: Sequence[Trial]) -> list[Decoded]:
    answer = worker.ask([first, [(trial.utt_id, str(trial.audio)) for trial in trials]])
    if "error" in answer:
        raise ERRORS[answer["error"]](answer["message"])
    return [Decoded(*each) for each in answer["decoded"]]


ERRORS: Mapping[str, type[InputError]] = {error.__name__: error for error in (EffectError, WorkerError)}
"""Errors that are not the fault of a file, by the name under which a decoding process reports them."""


def _serve(memory: int, form: Form) -> None:
    """Decode on request until standard input ends. The process has a low priority, so that the front-end goes first."""
    os.nice(10)
    isolated.expect_crashes()
    rows = _map_rows(memory, form.n_samples)

    def answer(request: tuple[int, list[tuple[str, str]]]) -> tuple[dict[str, Any], bytes]:
        first, tasks = request
        try:
            decoded = [load_row(rows[first + i], utt_id, Path(path), form) for i, (utt_id, path) in enumerate(tasks)]
        except tuple(ERRORS.values()) as error:
            return {"error": type(error).__name__, "message": str(error)}, b""
        return {"decoded": decoded}, b""

    serve(answer)


def _shared_file(n_bytes: int) -> BinaryIO:
    """A file without a name, in memory if the system supports it. It is removed when the last process closes it."""
    memory = hasattr(os, "memfd_create")
    file: BinaryIO = os.fdopen(os.memfd_create("waveforms"), "w+b") if memory else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(n_bytes)
    return file


def _map_rows(file: int, n_samples: int) -> Waveform:
    """Map the rows [N, n] of a shared file."""
    return np.frombuffer(mmap.mmap(file, 0), np.float32).reshape(-1, n_samples)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Form.from_json(sys.argv[2]))
