"""Long sequences of texts are what was put in, in a fraction of the memory."""

import pickle
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.common import texts as texts_module
from spoofcache.common.text_index import DifferentTexts, TextIndex, different, first_repeat
from spoofcache.common.texts import SharedTexts, Texts, compact

FORMS = (Texts, SharedTexts, compact)
texts = st.text(st.characters(), max_size=3)  # surrogates too, which stand for bytes of file names that are not UTF-8
lists = st.lists(texts, max_size=12)


@pytest.fixture(params=[(1, 2), (3, 0), (4096, 128)], autouse=True)
def sizes(request, monkeypatch):
    """However few texts are handled at a time, and whichever form they take, they are the same."""
    at_once, always_shared = request.param
    monkeypatch.setattr(texts_module, "AT_ONCE", at_once)
    monkeypatch.setattr("spoofcache.common.text_index.AT_ONCE", at_once)
    monkeypatch.setattr(texts_module, "ALWAYS_SHARED", always_shared)


@pytest.mark.parametrize("form", FORMS)
@given(written=lists, rows=st.slices(12), more=lists)
def test_every_text_comes_back(form, written, rows, more):
    made = form(written)
    assert [*made] == [made[row] for row in range(len(made))] == written
    assert made == written
    assert made[rows] == written[rows]
    assert made == form(written) == pickle.loads(pickle.dumps(made))
    assert (made == more) == (written == more) == (made == form(more))
    made.extend(more)
    made.insert_first("é")
    made.insert_first("")
    assert [*made] == ["", "é", *written, *more]
    assert [*made.hashes()] == [*map(hash, made)]


@pytest.mark.parametrize("form", FORMS)
@given(written=lists, part=texts, seed=st.integers(0, 9))
def test_what_is_asked_of_all_texts_is_what_each_of_them_says(form, written, part, seed):
    made = form(written)
    chosen = np.array([random.Random(seed + row).random() < 0.5 for row in range(len(written))], bool)
    words = {part, *written[:2]}
    assert made.has(part) == any(part in text for text in written)
    assert made.are_among(words).tolist() == [text in words for text in written]
    assert made.where(chosen) == {text for text, is_in in zip(written, chosen, strict=True) if is_in}
    found = different(made)
    assert (len(found), sorted(found), part in found) == (len(set(written)), sorted(set(written)), part in written)
    assert found & words == set(written) & words


def test_a_part_is_not_found_across_two_texts():
    assert not Texts(["a.", "/b"]).has("./")
    assert Texts(["a.", "./b"]).has("./")


@given(lists, lists)
def test_an_index_finds_the_last_row_of_each_text(written, asked):
    last = {text: row for row, text in enumerate(written)}
    index = TextIndex(written)
    assert index.rows_of(asked).tolist() == [last.get(text, -1) for text in asked]
    assert index.rows_of(Texts(written)).tolist() == [last[text] for text in written]
    repeats = [(row, written.index(text)) for row, text in enumerate(written) if written.index(text) != row]
    assert index.first_repeat == first_repeat(written) == (repeats[0] if repeats else None)
    assert index.are_different == (not repeats)
    assert index.is_first.tolist() == [written.index(text) == row for row, text in enumerate(written)]


class OfOneHash(Texts):
    """Texts whose hashes say nothing."""

    __slots__ = ()

    def hashes(self):
        return np.full(len(self), hash("a"), np.int64)


@given(lists)
def test_texts_with_equal_hashes_are_compared_by_content(written):
    made = OfOneHash(written)
    assert TextIndex(made).rows_of(["a"]).tolist() == [max((r for r, t in enumerate(written) if t == "a"), default=-1)]
    assert TextIndex(made).is_first.tolist() == [written.index(text) == row for row, text in enumerate(written)]
    assert (len(DifferentTexts(made)), {*DifferentTexts(made)}) == (len({*written}), {*written})


def test_a_buffer_beyond_32_bits_gets_offsets_of_64(monkeypatch):
    small = Texts(["abc", "de", ""])
    monkeypatch.setattr(texts_module, "LARGEST_OFFSET", 8)
    long = Texts(["abc"])
    for text in ("de", "", "fghi", "j"):
        long.append(text)
    long.extend(["", "klm"])
    long.insert_first("no")
    assert long == ["no", "abc", "de", "", "fghi", "j", "", "klm"]
    assert long._ends.typecode == "Q"
    assert small._ends.typecode == Texts(small)._ends.typecode == "I"
    assert long == Texts([*long])


def test_texts_that_are_empty_take_nothing_wherever_the_others_stand():
    written = ["", "", "a", "", "é", "", ""]
    made = Texts(written)
    assert [*made] == [made[row] for row in range(7)] == written == made == made[:]
    assert made[2:5] == ["a", "", "é"]
    assert made[-3] == "é"
    assert len(Texts([""] * 100)._ends) == 0


@pytest.mark.parametrize("form", FORMS)
def test_rows_beyond_the_end_are_refused_and_texts_are_not_hashed(form):
    for row in (2, -3):
        with pytest.raises(IndexError):
            form(["a", "a"])[row]
    with pytest.raises(TypeError):
        hash(form(["a"]))
    assert form(["a"]) != "a"


@pytest.mark.parametrize("sizes", [(4096, 128)], indirect=True)
def test_a_column_stores_numbers_while_its_texts_are_few_and_texts_otherwise(monkeypatch):
    attacks = [f"A{row % 19:02d}" for row in range(10_000)]
    assert (type(compact(attacks)), type(compact(map(str, range(10_000))))) == (SharedTexts, Texts)
    assert compact(attacks).codes.dtype == np.uint8
    assert SharedTexts(str(row % 300) for row in range(1_000)).codes.dtype == np.uint16
    monkeypatch.setattr(texts_module, "MOST_SHARED", 18)
    assert type(compact(attacks)) is Texts
    assert compact(attacks) == attacks


def bytes_of(make):
    tracemalloc.start()
    try:
        made = make()
        return tracemalloc.get_traced_memory()[0] / len(made)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sizes", [(4096, 128)], indirect=True)
def test_a_name_takes_its_letters_and_four_bytes_and_an_attack_one_byte():
    assert bytes_of(lambda: Texts(f"LA_T_{row:07d}" for row in range(20_000))) < 1.15 * 12 + 4.5
    assert bytes_of(lambda: compact(f"A{row % 19}" for row in range(20_000))) < 1.5
