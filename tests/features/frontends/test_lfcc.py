"""LFCC against numbers computed by the code of the baselines (tests/golden/README.md)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.lfcc import LFCC, VARIANTS, linear_filters
from spoofcache.features.frontends.spectral import dct_matrix
from spoofcache.features.waveform import N_SAMPLES
from tests.recipe import wave
from tests.rounding import input_tolerance

REFERENCE = np.load(Path(__file__).parents[2] / "golden" / "lfcc_reference.npz")
THEIR_NAMES = {"lfcc": "asv21_lcnn", "lfcc-fullband": "asv21_fullband", "lfcc-air": "xieyuankun_air"}
SINE = torch.sin(2 * torch.pi * 440 / 16_000 * torch.arange(N_SAMPLES, dtype=torch.float64))
INPUTS = {"wave": wave(), "sine440": (0.5 * SINE).float()[None]}


def lfcc(name="lfcc"):
    return LFCC(name, FrontEndOptions())


def slow_pcdarts(waveform):
    """The input of PC-DARTS by its definition: in float64, every transform as a plain sum [n] → [T, 60]."""
    n, bins = np.arange(1024), np.arange(513)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * n / 1024)
    padded = np.pad(waveform, 512)
    edges = np.linspace(0, 8_000, 72)
    filters = [np.interp(bins * 16_000 / 1024, edges[k : k + 3], (0, 1, 0)) for k in range(70)]
    cosines = [np.cos(np.pi / 70 * (np.arange(70) + 0.5) * k) * np.sqrt((2 if k else 1) / 70) for k in range(20)]
    frames = np.stack([padded[start : start + 1024] for start in range(0, len(waveform) + 1, 256)])
    power = np.abs((frames * window) @ np.exp(-2j * np.pi * np.outer(n, bins) / 1024)) ** 2
    columns = [np.log10(power @ np.transpose(filters) + 2.0**-23) @ np.transpose(cosines)]
    for _ in range(2):
        edged = np.pad(columns[-1], ((1, 1), (0, 0)), mode="edge")
        columns.append(edged[2:] - edged[:-2])
    return np.hstack(columns)


def test_every_variant_except_pcdarts_has_reference_numbers():
    assert set(VARIANTS) == {*THEIR_NAMES, "lfcc-pcdarts"}


def test_pcdarts_equals_a_slow_computation_by_its_definition():
    features = lfcc("lfcc-pcdarts").extract(wave()[:, :64_000])
    assert features.shape == (2, 251, 60)
    for ours, waveform in zip(features, wave()[:, :64_000], strict=True):
        np.testing.assert_allclose(ours, slow_pcdarts(waveform.double().numpy()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("variant", THEIR_NAMES)
def test_the_numbers_of_the_original_code(variant, name):
    frontend = lfcc(variant)
    features = frontend.extract(INPUTS[name]).numpy()
    assert features.shape[1:] == (404, 60)
    expected = REFERENCE[f"{THEIR_NAMES[variant]}/{name}"]
    tolerance = max(1e-5, input_tolerance(frontend.extract, INPUTS[name]))
    np.testing.assert_allclose(features[:, REFERENCE["frames"]], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("variant", "first_three"),
    [("lfcc", (-0.585373, -2.699829, -0.904442)), ("lfcc-air", (5.638429, -2.307261, -0.817191))],
)
def test_the_first_coefficients_of_the_original_code(variant, first_three):
    frame = lfcc(variant).extract(wave()[:1])[0, 100]
    assert frame[:3].tolist() == pytest.approx(first_three, abs=5e-6)


@pytest.mark.parametrize("variant", THEIR_NAMES)
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


CHANGES = {
    "n_fft": 2048,
    "max_frequency": 4_000.0,
    "energy": True,
    "hop": 160,
    "window": 320,
    "n_filters": 20,
    "n_coefficients": 13,
    "pre_emphasis": 0.97,
}


def test_every_setting_is_changed_below():
    assert CHANGES.keys() == vars(VARIANTS["lfcc-pcdarts"]).keys()


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_identity_and_numbers(monkeypatch, setting):
    name = "lfcc-pcdarts"
    before = lfcc(name)
    monkeypatch.setitem(VARIANTS, name, replace(VARIANTS[name], **{setting: CHANGES[setting]}))
    after = lfcc(name)
    assert after.settings() != before.settings()
    assert not torch.equal(after.extract(wave()), before.extract(wave()))


def test_the_cosine_transform_is_orthonormal():
    matrix = dct_matrix(20)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [400, 16_000, 64_600])
def test_a_frame_every_ten_milliseconds(n):
    assert lfcc().row_shape(n) == (1 + n // 160, 60)


def test_the_waveform_is_not_modified():
    waveform = wave()
    lfcc().extract(waveform)
    torch.testing.assert_close(waveform, wave(), rtol=0, atol=0)


def test_silence_is_finite():
    assert lfcc().extract(torch.zeros(1, N_SAMPLES)).isfinite().all()
