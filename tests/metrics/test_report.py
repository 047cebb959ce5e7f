"""The pictures are PNG, of the right size, and show something, however odd the scores are."""

import numpy as np
import pytest
from matplotlib.image import imread

from metrics.report import draw_det, draw_histogram
from metrics.scores import CmScores


def cm_scores(bonafide, spoof, n_attacks=1):
    n = len(bonafide) + len(spoof)
    attacks = ["-"] * len(bonafide) + [f"A{i % n_attacks:02}" for i in range(len(spoof))]
    scores = np.concatenate([bonafide, spoof]).astype(float)
    return CmScores([f"u{i}" for i in range(n)], attacks, np.arange(n) < len(bonafide), scores)


NORMAL = np.linspace(-2, 2, 60)
SCORES = {
    "one-attack": cm_scores(NORMAL + 2, NORMAL),
    "many-attacks": cm_scores(NORMAL + 2, NORMAL, n_attacks=6),
    "inverted": cm_scores(NORMAL - 2, NORMAL + 2, n_attacks=6),
    "perfect": cm_scores(NORMAL + 9, NORMAL - 9),
    "saturated soft-max": cm_scores([1.0, 1.0, 1 - 1e-12, 0.0], [0.0, 1e-300, 1e-30, 0.0, 1.0]),
    "all scores equal": cm_scores([0.5, 0.5], [0.5]),
    "one trial of each class": cm_scores([1e9], [-1e9]),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(("draw", "size"), [(draw_det, (990, 960)), (draw_histogram, (660, 1080))])
def test_a_picture_of_every_kind_of_scores(tmp_path, draw, size, name):
    draw(SCORES[name], name, tmp_path / "picture.png")
    pixels = imread(tmp_path / "picture.png")
    assert pixels.shape[:2] == size
    assert pixels[..., :3].std() > 0.02  # not an empty sheet


@pytest.mark.parametrize("draw", [draw_det, draw_histogram])
def test_the_same_scores_give_the_same_bytes_and_others_do_not(tmp_path, draw):
    for name, scores in (("a", "many-attacks"), ("b", "many-attacks"), ("c", "inverted")):
        draw(SCORES[scores], "title", tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_a_file_name_with_dollars_is_no_formula(tmp_path):
    draw_det(SCORES["one-attack"], r"run_$\alpha{$_eval", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
