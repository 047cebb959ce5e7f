"""Twelve kinds of broken row, which every reader of a text refuses with the file and, where there is one, the line."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from spoofcache.protocols import asvspoof5, asvspoof19, asvspoof21, codecfake, in_the_wild, mlaad, speechfake, table
from spoofcache.protocols.trial import ProtocolError, Trial
from tests.protocols.layouts import MLAAD_HEADER

NO_HEADER = ""


class Form(NamedTuple):
    """A reader, two good rows (bona fide and spoof where there are both), and which cells tell what."""

    read: Callable[[Path], Sequence[Trial]]
    header: str
    rows: tuple[str, str]
    separator: str
    utterance: int
    key: int | None
    foreign_key: str = "fake"


FORMS = {
    "asvspoof19": Form(
        asvspoof19.read_protocol, NO_HEADER, ("S1 U1 - - bonafide", "S2 U2 - A01 spoof"), " ", utterance=1, key=4
    ),
    "asvspoof21_la": Form(
        partial(asvspoof21.read_protocol, scenario="LA"),
        NO_HEADER,
        ("S1 U1 none - bonafide bonafide notrim eval", "S2 U2 gsm xyz_tx A08 spoof notrim eval"),
        " ",
        utterance=1,
        key=5,
    ),
    "asvspoof21_df": Form(
        partial(asvspoof21.read_protocol, scenario="DF"),
        NO_HEADER,
        (
            "S1 U1 nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -",
            "S2 U2 low_ogg vcc2020 Task1-team9 spoof notrim eval neural Task1 team9 MF E",
        ),
        " ",
        utterance=1,
        key=5,
    ),
    "asvspoof21_pa": Form(
        partial(asvspoof21.read_protocol, scenario="PA"),
        NO_HEADER,
        ("S1 U1 R5 M2 D3 - - - - bonafide notrim eval", "S2 U2 R5 M2 d3 r4 m1 s2 c3 spoof notrim eval"),
        " ",
        utterance=1,
        key=9,
    ),
    "asvspoof5": Form(
        asvspoof5.read_protocol,
        NO_HEADER,
        ("S1 U1 M - - - - bonafide bonafide -", "S2 U2 F C07 3 E_9 AC2 A30 spoof -"),
        " ",
        utterance=1,
        key=8,
    ),
    "codecfake": Form(
        codecfake.read_protocol, NO_HEADER, ("u1.wav real 0", "u2.wav fake 3"), " ", 0, key=1, foreign_key="spoof"
    ),
    "in_the_wild": Form(
        in_the_wild.read_protocol,
        "file,speaker,label\n",
        ("1.wav,A,bona-fide", "2.wav,B,spoof"),
        ",",
        utterance=0,
        key=2,
        foreign_key="bonafide",
    ),
    "speechfake": Form(
        speechfake.read_protocol,
        ",file,label,language\n",
        ("0,Real/LJ/u.wav,bonafide,en", "1,BD/VITS/LJ/u.wav,spoof,en"),
        ",",
        utterance=1,
        key=2,
        foreign_key="bona-fide",
    ),
    "csv": Form(
        partial(table.read_table, spellings=None, columns={"file": "path", "label": "class"}),
        "path,class,attack\n",
        ("1.wav,real,-", "2.wav,fake,A1"),
        ",",
        utterance=0,
        key=1,
        foreign_key="1",
    ),
    "mlaad": Form(
        mlaad.read_protocol,
        MLAAD_HEADER,
        ("./fake/en/x/1.wav|o|en|True|3.2|d|m|a|Yes.", "./fake/en/x/2.wav|o|en|True|3.2|d|m|a|No."),
        "|",
        utterance=0,
        key=None,
    ),
}


def edit(form: Form, cells: dict[int, str]) -> str:
    """The good rows and, below, the second with other cells."""
    row = form.rows[1].split(form.separator)
    for index, value in cells.items():
        row[index] = value
    return with_row(form, form.separator.join(row))


def with_row(form: Form, row: str) -> str:
    return form.header + "\n".join((*form.rows, row)) + "\n"


def new_name(form: Form) -> dict[int, str]:
    return {form.utterance: "U3.wav"}


def rekey(form: Form, change: Callable[[str], str]) -> str | None:
    """A row whose key is written otherwise; None where the corpus writes no key."""
    if form.key is None:
        return None
    return edit(form, new_name(form) | {form.key: change(form.rows[1].split(form.separator)[form.key])})


THIRD = 3
"""Row that is broken, by its number below the header."""

KINDS: dict[str, tuple[int, Callable[[Form], str | bytes | None]]] = {
    "nothing": (0, lambda form: ""),
    "no-row": (0, lambda form: form.header or "\n"),
    "a-column-too-few": (THIRD, lambda form: with_row(form, form.rows[1].rpartition(form.separator)[0])),
    "a-column-too-many": (THIRD, lambda form: with_row(form, form.rows[1] + form.separator + "x")),
    "empty-line": (2, lambda form: None if form.separator == "," else form.header + "\n\n".join(form.rows)),
    "same-utterance": (THIRD, lambda form: with_row(form, form.rows[0])),
    "no-utterance": (THIRD, lambda form: edit(form, {form.utterance: "-"})),
    "no-text": (THIRD, lambda form: with_row(form, "\0").encode().replace(b"\0", b"\xff")),
    "zeros-of-a-crashed-disk": (THIRD, lambda form: with_row(form, "\0" * 512)),
    "unknown-key": (THIRD, lambda form: rekey(form, lambda key: "genuine?")),
    "key-of-another-corpus": (THIRD, lambda form: rekey(form, lambda key: form.foreign_key)),
    "capital-key": (THIRD, lambda form: None if form.foreign_key == "1" else rekey(form, str.upper)),
    "no-key": (THIRD, lambda form: rekey(form, lambda key: "-")),
}

CASES = [(name, kind) for name, form in FORMS.items() for kind, (_, make) in KINDS.items() if make(form) is not None]
"""All but the keys of a corpus of spoofs, which writes none, and what a table may have: an empty line, FAKE."""


def test_the_good_rows_are_read(write):
    for form in FORMS.values():
        assert len(form.read(write(form.header + "\n".join(form.rows)))) == 2


def test_there_are_twelve_kinds_for_every_form():
    headers = Counter(name for name, _ in HEADERS)
    kinds = Counter(name for name, _ in CASES)
    assert all(kinds[name] + headers[name] >= 12 for name in FORMS)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_broken_row_is_refused_with_file_and_line(write, name, kind):
    form, (row, make) = FORMS[name], KINDS[kind]
    path = write(make(form))
    with pytest.raises(ProtocolError) as refusal:
        form.read(path)
    line = f":{row + form.header.count(chr(10))}:" if row else ""
    assert str(refusal.value).startswith(f"{path}{line}")
    assert "; expected " in str(refusal.value)


HEADERS: Sequence[tuple[str, str]] = [
    ("in_the_wild", "x,speaker,label\n"),
    ("in_the_wild", "file,label,label\n"),
    ("in_the_wild", "file,utterance,label\n"),
    ("speechfake", "speaker,generator\n"),
    ("csv", "file,label\n"),
    ("csv", "path,label\n"),
    ("mlaad", "file|language\n"),
    ("mlaad", "path|language|language\n"),
    ("mlaad", "path,language\n"),
]


@pytest.mark.parametrize(("name", "header"), HEADERS)
def test_a_header_without_the_columns_is_refused(write, name, header):
    form = FORMS[name]
    path = write(header + "\n".join(form.rows))
    with pytest.raises(ProtocolError) as refusal:
        form.read(path)
    assert str(refusal.value).startswith(f"{path}:")
    assert "; expected " in str(refusal.value)
