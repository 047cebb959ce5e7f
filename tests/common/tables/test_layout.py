"""How a text is divided into lines and cells."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoofcache.common.tables import layout
from spoofcache.common.tables.layout import TableError, read_lines, readings

CELLS = st.text(st.sampled_from('ab1.5-é "'), max_size=4)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, separator=st.sampled_from([*layout.SEPARATORS, ", "]), is_quoted=st.booleans())
def test_one_reader_of_the_whole_text_gives_the_cells_of_its_lines(rows, separator, is_quoted):
    cells = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' if is_quoted else cell for cell in row] for row in rows]
    text = "\n".join(map(separator.join, cells))
    for one in layout.SEPARATORS:
        together = layout._quoted_columns(text, one)
        assert together is None or together == layout._columns_by_line(text, one)


def test_quoted_cells_of_a_regular_table_are_read_together():
    text = '"a,b", 1\n"c ""d""",2'
    assert layout._quoted_columns(text, ",") == [["a,b", 'c "d"'], ["1", "2"]]


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, separator=st.sampled_from([*layout.SEPARATORS, ", ", "  ", " \t"]))
def test_one_split_of_the_whole_text_gives_the_cells_of_its_lines(rows, separator):
    text = "\n".join(map(separator.join, rows)).replace('"', "")
    for one in layout.SEPARATORS:
        assert layout._columns_at_once(text, one) == layout._columns_by_line(text, one)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n \n"])
def test_blank_lines_comments_and_the_byte_order_mark_are_not_among_the_lines(tmp_path, end):
    path = tmp_path / "scores.txt"
    path.write_bytes(f"\ufeff# made by hand\nu1 0.5\n\n\t\nu2 1.5{end}".encode())
    lines = read_lines(path, "a table")
    assert (lines.texts, list(lines.numbers)) == (["u1 0.5", "u2 1.5"], [2, 5])
    assert lines.comments == [(1, "# made by hand")]


def test_the_row_names_of_a_data_frame_have_no_header(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("utt score\n0 u1 0.5\n1 u2 1.5\n")
    (cells,) = readings(read_lines(path, "a table"))
    assert cells.is_first_short
    assert (cells.first, cells.below) == (["", "utt", "score"], [["0", "1"], ["u1", "u2"], ["0.5", "1.5"]])
    assert cells.take_columns() == [["", "0", "1"], ["utt", "u1", "u2"], ["score", "0.5", "1.5"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"u1 0.5\nu2\n", ":2: 1 column in 'u2'; expected 2"),
        (b"u1 0.5\nu\xff 1\n", ":2: byte 0xff is not text"),
        (b"u1 0.5\nu\x002 1\n", r":2: character U\+0000"),
        (b"u1 0.5\nu\x1b2 1\n", r":2: character U\+001B"),
        (b'u1 0.5\n"u2 1\n', ":2: a quotation mark without its partner"),
        (b"\n \n", "empty"),
        (b"# a\n", "nothing but comments"),
    ],
)
def test_the_message_names_the_line_and_what_is_wrong_with_it(tmp_path, content, message):
    path = tmp_path / "scores.txt"
    path.write_bytes(content)
    with pytest.raises(TableError, match=message):
        list(readings(read_lines(path, "a table")))
