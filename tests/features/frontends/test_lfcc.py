"""LFCC against the numbers of the code that the baselines shipped (tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from features.frontends.base import FrontEndOptions
from features.frontends.lfcc import LFCC, VARIANTS, dct_matrix, linear_filters
from features.waveform import N_SAMPLES
from tests.recipe import wave

REFERENCE = np.load(Path(__file__).parents[2] / "golden" / "lfcc_reference.npz")
THEIR_NAMES = {"lfcc": "asv21_lcnn", "lfcc-fullband": "asv21_fullband", "lfcc-air": "seed003_air"}
SINE = torch.sin(2 * torch.pi * 440 / 16_000 * torch.arange(N_SAMPLES, dtype=torch.float64))
INPUTS = {"wave": wave(), "sine440": (0.5 * SINE).float()[None]}


def lfcc(name="lfcc"):
    return LFCC(name, FrontEndOptions())


def test_every_variant_has_its_reference():
    assert set(VARIANTS) == set(THEIR_NAMES)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_numbers_of_the_original_code(variant, name):
    features = lfcc(variant).extract(INPUTS[name]).numpy()
    assert features.shape[1:] == (404, 60)
    expected = REFERENCE[f"{THEIR_NAMES[variant]}/{name}"]
    np.testing.assert_allclose(features[:, REFERENCE["frames"]], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "first_three"),
    [("lfcc", (-0.585373, -2.699829, -0.904442)), ("lfcc-air", (5.638429, -2.307261, -0.817191))],
)
def test_the_printed_numbers_of_the_specification(variant, first_three):
    frame = lfcc(variant).extract(wave()[:1])[0, 100]
    assert frame[:3].tolist() == pytest.approx(first_three, abs=5e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_filter_bank_of_the_original_code(variant):
    expected = REFERENCE[f"{THEIR_NAMES[variant]}/filterbank"]
    n_bins = 257 if variant == "lfcc-air" else {"lfcc": 256, "lfcc-fullband": 513}[variant]
    np.testing.assert_allclose(linear_filters(n_bins, 20).numpy(), expected, rtol=0, atol=1e-5)


def test_filters_drawn_by_hand():
    # bins 0 … 8 and three filters: edges at 0, 2, 4, 6, 8
    assert linear_filters(9, 3).T.tolist() == [
        [0, 0.5, 1, 0.5, 0, 0, 0, 0, 0],
        [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0],
        [0, 0, 0, 0, 0, 0.5, 1, 0.5, 0],
    ]


def test_the_cosine_transform_turns_only():
    matrix = dct_matrix(20).double()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [400, 16_000, 64_600])
def test_a_frame_every_ten_milliseconds(n):
    assert lfcc().row_shape(n) == (1 + n // 160, 60)


def test_the_waveform_is_left_as_it_was():
    waveform = wave()
    lfcc().extract(waveform)
    torch.testing.assert_close(waveform, wave(), rtol=0, atol=0)


def test_silence_is_finite():
    assert lfcc().extract(torch.zeros(1, N_SAMPLES)).isfinite().all()
