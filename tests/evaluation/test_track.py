import numpy as np
import pytest
from matplotlib.image import imread

from spoofcache.evaluation.track import draw_track

BLUE = (0, 0x72, 0xB2)


def rows_of_curve(path):
    """Rows of the pixels [n] of exactly the curve's colour."""
    image = (imread(path)[..., :3] * 255).round().astype(int)
    return np.nonzero((image == BLUE).all(axis=2))[0]


@pytest.mark.parametrize("title", ["interview.wav", "a$x$_\n", "日本語.wav"])
def test_a_picture_of_any_name_rises_with_the_scores(tmp_path, title):
    draw_track([2.0, 4.0], [0.0, 0.0], title, tmp_path / "flat.png")
    draw_track([2.0, 4.0], [-3.0, 5.0], title, tmp_path / "rising.png")
    flat, rising = (np.ptp(rows_of_curve(tmp_path / name)) for name in ("flat.png", "rising.png"))
    assert rising > 10 * flat


def test_a_threshold_is_a_line_across_the_picture(tmp_path):
    for name, threshold in (("with.png", 1.0), ("without.png", None)):
        draw_track([2.0, 4.0], [0.0, 3.0], "x", tmp_path / name, threshold)
    dark = [(imread(tmp_path / name)[..., :3] < 0.7).all(axis=2).sum(axis=1) for name in ("with.png", "without.png")]
    assert (dark[0] - dark[1]).max() > 300  # in its row, with the gaps of the dashes
