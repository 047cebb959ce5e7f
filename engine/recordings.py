"""Results for the user's own recordings: scores over time, decisions, and the files with them. Imports no torch."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.spreadsheets import csv_text
from spoofcache.features.waveform import SAMPLE_RATE, AudioError
from spoofcache.protocols.audio import report_others, walk


@dataclass(frozen=True)
class Track:
    """Scores of a recording over time: `scores` [W] of windows that begin at `starts` [W] and end at `ends` [W].

    Times are in seconds; the windows are those of the waveform, before a short one is filled. `remarks` say what to
    know before believing the score, for example that the recording is silent.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    scores: NDArray[np.float64]
    remarks: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The recording's own score: the mean over its windows."""
        return float(self.scores.mean())


@dataclass(frozen=True)
class Scored:
    """Recordings with their tracks, and those that are unusable with the reason.

    `length` and `hop` of the windows are in samples; without a hop, only the first window was scored. A recording whose
    score is at least `threshold` is decided to be bona fide; without a threshold, nothing is decided.
    """

    tracks: Mapping[Path, Track]
    unusable: Mapping[Path, str]
    length: int
    hop: int | None
    threshold: float | None

    def table(self) -> list[dict[str, Any]]:
        """`path`, `score` and, with a threshold, `decision` of every usable recording."""
        return [table_row(path, track, self.threshold) for path, track in self.tracks.items()]


def table_row(path: Path, track: Track, threshold: float | None) -> dict[str, Any]:
    """`path`, `score` and, with a threshold, `decision` of a recording."""
    row = {"path": path, "score": track.score}
    return row if threshold is None else row | {"decision": "bonafide" if track.score >= threshold else "spoof"}


def one_line(text: str) -> str:
    """A text in which control characters, such as a newline in a file's name, are written as escapes."""
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) == "Cc" else letter for letter in text
    )


def as_csv(scored: Scored) -> str:
    """The table with a header."""
    names = ("path", "score", *(["decision"] if scored.threshold is not None else []))
    return csv_text(names, ((str(row[names[0]]), *list(row.values())[1:]) for row in scored.table()))


def as_json(scored: Scored, made_by: Mapping[str, Any], pictures: Mapping[Path, Path]) -> str:
    """The table, every window's score and picture, and what made them."""
    files = scored.table()
    for file in files:
        track = scored.tracks[file["path"]]
        if scored.hop:
            windows = zip(track.starts.tolist(), track.ends.tolist(), track.scores.tolist(), strict=True)
            file["windows"] = [{"start": start, "end": end, "score": score} for start, end, score in windows]
        if track.remarks:
            file["warnings"] = list(track.remarks)
        if pictures:
            file["picture"] = pictures[file["path"]]
    record = {
        **made_by,
        "threshold": scored.threshold,
        "window_seconds": scored.length / SAMPLE_RATE,
        "hop_seconds": scored.hop / SAMPLE_RATE if scored.hop else None,
        "files": files,
        "unusable": [{"path": path, "reason": reason} for path, reason in scored.unusable.items()],
    }
    return json.dumps(record, indent=1, default=str) + "\n"


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """The files among the paths, and the audio files below the folders among them in order of name, each once.

    Raises:
        AudioError: a folder without audio.
        OSError: a folder cannot be read.
    """
    files: dict[Path, None] = {}  # a set with an order
    for path in paths:
        files |= dict.fromkeys(_audio_below(path) if path.is_dir() else [path])
    return list(files)


def _audio_below(folder: Path) -> Sequence[Path]:
    found, others = walk(folder)
    report_others(folder, others)
    if not found:
        raise AudioError(f"{folder}: no audio file in it; expected {', '.join(AUDIO_ENDINGS)}")
    return found


def name_pictures(folder: Path, files: Iterable[Path]) -> dict[Path, Path]:
    """A picture for each file, numbered where files of several folders have the same name."""
    pictures, count = {}, Counter[str]()
    for file in files:
        count[file.name] += 1
        number = f"-{count[file.name]}" if count[file.name] > 1 else ""
        pictures[file] = folder / f"{file.name}{number}.png"
    return pictures
