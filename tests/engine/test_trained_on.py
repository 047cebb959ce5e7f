"""The record of what a run was trained on, and the utterances that two partitions share."""

from dataclasses import replace

import numpy as np
import pytest

from spoofcache.engine.trained_on import (
    Partition,
    n_namesakes,
    namesakes,
    partition_of,
    read_trained_on,
    shared,
    write_trained_on,
)
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


def test_the_file_reads_back_unchanged_and_is_written_only_once(cache, tmp_path):
    la, odd = cache("LA", TRIALS, np.zeros((40, 2, 3))), cache("odd", ODD, np.zeros((2, 2, 3)))
    write_trained_on(tmp_path, [la, odd])
    expected = [Partition("LA", "train", TRIALS), Partition("odd", "train", ODD)]
    assert read_trained_on(tmp_path) == expected
    write_trained_on(tmp_path, [odd])  # as a resumed run does
    assert read_trained_on(tmp_path) == expected


def test_a_run_of_an_earlier_version_records_no_partitions(tmp_path):
    assert read_trained_on(tmp_path) == []


def test_names_identify_utterances_within_a_corpus_and_all_columns_across_corpora():
    relabelled = [replace(TRIALS[0], speaker="another"), *TRIALS[1:3]]
    train = Partition("LA", "train", TRIALS)
    assert namesakes(train, Partition("LA", "eval", relabelled)) == ["U_0000", "U_0001", "U_0002"]
    assert namesakes(train, Partition("ITW", "eval", relabelled)) == ["U_0001", "U_0002"]
    assert [n_namesakes(train, Partition(corpus, "eval", relabelled)) for corpus in ("LA", "ITW")] == [3, 2]


def test_features_distinguish_a_copy_from_an_utterance_of_the_same_name(cache):
    rows = separable_rows(TRIALS)
    rounded = rows * (1 + 0.01 * np.random.default_rng(1).standard_normal(rows.shape))
    train, copy = cache("LA", TRIALS, rows), cache("copy", TRIALS, rounded)
    assert shared(train, copy) == [trial.utt_id for trial in TRIALS]
    assert shared(train, cache("ITW", TRIALS, separable_rows(TRIALS, seed=1))) == []
    assert partition_of(copy).trials == TRIALS
