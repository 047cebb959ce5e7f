"""Results for the user's own recordings: scores over time, decisions, and the files with them. Imports no torch."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.spreadsheets import csv_text
from spoofcache.features.waveform import SAMPLE_RATE, AudioError
from spoofcache.metrics.decision import Decision, probability
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
class Judgement:
    """The information about a score besides its value.

    Attributes:
        threshold: a score of at least this is called bona fide; without one, nothing is decided.
        calibration: what the run knows of its scores; without it, there is neither a log-likelihood ratio nor a
            probability.
        prior: the share of recordings that are bona fide where the probability is meant to hold.
    """

    threshold: float | None = None
    calibration: Decision | None = None
    prior: float = 0.5

    def of(self, score: float) -> dict[str, Any]:
        """`score`, and as far as possible `calibrated_llr`, `probability` (of bona fide) and `decision`."""
        said: dict[str, Any] = {"score": score}
        if self.calibration is not None:
            llr = float(self.calibration.llr(np.array(score)))
            said |= {"calibrated_llr": llr, "probability": probability(llr, self.prior)}
        if self.threshold is not None:
            said["decision"] = "bonafide" if score >= self.threshold else "spoof"
        return said

    @property
    def columns(self) -> Sequence[str]:
        """The names of what `of` says."""
        return list(self.of(0.0))


@dataclass(frozen=True)
class Scored:
    """Recordings with their tracks, and those that are unusable with the reason.

    `length` and `hop` of the windows are in samples; without a hop, only the first window was scored.
    """

    tracks: Mapping[Path, Track]
    unusable: Mapping[Path, str]
    length: int
    hop: int | None
    judgement: Judgement = Judgement()

    def table(self) -> list[dict[str, Any]]:
        """`path` and what the judgement says, for every usable recording."""
        return [{"path": path, **self.judgement.of(track.score)} for path, track in self.tracks.items()]


def one_line(text: str) -> str:
    """A text in which characters that break or reorder a line, such as a newline in a name, are written as escapes."""
    return "".join(letter.encode("unicode_escape").decode() if _moves_text(letter) else letter for letter in text)


def _moves_text(letter: str) -> bool:
    """Whether it is a control character, a separator of lines, or turns the direction of the text around."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or letter in TURNS


TURNS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Characters that change the direction in which a text is displayed."""


def as_csv(scored: Scored) -> str:
    """The table with a header."""
    rows = ([str(row.pop("path")), *row.values()] for row in scored.table())
    return csv_text(("path", *scored.judgement.columns), rows)


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
    fitted = scored.judgement.calibration
    record = {
        **made_by,
        "threshold": scored.judgement.threshold,
        **({"prior": scored.judgement.prior, "calibration": asdict(fitted)} if fitted else {}),
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
