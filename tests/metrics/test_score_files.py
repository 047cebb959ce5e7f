"""Score files: what is read, and what is refused in which words."""

import pytest

from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores

CM_2019 = "LA_E_1 - bonafide 2.5\nLA_E_2 A07 spoof -1e-8\n"
CM_XIEYUANKUN = "LA_E_1_- 2.5 bonafide\nLA_E_2_A07 -1e-8 spoof\n"
CM_2021 = "LA_E_1 2.5\nLA_E_2 -1e-8\n"
CM_5 = "filename\tcm-score\nLA_E_1\t2.5\nLA_E_2\t-1e-8\n"
CM_TSV = "utt_id\tattack\tkey\tscore\nLA_E_1\t-\tbonafide\t2.5\nLA_E_2\tA07\tspoof\t-1e-8\n"
ASV = "bonafide target 3.5\nbonafide nontarget -1\nA07 spoof 2\nA08 spoof 0.5\n"


def keys_of(scores):
    return None if scores.is_bonafide is None else [["spoof", "bonafide"][key] for key in scores.is_bonafide.tolist()]


@pytest.fixture
def score_file(tmp_path):
    def write(content):
        path = tmp_path / "scores.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        *(CM_2019, CM_XIEYUANKUN, CM_TSV),
        *(CM_2019.replace("\n", "\r\n"), CM_2019.rstrip(), "\ufeff" + CM_2019, CM_2019.replace(" ", "\t  ")),
    ],
    ids=["asvspoof2019", "xieyuankun", "tsv", "windows-newlines", "no-last-newline", "byte-order-mark", "wide-columns"],
)
def test_the_forms_with_keys_are_distinguished_by_content(score_file, content):
    cm = read_scores(score_file(content))
    assert cm.utt_ids == ["LA_E_1", "LA_E_2"]
    assert cm.attacks == ["-", "A07"]
    assert cm.is_bonafide.tolist() == [True, False]
    assert cm.scores.tolist() == [2.5, -1e-8]
    assert cm.bonafide.tolist() == [2.5]
    assert cm.spoof.tolist() == [-1e-8]


@pytest.mark.parametrize(
    ("content", "keys", "attacks"),
    [
        (CM_2019, ["bonafide", "spoof"], ["-", "A07"]),
        (CM_XIEYUANKUN, ["bonafide", "spoof"], ["-", "A07"]),
        (CM_TSV, ["bonafide", "spoof"], ["-", "A07"]),
        (CM_2021, None, None),
        (CM_5, None, None),
    ],
)
def test_every_form_is_read(score_file, content, keys, attacks):
    path = score_file(content)
    file = read_scores(path)
    assert (file.path, file.utt_ids) == (path, ["LA_E_1", "LA_E_2"])
    assert (keys_of(file), file.attacks, file.scores.tolist()) == (keys, attacks, [2.5, -1e-8])


@pytest.mark.parametrize(
    ("header", "row", "keys", "attacks"),
    [
        ("score key utterance", "1 spoof u", ["spoof"], None),
        ("cm_score cm-label file attack_id", "1 spoof u A01", ["spoof"], ["A01"]),
        ("trial label score attack", "u bonafide 1 A00", ["bonafide"], ["-"]),
        ("utt_id attack score", "u A01 1", None, ["A01"]),
        ("filename score", "u 1", None, None),
        ("cm-score filename", "1 u", None, None),
        ("filename cm-score asv-score sasv-score", "u 1 not-read -", None, None),
    ],
)
def test_a_header_names_the_columns_in_any_order(score_file, header, row, keys, attacks):
    file = read_scores(score_file(f"{header}\n{row}\n".replace(" ", "\t")))
    assert (file.utt_ids, file.scores.tolist()) == (["u"], [1])
    assert (keys_of(file), file.attacks) == (keys, attacks)


@pytest.mark.parametrize(
    ("content", "utt_ids"),
    [
        ("0.wav 1\n1 2\n", ["0.wav", "1"]),
        ("a.FLAC - bonafide 1\nb.v2.mp3 A01 spoof 2\n", ["a.FLAC", "b.v2.mp3"]),
        ("0.wav_- 1 bonafide\n1.opus_A01 2 spoof\n", ["0.wav", "1.opus"]),
        ("filename\tscore\ntts one/x.wav\t1\ntts one/y.wav\t2\n", ["tts one/x.wav", "tts one/y.wav"]),
    ],
)
def test_names_stay_as_they_are_written(score_file, content, utt_ids):
    """How two files' names are compared is decided where they are matched: tests/common/test_names.py."""
    assert read_scores(score_file(content)).utt_ids == utt_ids


OUTPUTS = "file,out_a,out_b\nu.wav,-2.1,2.1\nv.wav,1.4,-1.4\n"


def test_two_outputs_of_a_network_are_not_chosen_from(score_file):
    with pytest.raises(ScoreError) as refusal:
        read_scores(score_file(OUTPUTS))
    sentence = str(refusal.value)
    assert "columns 2 and 3 mirror each other, as two outputs of a network do" in sentence
    assert "score = column 2 (`out_a`), '-2.1' or score = column 3 (`out_b`), '2.1'" in sentence
    assert sentence.endswith("expected --column score=out_a or --column score=out_b")
    assert read_scores(score_file(OUTPUTS), {"score": "out_b"}).scores.tolist() == [2.1, -1.4]
    assert read_scores(score_file(OUTPUTS), {"score": "2"}).scores.tolist() == [-2.1, 1.4]


def test_two_probabilities_that_sum_to_one_are_not_chosen_from(score_file):
    with pytest.raises(ScoreError, match="columns 2 and 3 sum to one"):
        read_scores(score_file("u 0.9 0.1\nv 0.25 0.75\nw 0.5 0.5\n"))


@pytest.mark.parametrize(
    ("content", "scores"),
    [
        ("Output, u, 1, 2.1\nOutput, v, 0, -1\n", [2.1, -1]),
        (",filename,cm-score\n0,u,2.1\n1,v,-1\n", [2.1, -1]),
        (" filename cm-score\n0 u 2.1\n1 v -1\n2 w 3\n", [2.1, -1, 3]),
        ("Datei;Wert\nu1;2.1\nu2;-1\n", [2.1, -1]),
        ("# scores of run 3\nu 2.1\n\nv -1\n", [2.1, -1]),
        ('"u 1" 2.1\n"v 1" -1\n', [2.1, -1]),
        ("7 2.5\n8 -1.5\n", [2.5, -1.5]),
    ],
)
def test_other_columns_do_not_change_the_scores(score_file, content, scores):
    assert read_scores(score_file(content)).scores.tolist() == scores


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("u1 0,5\nu2 1,5\n", "1: '0,5' in column 2; expected numbers with a decimal point, not a comma"),
        ("u1;0,5\nu2;1,5\n", "1: '0,5' in column 2; expected numbers with a decimal point, not a comma"),
        ("7 2\n8 1\n", "1: '7 2' can be read in 2 ways: utterance = column 1, '7' or utterance = column 2, '2'"),
        ("u1 1.5 2.5\nu2 1 7\n", "1: 'u1 1.5 2.5' can be read in 2 ways: score = column 2, '1.5' or score = column 3"),
        ("u1 2.5\n#u2 1.5\n", "2: '#u2 1.5' begins with # as a comment does, but has the form of a trial"),
        ("u1 word\nu2 1\nu3 2\n", "1: score 'word'; expected a finite number"),
    ],
)
def test_a_table_that_can_be_read_in_two_ways_is_refused(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_scores(path)
    assert str(refusal.value).startswith(f"{path}:{sentence}")


@pytest.mark.parametrize("attack", ["A00", "bonafide", "-"])
def test_any_value_for_the_attack_of_bona_fide_means_none(score_file, attack):
    cm = read_scores(score_file(CM_2019.replace("-", attack, 1)))
    assert cm.attacks == ["-", "A07"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected one line per trial with the name of the utterance and its score"),
        ("\n \n", "{path}: empty; expected one line per trial"),
        (
            "a,b,c\n",
            "{path}: no column of numbers in 'a,b,c' (1 row of 3 columns separated by commas, no header); expected",
        ),
        (
            CM_2021 + "LA_E_3 A07 1\n",
            "{path}:3: 3 columns in 'LA_E_3 A07 1'; expected 2, separated by blanks, as in line 1",
        ),
        (CM_2019 + "LA_E_3 A07 spoof\n", "{path}:3: 3 columns in 'LA_E_3 A07 spoof'; expected 4, separated by"),
        (CM_XIEYUANKUN + "LA_E_3 A07 spoof 1\n", "{path}:3: 4 columns in 'LA_E_3 A07 spoof 1'; expected 3, separated"),
        (CM_2019 + "LA_E_3 A07 spoof nan\n", "{path}:3: score 'nan'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof -inf\n", "{path}:3: score '-inf'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof 1e999\n", "{path}:3: score '1e999'; expected a finite number"),
        (
            CM_2019 + "LA_E_3 A07 spoof -3.4028235e+38\n",
            "{path}:3: score '-3.4028235e+38'; expected a finite number within",
        ),
        (
            CM_2019 + "LA_E_3 A07 spoof 0,5\n",
            "{path}:3: '0,5' in column 4; expected numbers with a decimal",
        ),
        (CM_2019 + "LA_E_3 A07 spoofy 0.5\n", "{path}:3: key 'spoofy'; expected bonafide or spoof, or words that mean"),
        (CM_2019 + "LA_E_1 - bonafide 0.5\n", "{path}:3: trial 'LA_E_1' is in line 1 already; expected every"),
        (CM_XIEYUANKUN + "noattack 0.5 spoof\n", "{path}:3: name 'noattack'; expected utterance and attack joined"),
        (CM_XIEYUANKUN + "LA_E_3_ 0.5 spoof\n", "{path}:3: name 'LA_E_3_'; expected utterance and attack joined"),
        (
            CM_XIEYUANKUN + "LA_E_3_A07 0.5 bonafide\n",
            "{path}:3: name 'LA_E_3_A07' with key bonafide; expected a bona fide",
        ),
        (CM_2019 + "LA_E_3 bonafide spoof 1\n", "{path}:3: attack 'bonafide' with key spoof; expected the attack's id"),
        (CM_2019 + "LA_E_3 A07 spoof 1_0\n", "{path}:3: score '1_0'; expected a finite number"),
        (CM_2019 + "LA_E_3 A07 spoof ١\n", "{path}:3: score '١'; expected a finite number"),
        (
            CM_2019 + "LA_E_1.flac - bonafide 0.5\n",
            "{path}:3: trial 'LA_E_1' and 'LA_E_1.flac' is in line",
        ),
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
        (CM_2019.encode() + b"\x89PNG\xff\n", "{path}:3: byte 0x89 is not text; expected one line per trial"),
        ("x" * 200 + "\n", "{path}:1: 1 column in '" + "x" * 59 + "…'; expected"),
    ],
)
def test_broken_cm_files_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_scores(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            CM_TSV.replace("key", "score"),
            "1: header utt_id attack score score has 2 columns 'score'; expected every name once",
        ),
        ("file\tcm-score\tscore\nu\t1\t2\n", "2: 'file\\tcm-score\\tscore' can be read in 2 ways: score = column 2"),
        (
            "filename\tkey\nu\tspoof\n",
            " no column of numbers in 'filename\\tkey' (1 row of 2 columns separated by",
        ),
        ("cm-score\n1\n", "1: 1 column in 'cm-score'; expected two columns or more, separated by"),
        (CM_TSV + "u\tA07\tspoof\n", "4: 3 columns in 'u\\tA07\\tspoof'; expected 4, separated by tabs, as in line 1"),
        (CM_5 + "song 1\t\n", "4: score ''; expected a finite number within ±1e+38 (understood: utterance = column 1"),
        (CM_TSV + "u\tA07\tfaked\t1\n", "4: key 'faked'; expected bonafide or spoof"),
        (CM_TSV + "u\tA07\tspoof\tNaN\n", "4: score 'NaN'; expected a finite number"),
        (CM_TSV + "LA_E_2\tA07\tspoof\t1\n", "4: trial 'LA_E_2' is in line 3 already; expected every trial once"),
        ("filename\tcm-score\n", "1: no row below the header; expected one row per trial"),
    ],
)
def test_broken_tables_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_scores(path)
    assert str(refusal.value).startswith(f"{path}:{sentence}")


def test_asv_scores(score_file):
    asv = read_asv_scores(score_file(ASV))
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([3.5], [-1], [2, 0.5])
    assert asv.spoof_attacks == ["A07", "A08"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected lines of `attack-or-bonafide target|nontarget|spoof score`"),
        (ASV + "bonafide target\n", "{path}:5: 2 columns in 'bonafide target'; expected 3, separated by"),
        (ASV + "bonafide impostor 1\n", "{path}:5: key 'impostor'; expected target or nontarget or spoof"),
        (ASV + "A07 target 1\n", "{path}:5: A07 with key target; expected `bonafide` or `-` with target and"),
        (ASV + "bonafide spoof 1\n", "{path}:5: bonafide with key spoof; expected `bonafide` or `-` with"),
        (ASV + "A07 spoof NaN\n", "{path}:5: score 'NaN'; expected a finite number"),
        ("A07 spoof 2\n", "{path}: no target trial in 1 lines; expected all of target, nontarget, spoof"),
        (CM_XIEYUANKUN, "{path}: no column states target, nontarget or spoof in 'LA_E_1_- 2.5 bonafide'"),
        (b"\xff\xfe", "{path}:1: byte 0xff is not text; expected lines of `attack-or-bonafide"),
    ],
)
def test_broken_asv_files_are_refused_with_line_and_value(score_file, content, sentence):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_asv_scores(path)
    assert str(refusal.value).startswith(sentence.format(path=path))


@pytest.mark.corpus
class TestPublishedFiles:
    """The published score files have as many trials as their protocols."""

    @pytest.mark.parametrize(
        ("file", "n_bonafide", "n_spoof"),
        [("cm_w2v2_lcnn_eval.txt", 7_355, 63_882), ("cm_inverted_sign_eval.txt", 7_355, 63_882)],
    )
    def test_cm(self, shared, file, n_bonafide, n_spoof):
        cm = read_scores(shared / "data/asvspoof2019_la" / file)
        assert (cm.bonafide.size, cm.spoof.size) == (n_bonafide, n_spoof)
        assert sorted(set(cm.attacks) - {"-"}) == [f"A{number:02}" for number in range(7, 20)]

    def test_asv(self, shared):
        asv = read_asv_scores(shared / "data/asvspoof2019_la/ASVspoof2019.LA.asv.eval.gi.trl.scores.txt")
        assert (asv.target.size, asv.nontarget.size, asv.spoof.size) == (5_370, 33_327, 63_882)


def test_a_key_of_0_and_1_is_read_with_a_remark_on_the_meaning_of_1(score_file):
    path = score_file("u1 2.5 1\nu2 -1.5 0\n")
    file = read_scores(path, {"key": "3"})
    assert keys_of(file) == ["bonafide", "spoof"]
    assert file.remarks == (f"{path}: 1 in column 3 was taken for bona fide (if it means spoof: --column spoof=3)",)
    stated = read_scores(path, {"spoof": "3"})
    assert (keys_of(stated), stated.remarks) == (["spoof", "bonafide"], ())


@pytest.mark.parametrize(
    ("content", "column", "reference"),
    [
        ("u1 A01 3.25\nu2 A01 4.5\nu3 A02 2\n", "column 3", "3"),
        ("u1 3.25\nu2 4.5\n", "column 2", "2"),
        ("u1,3.25\nu2,4.5\n", "column 2", "2"),
        ("Datei;Wert\nu1;3.25\nu2;4.5\n", "column 2 (`Wert`)", "Wert"),
    ],
)
def test_numbers_that_may_be_durations_are_scores_with_a_remark(score_file, content, column, reference):
    (remark,) = read_scores(score_file(content)).remarks
    assert f"{column} was taken for the score" in remark
    assert remark.endswith(f"(--column score={reference} confirms it)")
    assert read_scores(score_file(content), {"score": reference}).remarks == ()
    assert read_scores(score_file(content.replace("4.5", "-4.5"))).remarks == ()


def test_a_header_that_says_score_leaves_nothing_to_confirm(score_file):
    assert read_scores(score_file("file,cm-score\nu1,3.25\nu2,4.5\n")).remarks == ()
    assert read_scores(score_file("file,bonafide_score\nu1,3.25\nu2,4.5\n")).remarks == ()


@pytest.mark.parametrize(
    ("content", "one", "other"),
    [
        ('ID,Score\nu,"[-2.5, 2.5]"\nv,"[1.5, -1.5]"\n', "Score[1]", "Score[2]"),
        ("ID,Score\nu,[-2.5, 2.5]\nv,[1.5, -1.5]\n", "Score[1]", "Score[2]"),
        ("ID;Label;Logits\nu;1;(-2.5, 2.5)\nv;0;(1.5, -1.5)\n", "Logits[1]", "Logits[2]"),
        ("u [-2.5, 2.5]\nv [1.5, -1.5]\n", "2[1]", "2[2]"),
        ("u  [ -2.5 2.5 ]\nv  [ 1.5 -1.5 ]\n", "2[1]", "2[2]"),
        ("u\t-2.5 2.5\nv\t1.5 -1.5\n", "2[1]", "2[2]"),
        ("u\t-2.5,2.5\nv\t1.5,-1.5\n", "2[1]", "2[2]"),
    ],
)
def test_two_numbers_in_a_cell_are_not_chosen_from(score_file, content, one, other):
    with pytest.raises(ScoreError) as refusal:
        read_scores(score_file(content))
    sentence = str(refusal.value)
    assert "mirror each other, as two outputs of a network do" in sentence
    assert f"(`{one}`), '-2.5' or score = " in sentence
    assert f"(`{other}`), '2.5'" in sentence
    assert sentence.endswith(f"expected --column score={one} or --column score={other}")
    assert read_scores(score_file(content), {"score": one}).scores.tolist() == [-2.5, 1.5]
    assert read_scores(score_file(content), {"score": other}).scores.tolist() == [2.5, -1.5]


def test_a_named_score_beside_lists_of_numbers_is_the_score(score_file):
    content = 'ID,Logits,Score\nu,"[-2.5, 2.5]",0.5\nv,"[1.5, -1.5]",-0.5\n'
    assert read_scores(score_file(content)).scores.tolist() == [0.5, -0.5]


def test_a_list_of_another_length_is_refused_with_its_line(score_file):
    path = score_file('ID,Score\nu,"[1, 2]"\nv,"[1, 2, 3]"\nw,"[3, 4]"\n')
    with pytest.raises(ScoreError, match=r":3: score '\[1, 2, 3\]'; expected a finite number"):
        read_scores(path, {"score": "Score[2]"})


@pytest.mark.parametrize("content", ["u;1.100,25\nv;1.200,25\n", 'ID,Score\nu,"2,5"\nv,"3,5"\n'])
def test_numbers_with_a_comma_are_never_split_silently(score_file, content):
    with pytest.raises(ScoreError, match=r"can be read in 2 ways: .*'1.100'|:2: score '2,5'; expected a finite"):
        read_scores(score_file(content))


@pytest.mark.parametrize("content", ['{"u": 2.5, "v": 1}\n', '{"utt": "u", "score": 2.5}\n', "[\n  {\n"])
def test_json_is_refused_by_name(score_file, content):
    path = score_file(content)
    with pytest.raises(ScoreError) as refusal:
        read_scores(path)
    assert str(refusal.value) == f"{path}: this looks like JSON; expected a table with one line per trial"


def test_what_a_system_decided_is_no_key(score_file):
    content = "file,label,prediction,score\nu,bonafide,spoof,-1\nv,spoof,bonafide,1\nw,spoof,spoof,-2\n"
    file = read_scores(score_file(content))
    assert (keys_of(file), file.attacks) == (["bonafide", "spoof", "spoof"], None)
    assert keys_of(read_scores(score_file(content.replace(",label,", ",other,").replace("u,bonafide", "u,x")))) is None


def test_the_two_logits_of_a_network_stand_beside_a_label_of_0_and_1(score_file):
    content = "".join(f'u{n},"tensor([{-n}.5, {n}.5])",{n % 2}\n' for n in range(4))
    path = score_file(content)
    with pytest.raises(ScoreError, match=r"(?s)2 (readings|ways).*score=2\[1\] or --column score=2\[2\]"):
        read_scores(path)
    assert read_scores(path, {"score": "2[2]"}).scores.tolist() == [0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("header", ["spoof_score", "p_fake", "Deepfake"])
def test_scores_of_spoof_are_read_as_they_are_with_a_remark(score_file, header):
    scores = read_scores(score_file(f"file,{header}\nu1,-0.5\nu2,1.5\n"))
    assert scores.scores.tolist() == [-0.5, 1.5]
    assert "a higher score must mean bona fide, not spoof" in scores.remarks[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("fake 1 real\nu1 2 fake\nu2 3 real\n", r":1: utterance 'fake'; expected a name, or a header"),
        ("x real 0 fake\nu1 bonafide 2 -\nu2 spoof 3 A01\n", r":1: attack 'fake' with key bonafide"),
    ],
)
def test_a_header_that_looks_like_a_trial_is_refused(score_file, content, sentence):
    with pytest.raises(ScoreError, match=sentence):
        read_scores(score_file(content))
