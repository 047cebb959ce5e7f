"""How the command line spells an effect, and what it hears when it cannot be."""

import pytest

from spoofcache.features.augment import EFFECTS, EffectError, parse_effect
from spoofcache.features.augment.base import Range, WholeRange
from spoofcache.features.augment.codecs import Codec
from spoofcache.features.augment.noise import Noise
from spoofcache.features.augment.pipeline import Pipeline
from spoofcache.features.augment.rawboost import RawBoost


@pytest.mark.parametrize(
    ("spelling", "effect"),
    [
        ("rawboost:5", RawBoost(5)),
        ("codec:mp3,bitrate=32000", Codec("mp3", WholeRange(32_000, 32_000))),
        ("codec:bitrate=32000,format=mp3", Codec("mp3", WholeRange(32_000, 32_000))),
        ("noise:color=pink,snr=5..20", Noise("pink", Range(5, 20))),
        ("noise", Noise()),
        ("pipeline:intensity=0.5,probability=0.8", Pipeline(0.5, 0.8)),
    ],
)
def test_a_spelling_is_an_effect(spelling, effect):
    assert parse_effect(spelling) == effect


KEYS = "expected color=white|pink|brown|blue|violet|random, snr=-20..60"


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("echo", f"effect 'echo'; expected one of {', '.join(EFFECTS)}, or package.module:Name"),
        ("", f"effect ''; expected one of {', '.join(EFFECTS)}, or package.module:Name"),
        ("RawBoost:5", f"effect 'RawBoost'; expected one of {', '.join(EFFECTS)}, or package.module:Name"),
        ("rawboost", "effect rawboost: no algorithm; expected algorithm=1..8"),
        ("rawboost:nine", "effect rawboost:nine: algorithm=nine; expected a whole number"),
        ("rawboost:9", "effect rawboost: algorithm=9; expected 1 to 8"),
        ("noise:loud=1", f"effect noise:loud=1: 'loud=1'; {KEYS}"),
        ("noise:pink,5", f"effect noise:pink,5: '5'; {KEYS}"),
        ("noise:pink,color=pink", f"effect noise:pink,color=pink: 'color=pink'; {KEYS}"),
        ("noise:snr=", f"effect noise:snr=: 'snr='; {KEYS}"),
        ("noise:pink,,", f"effect noise:pink,,: ''; {KEYS}"),
        ("noise:grey", "effect noise: color=grey; expected white or pink or brown or blue or violet or random"),
        (
            "noise:snr=20..5",
            "effect noise:snr=20..5: snr=20..5; expected a number or a range such as 5..20, the lower end first",
        ),
        ("noise:snr=0..100", "effect noise: snr=0..100; expected -20 to 60"),
        ("pipeline:probability=nan", "effect pipeline: probability=nan; expected 0 to 1"),
        ("background", "effect background: no folder; expected folder=FOLDER, snr=-20..60, files=1..32"),
        ("room:rt60=inf", "effect room: rt60=inf; expected 0.15 to 1"),
        ("telephone:8000", "effect telephone:8000: '8000'; expected no settings"),
    ],
)
def test_an_effect_that_is_not_available_is_refused_in_a_sentence(spelling, sentence):
    with pytest.raises(EffectError) as refusal:
        parse_effect(spelling)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("text", ["..", "5..", "..5", "20..5", "nan", "a", "1..2..3", "5-20"])
def test_a_text_that_is_not_a_range_is_refused(text):
    with pytest.raises(
        EffectError, match=r"snr=.*; expected a number or a range such as 5\.\.20, the lower end first$"
    ):
        parse_effect(f"noise:snr={text}")


@pytest.mark.parametrize("text", ["8000.5", "8000..9000.5", "9000..8000", "eight"])
def test_a_text_that_is_not_a_range_of_whole_numbers_is_refused(text):
    with pytest.raises(EffectError, match=r"rate=.*; expected a whole number or a range such as 3\.\.8, the lower "):
        parse_effect(f"resample:{text}")
