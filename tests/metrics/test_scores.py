"""Score files: what is read, what is refused and with which words, what is written."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache import protocols
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.scores import (
    AUDIO_ENDINGS,
    FORMS,
    CmScores,
    ScoreFile,
    TrialList,
    align,
    check_attacks,
    check_coverage,
    format_cm_scores,
    read_asv_scores,
    read_cm_scores,
    read_scores,
    trial_list,
)

CM_2019 = "LA_E_1 - bonafide 2.5\nLA_E_2 A07 spoof -1e-8\n"
CM_SEED003 = "LA_E_1_- 2.5 bonafide\nLA_E_2_A07 -1e-8 spoof\n"
CM_2021 = "LA_E_1 2.5\nLA_E_2 -1e-8\n"
CM_5 = "filename\tcm-score\nLA_E_1\t2.5\nLA_E_2\t-1e-8\n"
CM_TSV = "utt_id\tattack\tkey\tscore\nLA_E_1\t-\tbonafide\t2.5\nLA_E_2\tA07\tspoof\t-1e-8\n"
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
    [
        *(CM_2019, CM_SEED003, CM_TSV),
        *(CM_2019.replace("\n", "\r\n"), CM_2019.rstrip(), "\ufeff" + CM_2019, CM_2019.replace(" ", "\t  ")),
    ],
    ids=["asvspoof2019", "seed003", "tsv", "windows-newlines", "no-last-newline", "byte-order-mark", "wide-columns"],
)
def test_the_forms_with_keys_are_told_apart_by_content(score_file, content):
    cm = read_cm_scores(score_file(content))
    assert cm.utt_ids == ["LA_E_1", "LA_E_2"]
    assert cm.attacks == ["-", "A07"]
    assert cm.is_bonafide.tolist() == [True, False]
    assert cm.scores.tolist() == [2.5, -1e-8]
    assert cm.bonafide.tolist() == [2.5]
    assert cm.spoof.tolist() == [-1e-8]


@pytest.mark.parametrize(
    ("form", "content", "keys", "attacks"),
    [
        ("asvspoof2019", CM_2019, ["bonafide", "spoof"], ["-", "A07"]),
        ("seed003", CM_SEED003, ["bonafide", "spoof"], ["-", "A07"]),
        ("tsv", CM_TSV, ["bonafide", "spoof"], ["-", "A07"]),
        ("asvspoof2021", CM_2021, None, None),
        ("asvspoof5", CM_5, None, None),
    ],
)
def test_every_form_is_read(score_file, form, content, keys, attacks):
    path = score_file(content)
    file = read_scores(path)
    assert (file.path, file.form, file.utt_ids) == (path, form, ["LA_E_1", "LA_E_2"])
    assert (file.keys, file.attacks, file.scores.tolist()) == (keys, attacks, [2.5, -1e-8])


@pytest.mark.parametrize(
    ("header", "form", "row", "keys", "attacks"),
    [
        ("score key utterance", "tsv", "1 spoof u", ["spoof"], None),
        ("cm_score cm-label file attack_id", "tsv", "1 spoof u A01", ["spoof"], ["A01"]),
        ("trial label score attack", "tsv", "u bonafide 1 A00", ["bonafide"], ["-"]),
        ("utt_id attack score", "tsv", "u A01 1", None, ["A01"]),
        ("filename score", "tsv", "u 1", None, None),
        ("cm-score filename", "asvspoof5", "1 u", None, None),
        ("filename cm-score asv-score sasv-score", "asvspoof5", "u 1 not-read -", None, None),
    ],
)
def test_a_header_names_the_columns_in_any_order(score_file, header, form, row, keys, attacks):
    file = read_scores(score_file(f"{header}\n{row}\n".replace(" ", "\t")))
    assert (file.form, file.utt_ids, file.scores.tolist()) == (form, ["u"], [1])
    assert (file.keys, file.attacks) == (keys, attacks)


@pytest.mark.parametrize(
    ("content", "utt_ids"),
    [
        ("0.wav 1\n1 2\n", ["0", "1"]),
        ("a.FLAC - bonafide 1\nb.v2.mp3 A01 spoof 2\n", ["a", "b.v2"]),
        ("0.wav_- 1 bonafide\n1.opus_A01 2 spoof\n", ["0", "1"]),
        ("file1000.wav_16k.wav_norm.wav 1\nx.y 2\n.wav 3\n", ["file1000.wav_16k.wav_norm", "x.y", ".wav"]),
    ],
)
def test_audio_endings_are_no_part_of_a_name(score_file, content, utt_ids):
    assert read_scores(score_file(content)).utt_ids == utt_ids


def test_audio_endings_are_those_of_the_corpora():
    assert AUDIO_ENDINGS == protocols.AUDIO_ENDINGS


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
        ("", "{path}: empty; expected lines of `utt_id attack key score`, `utt_attack score key` or `utt_id score`"),
        ("\n \n", "{path}: empty; expected lines of"),
        (
            CM_2021,
            "{path}: form asvspoof2021 without keys; expected a form with them (asvspoof2019, seed003, tsv), or a",
        ),
        (CM_5, "{path}: form asvspoof5 without keys; expected a form with them"),
        ("a,b,c\n", "{path}:1: 1 columns in 'a,b,c'; expected lines of `utt_id attack key score`, `utt_attack"),
        (CM_2021 + "LA_E_3 A07 1\n", "{path}:3: 3 columns in 'LA_E_3 A07 1'; expected `utt_id score`"),
        (CM_2019 + "LA_E_3 A07 spoof\n", "{path}:3: 3 columns in 'LA_E_3 A07 spoof'; expected `utt_id attack key"),
        (CM_2019 + "\n", "{path}:3: 0 columns in ''; expected `utt_id attack key score`"),
        (CM_SEED003 + "LA_E_3 A07 spoof 1\n", "{path}:3: 4 columns in 'LA_E_3 A07 spoof 1'; expected `utt_attack"),
        (CM_2019 + "LA_E_3 A07 spoof nan\n", "{path}:3: score 'nan'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof -inf\n", "{path}:3: score '-inf'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof 1e999\n", "{path}:3: score '1e999'; expected a finite number"),
        (
            CM_2019 + "LA_E_3 A07 spoof -3.4028235e+38\n",
            "{path}:3: score '-3.4028235e+38'; expected a finite number within",
        ),
        (CM_2019 + "LA_E_3 A07 spoof 0,5\n", "{path}:3: score '0,5'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 fake 0.5\n", "{path}:3: key 'fake'; expected spoof or bonafide"),
        (CM_2019 + "LA_E_1 - bonafide 0.5\n", "{path}:3: trial LA_E_1 stands on line 1 already; expected every"),
        (CM_SEED003 + "noattack 0.5 spoof\n", "{path}:3: name 'noattack'; expected utterance and attack joined"),
        (CM_SEED003 + "LA_E_3_ 0.5 spoof\n", "{path}:3: name 'LA_E_3_'; expected utterance and attack joined"),
        (
            CM_SEED003 + "LA_E_3_A07 0.5 bonafide\n",
            "{path}:3: name 'LA_E_3_A07' with key bonafide; expected a bona fide",
        ),
        (CM_2019 + "LA_E_3 bonafide spoof 1\n", "{path}:3: attack 'bonafide' with key spoof; expected the attack's id"),
        (CM_2019 + "LA_E_3 A07 spoof 1_0\n", "{path}:3: score '1_0'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof ١\n", "{path}:3: score '١'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 bona-fide 1\n", "{path}:3: key 'bona-fide'; expected spoof or bonafide"),
        (CM_2019 + "LA_E_1.flac - bonafide 0.5\n", "{path}:3: trial LA_E_1 stands on line 1 already; expected every"),
        (
            CM_2019 + "LA\xa0E A07 spoof 1\n",
            "{path}:3: character U+00A0 in 'LA\\xa0E A07 spoof 1'; expected plain text",
        ),
        (
            CM_2019.replace("\n", "\r"),
            "{path}:1: character U+000D in 'LA_E_1 - bonafide 2.5\\rLA_E_2 A07 spoof -1e-8\\r'",
        ),
        (
            "a\0 - bonafide 1\n",
            "{path}:1: character U+0000 in 'a\\x00 - bonafide 1'; expected plain text, blanks and tabs",
        ),
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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            CM_TSV.replace("key", "sex"),
            "1: column 'sex'; expected a header of utt_id, utterance, trial, file, filename, at",
        ),
        (
            CM_TSV.replace("key", "cm-score"),
            "1: 2 columns of score in 'utt_id\\tattack\\tcm-score\\tscore'; expected one of",
        ),
        (
            CM_TSV.replace("key", "file"),
            "1: 2 columns of utt_id in 'utt_id\\tattack\\tfile\\tscore'; expected one of each",
        ),
        ("filename\tkey\nu\tspoof\n", "1: no column of score in 'filename\\tkey'; expected a header of utt_id"),
        ("cm-score\n1\n", "1: no column of utt_id in 'cm-score'; expected a header of utt_id"),
        (CM_TSV + "u\tA07\tspoof\n", "4: 3 columns in 'u\\tA07\\tspoof'; expected 4: utt_id, attack, key, score"),
        (CM_TSV + "u A07 spoof 1\n", "4: 1 columns in 'u A07 spoof 1'; expected 4: utt_id, attack, key, score"),
        (CM_5 + "song 1\t\n", "4: a blank or an empty cell in 'song 1\\t'; expected single tabs and no blanks"),
        (CM_5 + "song 1\t2\n", "4: a blank or an empty cell in 'song 1\\t2'; expected single tabs and no blanks"),
        (CM_TSV + "u\tA07\tfake\t1\n", "4: key 'fake'; expected spoof or bonafide"),
        (CM_TSV + "u\tA07\tspoof\tNaN\n", "4: score 'NaN'; expected a finite number"),
        (CM_TSV + "LA_E_2\tA07\tspoof\t1\n", "4: trial LA_E_2 stands on line 3 already; expected every trial once"),
        ("filename\tcm-score\n", " no trials below the header; expected one per line"),
    ],
)
def test_broken_tables_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_cm_scores(path)
    assert str(refusal.value).startswith(f"{path}:{sentence}")


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
        ("tsv", ["utt_id\tattack\tkey\tscore\n", "LA_E_1\t-\tbonafide\t2.5\n", "LA_E_2\tA07\tspoof\t-1e-08\n"]),
    ],
)
def test_every_form_is_written(form, lines):
    assert list(format_cm_scores(TWO_TRIALS, form)) == lines


def test_every_form_has_a_test_above():
    assert set(FORMS) == {"asvspoof2019", "asvspoof2021", "asvspoof5", "seed003", "tsv"}


@pytest.mark.parametrize("form", FORMS)
@given(numbers=st.lists(st.floats(-1e38, 1e38), min_size=2, max_size=5))
def test_what_is_written_reads_back_to_the_last_bit(tmp_path_factory, form, numbers):
    rows = [(f"u_{i}", "A07" if i else "-", "spoof" if i else "bonafide", score) for i, score in enumerate(numbers)]
    path = tmp_path_factory.getbasetemp() / f"{form}.txt"
    path.write_text("".join(format_cm_scores(cm_scores(*rows), form)))
    back = read_scores(path)
    utt_ids, attacks, keys, _ = map(list, zip(*rows, strict=True))
    assert back.scores.tobytes() == np.array(numbers).tobytes()
    assert (back.form, back.utt_ids) == (form, utt_ids)
    assert (back.attacks, back.keys) == (
        (attacks, keys) if form in ("asvspoof2019", "seed003", "tsv") else (None, None)
    )


@pytest.mark.parametrize(
    ("row", "form", "sentence"),
    [
        (("u", "A07", "spoof", float("nan")), "asvspoof2019", "score nan of u; expected a finite number"),
        (("u", "A07", "spoof", -1e39), "tsv", "score -1e+39 of u; expected a finite number within ±1e+38"),
        (("a b", "A07", "spoof", 1), "asvspoof2021", "utterance 'a b' with attack 'A07' cannot be written in form asv"),
        (("", "A07", "spoof", 1), "asvspoof2019", "utterance '' with attack 'A07' cannot be written"),
        (("u\0", "A07", "spoof", 1), "tsv", "utterance 'u\\x00' with attack 'A07' cannot be written in form tsv"),
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
        (KEYS, {**ATTACKS, "LA_E_2": "-"}, "1 attacks differ (LA_E_2)"),
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


def score_file_of(utt_ids, scores, keys=None, attacks=None):
    return ScoreFile(Path("mine.txt"), "tsv", utt_ids, np.array(scores, float), keys, attacks)


TRIALS = TrialList(["u1", "u2.flac", "u3"], np.array([True, False, False]), {"attack": np.array(["-", "A07", "-"])})


@pytest.mark.parametrize(
    ("keys", "attacks"),
    [
        (None, None),
        (["spoof", "spoof", "bonafide"], None),
        (["spoof", "spoof", "bonafide"], ["A09", "A07", "-"]),  # the protocol does not know the attack of u3
        (None, ["-", "-", "-"]),
    ],
)
def test_scores_come_in_the_order_of_the_trials(keys, attacks):
    scores = score_file_of(["u3", "u2", "u1"], [3, 2, 1], keys, attacks)
    assert align(scores, TRIALS, "mine against theirs").tolist() == [1, 2, 3]


def test_scores_of_trials_that_are_not_judged_are_dropped():
    scores = score_file_of(["u4", "u3", "u2", "u1"], [4, 3, 2, 1])
    assert align(scores, TRIALS, "mine against theirs", outside=["u4.flac", "u5"]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        (score_file_of(["u3"], [3]), "2 of 3 trials have no score (u1, u2)"),
        (score_file_of(["u1", "u2", "u3", "u4"], [1, 2, 3, 4]), "1 of 4 scores belong to no trial (u4)"),
        (score_file_of(["u3", "u2", "u1"], [3, 2, 1], ["spoof", "bonafide", "spoof"]), "2 keys differ (u1, u2)"),
        (score_file_of(["u1", "u2", "u3"], [1, 2, 3], None, ["-", "A08", "A09"]), "1 attacks differ (u2)"),
    ],
)
def test_scores_that_do_not_fit_the_trials_are_refused(scores, fault):
    with pytest.raises(ScoreError) as refusal:
        align(scores, TRIALS, "mine against theirs")
    expected = "expected one score for every trial, with its key"
    assert str(refusal.value) == f"mine against theirs: {fault}; {expected}"


def test_trials_that_differ_in_their_endings_only_are_refused():
    trials = TrialList(["a.wav", "a.mp3"], np.array([True, False]), {})
    with pytest.raises(ScoreError, match=r"^here: 1 of 2 trials share their name with another \(a\); expected"):
        align(score_file_of(["a"], [1]), trials, "here")


def test_the_trials_of_a_file_with_keys():
    trials = trial_list(score_file_of(["a", "b"], [1, 2], ["bonafide", "spoof"], ["-", "A07"]))
    assert (trials.utt_ids, trials.is_bonafide.tolist()) == (["a", "b"], [True, False])
    assert {name: column.tolist() for name, column in trials.columns.items()} == {"attack": ["-", "A07"]}


def test_attacks_that_a_file_does_not_tell_are_unknown():
    trials = trial_list(score_file_of(["a", "b"], [1, 2], ["bonafide", "spoof"]))
    assert trials.columns["attack"].tolist() == ["-", "-"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            None,
            r"^mine.txt: form tsv without keys; expected a form with them \(asvspoof2019, seed003, tsv\), or a prot",
        ),
        (["spoof", "spoof"], r"^mine.txt: all 2 trials are spoof; expected both bonafide and spoof"),
        (["bonafide", "bonafide"], r"^mine.txt: all 2 trials are bonafide; expected both bonafide and spoof"),
    ],
)
def test_without_two_classes_there_is_nothing_to_judge(keys, sentence):
    with pytest.raises(ScoreError, match=sentence):
        trial_list(score_file_of(["a", "b"], [1, 2], keys))


def test_attacks_without_asv_trials_are_named(score_file):
    asv = read_asv_scores(score_file(ASV.replace("A07", "A01").replace("A08", "A02")))
    with pytest.raises(ScoreError, match=r"^cm with asv: the ASV scores lack A07 of the CM scores; they hold A01, A02"):
        check_attacks(["A07"], asv, "cm with asv")


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

    def test_scores_of_the_first_rows_only_are_refused_against_all_trials(self, shared):
        folder = shared / "data/asvspoof2019_la"
        trials = trial_list(read_scores(folder / "cm_w2v2_lcnn_eval.txt"))
        with pytest.raises(ScoreError, match=r"^here: 61237 of 71237 trials have no score \(LA_E_"):
            align(read_scores(folder / "cm_incomplete_eval.txt"), trials, "here")
