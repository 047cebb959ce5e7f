"""Splits: in the ratio, by class, with no group in two partitions, the same each time; and what is refused."""

from collections import Counter

import numpy as np
import pytest

from spoofcache.protocols.asvspoof19 import read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial
from spoofcache.tools.user_corpus.audio import AudioProperties, Missing
from spoofcache.tools.user_corpus.split import SplitError, group_values, groups_of, parse_ratio, split

RATIO = (0.6, 0.1, 0.3)


def readable(digest):
    """A file of which only the samples matter."""
    return AudioProperties("WAV PCM_16", 16_000, 1, 1.0, 0.0, 0.0, 0.0, -20.0, -3.0, False, False, digest)


def shares(keys, partition):
    """Share of each class in each partition: [3, 2]."""
    counts = Counter(zip(partition.tolist(), keys, strict=True))
    return np.array([[counts[k, key] / keys.count(key) for key in ("bonafide", "spoof")] for k in range(3)])


@pytest.mark.parametrize("ratio", ["6:1", "6:1:3:2", "6:0:3", "6:-1:3", "6:a:3", "", "6:1:²"])
def test_a_ratio_is_three_whole_numbers(ratio):
    with pytest.raises(SplitError, match="expected three whole numbers above 0, train:dev:test, as in 6:1:3"):
        parse_ratio(ratio)


def test_a_ratio_becomes_shares():
    assert parse_ratio("6:1:3") == RATIO
    assert parse_ratio("2:1:1") == (0.5, 0.25, 0.25)


def test_single_files_meet_the_ratio_in_both_classes():
    keys = ["bonafide"] * 100 + ["spoof"] * 900
    assert shares(keys, split(keys, list(range(1000)), RATIO, seed=0)).T.tolist() == [list(RATIO)] * 2


def test_groups_of_many_sizes_stay_whole_and_come_near_the_ratio():
    rng = np.random.default_rng(0)
    groups = np.sort(rng.zipf(1.6, 2000) % 60)  # some large, many small
    keys = np.where(rng.random(2000) < 0.1 + 0.8 * (groups % 7 == 0), "bonafide", "spoof").tolist()
    partition = split(keys, np.unique(groups, return_inverse=True)[1].tolist(), RATIO, seed=0)
    assert all(len(set(partition[groups == group])) == 1 for group in set(groups))
    largest = max(Counter(groups.tolist()).values()) / 2000
    assert np.abs(shares(keys, partition) - np.array(RATIO)[:, None]).max() < largest


def test_the_seed_decides_and_nothing_else():
    keys = ["bonafide", "spoof"] * 100
    first, again, other = (split(keys, list(range(200)), RATIO, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_duplicates_and_values_tie_files_together():
    values = ["A", "A", "B", "-", "-", "-", "C"]
    samples = ["1", "2", "2", "3", "3", "4", "5"]  # B has a recording of A, and two files of nobody are the same
    assert groups_of(values, [readable(digest) for digest in samples]) == [0, 0, 0, 1, 1, 2, 3]


def test_a_file_that_cannot_be_read_is_no_duplicate():
    assert groups_of(["-", "-"], [Missing("no such file")] * 2) == [0, 1]


def test_bona_fide_files_have_no_generator():
    trials = [Trial("a", "bonafide"), Trial("b", "spoof", conditions={"generator": "HiFi-GAN"})]
    assert group_values(trials, "generator") == ["-", "HiFi-GAN"]
    assert group_values(trials, "none") == ["-", "-"]


@pytest.mark.parametrize(
    ("trials", "by", "error", "sentence"),
    [
        (
            [Trial("a", "spoof", speaker="LJ"), Trial("b", "spoof"), Trial("c", "spoof")],
            "speaker",
            SplitError,
            "2 spoof files have no speaker, first b, c; expected a speaker for every file of a class, or for none",
        ),
        ([Trial("a", "spoof")], "speaker", SplitError, "--group speaker: no file has a speaker"),
        ([Trial("a", "spoof")], "generator", ProtocolError, "column 'generator'; expected one of key, attack, speaker"),
    ],
)
def test_a_column_that_cannot_group_is_refused(trials, by, error, sentence):
    with pytest.raises(error, match=sentence):
        group_values(trials, by)


@pytest.mark.parametrize(
    ("keys", "groups", "sentence"),
    [
        (["bonafide", "bonafide", *["spoof"] * 9], range(11), "2 bona fide files in 2 groups; expected at least 3"),
        (["bonafide"] * 9, range(9), "0 spoof files in 0 groups; expected at least 3 groups of each class"),
    ],
)
def test_too_few_groups_are_refused(keys, groups, sentence):
    with pytest.raises(SplitError, match=sentence):
        split(keys, list(groups), RATIO, seed=0)


def test_three_groups_of_a_class_suffice_whatever_their_sizes():
    keys = ["bonafide"] * 90 + ["spoof"] * 30 + ["bonafide", "spoof"] * 2
    groups = [0] * 90 + [1] * 30 + [2, 2, 3, 3]
    assert (shares(keys, split(keys, groups, RATIO, seed=0)) > 0).all()


@pytest.mark.corpus
@pytest.mark.parametrize("partition", ["train.trn", "dev.trl", "eval.trl"])
def test_real_speakers_divide_near_the_ratio(shared, partition):
    trials = read_protocol(shared / f"data/asvspoof2019_la/ASVspoof2019.LA.cm.{partition}.txt")
    groups = groups_of(group_values(trials, "speaker"), [Missing()] * len(trials))
    keys = [trial.key for trial in trials]
    assert np.abs(shares(keys, split(keys, groups, RATIO, seed=0)) - np.array(RATIO)[:, None]).max() < 0.02
