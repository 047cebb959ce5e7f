"""Score files: what is read, and what is refused in which words."""

import pytest

from spoofcache import protocols
from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import AUDIO_ENDINGS, read_asv_scores, read_scores

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
def test_the_forms_with_keys_are_told_apart_by_content(score_file, content):
    cm = read_scores(score_file(content))
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
        ("xieyuankun", CM_XIEYUANKUN, ["bonafide", "spoof"], ["-", "A07"]),
        ("tsv", CM_TSV, ["bonafide", "spoof"], ["-", "A07"]),
        ("asvspoof2021", CM_2021, None, None),
        ("asvspoof5", CM_5, None, None),
    ],
)
def test_every_form_is_read(score_file, form, content, keys, attacks):
    path = score_file(content)
    file = read_scores(path)
    assert (file.path, file.form, file.utt_ids) == (path, form, ["LA_E_1", "LA_E_2"])
    assert (keys_of(file), file.attacks, file.scores.tolist()) == (keys, attacks, [2.5, -1e-8])


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
    assert (keys_of(file), file.attacks) == (keys, attacks)


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
    cm = read_scores(score_file(CM_2019.replace("-", attack, 1)))
    assert cm.attacks == ["-", "A07"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "{path}: empty; expected lines of `utt_id attack key score`, `utt_attack score key` or `utt_id score`"),
        ("\n \n", "{path}: empty; expected lines of"),
        ("a,b,c\n", "{path}:1: 1 columns in 'a,b,c'; expected lines of `utt_id attack key score`, `utt_attack"),
        (CM_2021 + "LA_E_3 A07 1\n", "{path}:3: 3 columns in 'LA_E_3 A07 1'; expected `utt_id score`"),
        (CM_2019 + "LA_E_3 A07 spoof\n", "{path}:3: 3 columns in 'LA_E_3 A07 spoof'; expected `utt_id attack key"),
        (CM_2019 + "\n", "{path}:3: 0 columns in ''; expected `utt_id attack key score`"),
        (CM_XIEYUANKUN + "LA_E_3 A07 spoof 1\n", "{path}:3: 4 columns in 'LA_E_3 A07 spoof 1'; expected `utt_attack"),
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
        (CM_XIEYUANKUN + "noattack 0.5 spoof\n", "{path}:3: name 'noattack'; expected utterance and attack joined"),
        (CM_XIEYUANKUN + "LA_E_3_ 0.5 spoof\n", "{path}:3: name 'LA_E_3_'; expected utterance and attack joined"),
        (
            CM_XIEYUANKUN + "LA_E_3_A07 0.5 bonafide\n",
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
        (CM_2019.encode() + b"\x89PNG\xff\n", "{path}:3: byte 0x89 is not text; expected lines of"),
        ("x" * 200 + "\n", "{path}:1: 1 columns in '" + "x" * 59 + "…'; expected"),
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
        (ASV + "bonafide target\n", "{path}:5: 2 columns in 'bonafide target'; expected `attack-or-bonafide"),
        (ASV + "bonafide impostor 1\n", "{path}:5: key 'impostor'; expected target or nontarget or spoof"),
        (ASV + "A07 target 1\n", "{path}:5: A07 with key target; expected `bonafide` with target and nontarget only"),
        (ASV + "bonafide spoof 1\n", "{path}:5: bonafide with key spoof; expected `bonafide` with target and"),
        (ASV + "A07 spoof NaN\n", "{path}:5: score 'NaN'; expected a finite number"),
        ("A07 spoof 2\n", "{path}: no target trial in 1 lines; expected all of target, nontarget, spoof"),
        (CM_XIEYUANKUN, "{path}:1: key '2.5'; expected target or nontarget or spoof"),
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
    """Counts from ../shared/data/README.md."""

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
