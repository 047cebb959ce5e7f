"""WaveFake: models are folders; bona fide speech is given apart."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError, Trial


def test_the_model_is_the_attack_and_determines_vocoder_and_data(touch, tmp_path):
    touch("generated_audio/jsut_multi_band_melgan/B_1_gen.wav", "generated_audio/conformer tts/gen_0.wav")
    assert load_trials("wavefake", Location(root=tmp_path), "train") == [
        Trial(
            "generated_audio/conformer_tts/gen_0",
            "spoof",
            "conformer_tts",
            path=tmp_path / "generated_audio/conformer tts/gen_0.wav",
            conditions={"vocoder": "conformer_tts"},
        ),
        Trial(
            "generated_audio/jsut_multi_band_melgan/B_1_gen",
            "spoof",
            "jsut_multi_band_melgan",
            path=tmp_path / "generated_audio/jsut_multi_band_melgan/B_1_gen.wav",
            conditions={"source": "jsut", "vocoder": "multi_band_melgan"},
        ),
    ]


def test_bona_fide_speech_of_the_same_name_is_another_utterance(touch, tmp_path):
    touch("W/generated_audio/ljspeech_melgan/LJ1.wav", "L/generated_audio/ljspeech_melgan/LJ1.wav")
    spoof, bonafide = load_trials("wavefake", Location(root=tmp_path / "W", bonafide_dir=tmp_path / "L"), "train")
    assert (spoof.utt_id, spoof.key) == ("generated_audio/ljspeech_melgan/LJ1", "spoof")
    assert (bonafide.utt_id, bonafide.key) == ("bonafide/generated_audio/ljspeech_melgan/LJ1", "bonafide")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["a.wav"], "W/generated_audio: no such file or folder; expected WaveFake's folder of its models"),
        (
            ["generated_audio/a.wav"],
            "W/generated_audio/a.wav: audio outside the folders of the models; expected generated_",
        ),
        (["generated_audio/ljspeech_melgan/a.txt"], "W/generated_audio: no audio file below it; expected .flac"),
        (["generated_audio/m/a.wav", "generated_audio/m/a.flac"], "W/generated_audio/m/a.wav: utterance m/a is "),
        (["generated_audio/m/a.wav"], "L: no audio file below it; expected .flac"),
    ],
)
def test_another_layout_is_refused(touch, tmp_path, names, sentence):
    touch("L/notes.txt", *(f"W/{name}" for name in names))
    with pytest.raises(ProtocolError) as refusal:
        load_trials("wavefake", Location(root=tmp_path / "W", bonafide_dir=tmp_path / "L"), "train")
    assert str(refusal.value).startswith(f"{tmp_path}/{sentence}")
