"""The ASV scores of ASVspoof 2021 are joined with the list of their trials by speaker and utterance."""

import re

import pytest

from spoofcache.metrics.asv_files import is_asv_2021, read_asv_2021, read_asv_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores

KEY = """SPK_1-alaw-ita_tx U_1-alaw-ita_tx alaw ita_tx bonafide target notrim eval
SPK_2-alaw-ita_tx U_1-alaw-ita_tx alaw ita_tx bonafide nontarget notrim eval
SPK_1-alaw-ita_tx U_2-alaw-ita_tx alaw ita_tx A07 spoof notrim eval
SPK_1-gsm-loc_tx U_3-gsm-loc_tx gsm loc_tx A08 spoof notrim progress
SPK_1-gsm-loc_tx U_4-gsm-loc_tx gsm loc_tx bonafide target notrim progress
SPK_2-gsm-loc_tx U_4-gsm-loc_tx gsm loc_tx bonafide nontarget notrim progress
"""
SCORES = """SPK_1-gsm-loc_tx U_3-gsm-loc_tx 3.5
SPK_2-alaw-ita_tx U_1-alaw-ita_tx -4
SPK_1-gsm-loc_tx U_4-gsm-loc_tx 7
SPK_1-alaw-ita_tx U_1-alaw-ita_tx 5.25
SPK_2-gsm-loc_tx U_4-gsm-loc_tx -6
SPK_1-alaw-ita_tx U_2-alaw-ita_tx 1e0
"""
PA = "PA_1 P_{0} R1 M1 d1 r1 m1 s1 c1 {1} notrim eval\n"


@pytest.fixture
def read(write):
    def joined(scores=SCORES, key=KEY, phases=(), known=()):
        return read_asv_2021(write("scores.txt", scores), write("key.txt", key), phases, known)

    return joined


def test_the_order_of_the_lines_does_not_matter(read):
    asv = read()
    assert [scores.tolist() for scores in asv.classes] == [[5.25, 7], [-4, -6], [1, 3.5]]
    assert asv.spoof_attacks == ["A07", "A08"]


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2), (0, 2, 1)])
def test_columns_may_stand_in_any_order(read, order):
    rows = [line.split() for line in SCORES.splitlines()]
    asv = read("".join(",".join(row[k] for k in order) + "\n" for row in rows))
    assert [scores.tolist() for scores in asv.classes] == [[5.25, 7], [-4, -6], [1, 3.5]]


def test_the_list_of_trials_is_no_file_of_scores(write):
    with pytest.raises(ScoreError, match=r"this looks like ASVspoof 2021's trial list .* which goes to --asv-key"):
        read_asv_scores(write("key.txt", KEY))


def test_a_header_names_the_score_among_several_numbers(write):
    path = write("asv.csv", "n,system,key,asv_score\n7,-,target,2\n9,-,nontarget,-1\n3,A07,spoof,0.5\n")
    assert [scores.tolist() for scores in read_asv_scores(path).classes] == [[2], [-1], [0.5]]


def test_only_trials_of_the_phases_count(read):
    asv = read(phases={"progress"})
    assert [scores.tolist() for scores in asv.classes] == [[7], [-6], [3.5]]


def test_a_trial_list_of_pa_has_no_attacks_and_no_header(read):
    names = [("1-a-b", "target"), ("2-a-b", "nontarget"), ("3-a-b", "spoof")]
    key = "".join(PA.format(name, state) for name, state in names).replace("PA_1 ", "PA_1-a-b ")
    asv = read("".join(f"PA_1-a-b P_{name} {k}\n" for k, (name, _) in enumerate(names)), key)
    assert ([scores.tolist() for scores in asv.classes], asv.spoof_attacks) == ([[0], [1], [2]], ["-"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"scores": SCORES.replace("U_2-", "U_9-")},
            "no score of trial SPK_1-alaw-ita_tx U_2-alaw-ita_tx; expected all",
        ),
        (
            {"scores": SCORES + "SPK_1-gsm-loc_tx U_3-gsm-loc_tx 9\n"},
            "two scores of trial SPK_1-gsm-loc_tx U_3-gsm-loc_tx",
        ),
        ({"scores": SCORES.replace(" 7", " nan")}, "nan"),
        (
            {"scores": re.sub("^SPK_[^ ]+ ", "", SCORES, flags=re.MULTILINE)},
            "scores.txt: 2 columns in '.*; expected lines of `speaker-codec",
        ),
        ({"key": KEY.replace("notrim ", "")}, "key.txt: 7 columns in '.*; expected ASVspoof 2021's list of ASV trials"),
        ({"key": KEY.replace("nontarget", "impostor")}, "key.txt:2: class 'impostor' of trial SPK_2-alaw-ita_tx U_1"),
        (
            {"key": KEY.replace("target", "bonafide").replace("nonbonafide", "bonafide")},
            "key.txt:1: class 'bonafide' of trial SPK_1-alaw-ita_tx U_1-alaw-ita_tx; expected target or nontarget",
        ),
        ({"key": KEY + KEY.splitlines(keepends=True)[2]}, "key.txt:7: trial SPK_1-alaw-ita_tx U_2-.* is listed twice"),
        (
            {"key": "".join(KEY.splitlines(keepends=True)[1:])},
            "scores.txt: 1 of 6 trials are not in .*key.txt, first SPK_1-alaw-ita_tx U_1-alaw-ita_tx; expected the",
        ),
        ({"phases": {"hidden"}}, "key.txt: no trial of the protocol's phase hidden, but of eval, progress; expected"),
        ({"known": {"U_1", "U_2"}}, "1 spoofed utterances are not in the protocol, first U_3; .* --asv-anyway"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(read, change, sentence):
    with pytest.raises(ScoreError, match=sentence):
        read(**change)


def test_the_form_is_recognised_by_its_names(write):
    assert is_asv_2021(write("2021.txt", SCORES))
    assert not is_asv_2021(write("2019.txt", "bonafide target 5\nA07 spoof 1\n"))
    assert not is_asv_2021(write("empty.txt", ""))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (SCORES, "ASVspoof 2021's scores of a speaker verification system .* go to --asv-scores"),
        (
            KEY,
            r"ASVspoof 2021's trial list of speaker verification \(ASV/trial_metadata.txt\), which goes to --asv-key",
        ),
        ("2.5 target\n-3.25 nontarget\n0.5 nontarget\n", "the input of Kaldi's compute-eer"),
        ("alice a-1 target\nbob a-1 nontarget\n", "a trial list of speaker verification in the form of Kaldi"),
    ],
)
def test_files_of_speaker_verification_are_no_countermeasure_scores(write, content, what):
    with pytest.raises(ScoreError, match=f"cm.txt: this looks like {what}"):
        read_scores(write("cm.txt", content))
