"""Checks before any model runs, by the headers of the files alone, whether every trial has audio."""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from spoofcache.features.audio.packed import exists
from spoofcache.features.audio.read import read_header
from spoofcache.features.waveform import AudioError
from spoofcache.protocols.trial import Trial

AT_ONCE = 1_000
"""Number of files that are opened between two checks for Ctrl-C."""

SHOWN = 10
NO_FILE = "no audio file"
EXPECTATION = re.compile(r"; expected [^()]*(?<! )")


class Coverage(NamedTuple):
    """The number of trials, the utterances without a file, and the reason for each file that cannot be opened."""

    total: int
    missing: Sequence[str]
    unreadable: Mapping[str, str]

    @property
    def unusable(self) -> int:
        """Number of trials without audio."""
        return len(self.missing) + len(self.unreadable)

    def __str__(self) -> str:
        reasons = [f"{utt_id} ({reason})" for utt_id, reason in self.unreadable.items()]
        problems = [
            f"{len(names)} of {self.total} utterances have {what}, first {', '.join(names[:SHOWN])}"
            for names, what in ((self.missing, NO_FILE), (reasons, "audio that cannot be opened"))
            if names
        ]
        return "; ".join(problems) or f"all {self.total} utterances have audio"


def look_for_audio(
    trials: Sequence[Trial], workers: int = 8, advance: Callable[[int], None] = lambda n: None
) -> Coverage:
    """Read the header of every trial's file; `advance` is called with the number of files read since the last call.

    A file with a valid header may still be damaged; this is noticed when it is decoded.

    Raises:
        WorkerError: the decoding process cannot run.
    """
    missing: list[str] = []
    unreadable: dict[str, str] = {}
    with ThreadPoolExecutor(workers) as threads:
        for start in range(0, len(trials), AT_ONCE):
            batch = trials[start : start + AT_ONCE]
            for trial, problem in zip(batch, threads.map(header_problem, [trial.path for trial in batch]), strict=True):
                if problem == NO_FILE:
                    missing.append(trial.utt_id)
                elif problem:
                    unreadable[trial.utt_id] = problem
            advance(len(batch))
    return Coverage(len(trials), missing, unreadable)


def require_audio(coverage: Coverage, skip: bool) -> None:
    """AudioError if utterances have no audio, unless they are to be skipped (`skip`) and others remain."""
    if coverage.unusable == coverage.total:
        raise AudioError(f"{coverage}; expected <utterance>.flac, .wav or another ending in the audio folder")
    if coverage.unusable and not skip:
        raise AudioError(
            f"{coverage}; expected <utterance>.flac, .wav or another ending in the audio folder (--on-missing skip "
            "omits them)"
        )


def header_problem(path: Path | None) -> str:
    """The reason why a file cannot be used, by its header and its length; empty if there is none.

    Raises:
        WorkerError: the decoding process cannot run.
    """
    if path is None or not exists(path):
        return NO_FILE
    try:
        read_header(path)
    except AudioError as error:
        reason = EXPECTATION.sub("", str(error).removeprefix(f"{path}: "))
        return f"{path.name}: {reason}"
    return ""
