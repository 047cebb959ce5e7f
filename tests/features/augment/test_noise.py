"""Noise: its colour, its level, and where the recordings come from."""

import numpy as np
import pytest
import soundfile

from spoofcache.features.augment import EffectError, parse_effect
from spoofcache.features.augment.noise import COLORS, colored_noise, noise_gain
from tests.features.augment.signals import RATE, level, snr, voice


@pytest.mark.parametrize(
    ("color", "per_octave"), [("white", 3), ("pink", 0), ("brown", -3), ("blue", 6), ("violet", 9)]
)
def test_a_colour_is_the_slope_of_its_octaves(color, per_octave):
    noise = colored_noise(64_600, COLORS[color].low, np.random.default_rng(0))
    octaves = [level(noise, low, 2 * low) for low in (250, 500, 1_000, 2_000, 4_000)]
    np.testing.assert_allclose(np.diff(octaves), 10 * np.log10(2) / 3 * per_octave, atol=0.7)


@pytest.mark.parametrize("snr_db", [-10, 0, 20])
@pytest.mark.parametrize("color", ["white", "brown", "random"])
def test_the_ratio_is_the_one_asked_for(color, snr_db):
    clean = voice()
    assert snr(clean, parse_effect(f"noise:{color},snr={snr_db}")(clean, 0)) == pytest.approx(snr_db, abs=0.01)


def test_a_ratio_is_drawn_from_its_range():
    clean, effect = voice(4_000), parse_effect("noise:white,snr=5..20")
    ratios = [snr(clean, effect(clean, seed)) for seed in range(60)]
    assert 4.99 < min(ratios) < 7
    assert 18 < max(ratios) < 20.01


def test_silent_noise_has_no_gain():
    assert noise_gain(voice(), np.zeros(24_000), 5) == 0


class TestBackground:
    def test_a_long_recording_is_cut_somewhere_and_a_short_one_repeated(self, tmp_path):
        ramp = np.linspace(-0.5, 0.5, 20_000, dtype=np.float32)
        soundfile.write(tmp_path / "a.wav", ramp, RATE, subtype="FLOAT")
        effect = parse_effect(f"background:{tmp_path},snr=0")
        clean = voice(1_000)
        slopes = [np.diff(effect(clean, seed) - clean) for seed in range(5)]
        for slope in slopes:
            np.testing.assert_allclose(slope, slope.mean(), atol=1e-6)
        assert len({round(float(slope.mean()), 6) for slope in slopes}) == 5  # of five places, five gains
        long = voice(50_000)
        added = effect(long, 0) - long
        np.testing.assert_allclose(added[:10_000], added[20_000:30_000], atol=1e-6)

    def test_a_recording_of_20_samples_is_used(self, tmp_path):
        soundfile.write(tmp_path / "click.wav", np.full(20, 0.5), RATE)
        assert snr(voice(), parse_effect(f"background:{tmp_path},snr=3")(voice(), 0)) == pytest.approx(3, abs=0.01)

    def test_every_recording_has_the_ratio_asked_for(self, recordings):
        clean = voice(2_000)
        one = parse_effect(f"background:{recordings},snr=7")
        for seed in range(4):
            assert snr(clean, one(clean, seed)) == pytest.approx(7, abs=0.01)

    def test_two_recordings_add_up(self, tmp_path):
        for name, frequency in (("a.wav", 500), ("b.wav", 3_000)):
            soundfile.write(tmp_path / name, 0.5 * np.sin(2 * np.pi * frequency * np.arange(16_000) / RATE), RATE)
        clean = voice(16_000)
        effect = parse_effect(f"background:{tmp_path},snr=10,files=8")
        added = effect(clean, 0) - clean
        assert 10 - 10 * np.log10(64) - 0.1 <= snr(clean, clean + added) <= 10 - 10 * np.log10(2)
        tones = level(added, 480, 520), level(added, 2_980, 3_020)
        assert min(tones) > level(added, 1_000, 2_500) + 20

    def test_a_file_that_is_no_audio_is_named(self, tmp_path):
        (tmp_path / "a.wav").write_text("not audio")
        with pytest.raises(EffectError, match=r"^effect background: .*/a\.wav: empty, truncated or not audio"):
            parse_effect(f"background:{tmp_path}")(voice(), 0)
