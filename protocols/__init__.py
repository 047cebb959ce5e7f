"""Who is in a corpus: registry name × partition → trials with their audio files."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from protocols import asvspoof19
from protocols.trial import ProtocolError, Trial


@dataclass(frozen=True)
class Location:
    """Where the user says a corpus lies: the official layout below `root`, or one protocol and its audio."""

    root: Path | None = None
    protocol: Path | None = None
    audio_dir: Path | None = None


def _official(scenario: str) -> "Reader":
    def read(where: Location, partition: str) -> tuple[list[Trial], Path]:
        if where.root is None:
            raise ProtocolError(f"ASVspoof 2019 {scenario} needs --root, the folder of its official layout")
        return asvspoof19.read_partition(where.root, scenario, partition)

    return read


def _one_file(where: Location, partition: str) -> tuple[list[Trial], Path]:
    if where.protocol is None or where.audio_dir is None:
        raise ProtocolError("asvspoof19_style needs --protocol and --audio-dir")
    return asvspoof19.read_protocol(where.protocol), where.audio_dir


Reader = Callable[[Location, str], tuple[list[Trial], Path]]
"""(where, partition) → trials without paths, and the folder of their audio."""

CORPORA: Mapping[str, Reader] = {
    "asvspoof19_la": _official("LA"),
    "asvspoof19_pa": _official("PA"),
    "asvspoof19_style": _one_file,
}


def load_trials(corpus: str, where: Location, partition: str) -> list[Trial]:
    """The trials of one partition in protocol order, each with its audio file or None where there is none.

    Raises:
        ProtocolError: unknown corpus, or a protocol that the corpus's reader refuses.
        OSError: the protocol or the audio folder cannot be read.
    """
    if corpus not in CORPORA:
        raise ProtocolError(f"corpus {corpus!r}; expected one of {', '.join(CORPORA)}")
    trials, audio_dir = CORPORA[corpus](where, partition)
    return find_audio(trials, audio_dir)


def find_audio(trials: Sequence[Trial], audio_dir: Path) -> list[Trial]:
    """Give each trial the file `<utt_id>.<any ending>` of the folder; FLAC first, then WAV, then any other."""
    preference = {".flac": 0, ".wav": 1}
    files: dict[str, str] = {}
    for entry in sorted(os.scandir(audio_dir), key=lambda e: e.name):
        stem, ending = os.path.splitext(entry.name)
        held = files.get(stem)
        if held is None or preference.get(ending, 2) < preference.get(os.path.splitext(held)[1], 2):
            files[stem] = entry.name
    return [replace(trial, path=audio_dir / files[trial.utt_id] if trial.utt_id in files else None) for trial in trials]
