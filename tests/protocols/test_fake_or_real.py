"""Fake-or-Real: partitions and classes are folders."""

import pytest

from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError, Trial


def test_the_partition_and_the_class_are_folders_and_the_last_ending_is_none_of_the_utterance(touch, tmp_path):
    names = ("training/real/file1000.wav_16k.wav_norm.wav", "training/fake/file9.mp3.wav_16k.wav", "testing/fake/a.wav")
    assert load_trials("fake_or_real", Location(root=touch(*names)), "train") == [
        Trial("training/fake/file9.mp3.wav_16k", "spoof", path=tmp_path / names[1]),
        Trial("training/real/file1000.wav_16k.wav_norm", "bonafide", path=tmp_path / names[0]),
    ]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["training/fake/a.wav"], "testing: no such file or folder; expected a version of Fake-or-Real, for-norm or"),
        (["testing/spoof/a.wav"], "testing/spoof: not a class folder; expected the class folders real or fake"),
        (["testing/real/a.wav", "testing/b.wav"], "testing/b.wav: audio outside the class folders; expected the class"),
        (["testing/real/a.txt"], "testing/real: no audio file below it; expected .flac, .wav"),
        (["testing/notes.txt"], "testing: empty; expected the class folders real or fake"),
        (["testing/real/a.wav", "testing/real/a.mp3"], "testing/real/a.wav: utterance a is "),
    ],
)
def test_another_layout_is_refused(touch, tmp_path, names, sentence):
    with pytest.raises(ProtocolError) as refusal:
        load_trials("fake_or_real", Location(root=touch(*names)), "eval")
    assert str(refusal.value).startswith(f"{tmp_path}/{sentence}")


@pytest.mark.corpus
def test_names_from_the_published_corpus_are_read(shared, touch):
    names = (shared / "data/format_samples/fake_or_real_for-2sec.sample.txt").read_text().split()
    root = touch(*names)
    found = {
        trial.path.relative_to(root).as_posix(): trial.key
        for version, partition in [("2seconds", "train"), ("2seconds", "eval"), ("norm", "dev"), ("norm", "eval")]
        for trial in load_trials("fake_or_real", Location(root=root / f"for-{version}"), partition)
    }
    assert found == {name: "bonafide" if "/real/" in name else "spoof" for name in names}
