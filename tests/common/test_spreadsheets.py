"""CSV files for people: what a spreadsheet program would run is text, and nothing else changes."""

import csv

import pytest

from spoofcache.common.spreadsheets import csv_text, harmless


@pytest.mark.parametrize("cell", ["=1+1", "+A1", "-2+3", "@SUM(A1)", '=HYPERLINK("x")', "\t=1", "-nan", "-1_0e"])
def test_a_formula_becomes_text(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [-0.5, 3, None, "", "-", "-5", "+1.5e-3", "A01", "a=b", "éa", "x-y"])
def test_numbers_and_other_texts_stay(cell):
    assert harmless(cell) == cell


def test_every_cell_of_a_row_is_looked_at():
    text = csv_text(("system", "value"), [("=cmd|' /C calc'!A0", -1.0), ("lcnn", 2)])
    assert list(csv.reader(text.splitlines())) == [["system", "value"], ["'=cmd|' /C calc'!A0", "-1.0"], ["lcnn", "2"]]
