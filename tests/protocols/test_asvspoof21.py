"""Trial metadata of ASVspoof 2021: columns after the sample rows of its evaluation package, ids our own."""

import pytest

from spoofcache.protocols import Location, asvspoof21, load_trials
from spoofcache.protocols.asvspoof21 import TOTALS, read_protocol
from spoofcache.protocols.trial import ProtocolError, Trial

LA = (
    "SPK_1 UTT_1 gsm xyz_tx A08 spoof notrim eval\n"
    "SPK_2 UTT_2 none - bonafide bonafide notrim progress\n"
    "SPK_2 UTT_3 none loc_tx - bonafide trim hidden\n"
)
DF = (
    "SPK_1 UTT_1 low_ogg vcc2020 Task1-team99 spoof notrim eval neural_vocoder_autoregressive Task1 team99 MF E\n"
    "SPK_2 UTT_2 nocodec asvspoof bonafide bonafide notrim eval bonafide - - - -\n"
)
PA = "SPK_1 UTT_1 R5 M2 d3 r4 m1 s2 c3 spoof notrim eval\nSPK_2 UTT_2 R5 M2 D3 - - - - bonafide notrim eval\n"


def test_logical_access_has_codec_transmission_trim_and_phase(write):
    told = {"codec": "none", "trim": "notrim", "phase": "progress"}
    hidden = {"codec": "none", "transmission": "loc_tx", "trim": "trim", "phase": "hidden"}
    assert read_protocol(write(LA), "LA") == [
        Trial(
            "UTT_1",
            "spoof",
            "A08",
            "SPK_1",
            conditions={"codec": "gsm", "transmission": "xyz_tx", "trim": "notrim", "phase": "eval"},
        ),
        Trial("UTT_2", "bonafide", "-", "SPK_2", conditions=told),
        Trial("UTT_3", "bonafide", "-", "SPK_2", conditions=hidden),
    ]


def test_deepfakes_have_a_source_and_a_vocoder_and_bona_fide_has_only_what_is_known(write):
    spoof, bonafide = read_protocol(write(DF), "DF")
    assert (spoof.attack, bonafide.attack) == ("Task1-team99", "-")
    assert spoof.conditions == {
        "codec": "low_ogg",
        "source": "vcc2020",
        "trim": "notrim",
        "phase": "eval",
        "vocoder": "neural_vocoder_autoregressive",
        "task": "Task1",
        "team": "team99",
        "gender_pair": "MF",
        "language": "E",
    }
    assert bonafide.conditions == {"codec": "nocodec", "source": "asvspoof", "trim": "notrim", "phase": "eval"}


def test_physical_access_names_rooms_and_devices_but_no_attack(write):
    spoof, bonafide = read_protocol(write(PA), "PA")
    where = {"asv_room": "R5", "asv_microphone": "M2", "trim": "notrim", "phase": "eval"}
    replay = {"attacker_room": "r4", "attacker_microphone": "m1", "replay_device": "s2", "attacker_distance": "c3"}
    assert spoof == Trial("UTT_1", "spoof", "-", "SPK_1", conditions=where | replay | {"asv_distance": "d3"})
    assert bonafide == Trial("UTT_2", "bonafide", "-", "SPK_2", conditions=where | {"asv_distance": "D3"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (LA + "SPK_1 UTT_9 gsm\n", "FILE:4: 3 columns in 'SPK_1 UTT_9 gsm'; expected 8: speaker utterance codec trans"),
        (LA + "S U gsm - A08 fake trim eval\n", "FILE:4: key 'fake'; expected bonafide or spoof"),
        (LA + "S U gsm - - spoof trim eval\n", "FILE:4: attack '-' with key spoof; expected '-' for bona fide only"),
        (
            LA + "S U gsm - bonafide spoof trim eval\n",
            "FILE:4: attack 'bonafide' with key spoof; expected '-' for bona",
        ),
        (LA + "S U gsm - A08 bonafide trim eval\n", "FILE:4: attack 'A08' with key bonafide; expected '-' for bona"),
        (LA + LA, "FILE:4: utterance UTT_1 is already on line 1; expected every utterance once"),
        ("", "FILE: empty; expected lines of speaker utterance codec transmission attack key trim phase"),
    ],
)
def test_broken_metadata_are_refused_with_line_and_value(refusal, content, sentence):
    assert refusal(lambda path: read_protocol(path, "LA"), content).startswith(sentence)


@pytest.fixture
def official_layout(tmp_path):
    """Trial metadata of LA where the official layout has it; gives where that lies."""

    def write(content):
        path = tmp_path / "keys/LA/CM/trial_metadata.txt"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        (tmp_path / "ASVspoof2021_LA_eval/flac").mkdir(parents=True)
        return Location(root=tmp_path)

    return write


@pytest.mark.parametrize(("phase", "utt_ids"), [("eval", ["UTT_1"]), ("progress", ["UTT_2"]), ("hidden", ["UTT_3"])])
def test_each_phase_is_a_partition(official_layout, any_counts, phase, utt_ids):
    trials = load_trials("asvspoof21_la", official_layout(LA), phase)
    assert [trial.utt_id for trial in trials] == utt_ids


def test_both_spellings_of_the_hidden_track_are_known(official_layout, any_counts):
    trials = load_trials("asvspoof21_la", official_layout(LA.replace("hidden", "hidden_track")), "hidden")
    assert [trial.utt_id for trial in trials] == ["UTT_3"]


@pytest.mark.parametrize("phase", ["Eval", "-"])
def test_an_unknown_phase_is_refused_with_its_line(official_layout, any_counts, phase):
    where = official_layout(LA.replace("progress", phase))
    with pytest.raises(ProtocolError, match=rf"txt:2: phase '{phase}'; expected one of eval, progress, hidden"):
        load_trials("asvspoof21_la", where, "eval")


def test_totals_other_than_the_published_ones_are_refused(official_layout):
    with pytest.raises(ProtocolError, match=r"trial_metadata\.txt: 3 trials; expected the published 181566$"):
        load_trials("asvspoof21_la", official_layout(LA), "eval")


def test_as_many_trials_as_published_but_of_other_phases_are_refused(official_layout, monkeypatch):
    monkeypatch.setattr(asvspoof21, "TOTALS", {"LA": 3})
    with pytest.raises(ProtocolError, match=r"trial_metadata\.txt: 1 trials; expected the published 148176$"):
        load_trials("asvspoof21_la", official_layout(LA), "eval")


def test_the_published_totals():
    assert TOTALS == {"LA": 148_176 + 16_464 + 16_926, "DF": 611_829}
