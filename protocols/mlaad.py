"""MLAAD (Müller et al. 2024, arXiv 2401.09512): `fake/<language>/<system>/meta.csv`, and the audio beside it.

The corpus contains spoofs only. The bona fide speech is M-AILABS, which is given with --bonafide-dir. The table is
known from secondary sources: its cells are separated by `|`, and its columns are `path`, `model_name`, `architecture`,
… and a transcript, in which quotation marks are ordinary characters. The names of the folders are the language and the
attack.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from spoofcache.protocols.audio import find_audio, utterance_of, word
from spoofcache.protocols.corpus import Corpus, Location, require
from spoofcache.protocols.folders import read_bonafide
from spoofcache.protocols.trial import (
    ProtocolError,
    Trial,
    check_utterance,
    known,
    table_rows,
    text_lines,
)
from spoofcache.protocols.trial_table import TrialTable, check_unique

TABLE = "meta.csv"
CONDITIONS: Mapping[str, str] = {"architecture": "architecture", "model": "model_name"}
"""Our name of a condition → its column, which older releases lack."""


def read_corpus(where: Location, partition: str) -> TrialTable:
    """All spoofs, and the bona fide speech that the user gives.

    Raises:
        ProtocolError: the layout is another, or the table of a system is missing or malformed.
    """
    root = where.folder("root")
    fakes = require(root / "fake", f"MLAAD's folder of languages in {root}")
    systems = sorted(path for path in fakes.glob("*/*") if path.is_dir())
    if not systems:
        raise ProtocolError(f"{fakes}: empty; expected <language>/<system>/{TABLE}")
    tables = [read_protocol(require(system / TABLE, f"the table of the system {system.name}")) for system in systems]
    spoofs = find_audio(TrialTable(chain.from_iterable(tables)), root)
    return TrialTable(chain(spoofs, read_bonafide(where, _tell_language)))


def read_protocol(path: Path) -> TrialTable:
    """Read the table of one system in its order; ProtocolError names the malformed line."""
    rows = table_rows(text_lines(path, "a table with a header"), "|", path, quotes=False)
    header = next(rows, [])
    if header.count("path") != 1 or len(set(header)) < len(header):
        raise ProtocolError(f"{path}:1: header {' '.join(header) or 'missing'}; expected `path` and every name once")
    named = (dict(zip(header, row, strict=True)) for row in rows)
    trials = TrialTable(_trial(path, line, cells) for line, cells in enumerate(named, 2))
    if not trials:
        raise ProtocolError(f"{path}: no line below the header; expected one per utterance")
    check_unique(trials, path, start=2)
    return trials


def _trial(path: Path, line: int, cells: Mapping[str, str]) -> Trial:
    language, system = path.parent.parent.name, path.parent.name
    file = os.path.basename(cells["path"])
    check_utterance(utterance_of(file), path, line)
    conditions = {ours: cells.get(theirs, "") for ours, theirs in CONDITIONS.items()} | {"language": language}
    file = f"fake/{language}/{system}/{file}"
    return Trial(utterance_of(file), "spoof", word(system), conditions=known(conditions, "spoof"), file=file)


def _tell_language(trial: Trial, folders: Sequence[str]) -> Trial:
    """Add what the folders of M-AILABS tell: `en_US/by_book/female/<speaker>/<book>/wavs`."""
    if len(folders) < 4 or folders[1] != "by_book":
        return trial
    return replace(trial, speaker=folders[3], conditions={"language": folders[0].partition("_")[0]})


CORPUS = Corpus(read_corpus, may=("bonafide_dir",))
