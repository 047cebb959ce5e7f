"""Is there audio for every trial? Asked before any model runs, by the headers of the files alone."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import av
import soundfile

from spoofcache.features.waveform import AudioError
from spoofcache.protocols.trial import Trial

AT_ONCE = 1_000
"""Files between two looks at Ctrl-C."""

SHOWN = 10
NO_FILE = "no audio file"


class Coverage(NamedTuple):
    """How many trials were looked at, which have no file, and which have one that cannot be opened, and why."""

    total: int
    missing: Sequence[str]
    unreadable: Mapping[str, str]

    @property
    def unusable(self) -> int:
        """Number of trials without audio."""
        return len(self.missing) + len(self.unreadable)

    def __str__(self) -> str:
        reasons = [f"{utt_id} ({reason})" for utt_id, reason in self.unreadable.items()]
        told = [
            f"{len(names)} of {self.total} utterances have {what}, first {', '.join(names[:SHOWN])}"
            for names, what in ((self.missing, NO_FILE), (reasons, "audio that cannot be opened"))
            if names
        ]
        return "; ".join(told) or f"all {self.total} utterances have audio"


def look_for_audio(
    trials: Sequence[Trial], workers: int = 8, advance: Callable[[int], None] = lambda n: None
) -> Coverage:
    """Open the header of every trial's file; `advance` hears how many were looked at.

    A file that opens may still be damaged further on: that shows when it is decoded.
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
    """AudioError when audio lacks, unless such utterances are to be skipped and some are left."""
    if coverage.unusable == coverage.total:
        raise AudioError(f"{coverage}; expected <utterance>.flac, .wav or another ending in the audio folder")
    if coverage.unusable and not skip:
        raise AudioError(
            f"{coverage}; expected <utterance>.flac, .wav or another ending in the audio folder (--on-missing skip "
            "leaves them out)"
        )


def header_problem(path: Path | None) -> str:
    """Why that file cannot be used, by its header; '' where nothing speaks against it."""
    if path is None:
        return NO_FILE
    try:
        with soundfile.SoundFile(path) as file:
            return "" if file.frames else f"{path.name}: no samples"
    except (soundfile.LibsndfileError, TypeError, ValueError):  # as features.waveform: PyAV reads more
        return _problem_av(path) if path.exists() else NO_FILE


def _problem_av(path: Path) -> str:
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                return f"{path.name}: no audio stream"
            rate = container.streams.audio[0].codec_context.sample_rate  # 0 where the ending alone says FLAC
            return "" if rate and container.size else f"{path.name}: empty, truncated or not audio"
    except av.FFmpegError as error:
        return f"{path.name}: empty, truncated or not audio ({error.strerror})"
