"""Where the audio of an utterance lies, and which utterance an audio file is.

An utterance that is known by its file is called by the path below the folder that the user gave, without the ending.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from protocols.trial import ProtocolError, Trial

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
    below, slash, name = file.replace("\\", "/").removeprefix("./").lstrip("/").rpartition("/")
    stem, ending = os.path.splitext(name)
    name = stem if ending.lower() in AUDIO_ENDINGS else name
    return word(below + slash + name) if name else ""


def find_audio(trials: Sequence[Trial], audio_dir: Path) -> list[Trial]:
    """Give each trial the file `<utt_id>.<any ending>` below the folder: the first of AUDIO_ENDINGS, else any other.

    Raises:
        OSError: the folder cannot be read.
    """
    folders: dict[str, _Folder | None] = {"": _Folder(audio_dir)}
    return [replace(trial, path=_find(trial.utt_id, folders)) for trial in trials]


class _Folder:
    """What lies in a folder, by names without blanks: sub-folders (or any file) whole, files without their ending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = sorted(os.listdir(path), key=_preference, reverse=True)
        self.whole = {word(name): name for name in names}
        self.files = {word(os.path.splitext(name)[0]): name for name in names}  # the last one stays


def _preference(name: str) -> tuple[int, str]:
    ending = os.path.splitext(name)[1].lower()
    rank = AUDIO_ENDINGS.index(ending) if ending in AUDIO_ENDINGS else len(AUDIO_ENDINGS)
    return rank, name


def _find(utt_id: str, folders: dict[str, _Folder | None]) -> Path | None:
    below, _, name = utt_id.rpartition("/")
    folder = _enter(below, folders)
    return folder.path / folder.files[name] if folder and name in folder.files else None


def _enter(below: str, folders: dict[str, _Folder | None]) -> _Folder | None:
    """The folder of that name, listed once; None where there is none."""
    if below not in folders:
        parent_name, _, name = below.rpartition("/")
        parent = _enter(parent_name, folders)
        path = parent.path / parent.whole[name] if parent and name in parent.whole else None
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
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in AUDIO_ENDINGS:
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
