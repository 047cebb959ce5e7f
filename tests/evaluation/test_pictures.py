"""The pictures show something, however odd the scores are, and mark the right points."""

import re
from statistics import NormalDist
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from spoofcache.evaluation.det_pictures import det_curves, det_curves_by_attack, draw_det
from spoofcache.evaluation.drawing import SYSTEM_COLOURS
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.figures import Comparison, Figure, Table
from spoofcache.evaluation.pictures import draw_histogram, figures_by_group, histograms, tdcf_curves
from spoofcache.evaluation.trials import TrialList
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.scores import CmScores

HREF = "{http://www.w3.org/1999/xlink}href"
NORMAL = np.linspace(-2, 2, 60)


def cm_scores(bonafide, spoof, n_attacks=1):
    n = len(bonafide) + len(spoof)
    attacks = ["-"] * len(bonafide) + [f"A{i % n_attacks:02}" for i in range(len(spoof))]
    scores = np.concatenate([bonafide, spoof]).astype(float)
    return CmScores([f"u{i}" for i in range(n)], attacks, np.arange(n) < len(bonafide), scores)


SCORES = {
    "one-attack": cm_scores(NORMAL + 2, NORMAL),
    "many-attacks": cm_scores(NORMAL + 2, NORMAL, n_attacks=6),
    "inverted": cm_scores(NORMAL - 2, NORMAL + 2, n_attacks=6),
    "perfect": cm_scores(NORMAL + 9, NORMAL - 9),
    "saturated soft-max": cm_scores([1.0, 1.0, 1 - 1e-12, 0.0], [0.0, 1e-300, 1e-30, 0.0, 1.0]),
    "all scores equal": cm_scores([0.5, 0.5], [0.5]),
    "one trial of each class": cm_scores([1e9], [-1e9]),
}


def evaluation_set(*of_systems, names=()):
    """The trials of the first, with the scores of every system."""
    first = of_systems[0]
    trials = TrialList(first.utt_ids, first.is_bonafide, {"attack": np.array(first.attacks)})
    names = names or [f"system {number}" for number in range(len(of_systems))]
    return EvaluationSet("set", trials, {name: cm.scores for name, cm in zip(names, of_systems, strict=True)})


def comparison(systems, groups, figure):
    table = Table(1, 1, {system: {"eer": figure, "min_tdcf_2019": Figure(None)} for system in systems})
    return Comparison("set", ("eer", "min_tdcf_2019"), table, {"attack": dict.fromkeys(groups, table)})


PICTURES = {
    "DET": det_curves,
    "DET by attack": det_curves_by_attack,
    "histogram": histograms,
    "t-DCF": lambda evaluated: tdcf_curves(evaluated, Coefficients(0.1, 0.9, 0.4)),
}
SETS = {name: evaluation_set(cm) for name, cm in SCORES.items()} | {
    "two systems": evaluation_set(SCORES["many-attacks"], SCORES["inverted"]),
    "more systems than colours": evaluation_set(*[SCORES["many-attacks"]] * 12),
    "odd names": evaluation_set(*[SCORES["one-attack"]] * 4, names=["$\\a{$", "漢\ud800", "<b>&\n", "x" * 999]),
}


def drawn(svg):
    return ElementTree.fromstring(svg)


def marks(svg):
    """Where the first system's markers are, [(x, y)], and the ticks of both axes, from low to high, in SVG units."""
    uses = [use for use in drawn(svg).iter("{http://www.w3.org/2000/svg}use") if "x" in use.attrib]
    points = sorted({place(use) for use in uses if "stroke: #0072b2" in use.get("style")})
    shapes = list(dict.fromkeys(use.get(HREF) for use in uses))  # ticks of the x axis come first, then those of the y
    xs, ys = ([place(use) for use in uses if use.get(HREF) == shape] for shape in shapes[:2])
    return points, sorted(x for x, _ in xs), sorted((y for _, y in ys), reverse=True)


TICKS = (0.05, 0.2, 0.5, 0.8, 0.95)


def between(places, rate, rates):
    """Where a rate is on a normal-deviate axis whose ticks at `rates` are at `places`."""
    first, last = NormalDist().inv_cdf(rates[0]), NormalDist().inv_cdf(rates[-1])
    return places[0] + (NormalDist().inv_cdf(rate) - first) / (last - first) * (places[-1] - places[0])


def place(use):
    return float(use.get("x")), float(use.get("y"))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(("draw", "size"), [(draw_det, (1080, 960)), (draw_histogram, (660, 1080))])
def test_a_picture_is_written_for_every_kind_of_scores(tmp_path, draw, size, name):
    draw(evaluation_set(SCORES[name]), name, tmp_path / "picture.png")
    pixels = imread(tmp_path / "picture.png")
    assert pixels.shape[:2] == size
    assert pixels[..., :3].std() > 0.02  # not an empty sheet


@pytest.mark.parametrize("draw", [draw_det, draw_histogram])
def test_the_same_scores_give_the_same_file_and_others_do_not(tmp_path, draw):
    for name, scores in (("a", "many-attacks"), ("b", "many-attacks"), ("c", "inverted")):
        draw(evaluation_set(SCORES[scores]), "title", tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_a_file_name_with_dollars_is_no_formula(tmp_path):
    draw_det(evaluation_set(SCORES["one-attack"]), r"run_$\alpha{$_eval", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", PICTURES)
def test_every_picture_is_drawn_for_every_set(kind, name):
    svg = PICTURES[kind](SETS[name])
    assert drawn(svg).tag == "{http://www.w3.org/2000/svg}svg"
    n_systems = len(SETS[name].systems)
    assert all(colour.lower() in svg for colour in SYSTEM_COLOURS[:n_systems])


@pytest.mark.parametrize("kind", PICTURES)
def test_the_same_scores_give_the_same_picture(kind):
    same, again, other = (PICTURES[kind](SETS[name]) for name in ("two systems", "two systems", "inverted"))
    assert same == again != other
    assert not re.search(r"\b20\d\d-\d\d-\d\d", same)  # no date


TEN_AND_TEN = evaluation_set(cm_scores([-10, *range(10, 19)], [20, *range(-9, 0)]))
"""One bona fide score below all spoofs but none, one spoof above all: at thresholds from −1 on, both rates are 10 %."""


def test_the_det_curve_marks_the_equal_error_rate():
    points, xs, ys = marks(det_curves(TEN_AND_TEN))
    # half an error of ten is 5 %; the highest score is a spoof: bona fide trials are rejected up to 95 % on these axes
    assert (len(xs), len(ys)) == (5, 5)
    at_10 = [between(ticks, 0.1, TICKS) for ticks in (xs, ys)]
    assert tuple(map(pytest.approx, at_10)) in points


@pytest.mark.parametrize(
    ("n_above", "n_ticks"),
    [
        (0, 3),  # 5, 10 and 20 %: the ends of the axes
        (3, 4),  # and 40 %, since the curve ends at 30 %
        (6, 4),  # 5, 20, 50 and 80 %, since it ends at 60 %
        (9, 5),  # and 95 %, since it ends at 90 %
    ],
)
def test_the_det_axes_reach_as_far_as_the_curve(n_above, n_ticks):
    """One spoof lies above `n_above` of ten bona fide trials: to reject it is to reject these, too."""
    spoof = [*range(-9, 0), n_above + 0.5]
    _, xs, ys = marks(det_curves(evaluation_set(cm_scores(range(1, 11), spoof))))
    assert (len(xs), len(ys)) == (n_ticks, n_ticks)


def test_axes_for_good_systems_show_only_low_rates():
    _, xs, ys = marks(det_curves(evaluation_set(cm_scores(NORMAL + 2, NORMAL - 2))))
    assert (len(xs), len(ys)) == (3, 3)  # 1, 2 and 5 %: half an error of sixty is 0.8 %, and axes hold four such errors


def test_the_tdcf_curve_marks_the_minimum():
    points, xs, ys = marks(tdcf_curves(TEN_AND_TEN, Coefficients(0, 1, 1)))
    # 0.1 + 0.1 = 0.2 at 10 % of bona fide trials rejected; ticks at 5, 10, … % and at 0.2, 0.5, 1
    assert len(ys) == 3
    assert (pytest.approx(xs[1]), pytest.approx(ys[0])) in points


def test_a_curve_of_many_trials_is_no_larger_on_paper():
    rng = np.random.default_rng(1)
    many = cm_scores(rng.normal(2, 1, 7_000), rng.normal(0, 1, 60_000))
    for draw in (PICTURES["DET"], PICTURES["t-DCF"], PICTURES["histogram"]):
        assert len(draw(evaluation_set(many))) < 100_000


def test_every_group_has_a_dot_for_every_system_that_has_a_figure():
    systems, groups = ("a", "b"), [f"A{k:02}" for k in range(5)]
    points, _, _ = marks(figures_by_group(comparison(systems, groups, Figure(0.1, 0.05, 0.2)), "attack"))
    assert len(points) == len(groups) + 1  # of the first system, with the legend's


@pytest.mark.parametrize(
    "figure", [Figure(0.0), Figure(0.0, 0.0, 0.01), Figure(0.5, 0.0, 1.0), Figure(1.0), Figure(0.3)]
)
def test_figures_by_group_are_drawn_for_any_value(figure):
    for n_systems, n_groups in ((1, 1), (12, 30)):
        systems, groups = [f"s{k}" for k in range(n_systems)], ["g" * (k + 1) for k in range(n_groups)]
        assert drawn(figures_by_group(comparison(systems, groups, figure), "attack")).tag.endswith("svg")


def test_a_group_without_a_figure_has_no_dot():
    whole = comparison(("a",), ("A01", "A02", "A03"), Figure(0.1))
    empty = Table(1, 1, {"a": {"eer": Figure(None), "min_tdcf_2019": Figure(None)}})
    partly = Comparison("set", whole.measures, whole.pooled, {"attack": {**whole.by["attack"], "A02": empty}})
    points = [len(marks(figures_by_group(c, "attack"))[0]) for c in (whole, partly)]
    assert points == [4, 3]
