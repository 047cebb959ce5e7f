"""A view of an utterance is made of effect, seed, number and the utterance's name, and of nothing else."""

import numpy as np
import pytest

from spoofcache.features.augment import EffectError, parse_effect, utterance_seed
from spoofcache.features.augment.view import View

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 8_000).astype(np.float32)
VIEW = View("rawboost:5", seed=7, number=2)


def test_it_is_the_effect_with_the_seed_of_that_utterance_and_view():
    expected = parse_effect("rawboost:5")(NOISE, utterance_seed(7, "U_1", 2))
    np.testing.assert_array_equal(VIEW(NOISE, "U_1"), expected)


@pytest.mark.parametrize("other", [View("rawboost:5", 7, 1), View("rawboost:5", 8, 2), View("rawboost:4", 7, 2)])
def test_another_number_seed_or_effect_is_another_waveform_and_other_settings(other):
    assert not np.array_equal(VIEW(NOISE, "U_1"), other(NOISE, "U_1"))
    assert VIEW.settings() != other.settings()


def test_every_utterance_has_its_own_chance():
    assert not np.array_equal(VIEW(NOISE, "U_1"), VIEW(NOISE, "U_2"))


def test_its_settings_are_those_of_the_effect_however_it_is_spelled():
    assert VIEW.settings() == {"name": "rawboost", "algorithm": 5, "seed": 7, "view": 2}
    assert View("rawboost:algorithm=5", 7, 2).settings() == VIEW.settings()


def test_an_effect_that_is_not_known_is_refused_where_its_settings_are_asked_for():
    with pytest.raises(EffectError, match=r"^effect 'rawbost'; expected one of rawboost, "):
        View("rawbost:5", 0, 1).settings()
