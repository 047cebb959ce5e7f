"""One score for speaker and spoofing together."""

import numpy as np
import pytest

from spoofcache.evaluation.figures import Uncertainty
from spoofcache.evaluation.sasv import compare_sasv
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import AsvScores

GOOD = AsvScores(np.array([5.0, 6]), np.array([1.0]), np.array([2.0, 3]), ["A01", "A02"])
FAIR = AsvScores(np.array([3.0, 4]), np.array([2.0]), np.array([1.0, 8]), ["A01", "A02"])


def test_systems_are_compared_by_their_a_dcf():
    comparison = compare_sasv({"good": GOOD, "fair": FAIR}, Uncertainty(replicates=50))
    good, fair = (comparison.pooled.figures[name]["a_dcf"] for name in ("good", "fair"))
    assert (good.value, good.best, good.high) == (0, True, 0)
    assert fair.value == pytest.approx(0.5 / 2 / 0.595)  # tests/metrics/test_dcf.py has it on paper
    assert fair.low <= fair.value <= fair.high
    assert (comparison.pooled.n_bonafide, comparison.pooled.n_spoof) == (3, 2)


def test_without_replicates_there_are_no_intervals():
    assert compare_sasv({"good": GOOD}, Uncertainty(replicates=0)).pooled.figures["good"]["a_dcf"].low is None


def test_other_trials_cannot_be_compared():
    other = AsvScores(FAIR.target, FAIR.nontarget, FAIR.spoof, ["A02", "A01"])
    with pytest.raises(ScoreError, match="other and good are not scores of the same trials in the same order"):
        compare_sasv({"good": GOOD, "other": other})
