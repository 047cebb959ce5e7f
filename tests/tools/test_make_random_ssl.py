"""The command that writes a speech model with random weights."""

import pytest
import torch
from click.testing import CliRunner

from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.tools.make_random_ssl import main


def test_a_narrow_model_is_small_and_its_hidden_states_are_cached_like_any(tmp_path):
    folder = tmp_path / "narrow"
    done = CliRunner().invoke(main, ["--width", "64", "--layers", "2", "--out", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20e6
    frontend = make_frontend("xls-r-300m", FrontEndOptions(layers=("0", "2", "last"), weights=folder))
    assert frontend.row_shape(16_000) == (3, 49, 64)
    assert frontend.extract(torch.ones(2, 16_000)).isfinite().all()


@pytest.mark.parametrize("width", [65, 100])
def test_a_width_that_no_number_of_heads_fits_is_refused(width, tmp_path):
    done = CliRunner().invoke(main, ["--width", str(width), "--out", str(tmp_path / "narrow")])
    assert (done.exit_code, f"--width {width}; expected a multiple of 64" in done.output) == (2, True)
    assert not (tmp_path / "narrow").exists()
