"""What a run says that it was trained on, and which utterances two partitions share."""

from dataclasses import replace

import numpy as np
import pytest

from spoofcache.engine.trained_on import Partition, namesakes, partition_of, read_trained_on, shared, write_trained_on
from spoofcache.features.dataset import CachedFeatures
from spoofcache.protocols.trial import Trial
from tests.corpora import make_trials, separable_rows, write_cache

TRIALS = make_trials(40)
ODD = [Trial('BD/say "hi", 1', "bonafide", speaker="S 1"), Trial("été", "spoof", "A01")]


@pytest.fixture
def cache(tmp_path):
    """`cache("LA", trials, rows)`: train of that corpus."""

    def write(corpus, trials, rows):
        return CachedFeatures(write_cache(tmp_path / corpus / "train", trials, rows, corpus=corpus))

    return write


def test_what_is_written_reads_back_the_same_and_is_written_once(cache, tmp_path):
    la, odd = cache("LA", TRIALS, np.zeros((40, 2, 3))), cache("odd", ODD, np.zeros((2, 2, 3)))
    write_trained_on(tmp_path, [la, odd])
    expected = [Partition("LA", "train", TRIALS), Partition("odd", "train", ODD)]
    assert read_trained_on(tmp_path) == expected
    write_trained_on(tmp_path, [odd])  # as a resumed run does
    assert read_trained_on(tmp_path) == expected


def test_a_run_from_before_says_nothing(tmp_path):
    assert read_trained_on(tmp_path) == []


def test_names_count_within_a_corpus_and_all_that_is_said_across_corpora():
    relabelled = [replace(TRIALS[0], speaker="another"), *TRIALS[1:3]]
    train = Partition("LA", "train", TRIALS)
    assert namesakes(train, Partition("LA", "eval", relabelled)) == ["U_0000", "U_0001", "U_0002"]
    assert namesakes(train, Partition("ITW", "eval", relabelled)) == ["U_0001", "U_0002"]


def test_features_tell_a_copy_from_a_namesake_whatever_machine_rounded_them(cache):
    rows = separable_rows(TRIALS)
    rounded = rows * (1 + 0.01 * np.random.default_rng(1).standard_normal(rows.shape))
    train, copy = cache("LA", TRIALS, rows), cache("copy", TRIALS, rounded)
    assert shared(train, copy) == [trial.utt_id for trial in TRIALS]
    assert shared(train, cache("ITW", TRIALS, separable_rows(TRIALS, seed=1))) == []
    assert partition_of(copy).trials == TRIALS
