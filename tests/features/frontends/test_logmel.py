"""Log-mel energies against numbers computed by SpeechBrain (tests/golden/README.md)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.logmel import SPEECHBRAIN, LogMel, mel_filters
from spoofcache.features.waveform import N_SAMPLES
from tests.recipe import wave
from tests.rounding import input_tolerance

REFERENCE = np.load(Path(__file__).parents[2] / "golden" / "mfcc_reference.npz")
# the reference's phase was rounded to float32: that rounding is the noise that fills the bands without a tone
PHASE = (2 * torch.pi * 440 * (torch.arange(N_SAMPLES) / 16_000)).float()
SINE = 0.5 * torch.sin(PHASE.double()).float()
INPUTS = {"wave": wave(), "sine440": SINE[None]}


def logmel(**changes):
    return LogMel(FrontEndOptions(), replace(SPEECHBRAIN, **changes))


@pytest.mark.parametrize("name", INPUTS)
def test_the_numbers_of_the_original_code(name):
    features = logmel().extract(INPUTS[name])
    assert features.shape[1:] == (404, 80)
    tolerance = max(1e-3, input_tolerance(logmel().extract, INPUTS[name]))
    np.testing.assert_allclose(features[:, REFERENCE["frames"]], REFERENCE[f"fbank80/{name}"], rtol=0, atol=tolerance)


def test_filters_are_symmetric_about_centres_worked_out_by_hand():
    # 8 kHz = 2840.02 mel; three filters: points every 710.0 mel, so at 0, 614.3, 1767.8, 3933.6 (and 8000) Hz
    filters = mel_filters(replace(SPEECHBRAIN, n_mels=3, n_fft=16_000))
    assert filters.argmax(0).tolist() == [614, 1768, 3934]
    for centre, half_width, column in zip(
        (614.33, 1767.79, 3933.55), (614.33, 1153.46, 2165.76), filters.T, strict=True
    ):
        triangle = (1 - (torch.arange(8_001, dtype=torch.float64) - centre).abs() / half_width).clamp(min=0)
        torch.testing.assert_close(column, triangle, rtol=0, atol=1e-3)


def test_ten_times_louder_is_20_decibels_more():
    torch.testing.assert_close(logmel().extract(10 * wave()), logmel().extract(wave()) + 20, rtol=0, atol=1e-3)


def test_silence_within_an_utterance_lies_80_decibels_below_its_maximum():
    waveforms = wave()
    waveforms[:, 32_000:] = 0
    waveforms[1] *= 100  # so that a floor below the batch's maximum would show in the first
    for features in logmel().extract(waveforms):
        torch.testing.assert_close(features[210:], torch.full((194, 80), float(features.max()) - 80))


def test_silence_is_the_least_power():
    features = logmel().extract(torch.zeros(2, N_SAMPLES))
    torch.testing.assert_close(features, torch.full((2, 404, 80), -100.0))  # 10·log10(1e-10)


def test_a_loud_utterance_does_not_change_a_quiet_one():
    waveforms = torch.cat((wave(), 1e-4 * wave(), torch.zeros(1, N_SAMPLES)))
    alone = torch.cat([logmel().extract(waveform[None]) for waveform in waveforms])
    torch.testing.assert_close(logmel().extract(waveforms), alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("n", [400, 16_000, 64_600])
def test_a_frame_every_ten_milliseconds(n):
    assert logmel().row_shape(n) == (1 + n // 160, 80)


CHANGES = {
    "n_mels": 40,
    "n_fft": 512,
    "hop": 256,
    "window": 320,
    "max_frequency": 4_000.0,
    "floor": 1e-2,
    "dynamic_range": 60.0,
}


def test_every_setting_is_changed_below():
    assert CHANGES.keys() == vars(SPEECHBRAIN).keys()


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_identity_and_numbers(setting):
    waveforms = wave()
    waveforms[:, 32_000:] = 0
    before, after = logmel(), logmel(**{setting: CHANGES[setting]})
    assert after.settings() != before.settings()
    assert not torch.equal(after.extract(waveforms), before.extract(waveforms))
