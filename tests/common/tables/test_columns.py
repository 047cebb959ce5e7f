"""What the contents of a column look like."""

import pytest

from spoofcache.common.tables.columns import Column
from spoofcache.common.texts import compact


def column(*cells):
    return Column(1, "", compact(cells))


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (("Bonafide", "SPOOF"), {"bonafide", "spoof"}),
        (("real", "Fake", "genuine"), {"bonafide", "spoof"}),
        (("bonafide", "A07"), {"bonafide", None}),
        (("bonafide_1", "unreal"), {None}),
        (("1", "0"), {None}),
        (("", "-"), {None}),
    ],
)
def test_classes_are_whole_words_in_any_letter_case(cells, classes):
    assert column(*cells).classes == classes


@pytest.mark.parametrize(("cells", "is_index"), [("012", True), ("123", True), ("124", False), ("234", False)])
def test_an_index_counts_the_rows_from_0_or_1(cells, is_index):
    assert column(*cells).is_index is is_index


def test_one_broken_number_does_not_make_a_column_of_numbers_another_kind():
    broken = column("1.5", "x", "nan", "2")
    assert broken.is_numeric
    assert broken.numbers is None
