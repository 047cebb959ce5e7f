"""Band limits: what is taken away, what is kept, and that nothing moves."""

import numpy as np
import pytest

from spoofcache.features.augment import parse_effect
from tests.features.augment.signals import lag, level, voice


def change(spelling, waveform, low, high, seed=0):
    """What the effect does to a band, in dB."""
    return level(parse_effect(spelling)(waveform, seed), low, high) - level(waveform, low, high)


@pytest.mark.parametrize(
    ("spelling", "kept", "lost"),
    [
        ("lowpass:2000", (50, 1_000), (4_000, 8_000)),
        ("highpass:500", (1_500, 8_000), (0, 200)),
        ("bandpass:1000,bandwidth=1", (900, 1_100), (4_000, 8_000)),
        ("bandpass:2000,bandwidth=0.5", (1_900, 2_100), (0, 500)),
        ("resample:8000", (50, 3_400), (4_200, 8_000)),
        ("resample:9600", (50, 4_300), (5_000, 8_000)),
    ],
)
def test_the_band_is_limited(noise, spelling, kept, lost):
    assert change(spelling, noise, *kept) == pytest.approx(0, abs=1)
    assert change(spelling, noise, *lost) < -20


def test_half_the_amplitude_is_gone_at_the_cut_off(noise):
    assert change("lowpass:2000", noise, 1_980, 2_020) == pytest.approx(-6, abs=0.5)
    assert change("highpass:2000", noise, 1_980, 2_020) == pytest.approx(-6, abs=0.5)


@pytest.mark.parametrize(
    "spelling", ["lowpass:1000", "highpass:200", "bandpass:1000", "resample:8000", "resample:11025"]
)
def test_a_band_limit_causes_no_delay(spelling):
    clean = voice(8_000)
    assert lag(parse_effect(spelling)(clean, 0), clean) == 0


@pytest.mark.parametrize("rate", [1_000, 7_999, 11_025, 15_999, 16_000])
@pytest.mark.parametrize("n", [400, 24_001])
def test_any_rate_gives_back_the_length(rate, n):
    assert len(parse_effect(f"resample:{rate}")(voice(n), 0)) == n


def test_a_cut_off_is_drawn_from_its_range(noise):
    effect = parse_effect("lowpass:1000..6000")
    spectra = [np.abs(np.fft.rfft(effect(noise, seed))) for seed in range(20)]
    reference = np.abs(np.fft.rfft(noise))
    cut_offs = [8_000 * np.mean(spectrum > reference / 2) for spectrum in spectra]
    assert 900 < min(cut_offs) < 2_000
    assert 4_500 < max(cut_offs) < 6_200
