"""A probe is scikit-learn's logistic regression on standardised statistics, and its C is chosen on other groups."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spoofcache.evaluation.layer_study.probe import GRID, choose_c, fit_probe, make_folds
from spoofcache.evaluation.trials import TrialList


def trial_list(is_bonafide, **columns):
    names = [f"u{number}" for number in range(len(is_bonafide))]
    return TrialList(names, np.array(is_bonafide), {name: np.array(values) for name, values in columns.items()})


@pytest.fixture
def statistics():
    """Two classes [120, 5] on scales that differ by orders of magnitude, and their keys."""
    random = np.random.default_rng(0)
    is_bonafide = np.arange(120) % 3 == 0
    values = random.standard_normal((120, 5))
    values[is_bonafide, 0] += 1
    return 10.0 ** np.arange(-2, 3) * values + 7, is_bonafide


def test_scores_are_the_log_odds_of_scikit_learns_pipeline(statistics):
    values, is_bonafide = statistics
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
    expected.fit(values, is_bonafide)
    others = values[::2] + 0.5
    np.testing.assert_allclose(
        fit_probe(values, is_bonafide, 0.1).score(others), expected.decision_function(others), atol=1e-3
    )


def test_a_coefficient_that_never_changes_does_no_harm(statistics):
    values, is_bonafide = statistics
    values[:, 4] = 3.0
    assert np.isfinite(fit_probe(values, is_bonafide, 1.0).score(values)).all()


def test_noise_is_regularised_more_strongly_than_what_separates():
    random = np.random.default_rng(1)
    is_bonafide = np.arange(200) % 2 == 0
    noise = random.standard_normal((200, 60))
    folds = make_folds(trial_list(is_bonafide), seed=0).folds
    counted = []
    assert choose_c(noise, is_bonafide, folds, counted.append) <= GRID[1]
    assert sum(counted) == len(folds) * len(GRID)
    noise[is_bonafide] += 3
    assert choose_c(noise, is_bonafide, folds) > GRID[1]


@pytest.mark.parametrize(
    ("columns", "by"),
    [
        ({"speaker": [f"S{k % 8}" for k in range(60)], "attack": ["-", "A1", "A2"] * 20}, "speaker"),
        ({"speaker": ["-"] * 60, "attack": ["-", "A1", "A2"] * 20}, "attack"),
        ({"speaker": ["one"] * 60, "attack": ["-", "A1", "A1"] * 20}, ""),
    ],
)
def test_folds_keep_speakers_or_else_attacks_together(columns, by):
    is_bonafide = [k % 3 == 0 for k in range(60)]
    trials = trial_list(is_bonafide, **columns)
    folds = make_folds(trials, seed=0)
    assert folds.by == by
    assert len(folds.folds) >= 2
    for fitted, judged in folds.folds:
        assert not set(fitted) & set(judged)
        assert len(set(trials.is_bonafide[fitted])) == 2
        if by:
            values = trials.columns[by]
            assert not (set(values[fitted]) & set(values[judged])) - {"-"}
