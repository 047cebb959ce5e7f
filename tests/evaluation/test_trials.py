"""The trials of a test set: from a protocol, or from scores that carry keys."""

from pathlib import Path

import pytest

from spoofcache.evaluation.trials import list_trials, trials_of_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.protocols.trial import Trial
from tests.evaluation.test_alignment import scores_of


def test_the_trials_of_a_file_with_keys():
    trials = trials_of_scores(scores_of(["a", "b"], [1, 2], ["bonafide", "spoof"], ["-", "A07"]))
    assert (trials.utt_ids, trials.is_bonafide.tolist()) == (["a", "b"], [True, False])
    assert {name: column.tolist() for name, column in trials.columns.items()} == {"attack": ["-", "A07"]}


def test_attacks_that_a_file_does_not_state_are_unknown():
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


def test_columns_are_arrays_when_they_are_asked_for_and_excluded_trials_are_a_set():
    trials = [
        Trial("u1", "bonafide", conditions={"codec": "alaw"}),
        Trial("u2", "spoof", "A07", file="wav/u2.wav"),
        Trial("u3", "spoof", "A08", file="wav/u3.wav"),
    ]
    listed = list_trials(trials[:2], trials, Path("p.txt"))
    assert listed.utt_ids == ["u1", "wav/u2.wav"]
    assert {name: values.tolist() for name, values in listed.columns.items()} == {
        "attack": ["-", "A07"],
        "speaker": ["-", "-"],
        "codec": ["alaw", "-"],
    }
    assert listed.excluded == {"wav/u3.wav"}
    assert list_trials(trials, trials, Path("p.txt")).excluded == frozenset()
