"""MLAAD: a table per system in folders of languages; bona fide speech is M-AILABS, given apart."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.mlaad import read_protocol
from spoofcache.protocols.trial import ProtocolError
from tests.protocols.layouts import LAYOUTS

TABLE = "path|language|model_name|architecture|transcript\n./fake/de/vits/a.wav|de|tts/vits|VITS|"


def write_table(folder, content):
    path = folder / "fake" / "de" / "vits" / "meta.csv"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


def test_folders_determine_language_and_attack_and_the_table_the_architecture(tmp_path):
    where = LAYOUTS["mlaad"].write(tmp_path)
    german, english, bonafide = load_trials("mlaad", where, "train")
    assert (german.utt_id, german.attack) == ("fake/de/griffin_lim/a", "griffin_lim")
    assert german.conditions == {"language": "de", "architecture": "Griffin Lim", "model": "gl"}
    assert (english.utt_id, english.attack) == ("fake/en/OpenAI_TTS-1_HD/a", "OpenAI_TTS-1_HD")
    assert english.conditions == {"language": "en", "model": "tts-1-hd"}
    assert english.path == where.root / "fake/en/OpenAI TTS-1 HD/a.wav"
    assert (bonafide.key, bonafide.speaker, bonafide.conditions) == ("bonafide", "mary_ann", {"language": "en"})


def test_bona_fide_speech_of_another_layout_has_no_language(tmp_path):
    where = LAYOUTS["mlaad"].write(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.wav").touch()
    trials = load_trials("mlaad", Location(root=where.root, bonafide_dir=tmp_path / "other"), "train")
    assert [(trial.utt_id, trial.conditions) for trial in trials if trial.label] == [("bonafide/x", {})]


def test_quotation_marks_in_a_transcript_are_text(tmp_path):
    path = write_table(tmp_path, TABLE + '"Nein\n./fake/de/vits/b.wav|de|tts/vits|VITS|"Ja", sagt "sie"\n')
    assert [trial.utt_id for trial in read_protocol(path)] == ["fake/de/vits/a", "fake/de/vits/b"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (TABLE + "a|b\n", ":2: 6 columns; expected 5: path language model_name architecture transcript"),
        (TABLE + "a\n./x/a.wav|de|m|V|b\n", ":3: utterance fake/de/vits/a is already on line 2; expected every"),
        (TABLE + "a\n./x/|de|m|V|b\n", ":3: no utterance; expected its name"),
        ("file|language\na.wav|de\n", ":1: header file language; expected `path` and every name once"),
        ("path,language\n", ":1: header path,language; expected `path` and every name once"),
        ("", ":1: header missing; expected `path` and every name once"),
        ("path|language\n", ": no line below the header; expected one per utterance"),
    ],
)
def test_a_broken_table_is_refused_with_line_and_value(tmp_path, content, sentence):
    path = write_table(tmp_path, content)
    with pytest.raises(ProtocolError) as refusal:
        load_trials("mlaad", Location(root=tmp_path), "train")
    assert str(refusal.value).startswith(f"{path}{sentence}")


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("en", "fake: no such file or folder; expected MLAAD's folder of languages in "),
        ("fake/en", "fake: empty; expected <language>/<system>/meta.csv"),
        ("fake/en/vits", "fake/en/vits/meta.csv: no such file or folder; expected the table of the system vits"),
    ],
)
def test_another_layout_is_refused(tmp_path, folder, sentence):
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(ProtocolError) as refusal:
        load_trials("mlaad", Location(root=tmp_path), "train")
    assert str(refusal.value).startswith(f"{tmp_path}/{sentence}")
