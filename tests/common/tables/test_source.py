"""The lines of a file, block by block."""

import os
import threading

import pytest

from spoofcache.common.tables import source as source_module
from spoofcache.common.tables.layout import read_lines, readings
from spoofcache.common.tables.source import Source, TableError


@pytest.fixture(params=[1, 5, 1 << 18], autouse=True)
def block(request, monkeypatch):
    monkeypatch.setattr(source_module, "BLOCK", request.param)
    return request.param


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a 1\nb 2\nc 3", ["a 1", "b 2", "c 3"]),
        (b"\xef\xbb\xbfa 1\r\nb 2\r\n", ["a 1", "b 2"]),
        (b"a 1\n\nb 2\n\n", ["a 1", "", "b 2", ""]),
        (b"a\rb\r\n\r\n", ["a\rb", ""]),
        (b"", [""]),
        (b"\n", [""]),
    ],
)
def test_blocks_hold_whole_lines_and_can_be_gone_through_again(tmp_path, content, lines):
    path = tmp_path / "scores.txt"
    path.write_bytes(content)
    source = Source(path)
    for _ in range(2):
        blocks = list(source.blocks())
        assert "\n".join(block.decode() for block in blocks).split("\n") == lines


def test_the_cells_do_not_depend_on_where_a_block_ends(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text('\n# made by hand\nutt score\n\n"u 1" 0.5\né2 "1"\n# end\nu3 [1]\n\n')
    lines = read_lines(path, "a table")
    assert (lines.first, [*lines.numbers], lines.comments) == (
        "utt score",
        [3, 5, 6, 8],
        [(2, "# made by hand"), (7, "# end")],
    )
    (cells,) = readings(lines)
    assert (cells.first, cells.below) == (["utt", "score"], [["u 1", "é2", "u3"], ["0.5", "1", "[1]"]])
    assert lines.below_first().texts == ['"u 1" 0.5', 'é2 "1"', "u3 [1]"]
    assert (lines.has("é2"), lines.has("#")) == (True, False)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("u1 0.5\nu2 1.5\nu3 2\n"),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.rename(path.with_suffix(".old")) and path.write_text("u1 0.5\nu2 1.5\n"),
    ],
    ids=["longer", "written", "replaced"],
)
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    path = tmp_path / "scores.txt"
    path.write_text("u1 0.5\nu2 1.5\n")
    lines = read_lines(path, "a table")
    change(path)
    with pytest.raises(TableError, match=r"scores\.txt: the file changed while it was read; expected one that is"):
        list(readings(lines))


def test_a_pipe_which_cannot_be_read_twice_is_kept(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("u1 0.5\nu2 1.5\n",))
    writer.start()
    (cells,) = readings(read_lines(path, "a table"))
    writer.join()
    assert (cells.first, cells.below) == (["u1", "0.5"], [["u2"], ["1.5"]])
