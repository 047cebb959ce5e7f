"""Ranges, seeds and what names an effect in a cache's identity."""

import doctest
import json
import subprocess
import sys

import numpy as np
import pytest

from spoofcache.features.augment import base, parse_effect, utterance_seed
from spoofcache.features.augment.base import Range, WholeRange


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(base).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", (5, 5)), ("5..20", (5, 20)), ("-6..6", (-6, 6)), ("0.5..1.99", (0.5, 1.99)), ("1e3..2e3", (1_000, 2_000))],
)
def test_a_range_as_it_is_spelled(text, expected):
    assert Range.parse(text) == expected


def test_whole_numbers_are_drawn_evenly_with_both_ends():
    rng = np.random.default_rng(0)
    drawn = np.bincount([WholeRange(3, 6).draw(rng) for _ in range(4_000)], minlength=8)
    assert drawn[[0, 1, 2, 7]].sum() == 0
    np.testing.assert_allclose(drawn[3:7], 1_000, rtol=0.1)


class TestSeed:
    def test_it_is_the_digest_of_what_it_stands_for(self):
        # printf '0/1/LA_T_1000137' | sha256sum, the first 32 digits
        expected = 0xFAB586200FFAB75CFE0C10691C5D4A3F
        assert utterance_seed(0, "LA_T_1000137", 1) == expected

    def test_seed_view_and_utterance_all_count(self):
        seeds = {utterance_seed(s, utt, view) for s in range(3) for view in range(3) for utt in ("a", "b", "1", "1/1")}
        assert len(seeds) == 36

    def test_another_process_agrees(self):
        command = "from features.augment import utterance_seed; print(utterance_seed(3, 'é', 2))"
        there = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        assert int(there.stdout) == utterance_seed(3, "é", 2)


class TestSettings:
    def test_settings_are_plain_and_complete(self):
        assert parse_effect("noise:pink,snr=5").settings() == {"name": "noise", "color": "pink", "snr": [5, 5]}
        assert parse_effect("codec:opus").settings() == {
            "name": "codec",
            "format": "opus",
            "bitrate": [16_000, 64_000],
        }

    @pytest.mark.parametrize(
        ("short", "spelled_out"),
        [
            ("noise", "noise:color=random,snr=3..20"),
            ("codec:mp3", "codec:format=mp3,bitrate=16000..64000"),
            ("pipeline", "pipeline:intensity=1,probability=5e-1"),
            ("resample", "resample:rate=8000..14000"),
            ("rawboost:5", "rawboost:algorithm=5"),
        ],
    )
    def test_a_default_spelled_out_is_the_same_identity(self, short, spelled_out):
        settings = [json.dumps(parse_effect(spelling).settings()) for spelling in (short, spelled_out)]
        assert settings[0] == settings[1]
