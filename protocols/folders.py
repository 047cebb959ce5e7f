"""Corpora without a protocol, in which the folders determine the class, including such folders of a user.

`<root>/bonafide/…` and `<root>/spoof/<attack>/…` (or `real`, `fake`, …). The utterance is the path below the root.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.protocols.audio import is_hidden, walk_audio, word
from spoofcache.protocols.corpus import Corpus, Location
from spoofcache.protocols.trial import ProtocolError, Trial
from spoofcache.protocols.trial_table import TrialTable

OWN_SPELLINGS: Mapping[str, str] = {
    **dict.fromkeys(("bonafide", "bona-fide", "genuine", "human", "real"), "bonafide"),
    **dict.fromkeys(("spoof", "fake"), "spoof"),
}
"""Accepted names of a user's folders for the two classes."""

Tell = Callable[[Trial, Sequence[str]], Trial]
"""(trial, its folders below the one that is read) → the trial with the information that the folders contain."""


def read_folder(folder: Path, key: str, prefix: str, tell: Tell = lambda trial, folders: trial) -> TrialTable:
    """One trial for each audio file below a folder, in alphabetical order; the utterance is `<prefix>/<path>`.

    Raises:
        ProtocolError: there is no audio file, two files belong to the same utterance, or `tell` raised it.
        OSError: a folder cannot be read.
    """
    return TrialTable(
        tell(Trial(f"{prefix}/{name}", key, path=path), name.split("/")[:-1])
        for name, path in walk_audio(folder).items()
    )


def read_bonafide(where: Location, tell: Tell = lambda trial, folders: trial) -> TrialTable:
    """The bona fide trials that the user adds to a corpus that has only spoofs; empty if no folder was given."""
    if where.bonafide_dir is None:
        return TrialTable()
    return read_folder(where.bonafide_dir, "bonafide", "bonafide", tell)


def class_folders(root: Path, spellings: Mapping[str, str]) -> dict[str, str]:
    """Name → key of the class folders in a folder.

    Raises:
        ProtocolError: there is no class folder, a folder has another name, or audio lies outside the class folders.
        OSError: the folder cannot be read.
    """
    expected = f"expected the class folders {' or '.join(spellings)}"
    found = {}
    for entry in sorted(root.iterdir()):
        if entry.suffix.lower() in AUDIO_ENDINGS and entry.is_file():
            raise ProtocolError(f"{entry}: audio outside the class folders; {expected}")
        if entry.is_dir() and not is_hidden(entry.name):
            if entry.name not in spellings:
                raise ProtocolError(f"{entry}: not a class folder; {expected}")
            found[entry.name] = spellings[entry.name]
    if not found:
        raise ProtocolError(f"{root}: empty; {expected}")
    return found


def read_classes(root: Path, spellings: Mapping[str, str], prefix: str = "", tell: Tell | None = None) -> TrialTable:
    """The trials of all class folders in a folder; raises the errors of `class_folders` and `read_folder`."""
    return TrialTable(
        trial
        for name, key in class_folders(root, spellings).items()
        for trial in read_folder(root / name, key, prefix + name, tell or (lambda trial, folders: trial))
    )


def _with_attack(trial: Trial, folders: Sequence[str]) -> Trial:
    return replace(trial, attack=word(folders[0])) if trial.key == "spoof" and folders else trial


def read_own(where: Location, partition: str) -> TrialTable:
    """The trials of a user's class folders; the first folder below `spoof` names the attack."""
    return read_classes(where.folder("root"), OWN_SPELLINGS, tell=_with_attack)


CORPUS = Corpus(read_own)
