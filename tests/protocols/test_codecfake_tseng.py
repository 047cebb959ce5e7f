"""CodecFake of Wu, Tseng and Lee: names of files tell the codec and the speaker."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError
from tests.protocols.layouts import LAYOUTS


def test_the_codec_and_the_speaker_are_read_from_the_name(tmp_path):
    where = LAYOUTS["codecfake_tseng"].write(tmp_path)
    spoof, noise, bonafide = load_trials("codecfake_tseng", where, "train")
    assert (spoof.utt_id, spoof.attack, spoof.speaker) == ("processed/EnCodec+p225_001", "EnCodec", "p225")
    assert spoof.conditions == {"codec": "EnCodec"}
    assert (bonafide.utt_id, bonafide.speaker) == ("bonafide/wav48/p225/p225_001", "p225")
    assert (noise.utt_id, noise.speaker) == ("bonafide/wav48/p225/noise", "-")


@pytest.mark.parametrize("name", ["p225_001.wav", "+p225_001.wav", "EnCodec+p225.wav", "a+b+p225_001.wav"])
def test_a_name_without_codec_and_speaker_is_refused(tmp_path, name):
    path = tmp_path / "processed" / name
    path.parent.mkdir()
    path.touch()
    with pytest.raises(ProtocolError) as refusal:
        load_trials("codecfake_tseng", Location(root=tmp_path), "train")
    assert str(refusal.value) == f"{path}: not the name of a resynthesised file; expected <codec>+<speaker>_….wav"
