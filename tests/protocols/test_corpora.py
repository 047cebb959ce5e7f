"""The registry of corpora, and where the audio of a trial is found."""

from pathlib import Path

import pytest

from protocols import CORPORA, Location, find_audio, load_trials
from protocols.trial import ProtocolError, Trial


@pytest.fixture
def audio_dir(tmp_path):
    """`audio_dir("a.flac", "b.wav")`: a folder with empty files of these names."""

    def make(*names):
        for name in names:
            (tmp_path / name).touch()
        return tmp_path

    return make


def found(audio_dir, utt_id="u"):
    (trial,) = find_audio([Trial(utt_id, "bonafide")], audio_dir)
    return trial.path and trial.path.name


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["u.wav", "u.flac", "u.mp3"], "u.flac"),
        (["u.wav", "u.mp3"], "u.wav"),
        (["u.mp3"], "u.mp3"),
        (["u.g722"], "u.g722"),
        (["u.FLAC"], "u.FLAC"),
        (["u.json", "u.lab", "u.mp3", "u.txt"], "u.mp3"),
        (["u.sph"], "u.sph"),
        (["u"], "u"),
        (["uu.flac", "v.flac"], None),
        ([], None),
    ],
    ids=lambda names: " ".join(names) if isinstance(names, list) else "",
)
def test_flac_comes_first_then_wav_then_other_audio_then_anything(audio_dir, names, chosen):
    assert found(audio_dir(*names)) == chosen


def test_a_dot_within_the_utterance_is_part_of_its_name(audio_dir):
    assert found(audio_dir("talk.1.flac", "talk.2.flac"), "talk.2") == "talk.2.flac"


def test_trials_keep_their_order_and_their_columns(audio_dir):
    trials = [Trial("b", "spoof", "A01", "S1", conditions={"environment": "aaa"}), Trial("a", "bonafide")]
    placed = find_audio(trials, audio_dir("a.flac", "b.flac"))
    assert [trial.utt_id for trial in placed] == ["b", "a"]
    assert placed[0].conditions == {"environment": "aaa"}


def test_any_protocol_of_the_form_with_a_folder_of_audio(tmp_path, audio_dir):
    protocol = tmp_path / "protocol.txt"
    protocol.write_text("S1 u - - bonafide\nS1 v - A01 spoof\n")
    where = Location(protocol=protocol, audio_dir=audio_dir("u.wav"))
    trials = load_trials("asvspoof19_style", where, "whatever")
    assert [(trial.utt_id, trial.path) for trial in trials] == [("u", tmp_path / "u.wav"), ("v", None)]


@pytest.mark.parametrize(
    ("corpus", "where", "sentence"),
    [
        (
            "asvspoof19",
            Location(),
            "corpus 'asvspoof19'; expected one of asvspoof19_la, asvspoof19_pa, asvspoof19_style",
        ),
        ("asvspoof19_la", Location(), "ASVspoof 2019 LA needs --root, the folder of its official layout"),
        ("asvspoof19_pa", Location(), "ASVspoof 2019 PA needs --root, the folder of its official layout"),
        ("asvspoof19_style", Location(root=Path()), "asvspoof19_style needs --protocol and --audio-dir"),
        ("asvspoof19_style", Location(protocol=Path("p")), "asvspoof19_style needs --protocol and --audio-dir"),
    ],
)
def test_what_is_not_said_is_asked_for(corpus, where, sentence):
    with pytest.raises(ProtocolError) as refusal:
        load_trials(corpus, where, "train")
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("corpus", [name for name in CORPORA if name != "asvspoof19_style"])
def test_every_corpus_with_partitions_refuses_an_unknown_one(corpus, tmp_path):
    with pytest.raises(ProtocolError, match="partition 'training'"):
        load_trials(corpus, Location(root=tmp_path), "training")
