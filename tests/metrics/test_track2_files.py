"""Scores of ASVspoof 5 track 2 are joined with their key."""

import numpy as np
import pytest

from spoofcache.evaluation.figures import Uncertainty
from spoofcache.evaluation.sasv import compare_sasv
from spoofcache.evaluation.testsets import parse_named, read_sasv
from spoofcache.metrics.dcf import a_dcf
from spoofcache.metrics.det import ScoreError, det_curve, verification_curve
from spoofcache.metrics.teer import tandem_equal_error_rate

TRIALS = [("m", "u1", "target"), ("m", "u2", "target"), ("n", "u1", "nontarget"), ("n", "u2", "nontarget")]
TRIALS += [("m", "u3", "target"), ("m", "u4", "spoof"), ("n", "u5", "spoof"), ("n", "u6", "spoof")]
CM, ASV = [3, 1, 2, 4, 0.5, 0.75, -2, -3], [5, 4, -1, 2.5, 2, 6, 3, 1]
SASV = [4, 2.5, 0.5, 3, 1, 3.5, 0, -1]
ROWS = [f"{s}\t{u}\t{c}\t{a}\t{j}\n" for (s, u, _), c, a, j in zip(TRIALS, CM, ASV, SASV, strict=True)]
HEADER = "spk\tfilename\tcm-score\tasv-score\tsasv-score\n"
SCORES = HEADER + "".join(reversed(ROWS))
KEY = "".join(f"{s} {u} F {'A11 spoof' if k == 'spoof' else f'bonafide {k}'}\n" for s, u, k in TRIALS)
KEY_TSV = "spk\tfilename\tcm-label\tasv-label\n" + "".join(
    f"{s}\t{u}\t{'spoof' if k == 'spoof' else 'bonafide'}\t{k}\n" for s, u, k in TRIALS
)
BARE = "".join(f"{s} {u} {k}\n" for s, u, k in TRIALS)


@pytest.fixture
def read(tmp_path):
    def joined(scores=SCORES, key=KEY):
        (tmp_path / "scores.tsv").write_text(scores)
        (tmp_path / "key.txt").write_text(key)
        return read_sasv(parse_named([f"own={tmp_path / 'scores.tsv'}"]), tmp_path / "key.txt" if key else None)

    return joined


@pytest.mark.parametrize("key", [KEY, KEY_TSV, BARE])
def test_scores_follow_the_key(read, key):
    scores = read(key=key)["own"]
    assert [one.tolist() for one in scores.classes] == [[4, 2.5, 1], [0.5, 3], [3.5, 0, -1]]
    assert [one.tolist() for one in scores.asv.classes] == [[5, 4, 2], [-1, 2.5], [6, 3, 1]]
    assert [one.tolist() for one in scores.cm.classes] == [[3, 1, 0.5], [2, 4], [0.75, -2, -3]]


def test_columns_may_stand_in_any_order(read):
    rows = [line.split("\t") for line in SCORES.splitlines()]
    turned = "".join("\t".join(reversed(row)) + "\n" for row in rows)
    assert read(turned)["own"].target.tolist() == [4, 2.5, 1]


def test_a_dcf_and_t_eer(read):
    figures = compare_sasv(read(), Uncertainty(replicates=20)).pooled.figures["own"]
    assert figures["a_dcf"].value == a_dcf([4, 2.5, 1], [0.5, 3], [3.5, 0, -1]).value
    asv = verification_curve([5, 4, 2], [-1, 2.5], [6, 3, 1])
    expected = tandem_equal_error_rate(det_curve(np.array([3, 1, 0.5, 2, 4]), np.array([0.75, -2, -3])), asv)
    assert (figures["t_eer"].value, figures["t_eer"].low) == (expected.rate, None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": ""}, "scores of ASVspoof 5 track 2, which do not state the classes; expected --asv-key"),
        ({"scores": HEADER + "".join(ROWS[1:])}, "scores.tsv: no trial m u1; expected all trials of .*key.txt"),
        ({"scores": SCORES + "m\tu9\t1\t2\t3\n"}, "key.txt: no trial m u9; expected all trials of .*scores.tsv"),
        ({"scores": SCORES + ROWS[0]}, "scores.tsv: trial m u1 occurs twice"),
        ({"key": KEY + "m u1 F bonafide target\n"}, "key.txt: trial m u1 occurs twice"),
        ({"scores": SCORES.replace("asv-score\tsasv", "asvscore\tsasv")}, "no column asv-score in"),
        ({"scores": SCORES.replace("\t-3\t", "\tinf\t")}, "inf"),
        ({"key": KEY.replace(" nontarget", " other")}, "key.txt: 0 columns of target, nontarget and spoof"),
    ],
)
def test_what_does_not_fit_is_refused(read, change, sentence):
    with pytest.raises(ScoreError, match=sentence):
        read(**change)
