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


AUDIO_ENDINGS = (".flac", ".wav", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".opus", ".webm", ".g722", ".aiff", ".aif")
"""Usual endings of audio, the preferred first; transcripts and the like often lie beside it under the same name."""


def find_audio(trials: Sequence[Trial], audio_dir: Path) -> list[Trial]:
    """Give each trial the file `<utt_id>.<any ending>` of the folder: the first of AUDIO_ENDINGS, else any other."""
    files: dict[str, str] = {}
    for name in sorted(os.listdir(audio_dir), key=_preference, reverse=True):
        files[os.path.splitext(name)[0]] = name  # the last one stays
    return [replace(trial, path=audio_dir / files[trial.utt_id] if trial.utt_id in files else None) for trial in trials]


def _preference(name: str) -> tuple[int, str]:
    ending = os.path.splitext(name)[1].lower()
    rank = AUDIO_ENDINGS.index(ending) if ending in AUDIO_ENDINGS else len(AUDIO_ENDINGS)
    return rank, name


def require_audio(trials: Sequence[Trial]) -> None:
    """ProtocolError, with their number and the first ten, when trials have no audio file."""
    missing = [trial.utt_id for trial in trials if trial.path is None]
    if missing:
        raise ProtocolError(
            f"{len(missing)} of {len(trials)} utterances have no audio file, first {', '.join(missing[:10])}; expected "
            "<utterance>.flac, .wav or another ending in the audio folder (--on-bad-audio skip leaves them out)"
        )
