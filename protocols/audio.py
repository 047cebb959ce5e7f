"""Find the audio file of an utterance, and the utterance of an audio file.

The name of an utterance that is known only by its file is the path below the user's folder, without the ending.
"""

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.names import below, is_audio, utterance_of, without_ending, word
from spoofcache.protocols.trial import ProtocolError, Trial, require_printable
from spoofcache.protocols.trial_table import TrialTable

LOG = logging.getLogger(__name__)

LITTER = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir"})
"""Folders in which operating systems keep deleted files, or files that they generated themselves."""

SPECIAL = "pipes, sockets or devices"


def find_audio(trials: Sequence[Trial], audio_dir: Path) -> TrialTable:
    """Give each trial its audio file below the folder.

    If the file that the protocol names exists, with its ending, it is used. Otherwise the file is `<utt_id>.<ending>`,
    with the first ending of AUDIO_ENDINGS that exists, or with any other ending. A name that is spelled as in the
    protocol is preferred to one that differs in its blanks or in the Unicode form of its letters.

    Raises:
        ProtocolError: a file does not exist and its path could lead out of the folder.
        OSError: the folder cannot be read.
    """
    folders: dict[str, _Folder | None] = {"": _Folder(audio_dir)}
    return TrialTable(_placed(trial, audio_dir, folders) for trial in trials)


def _placed(trial: Trial, audio_dir: Path, folders: dict[str, "_Folder | None"]) -> Trial:
    path = _find(trial, folders)
    if path is None and _leads_out(trial.file):
        raise ProtocolError(
            f"{audio_dir}: no {trial.file} below it; expected paths that begin there, neither absolute nor with '..'"
        )
    return replace(trial, path=path)


def _leads_out(file: str) -> bool:
    path = PureWindowsPath(file)  # of Windows or of other systems
    return bool(path.anchor) or ".." in path.parts


class _Folder:
    """The contents of a folder by each spelling of their names: whole names, and names without their ending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = sorted(os.listdir(path), key=_preference, reverse=True)
        stems = [(os.path.splitext(name)[0], name) for name in names]
        self.whole = _by_spelling([(name, name) for name in names])
        self.files = _by_spelling(stems)


def _by_spelling(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A mapping of (spelling, name) pairs that also contains looser spellings; of equal spellings, the last is kept."""
    loosely = {_loosely(spelled): name for spelled, name in pairs}
    return loosely | {word(spelled): name for spelled, name in pairs} | dict(pairs)


def _loosely(name: str) -> str:
    """A name without blanks, its accented letters composed: macOS writes them as a letter and an accent (NFD).

    >>> _loosely("Ju\u0308rgen 1") == "J\u00fcrgen_1"
    True
    """
    return unicodedata.normalize("NFC", word(name))


def _preference(name: str) -> tuple[int, str]:
    ending = os.path.splitext(name)[1].lower()
    rank = AUDIO_ENDINGS.index(ending) if ending in AUDIO_ENDINGS else len(AUDIO_ENDINGS)
    return rank, name


def _find(trial: Trial, folders: dict[str, _Folder | None]) -> Path | None:
    parent, _, name = below(trial.file or trial.utt_id).rpartition("/")
    folder = _enter(parent, folders)
    if not folder:
        return None
    found = _spelled(name, folder.whole) if trial.file and is_audio(name) else None
    found = found or _spelled(without_ending(name) if trial.file else name, folder.files)
    return folder.path / found if found else None


def _spelled(name: str, names: Mapping[str, str]) -> str | None:
    return names.get(name) or names.get(word(name)) or names.get(_loosely(name))


def _enter(path: str, folders: dict[str, _Folder | None]) -> _Folder | None:
    """The listing of the folder of that name, read once; None if there is no such folder."""
    if path not in folders:
        parent_name, _, name = path.rpartition("/")
        parent = _enter(parent_name, folders)
        found = _spelled(name, parent.whole) if parent else None
        place = parent.path / found if parent and found else None
        folders[path] = _Folder(place) if place and place.is_dir() else None
    return folders[path]


class Walk(NamedTuple):
    """The audio files below a folder in alphabetical order, and how many other files there are by their ending."""

    files: Sequence[Path]
    others: Mapping[str, int]


def walk(folder: Path) -> Walk:
    """Find the audio files below a folder by their endings; hidden files, hidden folders and trash are skipped.

    Links to folders are followed, except to a folder that contains the link. A link to a file that no longer exists
    counts as a file, so that reading it reports the file as missing.

    Raises:
        OSError: a folder cannot be read.
    """
    files, others = [], Counter[str]()
    for entry in _entries(folder, frozenset()):
        if os.path.exists(entry) and not entry.is_file():
            others[SPECIAL] += 1
        elif is_audio(entry.name):
            files.append(Path(entry.path))
        else:
            others[os.path.splitext(entry.name)[1].lower() or "without an ending"] += 1
    return Walk(sorted(files), others)


def _entries(folder: Path | str, above: frozenset[tuple[int, int]]) -> Iterator["os.DirEntry[str]"]:
    """All files below a folder; `above` identifies the folders that contain it."""
    status = os.stat(folder)
    own = (status.st_dev, status.st_ino)
    if own in above:
        LOG.warning("%s: omitted, a link to a folder that it lies in", folder)
        return
    with os.scandir(folder) as entries:
        visible = sorted((e for e in entries if not is_hidden(e.name)), key=lambda entry: entry.name)
    for entry in visible:
        if entry.is_dir():
            yield from _entries(entry.path, above | {own})
        else:
            yield entry


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is skipped because it is hidden or a system's trash."""
    return name.startswith(".") or name in LITTER


def report_others(folder: Path, others: Mapping[str, int]) -> None:
    """Log, which commands print, how many files of a folder are not audio according to their endings."""
    if others:
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
        LOG.warning("%s: files omitted that are no audio by their endings: %s", folder, counts)


def walk_audio(folder: Path) -> dict[str, Path]:
    """Utterance → file, of all audio files below the folder in alphabetical order (see `walk`).

    Raises:
        ProtocolError: there is no audio file, or two files belong to the same utterance.
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    files, others = walk(folder)
    for path in files:
        utt_id = utterance_of(os.path.relpath(path, folder))
        require_printable(utt_id, path)
        if utt_id in found:
            raise ProtocolError(
                f"{path}: utterance {utt_id} is {found[utt_id]} already; expected one file for each utterance"
            )
        found[utt_id] = path
    report_others(folder, others)
    if not found:
        raise ProtocolError(f"{folder}: no audio file below it; expected {', '.join(AUDIO_ENDINGS)}")
    return dict(sorted(found.items()))
