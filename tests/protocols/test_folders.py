"""A user's own corpus of class folders."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError, Trial


@pytest.mark.parametrize("bonafide", ["bonafide", "bona-fide", "genuine", "human", "real"])
@pytest.mark.parametrize("spoof", ["spoof", "fake"])
def test_folders_determine_the_class_and_those_below_spoof_the_attack(touch, tmp_path, bonafide, spoof):
    names = (f"{bonafide}/Ann/a.wav", f"{spoof}/Tacotron 2/x/a.wav", f"{spoof}/b.mp3", "README.md", ".git/c.wav")
    trials = load_trials("folders", Location(root=touch(*names)), "train")
    assert {trial.utt_id: trial for trial in trials} == {
        f"{bonafide}/Ann/a": Trial(f"{bonafide}/Ann/a", "bonafide", path=tmp_path / names[0]),
        f"{spoof}/Tacotron_2/x/a": Trial(f"{spoof}/Tacotron_2/x/a", "spoof", "Tacotron_2", path=tmp_path / names[1]),
        f"{spoof}/b": Trial(f"{spoof}/b", "spoof", path=tmp_path / names[2]),
    }


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["real/a.wav", "other/b.wav"], "/other: not a class folder; expected the class folders bonafide or bona-fide"),
        (["Real/a.wav"], "/Real: not a class folder; expected the class folders bonafide or bona-fide or genuine"),
        (["real/a.wav", "b.wav"], "/b.wav: audio outside the class folders; expected the class folders bonafide or"),
        (["notes.txt"], ": empty; expected the class folders bonafide or bona-fide or genuine or human or real or"),
        (["real/notes.txt"], "/real: no audio file below it; expected .flac, .wav"),
        (["real/x y.wav", "real/x_y.wav"], "/real/x_y.wav: utterance x_y is "),
    ],
)
def test_another_layout_is_refused(touch, tmp_path, names, sentence):
    with pytest.raises(ProtocolError) as refusal:
        load_trials("folders", Location(root=touch(*names)), "train")
    assert str(refusal.value).startswith(f"{tmp_path}{sentence}")
