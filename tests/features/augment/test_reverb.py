"""Reverberation: convolved, aligned with the direct sound, of the level that went in, and as long as asked."""

import numpy as np
import pytest
import soundfile

from spoofcache.features.augment import parse_effect
from spoofcache.features.augment.reverb import reverberate, simulate_room
from tests.features.augment.signals import RATE, lag, power, voice


def by_hand(waveform, response):
    """The convolution as its sum."""
    wet = np.zeros(len(waveform) + len(response))
    for delay, amplitude in enumerate(response):
        wet[delay : delay + len(waveform)] += amplitude * waveform
    onset = int(np.abs(response).argmax())
    return wet[onset : onset + len(waveform)] / np.sqrt(np.sum(np.square(response)))


def test_it_is_the_convolution_from_the_direct_sound_on():
    response = np.array([0.1, -0.2, 0.8, 0.0, 0.3, -0.1])
    clean = voice(1_000)
    np.testing.assert_allclose(reverberate(clean, response), by_hand(clean, response), atol=1e-6)


def test_a_response_longer_than_the_waveform():
    response = np.random.RandomState(0).standard_normal(900) * np.exp(-np.arange(900) / 100)
    clean = voice(400)
    np.testing.assert_allclose(reverberate(clean, response), by_hand(clean, response), atol=1e-6)


def test_a_delayed_impulse_of_any_level_changes_nothing():
    response = np.zeros(500, np.float32)
    response[300] = -0.01
    np.testing.assert_allclose(reverberate(voice(), response), -voice(), atol=1e-6)


def test_a_silent_response_changes_nothing():
    np.testing.assert_array_equal(reverberate(voice(), np.zeros(400, np.float32)), voice())


def test_responses_come_from_the_folder(tmp_path):
    response = np.zeros(800, np.float32)
    response[[100, 500]] = 0.8, 0.6
    soundfile.write(tmp_path / "rir.wav", response, RATE, subtype="FLOAT")
    wet = parse_effect(f"reverb:{tmp_path}")(voice(), 0)
    np.testing.assert_allclose(wet[400:], (0.8 * voice()[400:] + 0.6 * voice()[:-400]), atol=1e-6)


def test_a_response_may_be_short_and_its_first_microphone_is_used(tmp_path):
    response = np.zeros((300, 2), np.float32)
    response[[100, 200], 0] = 0.8, 0.6
    response[150, 1] = 1
    soundfile.write(tmp_path / "rir.wav", response, RATE, subtype="FLOAT")
    wet = parse_effect(f"reverb:{tmp_path}")(voice(), 0)
    np.testing.assert_allclose(wet[100:], (0.8 * voice()[100:] + 0.6 * voice()[:-100]), atol=1e-6)


def reverberation_time(response):
    """Seconds to −60 dB, from Schroeder's integral between −5 and −25 dB."""
    left = 10 * np.log10(np.cumsum(np.square(response)[::-1])[::-1] / np.sum(np.square(response)))
    return 3 * (np.argmax(left < -25) - np.argmax(left < -5)) / RATE


@pytest.mark.parametrize("rt60", [0.2, 0.4])
def test_a_simulated_room_has_about_the_requested_reverberation_time(rt60):
    # The same rooms are drawn everywhere; rounding moves a time by a sample (0.03 %), not by what Sabine's law misses.
    times = [reverberation_time(simulate_room(rt60, np.random.default_rng(seed))) for seed in range(6)]
    assert np.median(times) == pytest.approx(rt60, rel=0.25)


def test_rooms_keep_the_level_and_the_place(noise):
    effect = parse_effect("room:rt60=0.2")
    for seed in range(4):
        wet = effect(noise, seed)
        assert lag(wet, noise) == 0
        assert power(wet) == pytest.approx(power(noise), rel=0.2)
