r"""One rule for the names of utterances, in protocols, tables and score files.

The same recording is called `LA_E_1` in one file, `LA_E_1.flac`, `./flac/LA_E_1.flac`, `D:\LA\flac\LA_E_1.flac` or
`/data/LA/flac/LA_E_1.flac` in another; and `é` may be one character or two (Unicode normal forms C and D). Names are
compared as they are written first, then by ever looser rules, until both sides match one to one.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.common.errors import InputError
from spoofcache.common.text_index import TextIndex, different
from spoofcache.common.texts import Texts

ASCII_BLANKS = tuple(character for character in map(chr, range(128)) if character.isspace())


class NameCollision(InputError):
    """Two different names of one file become one name under the rule that the match needs."""


class Match(NamedTuple):
    """The assignment of found names to wanted names."""

    rows: NDArray[np.intp]
    """For each of the N wanted names its index among the found names [N]; -1 where there is none."""
    strangers: list[str]
    """Found names that are neither wanted nor known, as they are written."""
    rule: str
    """The differences that had to be disregarded, in words; empty if the names match as they are written."""


def is_audio(name: str) -> bool:
    """Whether a file name has one of AUDIO_ENDINGS, in any letter case."""
    return name.lower().endswith(AUDIO_ENDINGS) and os.path.splitext(name)[1] != ""


def without_ending(name: str) -> str:
    """A name without the ending of an audio file.

    >>> without_ending("file4.wav_16k.wav"), without_ending("LA_E_1.v2"), without_ending(".wav")
    ('file4.wav_16k', 'LA_E_1.v2', '.wav')
    """
    stem, dot, ending = name.rpartition(".")
    if not dot or dot + ending.lower() not in AUDIO_ENDINGS:  # most names; `is_audio` takes ten times as long
        return name
    return stem if stem[-1:] not in ("", ".", "/") or is_audio(name) else name


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
        return Match(np.arange(len(found), dtype=np.intp), [], "")
    written = _Names(*(one if isinstance(one, Texts) else Texts(one) for one in (found, wanted, known)))
    best: Match | None = None
    for rule, names in _loosened(written):
        match, is_one_to_one = _match_exactly(names, written, rule)
        covers = not match.strangers and not (match.rows < 0).any()
        if not is_one_to_one:
            if covers:
                otherwise = _matched_by_other_rules(written)
                if otherwise:
                    return otherwise
                _refuse_collision(rule, written, names)
            continue  # looser rules do not part names again, but they may show that all would match
        if best is None or _n_missing(match) < _n_missing(best):
            best = match
        if covers:
            return best
    return best or Match(np.full(len(wanted), -1, dtype=np.intp), list(found), "")


class _Names(NamedTuple):
    found: Texts
    wanted: Texts
    known: Texts

    def changed(self, step: Callable[[str], str]) -> "_Names":
        return _Names(*(Texts(map(step, names)) for names in self))

    def contain(self, parts: Collection[str]) -> bool:
        """Whether some name contains one of the parts."""
        return any(names.has(part) for names in self for part in parts)

    @property
    def are_ascii(self) -> bool:
        return all(names.are_ascii for names in self)

    @property
    def depth(self) -> int:
        """The number of folders in the longest path."""
        if not self.contain("/"):
            return 0
        return max((name.count("/") for names in self for name in names), default=0)


def _match_exactly(names: _Names, written: _Names, rule: str) -> tuple[Match, bool]:
    """The match of names that are equal under a rule, and whether no two names of a file are one name under it."""
    index = TextIndex(names.found)
    rows = index.rows_of(names.wanted).astype(np.intp, copy=False)
    is_hit = np.zeros(len(names.found), dtype=bool)
    is_hit[rows[rows >= 0]] = True
    strangers = _strangers(names, written, index, np.flatnonzero(~is_hit))
    n_hits = int(is_hit.sum())
    are_wanted_unique = n_hits == rows.size or len(different(names.wanted)) == rows.size
    are_known_unique = not names.known or TextIndex(Texts(chain(names.wanted, names.known))).are_different
    return Match(rows, strangers, rule), index.are_different and are_wanted_unique and are_known_unique


def _strangers(names: _Names, written: _Names, index: TextIndex, left_over: NDArray[np.intp]) -> list[str]:
    """The names, as written, of the last rows of found names that nothing wanted has, without those that are known."""
    if not left_over.size:
        return []
    known = TextIndex(names.known)
    texts = Texts(map(names.found.__getitem__, left_over.tolist()))
    is_stranger = (known.rows_of(texts) < 0) & (index.rows_of(texts) == left_over)
    return [written.found[row] for row in left_over[is_stranger].tolist()]


def _n_missing(match: Match) -> int:
    return int((match.rows < 0).sum())


def _loosened(names: _Names) -> Iterator[tuple[str, _Names]]:
    """What each rule disregards, and the names under it, from strict to loose, without rules that change none."""
    yield "", names
    disregarded: list[str] = []
    for what, may_change, step in STEPS:
        changed = names.changed(step) if may_change(names) else names
        if changed != names:
            names = changed
            disregarded.append(what)
            yield ", ".join(disregarded), names
    yield from _without_folders(names, disregarded)


def _matched_by_other_rules(written: _Names) -> Match | None:
    """The match by the fewest rules under which all names match one to one; None where no rules do that.

    `x.wav` and `x.flac` match `clips/x.wav` and `clips/x.flac` without their folders, but not without their endings.
    """
    for rule, names in _sets_of_rules(written):
        match, is_one_to_one = _match_exactly(names, written, rule)
        if is_one_to_one and not match.strangers and not (match.rows < 0).any():
            return match
    return None


def _sets_of_rules(names: _Names) -> Iterator[tuple[str, _Names]]:
    """What every set of rules disregards, and the names under it, from small sets to large ones."""
    steps = [step for step in STEPS if step.may_change(names)]
    for size in range(len(steps) + 1):
        for chosen in combinations(steps, size):
            changed = names
            for step in chosen:
                changed = changed.changed(step.change)
            disregarded = [step.what for step in chosen]
            yield ", ".join(disregarded), changed
            yield from _without_folders(changed, disregarded)


def _without_folders(names: _Names, disregarded: Sequence[str]) -> Iterator[tuple[str, _Names]]:
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


class _Step(NamedTuple):
    """What a rule disregards besides what those before it do, and how it changes a name."""

    what: str
    may_change: Callable[[_Names], bool]
    """Whether any of the names may change; a quick look at all of them."""
    change: Callable[[str], str]


STEPS: Sequence[_Step] = (
    _Step("Unicode normal forms", lambda names: not names.are_ascii, _composed),
    _Step("the spelling of paths (backslashes, ./)", lambda names: names.contain(("\\", "./", "//")), _slashed),
    _Step("the endings of audio files", lambda names: names.contain("."), without_ending),
    _Step("blanks (written as underscores)", lambda names: not names.are_ascii or names.contain(ASCII_BLANKS), word),
)


def _refuse_collision(rule: str, written: _Names, names: _Names) -> None:
    sides = (
        (written.found, names.found),
        (chain(written.wanted, written.known), chain(names.wanted, names.known)),
    )
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
