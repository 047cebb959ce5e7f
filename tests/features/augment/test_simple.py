"""Level, pitch and place in time."""

import numpy as np
import pytest

from spoofcache.features.augment import parse_effect
from spoofcache.features.augment.simple import normalize_peak
from tests.features.augment.signals import RATE, lag, power, voice


@pytest.mark.parametrize(("decibels", "factor"), [(0, 1), (20, 10), (-20, 0.1), (6.0206, 2)])
def test_gain_is_in_decibels(decibels, factor):
    np.testing.assert_allclose(parse_effect(f"gain:{decibels}")(voice(), 0), factor * voice(), rtol=1e-5)


def test_a_gain_is_drawn_from_its_range():
    effect = parse_effect("gain")
    ratios = [10 * np.log10(power(effect(voice(), seed)) / power(voice())) for seed in range(60)]
    assert -6 <= min(ratios) < -5
    assert 5 < max(ratios) <= 6


@pytest.mark.parametrize("semitones", [-12, -2, 2, 12])
def test_pitch_is_in_semitones(semitones):
    tone = (0.3 * np.sin(2 * np.pi * 1_000 * np.arange(32_000) / RATE)).astype(np.float32)
    shifted = parse_effect(f"pitch:{semitones}")(tone, 0)[8_000:24_000]
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(16_000)))
    assert spectrum.argmax() == pytest.approx(1_000 * 2 ** (semitones / 12), rel=0.005)


def test_pitch_keeps_the_tempo():
    bursts = np.zeros(32_000, np.float32)
    for start in (4_000, 15_000, 26_000):
        bursts[start : start + 2_000] = voice(2_000)
    shifted = parse_effect("pitch:2")(bursts, 0)
    energy = np.convolve(np.square(shifted), np.ones(2_000), mode="same")
    assert energy[4_500:5_500].max() > 10 * energy[9_000:11_000].max()
    assert energy[26_500:27_500].max() > 10 * energy[20_000:22_000].max()


def test_no_pitch_is_no_move():
    assert lag(parse_effect("pitch:0")(voice(8_000), 0), voice(8_000)) == 0


@pytest.mark.parametrize("fraction", [-0.25, 0.1])
def test_a_shift_rolls_over_and_fades_five_milliseconds_at_the_seam(fraction):
    clean, places = voice(), int(24_000 * fraction)
    shifted = parse_effect(f"shift:{fraction}")(clean, 0)
    rolled = np.roll(clean, places)
    seam = places % 24_000
    away = np.abs(np.arange(24_000) - seam) > 80
    np.testing.assert_array_equal(shifted[away], rolled[away])
    assert abs(shifted[seam]) < 1e-3
    assert (np.abs(shifted[~away]) <= 1.01 * np.abs(rolled[~away])).all()


def test_the_peak_is_brought_to_one():
    assert np.abs(normalize_peak(0.1 * voice())).max() == pytest.approx(1)
    assert not normalize_peak(np.zeros(400)).any()
