"""There and back through every codec: nothing moves, nothing is cut, and the damage is the codec's own."""

import numpy as np
import pytest
import soundfile

from spoofcache.features.augment import parse_effect
from spoofcache.features.augment.base import EffectError, Range, WholeRange
from spoofcache.features.augment.codecs import FORMATS, Codec
from tests.features.augment.signals import lag, level, snr, voice

BITRATES = [
    *[("mp3", rate) for rate in (8_000, 16_000, 32_000, 64_000, 160_000)],
    *[("aac", rate) for rate in (8_000, 16_000, 32_000, 64_000, 96_000)],
    *[("opus", rate) for rate in (6_000, 8_000, 12_000, 16_000, 24_000, 32_000, 64_000, 256_000)],
    *[(name, None) for name in ("g722", "alaw", "mulaw")],
]


def through(waveform, name, bitrate=None):
    return Codec(name, bitrate and WholeRange(bitrate, bitrate))(waveform, 0)


@pytest.mark.parametrize("n", [8_000, 24_001])
@pytest.mark.parametrize(("name", "bitrate"), BITRATES)
def test_the_length_is_exact_and_nothing_moves(name, bitrate, n):
    clean = voice(n)
    coded = through(clean, name, bitrate)
    assert len(coded) == n
    # Opus below 24 kbit/s codes speech by a model that does not keep the phase
    assert abs(lag(coded, clean)) <= (2 if name == "opus" and bitrate < 24_000 else 0)


@pytest.mark.corpus
@pytest.mark.parametrize(("name", "bitrate"), BITRATES)
def test_genuine_speech_is_not_delayed(shared, name, bitrate):
    clean, _ = soundfile.read(shared / "data/asvspoof2019_la/flac/LA_T_1272637.flac", dtype="float32", stop=24_000)
    assert abs(lag(through(clean, name, bitrate), clean)) <= (2 if name == "opus" and bitrate < 24_000 else 0)


@pytest.mark.parametrize("name", FORMATS)
def test_the_last_samples_come_out_whole(name):
    clean = voice()
    coded = through(clean, name, FORMATS[name].bitrates and 64_000)
    last = slice(-1_600, None)
    kept = 4_000 if FORMATS[name].rate == 8_000 else 8_000
    # 20 ms missing at the end are 2 dB; an encoder's own loss is below 0.5 dB and differs by processor
    assert level(coded[last], 0, kept) == pytest.approx(level(clean[last], 0, kept), abs=1)
    assert snr(clean[last], coded[last]) > 6


@pytest.mark.parametrize("name", ["mp3", "aac", "opus"])
def test_more_bits_do_less_damage(name):
    clean = voice()
    ratios = [snr(clean, through(clean, name, bitrate)) for bitrate in (12_000, 32_000, 96_000)]
    assert ratios == sorted(ratios)
    assert ratios[-1] > ratios[0] + 6


@pytest.mark.parametrize("name", ["alaw", "mulaw"])
def test_the_telephone_has_nothing_above_4_kilohertz(name, noise):
    coded = through(noise, name)
    assert level(coded, 4_200, 8_000) < level(coded, 1_000, 3_400) - 50
    assert level(coded, 100, 3_400) == pytest.approx(level(noise, 100, 3_400), abs=0.5)


def test_g711_has_the_noise_of_its_logarithmic_steps():
    clean = voice()
    low = parse_effect("resample:8000")(clean, 0)  # the same band without the steps
    for name in ("alaw", "mulaw"):
        assert 30 < snr(low, through(clean, name)) < 42  # G.711's known plateau is 38 dB


def test_what_is_beyond_full_scale_is_clipped():
    loud = through(4 * voice(), "g722")
    assert 0.9 < np.abs(loud).max() <= 1


def test_a_bit_rate_is_drawn_from_its_range():
    effect = parse_effect("codec:mp3,bitrate=8000..160000")
    clean = voice()
    ratios = [snr(clean, effect(clean, seed)) for seed in range(8)]
    assert max(ratios) > min(ratios) + 6
    assert Codec("mp3").bitrate == Range(16_000, 64_000)


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("codec:mp4", "effect codec: format=mp4; expected mp3 or aac or opus or g722 or alaw or mulaw"),
        ("codec:mp3,bitrate=320000", "effect codec: bitrate=320000; expected 8000 to 160000"),
        ("codec:opus,bitrate=5999..8000", "effect codec: bitrate=5999..8000; expected 6000 to 256000"),
        ("codec:g722,bitrate=64000", "effect codec: bitrate=64000; expected none, g722 has only one"),
    ],
)
def test_what_a_codec_does_not_have_is_refused(spelling, sentence):
    with pytest.raises(EffectError) as refusal:
        parse_effect(spelling)
    assert str(refusal.value) == sentence
