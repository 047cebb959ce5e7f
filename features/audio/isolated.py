"""Run the decoders in worker processes, so that a file that crashes one of them affects no other file.

The workers are started when they are needed, are reused, and end with this process.
"""

import atexit
import os
from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore, Lock

import numpy as np

from spoofcache.common.workers import Death, Worker
from spoofcache.features.audio import first
from spoofcache.features.audio.first import Unfit
from spoofcache.features.audio.frames import Segment
from spoofcache.features.audio.kinds import Kind
from spoofcache.features.audio.result import AudioError, Decoded, Wish

WHAT = "decoding"


def decode_first(path: Path, kind: Kind, wish: Wish) -> Decoded:
    """Decode a file with libsndfile, in a worker process unless this process is itself an expendable one.

    Raises:
        Unfit: as `first.decode` does.
        AudioError: the file cannot be used, or it crashes the decoder. The message does not name the file.
        WorkerError: the worker could not start, or was killed from outside.
    """
    if _is_expendable:
        return first.decode(path, kind, wish)
    return _decode_request({"decoder": "first", "path": os.path.abspath(path), "kind": kind, "wish": wish})


def decode_second(path: Path, start: int, kind: Kind, wish: Wish, segments: Sequence[Segment] = ()) -> Decoded:
    """Decode a file, or some segments of its bytes, with FFmpeg in a worker process.

    Raises:
        AudioError: the file cannot be used, or it crashes the decoder. The message does not name the file.
        WorkerError: the worker could not start, or was killed from outside.
    """
    what = {"path": os.path.abspath(path), "start": start, "demuxer": kind.demuxer, "segments": segments}
    decoded = _decode_request({"decoder": "second", **what, **wish._asdict()})
    return decoded._replace(format=f"{kind.name} {decoded.format}")


def expect_crashes() -> None:
    """Let libsndfile decode in this process from now on, because the process that started it survives its crash."""
    global _is_expendable
    import soundfile  # noqa: F401 (now, so that a missing library is not blamed on the first file)

    _is_expendable = True


_is_expendable = False


def _decode_request(request: dict[str, object]) -> Decoded:
    """Ask a worker. A file that crashes the worker is tried once more in a fresh one."""
    try:
        return _POOL.decode(request)
    except Death:  # perhaps an earlier file had damaged that process
        pass
    worker = _start()
    try:
        return _decode(worker, request)
    except Death as death:
        death.require_own_fault(WHAT)
        raise AudioError(f"it crashes the decoder ({death})") from death
    finally:
        worker.end()


def _start() -> Worker:
    return Worker(WHAT, "spoofcache.features.audio.serve")


def _decode(worker: Worker, request: dict[str, object]) -> Decoded:
    answer = worker.ask(request)
    if "unfit" in answer:
        raise Unfit(answer["unfit"])
    if "error" in answer:
        raise AudioError(answer["error"])
    samples = np.frombuffer(worker.read(4 * answer["samples"]), "<f4").astype(np.float32, copy=False)
    return Decoded(**answer | {"samples": samples, "notes": tuple(answer["notes"])})


class _Pool:
    """The workers of this process: no more than there are cores, however many threads ask."""

    def __init__(self) -> None:
        self._room = BoundedSemaphore(max(2, os.cpu_count() or 1))
        self._idle: list[Worker] = []
        self._of_parent: list[Worker] = []
        self._lock = Lock()
        atexit.register(self.end)
        os.register_at_fork(after_in_child=self._forget)

    def decode(self, request: dict[str, object]) -> Decoded:
        """Let an idle worker, or a new one, answer a request; Death if it dies over it."""
        with self._room:
            return self._ask(request)

    def _ask(self, request: dict[str, object]) -> Decoded:
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or _start()
        try:
            decoded = _decode(worker, request)
        except (AudioError, Unfit):
            self._keep(worker)
            raise
        except BaseException:  # the worker is dead, or its answer was read only in part
            worker.end()
            raise
        self._keep(worker)
        return decoded

    def end(self) -> None:
        """End the idle workers."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.end()

    def _keep(self, worker: Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def _forget(self) -> None:
        """Forget the workers in a process that was forked from this one, since they belong to the parent."""
        self._of_parent = self._idle  # kept: garbage-collecting a process object waits for it
        self._idle, self._lock = [], Lock()
        self._room = BoundedSemaphore(max(2, os.cpu_count() or 1))


_POOL = _Pool()
