"""The trials of a test set: from scores that carry keys."""

import pytest

from spoofcache.evaluation.trials import trials_of_scores
from spoofcache.metrics.det import ScoreError
from tests.evaluation.test_alignment import scores_of


def test_the_trials_of_a_file_with_keys():
    trials = trials_of_scores(scores_of(["a", "b"], [1, 2], ["bonafide", "spoof"], ["-", "A07"]))
    assert (trials.utt_ids, trials.is_bonafide.tolist()) == (["a", "b"], [True, False])
    assert {name: column.tolist() for name, column in trials.columns.items()} == {"attack": ["-", "A07"]}


def test_attacks_that_a_file_does_not_tell_are_unknown():
    trials = trials_of_scores(scores_of(["a", "b"], [1, 2], ["bonafide", "spoof"]))
    assert trials.columns["attack"].tolist() == ["-", "-"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            None,
            r"^mine.txt: no column states whether a trial is bonafide or spoof",
        ),
        (["spoof", "spoof"], r"^mine.txt: all 2 trials are spoof; expected both bonafide and spoof"),
        (["bonafide", "bonafide"], r"^mine.txt: all 2 trials are bonafide; expected both bonafide and spoof"),
    ],
)
def test_without_two_classes_there_is_nothing_to_judge(keys, sentence):
    with pytest.raises(ScoreError, match=sentence):
        trials_of_scores(scores_of(["a", "b"], [1, 2], keys))
