"""RawBoost, equal to the published code sample by sample, and safe where that one was not."""

from pathlib import Path

import numpy as np
import pytest

from spoofcache.features.augment.base import EffectError
from spoofcache.features.augment.rawboost import (
    ALGORITHMS,
    GAIN,
    RawBoost,
    filter_centred,
    notch_filter,
    stationary_noise,
)
from tests.features.augment.signals import snr, voice

GOLDEN = np.load(Path(__file__).parents[2] / "golden/rawboost_reference.npz")
INPUT = (0.1 * np.random.RandomState(11).standard_normal(16_000)).astype(np.float32)
RMS = {1: 0.078217, 2: 0.099952, 3: 0.099834, 4: 0.074353, 5: 0.086244, 6: 0.077161, 7: 0.100496, 8: 0.126266}


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_every_algorithm_equals_the_published_code(algorithm):
    augmented = ALGORITHMS[algorithm](INPUT, np.random.RandomState(1000 + algorithm))
    # where noise is added, the original's norm of the waveform is a float32
    np.testing.assert_allclose(augmented[::8], GOLDEN[f"algo{algorithm}"], rtol=0, atol=2e-9)
    # published with six decimals, of a sum in float32: 1e-5 of it may be rounding
    assert np.sqrt(np.mean(np.square(augmented, dtype=np.float64))) == pytest.approx(RMS[algorithm], rel=2e-5)


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_silence_stays_silent(algorithm):
    assert not RawBoost(algorithm)(np.zeros(16_000, np.float32), 0).any()


@pytest.mark.parametrize("algorithm", [0, 9, -1])
def test_an_algorithm_other_than_1_to_8_is_refused(algorithm):
    with pytest.raises(EffectError, match=f"^effect rawboost: algorithm={algorithm}; expected 1 to 8$"):
        RawBoost(algorithm)


def test_stationary_noise_lies_10_to_40_db_below():
    clean = voice()
    ratios = [snr(clean, stationary_noise(clean, np.random.default_rng(seed))) for seed in range(30)]
    assert 10 <= min(ratios) < 17
    assert 33 < max(ratios) <= 40


def test_impulses_hit_a_tenth_of_the_samples_at_most():
    clean = voice() / 4
    hit = [np.mean(RawBoost(2)(clean, seed) != clean) for seed in range(30)]
    assert 0 < min(hit) < 0.02
    assert 0.08 < max(hit) <= 0.1


def test_the_notch_filter_stops_five_bands_and_is_scaled_to_its_largest_response():
    taps = notch_filter(np.random.default_rng(0), GAIN)
    response = np.abs(np.fft.rfft(taps, 16_000))
    assert response.max() == pytest.approx(1, abs=0.01)  # found on 512 frequencies
    assert response.min() < 0.1
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)  # linear phase


def test_a_filter_of_odd_length_comes_out_one_sample_early_as_published():
    impulse = np.zeros(100)
    impulse[50] = 1
    np.testing.assert_allclose(filter_centred(impulse, np.hanning(31))[34:65], np.hanning(31))
