"""Which files below a folder are human speech, and whose."""

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
"""What counts as a file of speech; all of them soundfile or PyAV decode."""
MIN_SECONDS, MAX_SECONDS = 1.5, 5.0
MIN_PEAK = 0.01
MIN_VOICED_SHARE = 0.3
MIN_PITCH_SPREAD = 0.05
"""Standard deviation of the pitch in octaves. The flattest of 1,300 recorded prompts has 0.17, a tone 0."""


class SpeechError(InputError):
    """Speech that no corpus can be made of: the message says what was found and what was expected."""


@dataclass(frozen=True)
class Recording:
    """One recording that passed the filters."""

    path: Path
    speaker: str

    @property
    def is_g722(self) -> bool:
        """It carries the noise of that codec already."""
        return self.path.suffix.lower() == ".g722"

    def speech(self) -> Waveform:
        """What it says, [n] at 16 kHz, decoded anew: a large corpus would not fit into memory."""
        return read_speech(self.path)


@dataclass
class Intake:
    """What was kept, by speaker, and why the rest was not."""

    by_speaker: dict[str, list[Recording]]
    n_files: int
    refused: Counter[str] = field(default_factory=Counter)

    def summary(self) -> str:
        """One line: files looked at, kept, and refused by reason."""
        kept = sum(map(len, self.by_speaker.values()))
        looked_at = kept + self.refused.total()
        reasons = "".join(f"; {count} {reason}" for reason, count in self.refused.most_common())
        return f"Looked at {looked_at:,} of {self.n_files:,} audio files: kept {kept:,}{reasons}"


class Look(NamedTuple):
    """What a look at one file gave."""

    reason: str
    """Why it is not taken, '' where it is."""
    digest: bytes = b""
    """Of its samples: the same recording may lie there twice."""


def find_speech(folder: Path, speaker_pattern: str) -> dict[str, list[Path]]:
    """Audio files below `folder` by speaker, both in alphabetical order.

    Args:
        speaker_pattern: regular expression; its first group, searched for in the path below `folder` (with `/`),
            is the speaker.

    Raises:
        SpeechError: a pattern that does not compile or has no group, or no file that it finds a speaker for.
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
            "more, each with a folder of its own below it (or --speaker 'REGEX' to tell them by their paths)"
        )
    return dict(sorted(by_speaker.items()))


def take_in(
    files: Mapping[str, Sequence[Path]],
    wanted: int,
    rng: np.random.Generator,
    advance: Callable[[int], None],
    mapping: Mapper = map,
) -> Intake:
    """Look at files in random order, one per speaker in turn, until `wanted` recordings are kept.

    Args:
        files: of each speaker.
        advance: called with 1 for each recording kept.
        mapping: `map`, or one that spreads its work over processes.
    """
    intake = Intake({speaker: [] for speaker in files}, sum(map(len, files.values())))
    candidates = _in_turn(files, rng)
    seen: set[bytes] = set()
    while batch := list(islice(candidates, wanted - len(seen))):
        looks = mapping(look_at, [path for _, path in batch])
        for (speaker, path), look in zip(batch, looks, strict=True):
            reason = look.reason or ("the same as another" if look.digest in seen else "")
            if reason:
                intake.refused[reason] += 1
                continue
            seen.add(look.digest)
            intake.by_speaker[speaker].append(Recording(path, speaker))
            advance(1)
    return intake


def _in_turn(files: Mapping[str, Sequence[Path]], rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    shuffled = {speaker: [paths[k] for k in rng.permutation(len(paths))] for speaker, paths in files.items()}
    for turn in range(max(map(len, shuffled.values()))):
        for speaker, paths in shuffled.items():
            if turn < len(paths):
                yield speaker, paths[turn]


def look_at(path: Path) -> Look:
    """Decode a file and judge whether it is speech."""
    try:
        waveform = read_speech(path)
    except AudioError:
        return Look("empty or not readable as audio")
    return Look(not_speech(waveform), hashlib.sha256(waveform.tobytes()).digest())


def read_speech(path: Path) -> Waveform:
    """Decode a file and trim the silence off both ends: [n] at 16 kHz, at most MAX_SECONDS of its beginning."""
    waveform, limit = trim(load_waveform(path)), round(MAX_SECONDS * SAMPLE_RATE)
    return waveform if len(waveform) <= limit else trim(waveform[:limit])


def not_speech(waveform: Waveform) -> str:
    """Why a trimmed waveform [n] is no speech to use, '' where it is.

    Speech is voiced in part, and its pitch moves: that tells it from noise, music, tones and silence.
    """
    if np.abs(waveform).max() < MIN_PEAK:
        return "silent"
    if len(waveform) < MIN_SECONDS * SAMPLE_RATE:
        return f"shorter than {MIN_SECONDS} s"
    f0, _ = pitch_track(waveform)
    voiced = f0[f0 > 0]
    if len(voiced) < MIN_VOICED_SHARE * len(f0):
        return "hardly voiced (noise, music, tones)"
    if np.log2(voiced).std() < MIN_PITCH_SPREAD:
        return "a tone"
    return ""
