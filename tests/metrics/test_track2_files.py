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
    ("written", "rule"),
    [("{}.flac", "the endings of audio files"), ("flac_E/{}", "all folders"), (".\\{}", "the spelling of paths")],
)
def test_names_follow_the_one_rule_of_names(read, written, rule):
    cells = [row.split("\t") for row in ROWS]
    scores = read(HEADER + "".join("\t".join([spk, written.format(utt), *numbers]) for spk, utt, *numbers in cells))
    assert scores["own"].target.tolist() == [4, 2.5, 1]
    assert rule in scores["own"].notes[0]


@pytest.mark.parametrize("lacking", [("cm-score",), ("asv-score",), ("cm-score", "asv-score")])
@pytest.mark.parametrize("is_dashed", [True, False])
def test_a_system_of_one_piece_has_an_a_dcf_only(read, lacking, is_dashed):
    header, *rows = ([*line.split("\t")] for line in SCORES.splitlines())
    gone = [header.index(name) for name in lacking]
    rows = [["-" if k in gone else cell for k, cell in enumerate(row)] for row in rows]
    kept = [k for k in range(len(header)) if is_dashed or k not in gone]
    scores = read("".join("\t".join(row[k] for k in kept) + "\n" for row in (header, *rows)))
    comparison = compare_sasv(scores, Uncertainty(replicates=0))
    assert comparison.measures == ("a_dcf",)
    assert comparison.pooled.figures["own"]["a_dcf"].value == a_dcf([4, 2.5, 1], [0.5, 3], [3.5, 0, -1]).value
    assert any("no t-EER, because there are no scores in " in note for note in comparison.notes)


def test_one_empty_score_among_others_is_refused(read):
    with pytest.raises(ScoreError, match=r"scores.tsv:9: score '-'"):
        read(SCORES.replace("\t5\t", "\t-\t"))


def test_dummy_trials_of_the_full_key_do_not_count(read):
    rows = KEY_TSV.splitlines()
    key = rows[0].replace("spk", "tar_spk_anon").replace("filename", "trial_anon") + "\ttrack_2_tag\n"
    key += "".join(f"{row}\t{'dummy' if 'u4' in row else 'eval'}\n" for row in rows[1:])
    assert read(key=key.replace("\t", " "))["own"].spoof.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": ""}, "scores of ASVspoof 5 track 2, which do not state the classes; expected --asv-key"),
        ({"scores": HEADER + "".join(ROWS[1:])}, "scores.tsv: no trial m u1; expected all trials of .*key.txt"),
        ({"scores": SCORES + "m\tu9\t1\t2\t3\n"}, "key.txt: no trial m u9; expected all trials of .*scores.tsv"),
        ({"scores": SCORES + ROWS[0]}, r"scores.tsv:10: trial m u1 occurs twice"),
        ({"key": KEY + "m u1 F bonafide target\n"}, r"key.txt:9: trial m u1 occurs twice"),
        ({"scores": SCORES.replace("spk", "who")}, "scores.tsv: no columns spk in"),
        ({"key": KEY_TSV.replace("filename", "probe")}, "key.txt: no columns filename in"),
        (
            {"key": KEY_TSV.replace("bonafide\ttarget", "spoof\ttarget", 1)},
            r"key.txt:2: 'spoof' in column 3 .* with target",
        ),
        (
            {"key": KEY.replace("bonafide target", "A11 target", 1)},
            r"key.txt:1: 'A11' in column 4 with target in column 5",
        ),
        ({"scores": SCORES.replace("\t-3\t", "\tinf\t")}, "inf"),
        (
            {"key": KEY.replace(" nontarget", " other")},
            "key.txt:3: class 'other'; expected target or nontarget or spoof",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(read, change, sentence):
    with pytest.raises(ScoreError, match=sentence):
        read(**change)
