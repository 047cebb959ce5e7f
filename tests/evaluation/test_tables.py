"""Tables held against what a reader would write by hand."""

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.evaluation.figures import Comparison, Figure, Table
from spoofcache.evaluation.grids import group_grids, lines_of, pooled_grid, printable
from spoofcache.evaluation.latex import as_latex
from spoofcache.evaluation.tables import as_csv, as_record, as_text

A, B, C = "lcnn", "resnet", "guess"
POOLED = Table(
    7355,
    63882,
    {
        A: {
            "eer": Figure(0.00635719, 0.0058, 0.0069, best=True),
            "min_tdcf_2019": Figure(0.0190369, 0.0172, 0.0211, best=True),
        },
        B: {
            "eer": Figure(0.0217799, 0.02, 0.0235, p_value=0.002),
            "min_tdcf_2019": Figure(0.0198, 0.018, 0.022, p_value=0.05),
        },
        C: {"eer": Figure(0.5, 0.49, 0.51, p_value=0.001), "min_tdcf_2019": Figure(None)},
    },
)
A07 = Table(
    7355,
    4914,
    {
        A: {"eer": Figure(0.0), "min_tdcf_2019": Figure(None)},
        B: {"eer": Figure(0.25), "min_tdcf_2019": Figure(None)},
        C: {"eer": Figure(0.5), "min_tdcf_2019": Figure(None)},
    },
)
COMPARISON = Comparison(
    "LA eval",
    ("eer", "min_tdcf_2019"),
    POOLED,
    {"attack": {"A07": A07}},
    warnings=("guess: an EER of 50 % is that of a coin.",),
    notes=("Intervals: 95 %, by trial.",),
)
TEXT = """\
LA eval: 7,355 bona fide + 63,882 spoof trials

system  EER (%)                  min t-DCF (2019)
------  -----------------------  --------------------------
lcnn     0.636 [0.58, 0.69]   *  0.01904 [0.0172, 0.0211] *
resnet   2.178 [2.00, 2.35]      0.01980 [0.0180, 0.0220] ≈
guess   50.000 [49.00, 51.00]          –

EER (%) by attack, LA eval

attack  bona fide   spoof  lcnn                  resnet               guess
------  ---------  ------  --------------------  -------------------  ---------------------
A07         7,355   4,914  0.000                 25.000               50.000
------  ---------  ------  --------------------  -------------------  ---------------------
pooled      7,355  63,882  0.636 [0.58, 0.69] *   2.178 [2.00, 2.35]  50.000 [49.00, 51.00]

* best   ≈ does not differ significantly from the best (p ≥ 0.05)   [low, high] confidence interval

Intervals: 95 %, by trial.

WARNING: guess: an EER of 50 % is that of a coin."""


def one_system(name="a", test_set="t", group="g", **changes):
    table = Table(1, 1, {name: {"eer": Figure(0.25)}})
    return Comparison(test_set, ("eer",), table, {"attack": {group: table}}, **changes)


def test_as_text_gives_the_expected_tables():
    assert as_text(COMPARISON) == TEXT


def test_a_name_of_any_length_keeps_text_columns_narrow_and_whole():
    lines = as_text(one_system(name="x" * 100)).splitlines()
    by_attack = lines[lines.index("EER (%) by attack, t") :]
    assert "".join(by_attack).count("x") == 100
    assert max(map(len, by_attack)) < 60


def test_long_names_of_rows_and_heads_are_broken_between_their_parts():
    name = "wav2vec2-large-xlsr-53_last_hidden_state_AASIST-L_seed-1234_epoch-0087"
    text = as_text(one_system(name=name, group="opus 16 kbit/s"))
    assert text.split("\n\n")[1:4] == [
        "system                               EER (%)\n"
        "-----------------------------------  -------\n"
        "wav2vec2-large-xlsr-53_last_hidden_  25.000\n"
        "state_AASIST-L_seed-1234_epoch-0087",
        "EER (%) by attack, t",
        "                                  wav2vec2-large-xlsr-53_\n"
        "                                  last_hidden_state_AASIST-\n"
        "attack          bona fide  spoof  L_seed-1234_epoch-0087\n"
        "--------------  ---------  -----  -------------------------\n"
        "opus 16 kbit/s          1      1  25.000\n"
        "--------------  ---------  -----  -------------------------\n"
        "pooled                  1      1  25.000",
    ]


@given(st.text(max_size=80), st.integers(1, 30))
def test_lines_of_a_name_keep_all_of_it(name, width):
    lines = lines_of(name, width)
    assert max(map(len, lines)) <= width
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", printable(name))


def test_the_decimal_points_of_thresholds_stand_below_each_other():
    found = {name: {"eer": Figure(0.25, threshold=t)} for name, t in (("a", 0.33069), ("b", -12.0), ("c", 1.5))}
    lines = as_text(Comparison("t", ("eer",), Table(2, 2, found))).splitlines()
    assert [line[len("system  EER (%)  ") :] for line in lines[4:]] == ["  0.33069", "-12", "  1.5"]


def test_csv_has_every_figure_in_full_precision():
    rows = list(csv.DictReader(io.StringIO(as_csv([COMPARISON, one_system(name='a,"b"')]))))
    assert len(rows) == 6 + 6 + 1 + 1
    assert rows[3] == {
        "test_set": "LA eval",
        "column": "pooled",
        "group": "",
        "n_bonafide": "7355",
        "n_spoof": "63882",
        "system": "resnet",
        "measure": "min_tdcf_2019",
        "value": "0.0198",
        "low": "0.018",
        "high": "0.022",
        "best": "False",
        "p_value": "0.05",
        "threshold": "",
        "warnings": "guess: an EER of 50 % is that of a coin.",
    }
    assert [rows[0]["value"], rows[0]["best"], rows[5]["value"], rows[5]["low"]] == ["0.00635719", "True", "", ""]
    assert [rows[6]["column"], rows[6]["group"], rows[-1]["system"]] == ["attack", "A07", 'a,"b"']


def test_record_is_plain_json_with_none_where_undefined():
    record = json.loads(json.dumps(as_record(COMPARISON), allow_nan=False))
    assert (record["test_set"], record["n_bonafide"], record["n_spoof"]) == ("LA eval", 7355, 63882)
    eer = {"value": 0.00635719, "low": 0.0058, "high": 0.0069, "best": True, "p_value": None, "threshold": None}
    assert record["systems"]["lcnn"]["eer"] == eer
    assert record["systems"]["guess"]["min_tdcf_2019"]["value"] is None
    assert record["by"]["attack"]["A07"]["systems"]["resnet"]["eer"]["value"] == 0.25
    assert record["warnings"] == ["guess: an EER of 50 % is that of a coin."]
    assert record["notes"] == ["Intervals: 95 %, by trial."]


def test_latex_has_the_best_bold_and_the_marks_raised():
    lines = as_latex(COMPARISON).splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    best = r"lcnn & \textbf{0.636} {\scriptsize {[}0.58, 0.69]} & \textbf{0.01904} {\scriptsize {[}0.0172, 0.0211]} \\"
    same = r"resnet & 2.178 {\scriptsize {[}2.00, 2.35]} & 0.01980$^{\approx}$ {\scriptsize {[}0.0180, 0.0220]} \\"
    assert best in lines
    assert same in lines
    assert r"A07 & 7,355 & 4,914 & 0.000 & 25.000 & 50.000 \\" in lines
    for begin, end in (("begin{table}", "end{table}"), ("begin{tabular}", "end{tabular}"), ("toprule", "bottomrule")):
        assert sum(begin in line for line in lines) == sum(end in line for line in lines) == 2


def test_latex_intervals_stand_beneath_the_values_where_columns_are_many():
    measures = ("eer", "min_tdcf_2019", "min_dcf")
    table = Table(1, 1, {"a": dict.fromkeys(measures, Figure(0.25, 0.125, 0.5))})
    lines = as_latex(Comparison("t", measures, table)).splitlines()
    values = lines.index(r"a & 25.000 & 0.25000 & 0.25000 \\")
    assert lines[values + 1].startswith(r" & {\scriptsize {[}12.50, 50.00]} & {\scriptsize {[}0.1250, 0.5000]} & ")


def test_latex_captions_say_how_intervals_were_made():
    captions = [line for line in as_latex(COMPARISON).splitlines() if line.startswith(r"\caption")]
    assert len(captions) == 2
    assert all(r"Intervals: 95 \%, by trial." in caption for caption in captions)
    assert r"Bold: best; $\approx$ does not differ significantly from the best (p $\geq$ 0.05)" in captions[0]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a_b&c%d#e$f", r"a\_b\&c\%d\#e\$f"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
        ("[1]*", r"{[}1]{*}"),  # after `\\` a bare one would be its argument
        ("a--b", r"a{-}{-}b"),
        ("é漢", "é{[}U+6F22]"),
        ("a\nb", r"a\textbackslash{}nb"),
    ],
)
def test_names_are_escaped_in_latex(name, written):
    assert f"\n{written} & 25.000" in as_latex(one_system(name=name))


def test_no_name_moves_the_cursor_of_a_terminal():
    text = as_text(one_system(name="\x1b[31mred", test_set="a\rb", group="c\udcff", warnings=("\x07",)))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"\x1b[31mred" in text
    assert r"c\udcff" in text


def test_printable_leaves_readable_text_alone():
    assert printable(r"naïve 漢字 😀 C:\x") == r"naïve 漢字 😀 C:\x"


def test_a_measure_that_no_group_has_makes_no_table():
    assert [grid.title for grid in group_grids(COMPARISON, "attack")] == ["EER (%) by attack, LA eval"]


def test_marks_only_where_a_system_is_best_or_was_tested():
    assert [[cell.mark for cell in row.cells] for row in pooled_grid(COMPARISON).rows] == [
        ["*", "*"],
        ["", "≈"],
        ["", ""],
    ]
    assert "best" not in as_text(one_system())
