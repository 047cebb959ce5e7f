"""Train set × test set, held against what one would work out by hand."""

import csv
import io
import json

import pytest

from spoofcache.evaluation.figures import Comparison, Figure, Table
from spoofcache.evaluation.matrix import (
    MEAN,
    Experiment,
    as_csv,
    as_latex,
    as_record,
    as_text,
    grids,
    heat,
    matrix_of,
    over_seeds,
)
from spoofcache.evaluation.measures import MEASURES

LCNN = Experiment("lcnn", ("LA/train",), ("lcnn",))
AASIST = Experiment("aasist", ("LA/train", "ITW/train"), ("aasist-seed0", "aasist-seed1", "aasist-seed2"))
T_OF_TWO = 4.302652729911275
"""Student's t, 97.5 %, two degrees of freedom: from any table."""


def comparison(test_set, lcnn, *aasist, warnings=()):
    """EERs of a run of its own and of three seeds."""
    runs = zip(("lcnn", *AASIST.systems), (lcnn, *aasist), strict=False)
    figures = {name: {"eer": Figure(value, value / 2, value * 2, p_value=0.5)} for name, value in runs}
    return Comparison(test_set, ("eer",), Table(4, 12, figures), warnings=warnings, notes=("Intervals: 95 %.",))


COMPARISONS = [
    comparison("LA", 0.02, 0.01, 0.03, 0.05),
    comparison("ITW", 0.4, 0.1, 0.1, 0.1, warnings=("few trials",)),
]


@pytest.fixture
def matrix():
    return matrix_of([LCNN, AASIST], COMPARISONS, 0.95)


def test_seeds_become_their_mean_with_a_t_interval(matrix):
    half = T_OF_TWO * 0.02 / 3**0.5
    figure = matrix.columns["LA"]["eer"][1]
    assert figure.value == pytest.approx(0.03)
    assert figure.high == pytest.approx(0.03 + half)
    assert figure.low == 0  # 0.03 - 0.0497 would be no error rate
    equal = matrix.columns["ITW"]["eer"][1]
    assert (equal.value, equal.low, equal.high) == pytest.approx((0.1, 0.1, 0.1))


def test_an_interval_over_seeds_ends_where_the_measure_does():
    wide = matrix_of([AASIST], [comparison("LA", 0.02, 0.05, 0.5, 0.9)], 0.95).columns["LA"]["eer"][0]
    assert (wide.low, wide.high) == (0, 1)
    costs = [Figure(0.1), Figure(0.9)]
    assert over_seeds(costs, 0.95, MEASURES["min_dcf"].largest).high == 1
    assert over_seeds(costs, 0.95, MEASURES["act_dcf"].largest).high > 1  # no bound
    assert over_seeds(costs, 0.95, MEASURES["cllr"].largest).high > 1


def test_a_single_run_keeps_its_figure_and_interval(matrix):
    assert matrix.columns["LA"]["eer"][0] == Figure(0.02, 0.01, 0.04, best=True)


def test_the_mean_over_test_sets_is_made_run_by_run(matrix):
    lcnn, aasist = matrix.columns[MEAN]["eer"]
    assert lcnn == Figure(pytest.approx(0.21))
    assert aasist.value == pytest.approx((0.055 + 0.065 + 0.075) / 3)
    assert aasist.high - aasist.value == pytest.approx(T_OF_TWO * 0.01 / 3**0.5)
    assert aasist.best


def test_one_test_set_has_no_mean():
    assert list(matrix_of([LCNN], [comparison("LA", 0.02)], 0.95).columns) == ["LA"]


def test_tests_between_single_runs_stay_and_those_between_seeds_go(matrix):
    assert matrix.columns["ITW"]["eer"][0].p_value is None
    two = [LCNN, Experiment("other", (), ("aasist-seed0",))]
    assert matrix_of(two, COMPARISONS, 0.95).columns["ITW"]["eer"][0].p_value == 0.5


def test_text_has_a_row_for_each_experiment_and_every_warning(matrix):
    lines = as_text(matrix).splitlines()
    assert lines[0] == "EER (%), train set × test set"
    assert lines[2].split("  ")[0] == "system (trained on)"
    assert lines[2].split()[3:] == ["LA", "ITW", *MEAN.split()]
    assert lines[4].split() == [
        "lcnn",
        "(LA/train)",
        "2.000",
        "[1.00,",
        "4.00]",
        "*",
        "40.000",
        "[20.00,",
        "80.00]",
        "21.000",
    ]
    assert lines[5].startswith("aasist (LA/train, ITW/train, 3 seeds)  3.000 [0.00, 7.97]")
    assert lines[-1] == "WARNING: ITW: few trials"
    assert lines.count("Intervals: 95 %.") == 1


def test_a_training_set_that_nobody_named_is_said_to_be_unknown():
    assert Experiment("x", (), ("x",)).label == "x (training set unknown)"


def test_latex_has_the_rows_and_the_warnings(matrix):
    latex = as_latex(matrix)
    assert r"aasist (LA/train, ITW/train, 3 seeds) & 3.000 & \textbf{10.000} & \textbf{6.500} \\" in latex
    assert "Warning: ITW: few trials." in latex


def test_csv_has_every_figure_with_the_warnings_of_its_test_set(matrix):
    rows = list(csv.DictReader(io.StringIO(as_csv(matrix))))
    assert [(row["system"], row["test_set"]) for row in rows[:3]] == [("lcnn", "LA"), ("lcnn", "ITW"), ("lcnn", MEAN)]
    assert [row["warnings"] for row in rows[:3]] == ["", "few trials", "ITW: few trials"]
    seeds = rows[4]
    assert (seeds["trained_on"], seeds["seeds"], seeds["n_spoof"]) == ("LA/train ITW/train", "3", "12")
    assert float(seeds["value"]) == pytest.approx(0.1)
    assert rows[2]["n_bonafide"] == rows[2]["low"] == ""


def test_record_is_plain_json(matrix):
    lcnn, aasist = json.loads(json.dumps(as_record(matrix), allow_nan=False))
    assert lcnn["figures"]["ITW"]["eer"]["value"] == 0.4
    assert aasist["trained_on"] == ["LA/train", "ITW/train"]
    assert aasist["systems"] == list(AASIST.systems)


@pytest.mark.parametrize(
    ("value", "measure", "expected"),
    [(0.0, "eer", 0.0), (0.125, "eer", 0.5), (0.5, "eer", 1.0), (0.9, "eer", 1.0), (0.25, "min_dcf", 0.5)],
)
def test_heat_goes_from_perfect_to_that_of_a_coin(value, measure, expected):
    assert heat(Figure(value), measure) == expected


def test_every_cell_of_the_grids_has_its_heat(matrix):
    (grid,) = grids(matrix)
    assert [[cell.heat for cell in row.cells] for row in grid.rows] == [
        pytest.approx([0.04**0.5, 0.8**0.5, 0.42**0.5]),
        pytest.approx([0.06**0.5, 0.2**0.5, 0.13**0.5]),
    ]
    assert heat(Figure(None), "eer") is None
