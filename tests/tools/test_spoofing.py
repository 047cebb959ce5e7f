"""The generators of spoofs, and the signal processing that they share."""

import numpy as np
import pytest

from spoofcache.tools.demo_corpus.builtin_voice import SPEAKERS, say
from spoofcache.tools.spoofing import ATTACKS
from spoofcache.tools.spoofing.request import Request, median_f0, voice_of
from spoofcache.tools.spoofing.spectrum import (
    excitation_of,
    filter_in_time,
    match_spectrum,
    measure_channel,
    through_channel,
)


@pytest.fixture(scope="module")
def target():
    """The voice of the higher-pitched speaker."""
    return voice_of("builtin-2", [say(SPEAKERS["builtin-2"], 2.5, np.random.default_rng(k)) for k in range(3)])


def spoof(attack, source, target, seed=0):
    return ATTACKS[attack].generator(Request(source, target, np.random.default_rng(seed)))


def test_there_are_generators_enough_of_families_enough():
    assert len(ATTACKS) >= 5
    assert len({attack.family for attack in ATTACKS.values()}) >= 3
    assert {attack.known for attack in ATTACKS.values()} == {True, False}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_generator_makes_audio_like_its_source_but_another(attack, utterance, target):
    made = spoof(attack, utterance, target)
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert abs(len(made) / len(utterance) - 1) < 0.35
    n = min(len(made), len(utterance))
    assert np.sqrt(np.mean(made**2)) > 0.01
    assert np.abs(made[:n] - utterance[:n]).max() > 0.01


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_same_seed_gives_the_same_samples(attack, utterance, target):
    assert np.array_equal(spoof(attack, utterance, target), spoof(attack, utterance, target))


@pytest.mark.parametrize("attack", ["A03", "A06", "A08"])
def test_a_conversion_moves_the_pitch_towards_its_target(attack, utterance, target):
    assert median_f0(utterance) < 130 < target.f0
    assert median_f0(spoof(attack, utterance, target)) > median_f0(utterance) * 1.05


@pytest.mark.parametrize("attack", ["A02", "A05"])
def test_a_copy_keeps_the_pitch(attack, utterance, target):
    assert median_f0(spoof(attack, utterance, target)) == pytest.approx(median_f0(utterance), rel=0.05)


def test_no_voiced_frame_has_no_pitch():
    with pytest.raises(ValueError, match="no voiced frame"):
        median_f0(np.zeros(16_000, np.float32))


def test_match_spectrum_gives_the_spectrum_of_another(utterance):
    colour = measure_channel(np.random.default_rng(0).standard_normal(32_000).astype(np.float32)).speech
    before, after = measure_channel(utterance).speech, measure_channel(match_spectrum(utterance, colour)).speech
    within_reach = before > colour / 100  # ±20 dB
    assert np.abs(np.log10(after / colour))[within_reach].mean() < 0.2 * np.abs(np.log10(before / colour)).mean()


def test_through_channel_fills_silence_with_the_background(utterance, target):
    silence_within = utterance.copy()
    silence_within[10_000:26_000] = 0
    heard = through_channel(silence_within, target.channel, np.random.default_rng(0))
    speech = np.mean(heard[:10_000] ** 2)
    assert 0.3 < np.mean(heard[12_000:24_000] ** 2) / speech / target.channel.background.sum() < 3


def test_filter_in_time_equals_convolution_where_the_filter_stands_still():
    rng = np.random.default_rng(0)
    excitation, impulse_response = rng.standard_normal(1000), rng.standard_normal(30)
    responses = np.tile(np.fft.rfft(impulse_response, 256), (30, 1))
    expected = np.convolve(excitation, impulse_response)[:1000]
    np.testing.assert_allclose(filter_in_time(excitation, responses, hop=40), expected, atol=1e-9)


def test_excitation_has_unit_power_and_the_pitch_asked_for():
    voiced = excitation_of(np.full(16_000, 125.0), np.random.default_rng(0))
    assert np.count_nonzero(voiced) == pytest.approx(125, abs=1)
    assert np.mean(voiced**2) == pytest.approx(1, rel=0.02)
    unvoiced = excitation_of(np.zeros(16_000), np.random.default_rng(0))
    assert np.mean(unvoiced**2) == pytest.approx(1, rel=0.05)
