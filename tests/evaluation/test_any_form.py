"""One table in any form gives one evaluation. Damaged forms are tried by tests/faults/form_mutants.py."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.form_mutants import DIGITS, HEADERS, KINDS, WORDS, Form, twin, written


@st.composite
def forms(draw, kind):
    """How one and the same table may be written."""
    has_header = kind.needs_header or draw(st.booleans())
    optional = [name for name in kind.optional if has_header or name != "duration"]
    columns = [*kind.needed, *draw(st.lists(st.sampled_from(optional), unique=True))]
    return Form(
        tuple(draw(st.permutations(columns))),
        {name: draw(st.sampled_from(HEADERS[name])) for name in columns} if has_header else {},
        draw(st.sampled_from([*WORDS, *(DIGITS if kind.has_protocol else ())])),
        draw(st.sampled_from(["\t", ",", ";", " ", ", "])),
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        draw(st.sampled_from([("",), ("./",), ("wav/",), ("/data/wav/",), ("D:\\wav\\",)])),
        draw(st.sampled_from(["", ".wav", ".FLAC"])),
        draw(st.sampled_from(["", "\ufeff"])),
        draw(st.sampled_from(["", "# made by our scorer\n", "\n"])),
        tuple(draw(st.permutations(range(9)))),
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_form_of_a_table_gives_the_same_evaluation(tmp_path_factory, kind, data):
    path = tmp_path_factory.mktemp("forms", numbered=True) / "form.txt"
    form = data.draw(forms(kind))
    figures = []
    for text in (written(twin(kind)), written(form)):
        path.write_bytes(text.encode())
        figures.append(kind.figure(path))
    assert figures[0] == figures[1]
