r"""One rule for the names of utterances, in protocols, tables and score files.

The same recording is called `LA_E_1` in one file, `LA_E_1.flac`, `./flac/LA_E_1.flac`, `D:\LA\flac\LA_E_1.flac` or
`/data/LA/flac/LA_E_1.flac` in another; and `é` may be one character or two (Unicode normal forms C and D). Names are
compared as they are written first, then by ever looser rules, until both sides match one to one.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.errors import InputError


class NameCollision(InputError):
    """Two different names of one file become one name under the rule that the match needs."""


class Match(NamedTuple):
    """Which of the names that were found belongs to each name that is wanted."""

    rows: list[int]
    """For each wanted name its index among the found names; -1 where there is none."""
    strangers: list[str]
    """Found names that are neither wanted nor known, as they are written."""
    rule: str
    """What had to be disregarded; empty where the names match as written."""


def is_audio(name: str) -> bool:
    """Whether a file name has one of AUDIO_ENDINGS, in any letter case."""
    return name.lower().endswith(AUDIO_ENDINGS) and os.path.splitext(name)[1] != ""


def without_ending(name: str) -> str:
    """A name without the ending of an audio file.

    >>> without_ending("file4.wav_16k.wav"), without_ending("LA_E_1.v2"), without_ending(".wav")
    ('file4.wav_16k', 'LA_E_1.v2', '.wav')
    """
    return os.path.splitext(name)[0] if is_audio(name) else name


def word(text: str) -> str:
    """A name whose blanks are underscores, because blanks separate the columns of many score files.

    >>> word("OpenAI TTS-1 HD")
    'OpenAI_TTS-1_HD'
    """
    return "_".join(text.split())


def below(file: str) -> str:
    r"""A path below some folder: slashes only, without `./`, `//` and a leading slash.

    >>> below(".\\wav\\.\\a.wav"), below("/data//a.wav")
    ('wav/a.wav', 'data/a.wav')
    """
    return _slashed(file).lstrip("/")


def utterance_of(file: str) -> str:
    r"""The utterance of an audio file, given by its path below the audio folder; empty where the path names a folder.

    >>> utterance_of("./BD\\Tacotron 2/talk.1.FLAC"), utterance_of("file4.mp3.wav_16k.wav"), utterance_of("BD/")
    ('BD/Tacotron_2/talk.1', 'file4.mp3.wav_16k', '')
    """
    folder, slash, name = below(_composed(file)).rpartition("/")
    return word(folder + slash + without_ending(name)) if name else ""


def quoted(*names: str) -> list[str]:
    r"""Names in quotation marks, with escapes where two of them look alike.

    >>> quoted("é", "e\u0301"), quoted("a", "b")
    (["'\\xe9'", "'e\\u0301'"], ["'a'", "'b'"])
    """
    alike = len({_appearance(name) for name in names}) < len(set(names))
    return [ascii(name) if alike else repr(name) for name in names]


def match_names(found: Sequence[str], wanted: Sequence[str], known: Collection[str] = ()) -> Match:
    """Match the names of one file with those of another, by the strictest rule under which nothing is left over.

    Where no rule matches all of them, the match is that of the strictest rule with the most names matched.

    Args:
        found: names of a score file, each once.
        wanted: names of the trials that need a score, each once.
        known: names that may occur among the found ones without being wanted.

    Raises:
        NameCollision: the only rule under which all names would match gives two different names of a file one name.
    """
    if found == wanted:  # the trials are those of the score file itself
        return Match(list(range(len(found))), [], "")
    written = _Names(list(found), [*wanted], [*known])
    best: Match | None = None
    for rule, names in _loosened(written):
        row_of = dict(zip(names.found, range(len(names.found)), strict=True))
        allowed = {*names.wanted, *names.known}
        strangers = row_of.keys() - allowed
        rows = [row_of.get(name, -1) for name in names.wanted]
        covers = not strangers and -1 not in rows
        if len(row_of) < len(names.found) or len(allowed) < len(names.wanted) + len(names.known):
            if covers:
                _refuse_collision(rule, written, names)
            continue  # looser rules do not part names again, but they may show that all would match
        if best is None or rows.count(-1) < best.rows.count(-1):
            best = Match(rows, [written.found[row] for name, row in row_of.items() if name in strangers], rule)
        if covers:
            return best
    return best or Match([-1] * len(wanted), list(found), "")


class _Names(NamedTuple):
    found: list[str]
    wanted: list[str]
    known: list[str]

    def changed(self, step: Callable[[str], str]) -> "_Names":
        return _Names(*(list(map(step, names)) for names in self))

    @property
    def depth(self) -> int:
        """How many folders the longest path has."""
        return max((name.count("/") for names in self for name in names), default=0)


def _loosened(names: _Names) -> Iterator[tuple[str, _Names]]:
    """What each rule disregards, and the names under it, from strict to loose, without rules that change none."""
    yield "", names
    disregarded: list[str] = []
    for what, step in STEPS:
        changed = names.changed(step)
        if changed != names:
            names = changed
            disregarded.append(what)
            yield ", ".join(disregarded), names
    for depth in range(names.depth, 0, -1):
        what = "all folders" if depth == 1 else f"all folders but the last {depth - 1}"
        yield ", ".join([*disregarded, what]), names.changed(lambda name, depth=depth: _tail(name, depth))  # type: ignore[misc]


def _tail(name: str, depth: int) -> str:
    return "/".join(name.split("/")[-depth:])


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _slashed(name: str) -> str:
    if "\\" not in name and "./" not in name and "//" not in name:
        return name
    name = re.sub(r"/+", "/", name.replace("\\", "/"))
    while name.startswith("./"):
        name = name[2:]
    return re.sub(r"/(?:\./)+", "/", name)


def _appearance(name: str) -> str:
    visible = "".join(c for c in unicodedata.normalize("NFKC", name) if c.isprintable())
    return word(visible).casefold()


STEPS: Sequence[tuple[str, Callable[[str], str]]] = (
    ("Unicode normal forms", _composed),
    ("the spelling of paths (backslashes, ./)", _slashed),
    ("the endings of audio files", without_ending),
    ("blanks (written as underscores)", word),
)
"""What a looser rule disregards besides what those before it do, and how it changes a name."""


def _refuse_collision(rule: str, written: _Names, names: _Names) -> None:
    sides = ((written.found, names.found), (written.wanted + written.known, names.wanted + names.known))
    for originals, changed in sides:
        first: dict[str, str] = {}
        for original, name in zip(originals, changed, strict=True):
            if name in first:
                one, other = quoted(first[name], original)
                raise NameCollision(
                    f"{one} and {other} would be one utterance, {name!r}, since the two files match only without "
                    f"regard to {rule}; expected names that stay different"
                )
            first[name] = original
