"""Score files: what is read, what is refused and with which words, what is written."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.det import ScoreError
from metrics.scores import (
    FORMS,
    CmScores,
    check_attacks,
    check_coverage,
    format_cm_scores,
    read_asv_scores,
    read_cm_scores,
)

CM_2019 = "LA_E_1 - bonafide 2.5\nLA_E_2 A07 spoof -1e-8\n"
CM_SEED003 = "LA_E_1_- 2.5 bonafide\nLA_E_2_A07 -1e-8 spoof\n"
ASV = "bonafide target 3.5\nbonafide nontarget -1\nA07 spoof 2\nA08 spoof 0.5\n"


@pytest.fixture
def score_file(tmp_path):
    def write(content):
        path = tmp_path / "scores.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def cm_scores(*rows):
    utt_ids, attacks, keys, scores = zip(*rows, strict=True)
    return CmScores(list(utt_ids), list(attacks), np.array(keys) == "bonafide", np.array(scores, float))


TWO_TRIALS = cm_scores(("LA_E_1", "-", "bonafide", 2.5), ("LA_E_2", "A07", "spoof", -1e-8))


@pytest.mark.parametrize(
    "content",
    [CM_2019, CM_SEED003, CM_2019.replace("\n", "\r\n"), CM_2019.rstrip(), "\ufeff" + CM_2019],
    ids=["asvspoof2019", "seed003", "windows-newlines", "no-last-newline", "byte-order-mark"],
)
def test_both_forms_are_told_apart_by_content(score_file, content):
    cm = read_cm_scores(score_file(content))
    assert cm.utt_ids == ["LA_E_1", "LA_E_2"]
    assert cm.attacks == ["-", "A07"]
    assert cm.is_bonafide.tolist() == [True, False]
    assert cm.scores.tolist() == [2.5, -1e-8]
    assert cm.bonafide.tolist() == [2.5]
    assert cm.spoof.tolist() == [-1e-8]


@pytest.mark.parametrize("attack", ["A00", "bonafide", "-"])
def test_whatever_stands_as_the_attack_of_bona_fide_means_none(score_file, attack):
    cm = read_cm_scores(score_file(CM_2019.replace("-", attack, 1)))
    assert cm.attacks == ["-", "A07"]


def test_spoof_scores_by_attack():
    rows = [("a", "A09", "spoof", 1), ("b", "-", "bonafide", 2), ("c", "A07", "spoof", 3), ("d", "A09", "spoof", 4)]
    by_attack = cm_scores(*rows).spoof_by_attack()
    assert list(by_attack) == ["A07", "A09"]
    assert by_attack["A09"].tolist() == [1, 4]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected lines of `utt_id attack key score` or `utt_attack score key`"),
        ("\n \n", "{path}: empty; expected lines of"),
        ("LA_E_1 0.5\n", "{path}:1: 2 columns in 'LA_E_1 0.5'; expected `utt_id attack key score` or `utt_attack"),
        (CM_2019 + "LA_E_3 A07 spoof\n", "{path}:3: 3 columns in 'LA_E_3 A07 spoof'; expected `utt_id attack key"),
        (CM_2019 + "\n", "{path}:3: 0 columns in ''; expected `utt_id attack key score`"),
        (CM_SEED003 + "LA_E_3 A07 spoof 1\n", "{path}:3: 4 columns in 'LA_E_3 A07 spoof 1'; expected `utt_attack"),
        (CM_2019 + "LA_E_3 A07 spoof nan\n", "{path}:3: score 'nan'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof -inf\n", "{path}:3: score '-inf'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof 1e999\n", "{path}:3: score '1e999'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof 0,5\n", "{path}:3: score '0,5'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 fake 0.5\n", "{path}:3: key 'fake'; expected spoof or bonafide"),
        (CM_2019 + "LA_E_1 - bonafide 0.5\n", "{path}:3: trial LA_E_1 stands on line 1 already; expected every"),
        (CM_SEED003 + "noattack 0.5 spoof\n", "{path}:3: name 'noattack'; expected utterance and attack joined"),
        (CM_SEED003 + "LA_E_3_ 0.5 spoof\n", "{path}:3: name 'LA_E_3_'; expected utterance and attack joined"),
        ("a A1 spoof 1\nb A1 spoof 2\n", "{path}: all 2 trials are spoof; expected both bonafide and spoof"),
        (CM_2019.encode() + b"\x89PNG\xff\n", "{path}:3: byte 0x89 is not text; expected lines of"),
        ("x" * 200 + "\n", "{path}:1: 1 columns in '" + "x" * 59 + "…'; expected"),
    ],
)
def test_broken_cm_files_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_cm_scores(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


def test_asv_scores(score_file):
    asv = read_asv_scores(score_file(ASV))
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([3.5], [-1], [2, 0.5])
    assert asv.spoof_attacks == ["A07", "A08"]
    assert {attack: scores.tolist() for attack, scores in asv.spoof_by_attack().items()} == {"A07": [2], "A08": [0.5]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected lines of `attack-or-bonafide target|nontarget|spoof score`"),
        (ASV + "bonafide target\n", "{path}:5: 2 columns in 'bonafide target'; expected `attack-or-bonafide"),
        (ASV + "bonafide impostor 1\n", "{path}:5: key 'impostor'; expected target or nontarget or spoof"),
        (ASV + "A07 target 1\n", "{path}:5: A07 with key target; expected `bonafide` with target and nontarget only"),
        (ASV + "bonafide spoof 1\n", "{path}:5: bonafide with key spoof; expected `bonafide` with target and"),
        (ASV + "A07 spoof NaN\n", "{path}:5: score 'NaN'; expected a finite number"),
        ("A07 spoof 2\n", "{path}: no target trial in 1 lines; expected all of target, nontarget, spoof"),
        (CM_SEED003, "{path}:1: key '2.5'; expected target or nontarget or spoof"),
        (b"\xff\xfe", "{path}:1: byte 0xff is not text; expected lines of `attack-or-bonafide"),
    ],
)
def test_broken_asv_files_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_asv_scores(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("asvspoof2019", ["LA_E_1 - bonafide 2.5\n", "LA_E_2 A07 spoof -1e-08\n"]),
        ("asvspoof2021", ["LA_E_1 2.5\n", "LA_E_2 -1e-08\n"]),
        ("asvspoof5", ["filename\tcm-score\n", "LA_E_1\t2.5\n", "LA_E_2\t-1e-08\n"]),
        ("seed003", ["LA_E_1_- 2.5 bonafide\n", "LA_E_2_A07 -1e-08 spoof\n"]),
    ],
)
def test_every_form_is_written(form, lines):
    assert list(format_cm_scores(TWO_TRIALS, form)) == lines


def test_every_form_has_a_test_above():
    assert set(FORMS) == {"asvspoof2019", "asvspoof2021", "asvspoof5", "seed003"}


@pytest.mark.parametrize("form", ["asvspoof2019", "seed003"])
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=5))
def test_what_is_written_reads_back_to_the_last_bit(tmp_path_factory, form, numbers):
    rows = [(f"u_{i}", "A07" if i else "-", "spoof" if i else "bonafide", score) for i, score in enumerate(numbers)]
    path = tmp_path_factory.getbasetemp() / f"{form}.txt"
    path.write_text("".join(format_cm_scores(cm_scores(*rows), form)))
    back = read_cm_scores(path)
    assert back.scores.tobytes() == np.array(numbers).tobytes()
    assert (back.utt_ids, back.attacks) == ([row[0] for row in rows], [row[1] for row in rows])


@pytest.mark.parametrize(
    ("row", "form", "sentence"),
    [
        (("u", "A07", "spoof", float("nan")), "asvspoof2019", "score nan of u; expected a finite number"),
        (("a b", "A07", "spoof", 1), "asvspoof2021", "utterance 'a b' with attack 'A07' cannot be written in form asv"),
        (("", "A07", "spoof", 1), "asvspoof2019", "utterance '' with attack 'A07' cannot be written"),
        (
            ("u", "my_tts", "spoof", 1),
            "seed003",
            "utterance 'u' with attack 'my_tts' cannot be written in form seed003",
        ),
        (("u", "A07", "spoof", 1), "asvspoof2017", "score form 'asvspoof2017'; expected one of asvspoof2019, asv"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(row, form, sentence):
    with pytest.raises(ScoreError) as refusal:
        format_cm_scores(cm_scores(row), form)
    assert str(refusal.value).startswith(sentence)


KEYS = {"LA_E_1": "bonafide", "LA_E_2": "spoof"}
ATTACKS = {"LA_E_1": "-", "LA_E_2": "A07"}


def test_scores_of_exactly_the_trials_are_accepted():
    check_coverage(TWO_TRIALS, KEYS, ATTACKS, "here")


@pytest.mark.parametrize(
    ("keys", "attacks", "sentence"),
    [
        (
            {**KEYS, **{f"m{i}": "spoof" for i in range(7)}},
            ATTACKS,
            "7 of 9 trials have no score (m0, m1, m2, m3, m4, …)",
        ),
        ({"LA_E_1": "bonafide"}, ATTACKS, "1 of 2 scores belong to no trial (LA_E_2)"),
        ({**KEYS, "LA_E_1": "spoof"}, ATTACKS, "1 keys differ (LA_E_1)"),
        (KEYS, {**ATTACKS, "LA_E_2": "A08"}, "1 attacks differ (LA_E_2)"),
        (
            {"LA_E_1": "spoof", "new": "spoof"},
            {"LA_E_1": "-"},
            "1 of 2 trials have no score (new); 1 of 2 scores belong to no trial (LA_E_2); 1 keys differ (LA_E_1)",
        ),
    ],
)
def test_any_other_coverage_is_refused_with_counts_and_names(keys, attacks, sentence):
    with pytest.raises(ScoreError) as refusal:
        check_coverage(TWO_TRIALS, keys, attacks, "cm.txt against protocol.txt")
    expected = "expected one score for every trial, with its key"
    assert str(refusal.value) == f"cm.txt against protocol.txt: {sentence}; {expected}"


def test_attacks_without_asv_trials_are_named(score_file):
    asv = read_asv_scores(score_file(ASV.replace("A07", "A01").replace("A08", "A02")))
    with pytest.raises(ScoreError, match=r"^cm with asv: the ASV scores lack A07 of the CM scores; they hold A01, A02"):
        check_attacks(TWO_TRIALS, asv, "cm with asv")


@pytest.mark.corpus
class TestPublishedFiles:
    """Counts from ../shared/data/README.md."""

    @pytest.mark.parametrize(
        ("file", "n_bonafide", "n_spoof"),
        [("cm_w2v2_lcnn_eval.txt", 7_355, 63_882), ("cm_inverted_sign_eval.txt", 7_355, 63_882)],
    )
    def test_cm(self, shared, file, n_bonafide, n_spoof):
        cm = read_cm_scores(shared / "data/asvspoof2019_la" / file)
        assert (cm.bonafide.size, cm.spoof.size) == (n_bonafide, n_spoof)
        assert list(cm.spoof_by_attack()) == [f"A{number:02}" for number in range(7, 20)]

    def test_asv(self, shared):
        asv = read_asv_scores(shared / "data/asvspoof2019_la/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
        assert (asv.target.size, asv.nontarget.size, asv.spoof.size) == (5_370, 33_327, 63_882)

    def test_seed003_rewritten_as_asvspoof2019_is_the_same(self, shared, tmp_path):
        published = read_cm_scores(shared / "data/asvspoof2019_la/cm_w2v2_lcnn_eval.txt")
        path = tmp_path / "rewritten.txt"
        path.write_text("".join(format_cm_scores(published, "asvspoof2019")))
        rewritten = read_cm_scores(path)
        np.testing.assert_array_equal(rewritten.scores, published.scores)
        assert (rewritten.utt_ids, rewritten.attacks) == (published.utt_ids, published.attacks)
