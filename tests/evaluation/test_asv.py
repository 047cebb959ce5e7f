"""ASV scores are used with the edition that they belong to, and with another one only if the user insists."""

import re

import pytest

from spoofcache.evaluation.asv import EDITIONS, Counts
from spoofcache.evaluation.reading import Reading
from spoofcache.evaluation.testsets import evaluation_sets, parse_named
from spoofcache.metrics.det import ScoreError

PROTOCOL_2019 = "V1 b1 - - bonafide\nV1 b2 - - bonafide\nV2 s1 - A01 spoof\nV2 s2 - A02 spoof\n"
PROTOCOL_2021 = "V1 b1 alaw x_tx bonafide bonafide notrim eval\nV1 b2 gsm x_tx bonafide bonafide notrim progress\n"
PROTOCOL_2021 += "V2 s1 alaw x_tx A01 spoof notrim eval\nV2 s2 gsm x_tx A02 spoof notrim progress\n"
SCORES = "b1 4\nb2 3\ns1 -2\ns2 1\n"
ASV_2019 = "bonafide target 2\n- nontarget 0\nA01 spoof 3\nA02 spoof -1\n"
ASV_2021 = "V1-alaw-x_tx b1-alaw-x_tx 2\nV2-alaw-x_tx b1-alaw-x_tx 0\nV1-alaw-x_tx s1-alaw-x_tx 3\n"
KEY_2021 = """V1-alaw-x_tx b1-alaw-x_tx alaw x_tx bonafide target notrim eval
V2-alaw-x_tx b1-alaw-x_tx alaw x_tx bonafide nontarget notrim eval
V1-alaw-x_tx s1-alaw-x_tx alaw x_tx A01 spoof notrim eval
"""
EVAL = ["phase=eval"]


@pytest.fixture
def read(write):
    def asv(protocol, content, where=(), key="", anyway=False):
        reading = Reading(asv_key=write("key.txt", key) if key else None, asv_anyway=anyway)
        scores, protocol = (parse_named([str(write(*one))]) for one in (("cm.txt", SCORES), ("P.txt", protocol)))
        (test,) = evaluation_sets(scores, protocol, where, [write("asv.txt", content)], reading=reading)
        return [scores.tolist() for scores in test.asv.classes]

    return asv


def test_scores_of_2019_are_read_with_their_protocol(read):
    assert read(PROTOCOL_2019, ASV_2019) == [[2], [0], [3, -1]]


def test_scores_of_2021_are_read_with_their_key(read):
    assert read(PROTOCOL_2021, ASV_2021, EVAL, KEY_2021) == [[2], [0], [3]]


def test_scores_of_2021_need_their_key(read):
    with pytest.raises(ScoreError, match=r"asv.txt: ASV scores of ASVspoof 2021.*; expected --asv-key"):
        read(PROTOCOL_2021, ASV_2021, EVAL)


def test_scores_of_2019_with_a_protocol_of_2021_are_refused(read):
    with pytest.raises(ScoreError, match=r"in the form of ASVspoof 2019, but the protocol P is one of ASVspoof 2021"):
        read(PROTOCOL_2021, ASV_2019)
    assert read(PROTOCOL_2021, ASV_2019, anyway=True) == [[2], [0], [3, -1]]


def test_scores_of_2021_of_unknown_utterances_are_refused(read):
    others = [re.sub(r"\bs1-", "s9-", text) for text in (ASV_2021, KEY_2021)]
    with pytest.raises(ScoreError, match=r"1 spoofed utterances are not in the protocol, first s9; .* --asv-anyway"):
        read(PROTOCOL_2021, others[0], EVAL, others[1])
    assert read(PROTOCOL_2021, others[0], EVAL, others[1], anyway=True) == [[2], [0], [3]]


@pytest.mark.parametrize(("counts", "edition"), EDITIONS.items())
def test_published_counts_name_an_edition(read, counts, edition):
    attacks = ["A01", "A02"] * (counts.spoof // 2) + ["A01"] * (counts.spoof % 2)
    lines = ["bonafide target 2"] * counts.target + ["bonafide nontarget 0"] * counts.nontarget
    content = "\n".join([*lines, *(f"{attack} spoof 1" for attack in attacks)]) + "\n"
    with pytest.raises(
        ScoreError, match=f"those of {edition[0]}, which has {edition[1]:,} .* but the protocol P has 4;"
    ):
        read(PROTOCOL_2019, content)
    assert Counts(*map(len, read(PROTOCOL_2019, content, anyway=True))) == counts
