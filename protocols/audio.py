"""Where the audio of an utterance lies, and which utterance an audio file is.

An utterance that is known by its file is called by the path below the folder that the user gave, without the ending.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from spoofcache.protocols.trial import ProtocolError, Trial

AUDIO_ENDINGS = (".flac", ".wav", ".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".opus", ".webm", ".g722", ".aiff", ".aif")
"""Usual endings of audio, the preferred first; transcripts and the like often lie beside it under the same name."""


def word(text: str) -> str:
    """A name without blanks, which part the columns of score files.

    >>> word("OpenAI TTS-1 HD")
    'OpenAI_TTS-1_HD'
    """
    return "_".join(text.split())


def utterance_of(file: str) -> str:
    r"""The utterance of a path below the audio folder; '' where the path ends with a folder.

    >>> utterance_of("./BD\\Tacotron 2/talk.1.FLAC"), utterance_of("file4.mp3.wav_16k.wav"), utterance_of("BD/")
    ('BD/Tacotron_2/talk.1', 'file4.mp3.wav_16k', '')
    """
    below, slash, name = _below(file).rpartition("/")
    name = _without_ending(name)
    return word(below + slash + name) if name else ""


def _below(file: str) -> str:
    return file.replace("\\", "/").removeprefix("./").lstrip("/")


def _without_ending(name: str) -> str:
    return os.path.splitext(name)[0] if _is_audio(name) else name


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_ENDINGS


def find_audio(trials: Sequence[Trial], audio_dir: Path) -> list[Trial]:
    """Give each trial its audio below the folder: the very file that the protocol names, with its ending, if there.

    Else it is `<utt_id>.<any ending>`: the first of AUDIO_ENDINGS, or any other. A name as it is written goes before
    one that differs in its blanks.

    Raises:
        ProtocolError: a file that is not there and whose path could lead elsewhere.
        OSError: the folder cannot be read.
    """
    folders: dict[str, _Folder | None] = {"": _Folder(audio_dir)}
    placed = [replace(trial, path=_find(trial, folders)) for trial in trials]
    for trial in placed:
        if trial.path is None and _leads_out(trial.file):
            raise ProtocolError(
                f"{audio_dir}: no {trial.file} below it; expected paths that begin there, "
                "neither absolute nor with '..'"
            )
    return placed


def _leads_out(file: str) -> bool:
    path = PureWindowsPath(file)  # of either system
    return bool(path.anchor) or ".." in path.parts


class _Folder:
    """What lies in a folder, by names with and without blanks: whole ones, and those without their ending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = sorted(os.listdir(path), key=_preference, reverse=True)
        stems = [(os.path.splitext(name)[0], name) for name in names]
        # of several the last one stays
        self.whole = {word(name): name for name in names} | {name: name for name in names}
        self.files = {word(stem): name for stem, name in stems} | dict(stems)


def _preference(name: str) -> tuple[int, str]:
    ending = os.path.splitext(name)[1].lower()
    rank = AUDIO_ENDINGS.index(ending) if ending in AUDIO_ENDINGS else len(AUDIO_ENDINGS)
    return rank, name


def _find(trial: Trial, folders: dict[str, _Folder | None]) -> Path | None:
    below, _, name = _below(trial.file or trial.utt_id).rpartition("/")
    folder = _enter(below, folders)
    if not folder:
        return None
    found = _spelled(name, folder.whole) if trial.file and _is_audio(name) else None
    found = found or _spelled(_without_ending(name) if trial.file else name, folder.files)
    return folder.path / found if found else None


def _spelled(name: str, names: Mapping[str, str]) -> str | None:
    return names.get(name) or names.get(word(name))


def _enter(below: str, folders: dict[str, _Folder | None]) -> _Folder | None:
    """The folder of that name, listed once; None where there is none."""
    if below not in folders:
        parent_name, _, name = below.rpartition("/")
        parent = _enter(parent_name, folders)
        found = _spelled(name, parent.whole) if parent else None
        path = parent.path / found if parent and found else None
        folders[below] = _Folder(path) if path and path.is_dir() else None
    return folders[below]


def walk_audio(folder: Path) -> dict[str, Path]:
    """Utterance → file, of all audio files below the folder in alphabetical order. Hidden files are none.

    Raises:
        ProtocolError: no audio file, or two of the same utterance.
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    for parent, _, names in os.walk(folder, onerror=_refuse, followlinks=True):
        for name in names:
            if not name.startswith(".") and _is_audio(name):
                path = Path(parent, name)
                utt_id = utterance_of(os.path.relpath(path, folder))
                if utt_id in found:
                    first, second = sorted((found[utt_id], path))
                    raise ProtocolError(f"{second}: utterance {utt_id} is {first} already; expected every one once")
                found[utt_id] = path
    if not found:
        raise ProtocolError(f"{folder}: no audio file below it; expected {', '.join(AUDIO_ENDINGS)}")
    return dict(sorted(found.items()))


def _refuse(error: OSError) -> None:
    raise error
