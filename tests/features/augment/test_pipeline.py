"""The chain of KORALLLL/AASIST_SCALING: how often, what, how strongly."""

from collections import Counter

import numpy as np
import pytest

from spoofcache.features.augment import EffectError, parse_effect
from spoofcache.features.augment.base import Effect, Range
from spoofcache.features.augment.pipeline import Pipeline, Telephone
from spoofcache.features.augment.simple import normalize_peak
from tests.features.augment.signals import level, voice


@pytest.fixture
def applied(monkeypatch):
    """Counts the effects that the pipeline applies, in the place of applying them."""
    counts = Counter()

    def count(effect, waveform, rng):
        counts[effect.name] += 1
        return waveform

    for effect in Effect.__subclasses__():
        if effect is not Pipeline:
            monkeypatch.setattr(effect, "apply", count)
    return counts


def test_each_effect_has_its_share(applied):
    for seed in range(4_000):
        Pipeline(probability=1)(np.full(400, 0.5, np.float32), seed)
    shares = {name: count / 4_000 for name, count in applied.items()}
    coding = dict.fromkeys(("codec", "telephone", "resample", "noise"), pytest.approx(0.1, abs=0.02))
    others = dict.fromkeys(("gain", "pitch", "shift", "lowpass"), pytest.approx(0.3, abs=0.03))
    assert shares == coding | others


@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_a_waveform_is_augmented_with_the_probability_asked_for(applied, probability):
    quiet = np.full(400, 0.5, np.float32)
    changed = [Pipeline(probability=probability)(quiet, seed)[0] == 1 for seed in range(1_000)]  # peak brought to 1
    assert np.mean(changed) == pytest.approx(probability, abs=0.05)


def test_intensity_divides_bit_rates_and_ratios_and_multiplies_the_pitch():
    mp3, _, resample, noise = Pipeline(intensity=1.0)._coding()
    assert (mp3.bitrate, resample.rate, noise.snr) == ((64_000, 128_000), (9_600, 11_200), (3, 20))
    mp3, _, resample, noise = Pipeline(intensity=2.0)._coding()
    assert (mp3.bitrate, resample.rate, noise.snr) == ((32_000, 64_000), (8_800, 9_600), (1.5, 10))
    assert Pipeline(intensity=1.5)._others()[1].semitones == Range(-3, 3)


@pytest.mark.parametrize("intensity", [0.5, 1, 1.8, 4])
def test_every_intensity_has_a_chain(intensity):
    pipeline = Pipeline(intensity, probability=1)
    for effect in (*pipeline._coding(), *pipeline._others()):
        assert len(effect(voice(4_000), 0)) == 4_000


def test_the_telephone_is_narrow_and_noisy(noise):
    heard = Telephone()(noise, 0)
    assert level(heard, 7_000, 8_000) < level(noise, 7_000, 8_000) - 5


def test_what_is_below_half_a_step_of_eight_bits_does_not_get_through_the_telephone():
    quiet = normalize_peak(voice()) * np.float32(0.0039)
    assert not Telephone()(quiet, 0).any()
    assert Telephone()(2 * quiet, 0).any()


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [("pipeline:intensity=0", "intensity=0; expected 0.5 to 4"), ("pipeline:1,probability=-1", "expected 0 to 1")],
)
def test_impossible_numbers_are_refused(spelling, sentence):
    with pytest.raises(EffectError, match=sentence):
        parse_effect(spelling)
