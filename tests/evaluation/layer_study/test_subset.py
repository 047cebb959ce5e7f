"""A subset in which every class, attack and speaker has its share."""

from collections import Counter

import numpy as np
import pytest

from spoofcache.evaluation.layer_study.subset import stratified
from spoofcache.protocols.trial import Trial


def corpus():
    """600 trials: 240 bona fide of 4 speakers, 360 spoofs of two attacks (2 to 1) by the same speakers."""
    trials = [Trial(f"b{k}", "bonafide", speaker=f"S{k % 4}") for k in range(240)]
    return trials + [Trial(f"s{k}", "spoof", "A01" if k < 240 else "A02", f"S{k % 4}") for k in range(360)]


def test_every_class_attack_and_speaker_has_its_share():
    trials = corpus()
    chosen = [trials[row] for row in stratified(trials, 100, seed=3)]
    assert len(chosen) == 100
    assert Counter(trial.key for trial in chosen) == {"bonafide": 40, "spoof": 60}
    assert Counter(trial.attack for trial in chosen) == {"-": 40, "A01": 40, "A02": 20}
    for (attack, _), number in Counter((trial.attack, trial.speaker) for trial in chosen).items():
        assert number == {"-": 10, "A01": 10, "A02": 5}[attack]


def test_rows_are_distinct_ascending_and_decided_by_the_seed():
    trials = corpus()
    rows = stratified(trials, 77, seed=1)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() == stratified(trials, 77, seed=1).tolist()
    assert rows.tolist() != stratified(trials, 77, seed=2).tolist()


def test_a_rare_class_keeps_a_tenth_of_the_subset():
    trials = [Trial(f"u{k}", "bonafide" if k < 30 else "spoof", "-" if k < 30 else "A01") for k in range(3_000)]
    labels = np.array([trial.label for trial in trials])
    assert labels[stratified(trials, 100, seed=0)].sum() == 10
    assert labels[stratified(trials, 1_000, seed=0)].sum() == 30


@pytest.mark.parametrize("size", [0, 600, 601])
def test_a_subset_as_large_as_the_set_contains_everything(size):
    assert stratified(corpus(), size, seed=0).tolist() == list(range(600))
