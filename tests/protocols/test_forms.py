"""A protocol's form is recognised by its first line; every column has one value per trial."""

from collections import Counter

import pytest

from spoofcache.protocols.conditions import select
from spoofcache.protocols.forms import column, read_any_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

TRIALS = [
    Trial("a", "spoof", "A01", "S1", conditions={"codec": "alaw", "phase": "eval"}),
    Trial("b", "spoof", "A02", "S1", conditions={"codec": "opus", "phase": "progress"}),
    Trial("c", "bonafide", "-", "S2", conditions={"phase": "eval"}),
    Trial("d", "bonafide", "-", "S3", conditions={"codec": "opus", "phase": "eval"}),
]
ASV_PLACE = {"asv_room", "asv_microphone", "asv_distance"}
REPLAY = {"attacker_room", "attacker_microphone", "attacker_distance", "replay_device"}


@pytest.mark.parametrize(
    ("row", "conditions"),
    [
        ("S u abc AA spoof", {"environment"}),
        ("S u gsm xyz_tx A08 spoof notrim eval", {"codec", "transmission", "trim", "phase"}),
        ("S u R1 M1 d1 r1 m1 s2 c2 spoof notrim eval", ASV_PLACE | REPLAY | {"trim", "phase"}),
        ("S u mp3m4a vcc2018 A spoof notrim eval unknown - - - -", {"codec", "source", "trim", "phase", "vocoder"}),
        ("S u F C05 1 E_1 AC1 A20 spoof -", {"sex", "codec", "codec_quality", "codec_seed", "attack_tag"}),
        ("S u F C05 1 E_1 bonafide bonafide -", {"sex", "codec", "codec_quality", "codec_seed"}),
        ("file,label,speaker,codec\nu.wav,bona-fide,S,mp3", {"codec"}),
        ("utt_id\tspeaker\tattack\tkey\tenvironment\nu\tS\tA01\tspoof\taaa", {"environment"}),
    ],
    ids=["2019", "2021-la", "2021-pa", "2021-df", "5", "5-nine-columns", "csv", "snapshot"],
)
def test_every_form_is_recognised_by_its_content(write, row, conditions):
    (trial,) = read_any_protocol(write(row + "\n"))
    assert (trial.utt_id, trial.speaker, set(trial.conditions)) == ("u", "S", conditions)


def test_labels_of_codecfake_name_files_and_no_speaker(write):
    assert read_any_protocol(write("F03_u.wav fake 3\n")) == [Trial("F03_u", "spoof", conditions={"codec": "3"})]


def test_lines_below_the_first_keep_to_its_form(refusal):
    sentence = refusal(read_any_protocol, "S u - - bonafide\nS v gsm xyz_tx A08 spoof notrim eval\n")
    assert sentence.startswith("FILE:2: 8 columns in 'S v gsm xyz_tx A08 spoof notrim eval'; expected 5: speaker")


@pytest.mark.parametrize(
    ("content", "conditions"),
    [
        ("u bonafide\nv spoof\n", {}),
        ("u.wav real\nv.wav fake\n", {}),
        ("label\tid\nHuman\tu\nDeepfake\tv\n", {}),
        ("u.wav eval bonafide\nv.wav eval spoof\n", {"column_2"}),
        ("trial_anon cm-label attack_anon codec\nu bonafide bonafide C01\nv spoof A30 C02\n", {"codec"}),
        ("ID,Label,Duration\nu,real,1.5\nv,fake,2.5\n", {"Duration"}),
        ("# the trials of 2019\nS u - - bonafide\nS v - A07 spoof\n", set()),
        ("S,u,abc,-,bonafide\nS,v,abc,AA,spoof\n", {"environment"}),
        ('"file","label"\n"/data/u.wav","genuine"\n"/data/v.wav","spoof"\n', {}),
    ],
)
def test_key_files_of_others_are_understood_by_their_contents(write, conditions, content):
    trials = read_any_protocol(write(content))
    assert [(trial.utt_id.rpartition("/")[2], trial.key) for trial in trials] == [("u", "bonafide"), ("v", "spoof")]
    assert {name for trial in trials for name in trial.conditions} == set(conditions)


def test_two_files_of_one_utterance_are_two_trials_of_a_key(write):
    trials = read_any_protocol(write("file,label\nu.mp3,real\nu.ogg,fake\n"))
    assert [trial.file for trial in trials] == ["u.mp3", "u.ogg"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("spk1 u1 target\nspk2 u1 nontarget\n", "a trial list of speaker verification in the form of Kaldi"),
        ("1.5 target\n-2 nontarget\n", "the input of Kaldi's compute-eer"),
        (
            "LA_1-alaw-ita_tx LA_E_2-alaw-ita_tx alaw ita_tx bonafide target notrim eval\n",
            "ASVspoof 2021's trial list of speaker verification (ASV/trial_metadata.txt), which goes to --asv-key",
        ),
        ("bonafide target 5\nA07 spoof 1\n", "scores of a speaker verification system"),
        (
            "D_1 D_2 F bonafide target\nD_1 D_3 F A11 spoof\n",
            "a trial list of ASVspoof 5 track 2 (target|nontarget|spoof), which goes",
        ),
    ],
)
def test_files_of_speaker_verification_are_refused_by_name(refusal, content, what):
    assert refusal(read_any_protocol, content).startswith(f"FILE: this looks like {what}")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "FILE: empty; expected one line per trial with the name of the utterance and the word bonafide or spoof"),
        ("u x\nv y\n", "FILE: no column says bonafide or spoof in 'u x' (2 rows of 2 columns separated by blanks, no"),
        ("one-word\n", "FILE:1: 1 column in 'one-word'; expected two columns or more"),
    ],
)
def test_a_file_that_is_not_a_key_is_refused_with_its_first_line(refusal, content, sentence):
    assert refusal(read_any_protocol, content).startswith(sentence)


def test_a_picture_is_no_protocol(refusal):
    assert refusal(read_any_protocol, b"\x89PNG\r\n").startswith("FILE:1: byte 0x89 is not text; expected one line")


def test_a_column_has_one_value_per_trial_and_a_dash_where_it_is_unknown():
    assert column(TRIALS, "codec") == ["alaw", "opus", "-", "opus"]
    assert column(TRIALS, "attack") == ["A01", "A02", "-", "-"]
    assert column(TRIALS, "key") == ["spoof", "spoof", "bonafide", "bonafide"]
    assert column(TRIALS, "speaker") == ["S1", "S1", "S2", "S3"]


def test_an_unknown_column_is_refused_with_those_that_are_there():
    with pytest.raises(ProtocolError, match=r"^column 'vocoder'; expected one of key, attack, speaker, codec, phase$"):
        column(TRIALS, "vocoder")


@pytest.mark.corpus
class TestSamples:
    """Rows that other projects have quoted, and the official protocols of 2019."""

    @pytest.mark.parametrize(
        ("file", "keys", "attacks", "known"),
        [
            ("asvspoof2021_LA_CM_trial_metadata", ["spoof", "bonafide"], ["A07", "-"], {"codec": ["alaw", "g722"]}),
            (
                "asvspoof2021_DF_CM_trial_metadata",
                ["spoof"] * 3,
                ["A14", "Task1-team20", "Task2-team12"],
                {"phase": ["progress", "eval", "eval"], "gender_pair": ["-", "FF", "FF"], "language": ["-", "E", "G"]},
            ),
            (
                "asvspoof5_track1_tsv",
                ["spoof", "bonafide", "spoof", "bonafide"],
                ["A05", "-", "A11", "-"],
                {"sex": ["F", "F", "F", "M"], "attack_tag": ["AC3", "-", "AC1", "-"]},
            ),
            (
                "in_the_wild_meta",
                [*["spoof"] * 2, "bonafide", "spoof", *["bonafide"] * 4, "spoof", *["bonafide"] * 2],
                ["-"] * 11,
                {},
            ),
        ],
    )
    def test_rows_from_the_published_corpus_are_read(self, shared, file, keys, attacks, known):
        (path,) = (shared / "data/format_samples").glob(f"{file}.sample.*")
        trials = read_any_protocol(path)
        assert (column(trials, "key"), column(trials, "attack")) == (keys, attacks)
        assert {name: column(trials, name) for name in known} == known

    @pytest.mark.parametrize("file", ["asvspoof5_track2.sample.txt", "fake_or_real_for-2sec.sample.txt"])
    def test_a_protocol_of_an_unknown_form_is_refused(self, shared, file):
        with pytest.raises(ProtocolError, match="; expected "):
            read_any_protocol(shared / "data/format_samples" / file)

    def test_the_official_evaluation_partition_of_2019(self, shared):
        path = shared / "data/asvspoof2019_la/ASVspoof2019.LA.cm.eval.trl.txt"
        trials = read_any_protocol(path)
        assert Counter(column(trials, "key")) == {"bonafide": 7_355, "spoof": 63_882}
        assert len(select(trials, ["attack=A17,-"])) == 4_914 + 7_355  # 4,914 trials per attack: the evaluation plan
