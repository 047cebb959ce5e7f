"""The second decoder in child processes: a file that crashes it costs that file alone.

The children are started when they are needed, used again, and end with this process.
"""

import atexit
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from threading import Lock

import numpy as np

from spoofcache.common.children import child_environment, python_command
from spoofcache.features.audio.kinds import Kind
from spoofcache.features.audio.result import AudioError, Decoded, DecodingError, Wish

BLAMELESS = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
"""Signals that come from outside; the others are the decoder's own."""


class Death(Exception):
    """A decoding process ended by a fault of its own while it decoded a file; says how."""


class Child:
    """A process that decodes one file after another with FFmpeg.

    Raises:
        DecodingError: it cannot start; says why.
    """

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python_command("spoofcache.features.audio.second"),
            env={**child_environment(), "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is this process's to answer
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        if self._answers.readline() != b"ready\n":
            reason = explain(self._process.wait(), self.last_words())
            self.end()
            raise DecodingError(f"the decoding process could not start: {reason}")

    def decode(self, path: Path, start: int, kind: Kind, wish: Wish) -> Decoded:
        """Decode a file.

        Raises:
            AudioError: without the file's name: it cannot be used.
            DecodingError: the process was ended from outside.
            Death: the file crashed the process.
        """
        request = {"path": os.fspath(path), "start": start, "demuxer": kind.demuxer, **wish._asdict()}
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            answer = json.loads(self._answers.readline())
            if "error" in answer:
                raise AudioError(answer["error"])
            content = self._answers.read(4 * answer["samples"])
            samples = np.frombuffer(content, "<f4", answer["samples"]).astype(np.float32, copy=False)
        except (BrokenPipeError, json.JSONDecodeError) as error:
            status = self._process.wait()
            raise_for(status, self.last_words(), error)
            raise Death(explain(status, self.last_words())) from error
        return Decoded(**answer | {"samples": samples, "notes": tuple(answer["notes"])})

    def last_words(self) -> str:
        """The last line that the process wrote on standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """End the process at once; it has nothing to lose."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def explain(status: int, last_words: str) -> str:
    """How a process ended, in words: the signal that ended it, or its status and what it said last."""
    if status == -signal.SIGXCPU:
        return "it took far more time than any recording needs"
    if status < 0:
        return f"it was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"exit status {status}" + (f", {last_words}" if last_words else "")


def raise_for(status: int, last_words: str, cause: Exception | None = None) -> None:
    """DecodingError where a process did not end by what it decoded: killed, or by an error of Python."""
    if status == -signal.SIGKILL:
        raise DecodingError(
            "the decoding process was killed from outside, most likely by the system for want of memory; "
            "fewer --workers need less"
        ) from cause
    if status >= 0 or -status in BLAMELESS:
        raise DecodingError(f"the decoding process ended by itself ({explain(status, last_words)})") from cause


class _Pool:
    """The children of this process that wait for work."""

    def __init__(self) -> None:
        self._idle: list[Child] = []
        self._lock = Lock()
        atexit.register(self.end)
        os.register_at_fork(after_in_child=self._forget)

    def decode(self, path: Path, start: int, kind: Kind, wish: Wish) -> Decoded:
        with self._lock:
            child = self._idle.pop() if self._idle else None
        child = child or Child()
        try:
            decoded = child.decode(path, start, kind, wish)
        except AudioError:
            self._keep(child)
            raise
        except BaseException:  # dead, or interrupted with an answer half read
            child.end()
            raise
        self._keep(child)
        return decoded

    def end(self) -> None:
        """End the children that wait."""
        with self._lock:
            children, self._idle = self._idle, []
        for child in children:
            child.end()

    def _keep(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)

    def _forget(self) -> None:
        """In a process forked from this one: the children belong to the parent."""
        self._forgotten = self._idle  # kept from being collected, which would wait for them
        self._idle, self._lock = [], Lock()


_POOL = _Pool()


def decode(path: Path, start: int, kind: Kind, wish: Wish) -> Decoded:
    """Decode a file with FFmpeg in a child process; a file that crashes it is tried once more in a fresh one.

    Raises:
        AudioError: without the file's name: it cannot be used, or it crashes the decoder.
        DecodingError: the child could not start, or was killed from outside.
    """
    try:
        return _POOL.decode(path, start, kind, wish)
    except Death:  # perhaps of what an earlier file had broken in that process
        pass
    child = Child()
    try:
        return child.decode(path, start, kind, wish)
    except Death as death:
        raise AudioError(f"it crashes the decoder ({death})") from death
    finally:
        child.end()
