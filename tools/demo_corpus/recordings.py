"""Find the recordings of human speech below a folder, and their speakers."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common.errors import InputError
from spoofcache.features.waveform import SAMPLE_RATE, AudioError, Waveform, load_waveform
from spoofcache.tools.demo_corpus.finish import trim
from spoofcache.tools.demo_corpus.parallel import Mapper
from spoofcache.tools.spoofing.request import pitch_track

ENDINGS = frozenset(
    (".flac", ".wav", ".mp3", ".g722", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".au", ".sph", ".wma")
)
"""Endings of the files that are considered; soundfile or PyAV decodes all of them."""
MIN_SECONDS, MAX_SECONDS = 1.5, 5.0
MIN_PEAK = 0.01
MIN_VOICED_SHARE = 0.3
MIN_PITCH_SPREAD = 0.05
"""Smallest standard deviation of the pitch in octaves. The flattest of 1,300 recorded prompts has 0.17, a tone 0."""


class SpeechError(InputError):
    """No corpus can be made from this speech; the message says what was found and what was expected."""


@dataclass(frozen=True)
class Recording:
    """One recording that passed the filters."""

    path: Path
    speaker: str

    @property
    def is_g722(self) -> bool:
        """Whether it was coded with G.722, and therefore already contains the noise of that codec."""
        return self.path.suffix.lower() == ".g722"

    def speech(self) -> Waveform:
        """The trimmed speech [n] at 16 kHz, decoded at each call because a large corpus would not fit into memory."""
        return read_speech(self.path)


@dataclass
class Selection:
    """The recordings that were selected, by speaker, and how many files were rejected for which reason."""

    by_speaker: dict[str, list[Recording]]
    n_files: int
    rejected: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """One line with the numbers of files that were inspected, selected, and rejected for each reason."""
        selected = sum(map(len, self.by_speaker.values()))
        inspected = selected + self.rejected.total()
        reasons = "".join(f"; {count} {reason}" for reason, count in self.rejected.most_common())
        return f"Inspected {inspected:,} of {self.n_files:,} audio files: selected {selected:,}{reasons}"


class Inspection(NamedTuple):
    """The result of inspecting one file."""

    reason: str
    """Why the file is rejected; empty if it is accepted."""
    digest: bytes = b""
    """SHA-256 of the samples, by which copies of a recording are found."""


def find_speech(folder: Path, speaker_pattern: str) -> dict[str, list[Path]]:
    """The audio files below `folder` by speaker, both in alphabetical order.

    Args:
        folder: the folder that is searched, subfolders included.
        speaker_pattern: regular expression that is searched in the path of each file relative to `folder` (with `/`).
            Its first group is the speaker.

    Raises:
        SpeechError: the pattern is invalid or has no group, or fewer than two speakers are found.
    """
    try:
        pattern = re.compile(speaker_pattern)
    except re.error as error:
        raise SpeechError(f"--speaker {speaker_pattern!r}: {error}; expected a regular expression") from error
    if not pattern.groups:
        raise SpeechError(f"--speaker {speaker_pattern!r}: no group; expected one around the speaker's name")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    by_speaker: dict[str, list[Path]] = {}
    for path in files:
        if match := pattern.search(path.relative_to(folder).as_posix()):
            by_speaker.setdefault(re.sub(r"\s+", "_", match[1]), []).append(path)
    if len(by_speaker) < 2:
        names = ", ".join(by_speaker) or "none"
        raise SpeechError(
            f"{folder}: {len(files)} audio files of {len(by_speaker)} speakers ({names}); expected two speakers or "
            "more, each with a folder of its own below it (or use --speaker 'REGEX' to find the speaker in the path)"
        )
    return dict(sorted(by_speaker.items()))


def select_recordings(
    files: Mapping[str, Sequence[Path]],
    wanted: int,
    rng: np.random.Generator,
    advance: Callable[[int], None],
    mapping: Mapper = map,
) -> Selection:
    """Inspect files in random order, one per speaker in turn, until `wanted` recordings are selected.

    Args:
        files: the files of each speaker.
        wanted: number of recordings to select.
        rng: source of the random order.
        advance: called with 1 for each selected recording.
        mapping: `map`, or a function like it that distributes the work over processes.
    """
    selection = Selection({speaker: [] for speaker in files}, sum(map(len, files.values())))
    candidates = _in_turn(files, rng)
    seen: set[bytes] = set()
    while batch := list(islice(candidates, wanted - len(seen))):
        inspections = mapping(inspect_recording, [path for _, path in batch])
        for (speaker, path), inspection in zip(batch, inspections, strict=True):
            reason = inspection.reason or ("identical to another" if inspection.digest in seen else "")
            if reason:
                selection.rejected[reason] += 1
                continue
            seen.add(inspection.digest)
            selection.by_speaker[speaker].append(Recording(path, speaker))
            advance(1)
    return selection


def _in_turn(files: Mapping[str, Sequence[Path]], rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    shuffled = {speaker: [paths[k] for k in rng.permutation(len(paths))] for speaker, paths in files.items()}
    for turn in range(max(map(len, shuffled.values()))):
        for speaker, paths in shuffled.items():
            if turn < len(paths):
                yield speaker, paths[turn]


def inspect_recording(path: Path) -> Inspection:
    """Decode a file and decide whether it is usable speech."""
    try:
        waveform = read_speech(path)
    except AudioError:
        return Inspection("empty or unreadable as audio")
    return Inspection(reason_for_rejection(waveform), hashlib.sha256(waveform.tobytes()).digest())


def read_speech(path: Path) -> Waveform:
    """Decode a file and trim silence from both ends: [n] at 16 kHz, at most the first MAX_SECONDS."""
    waveform, limit = trim(load_waveform(path)), round(MAX_SECONDS * SAMPLE_RATE)
    return waveform if len(waveform) <= limit else trim(waveform[:limit])


def reason_for_rejection(waveform: Waveform) -> str:
    """Why a trimmed waveform [n] is not usable speech; empty if it is.

    Speech is partly voiced, and its pitch varies. This distinguishes it from noise, music, tones and silence.
    """
    if np.abs(waveform).max() < MIN_PEAK:
        return "silent"
    if len(waveform) < MIN_SECONDS * SAMPLE_RATE:
        return f"shorter than {MIN_SECONDS} s"
    f0, _ = pitch_track(waveform)
    voiced = f0[f0 > 0]
    if len(voiced) < MIN_VOICED_SHARE * len(f0):
        return "mostly unvoiced (noise or music)"
    if np.log2(voiced).std() < MIN_PITCH_SPREAD:
        return "a tone"
    return ""
