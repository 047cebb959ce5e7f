"""Parquet files with the audio inside: which rows are which trials, and that their cache is that of the files."""

import json
import sys

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from spoofcache.common.parquet import packed_audio
from spoofcache.features.audio.read import read_audio
from spoofcache.features.coverage import look_for_audio
from spoofcache.features.fingerprint import fingerprint
from spoofcache.features.waveform import AudioError
from spoofcache.preprocess import main
from spoofcache.protocols import Location, load_trials
from spoofcache.protocols.trial import ProtocolError
from tests.corpora import make_trials, write_corpus

NAMES = ["bonafide", "spoof"]


@pytest.fixture
def write(tmp_path):
    """`write(label=[…], path=[…])`: a Parquet file of these columns and of as many audio cells, and its path."""

    def make(name="train.parquet", labels=None, audio=(b"x", b"y"), path=("a.wav", "b.wav"), **columns):
        cells = [{"bytes": one, "path": place} for one, place in zip(audio, path, strict=True)]
        table = pa.table({"audio": cells, **columns})
        if labels:
            features = {"label": {"names": labels, "_type": "ClassLabel"}, "audio": {"_type": "Audio"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, tmp_path / name)
        return tmp_path / name

    return make


def load(path, **columns):
    return load_trials("parquet", Location(protocol=path, columns=columns), "train")


def refusal(path, **columns):
    with pytest.raises(ProtocolError) as refused:
        load(path, **columns)
    return str(refused.value)


class TestTrials:
    def test_the_names_of_a_class_label_are_the_classes(self, write):
        trials = load(write(labels=["fake", "real"], label=[1, 0]))
        assert [(trial.utt_id, trial.key) for trial in trials] == [("a", "bonafide"), ("b", "spoof")]

    def test_words_are_the_classes_whatever_their_column_is_called(self, write):
        trials = load(write(kind=["genuine", "Deepfake"], text=["real", "hello"]))
        assert [trial.key for trial in trials] == ["bonafide", "spoof"]
        assert [trial.conditions["text"] for trial in trials] == ["real", "hello"]

    @pytest.mark.parametrize(("role", "keys"), [("bonafide", ["bonafide", "spoof"]), ("spoof", ["spoof", "bonafide"])])
    @pytest.mark.parametrize("values", [[1, 0], [True, False]])
    def test_the_user_says_what_1_means(self, write, role, keys, values):
        assert [trial.key for trial in load(write(y=values), **{role: "y"})] == keys

    def test_attack_speaker_and_conditions_are_found_by_their_names(self, write):
        path = write(label=NAMES, attack=["-", "A 07"], speaker=["s1", None], seconds=[1.5, 2.0], tags=[["x"], ["y"]])
        one, two = load(path)
        assert (one.attack, one.speaker, two.attack, two.speaker) == ("-", "s1", "A_07", "-")
        assert two.conditions == {"seconds": "2.0"}

    def test_another_column_can_name_the_utterances(self, write):
        path = write(label=NAMES, id=["u 1", "u2"], path=(None, "b.wav"))
        assert [trial.utt_id for trial in load(path, utterance="id")] == ["u_1", "u2"]
        assert f"{path}:0: no utterance" in refusal(path)

    def test_all_parts_are_read_in_their_order(self, write):
        write("t-00001-of-00002.parquet", label=NAMES, path=("c.wav", "d.wav"))
        first = write("t-00000-of-00002.parquet", label=NAMES)
        assert [trial.utt_id for trial in load(first)] == ["a", "b", "c", "d"]
        (first.parent / "t-00001-of-00002.parquet").unlink()
        assert refusal(first) == f"{first}: no t-00001-of-00002.parquet beside it; expected all 2 parts"


class TestRefusals:
    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            ({"y": [0, 1]}, "no column says bonafide or spoof; expected --column key=NAME, or --column bonafide=NAME"),
            ({"a": NAMES, "b": NAMES}, "columns a and b say bonafide or spoof; expected --column key=NAME"),
            ({"prediction": NAMES}, "no column says bonafide or spoof"),
            ({"label": NAMES, "other": [{"bytes": b"", "path": ""}] * 2}, "2 columns with the fields bytes and path"),
            ({"label": NAMES, "attack": ["A01", "A02"]}, "attack 'A01' with key bonafide; expected '-'"),
            ({"label": NAMES, "path": ("a.wav", "a.flac")}, "utterance a is already on line 0"),
        ],
    )
    def test_tables_that_do_not_say_what_is_needed(self, write, columns, sentence):
        path = write(**columns)
        assert refusal(path).startswith(str(path))
        assert sentence in refusal(path)

    def test_a_column_that_is_not_there(self, write):
        assert refusal(write(label=NAMES), key="kind").endswith("--column key=kind; expected one of label")

    @pytest.mark.parametrize("values", [["spoof", "perhaps"], ["spoof", None]])
    def test_a_key_that_means_no_class(self, write, values):
        assert "train.parquet:1: key " in refusal(write(label=values), key="label")

    def test_a_class_without_a_name(self, write):
        assert "2 in column label; expected a number below 2" in refusal(write(labels=NAMES, label=[0, 2]))

    @pytest.mark.parametrize("content", [b"", b"RIFF" + bytes(100), b"PAR1" + bytes(100) + b"PAR1"])
    def test_a_file_that_is_no_parquet(self, tmp_path, content):
        path = tmp_path / "train.parquet"
        path.write_bytes(content)
        assert refusal(path).startswith(f"{path}: cannot be read (")

    def test_pyarrow_that_is_not_installed(self, write, monkeypatch):
        path = write(label=NAMES)
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        assert "pip install -r requirements-hub.txt" in refusal(path)


class TestAudio:
    def test_what_is_no_audio_is_reported_before_any_model_runs(self, write):
        trials = load(write(label=NAMES, audio=(b"not audio", None)))
        unreadable = look_for_audio(trials).unreadable
        assert "not audio" in unreadable["a"]
        assert "no bytes in column audio" in unreadable["b"]
        with pytest.raises(AudioError, match=r"^.*train\.parquet/0\.wav: empty, truncated or not audio"):
            read_audio(trials[0].audio)

    def test_the_bytes_of_every_row_are_found_across_row_groups(self, write):
        rows = range(10)
        path = write(label=["spoof"] * 10, audio=[b"%d" % row for row in rows], path=[f"{row}.wav" for row in rows])
        table = pq.read_table(path)
        pq.write_table(table, path, row_group_size=3)
        trials = load(path)
        assert [packed_audio(trials[row].audio) for row in reversed(rows)] == [b"%d" % row for row in reversed(rows)]

    def test_a_file_that_is_replaced_is_read_again(self, write):
        audio = load(write(label=NAMES))[0].audio
        assert packed_audio(audio) == b"x"
        write(label=NAMES, audio=(b"longer", b"y"))
        assert packed_audio(audio) == b"longer"


def _extract(tmp_path, name, *options):
    """Cache the features of a corpus; the folder of its partition."""
    where = ("--name", "mini", "--partition", "train", "--out", tmp_path / name, "--device", "cpu")
    arguments = (*options, *where, "--frontend", "lfcc", "--length", "8000")
    done = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return tmp_path / name / done.stdout.strip()  # an absolute path replaces what stands before it


def _contents(folder):
    """Every data set of every shard in a folder, by the names of the shard and of the data set."""
    found = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item, shard=path.name: (
                    found.__setitem__(f"{shard}/{name}", item[()]) if isinstance(item, h5py.Dataset) else None
                )
            )
    return found


def test_the_cache_is_that_of_the_same_audio_as_files(tmp_path):
    trials = make_trials(50)
    _, audio_dir = write_corpus(tmp_path, trials)
    rows = [f"{trial.utt_id}.flac,{trial.key},{trial.attack},{trial.speaker}\n" for trial in trials]
    (tmp_path / "my.csv").write_text("file,label,attack,speaker\n" + "".join(rows))
    audio = [{"bytes": (audio_dir / f"{t.utt_id}.flac").read_bytes(), "path": f"{t.utt_id}.flac"} for t in trials]
    columns = {"label": [t.key for t in trials], "attack": [t.attack for t in trials]}
    table = pa.table({"audio": audio, **columns, "speaker": [t.speaker for t in trials]})
    for part, (start, stop) in enumerate(((0, 30), (30, 50))):
        name = tmp_path / f"train-0000{part}-of-00002.parquet"
        pq.write_table(table.slice(start, stop - start), name, row_group_size=8)

    options = ("--corpus", "csv", "--protocol", tmp_path / "my.csv", "--audio-dir", audio_dir)
    files = _extract(tmp_path, "files", *options)
    packed = ("--corpus", "parquet", "--protocol", tmp_path / "train-00000-of-00002.parquet")
    inside = _extract(tmp_path, "packed", *packed)

    of_files, of_packed = _contents(files), _contents(inside)
    assert list(of_files) == list(of_packed)
    assert any("audio" in name for name in of_files)  # the fingerprints of the recordings are among them
    for name, values in of_files.items():
        assert np.array_equal(values, of_packed[name]), name
    assert (files / "trials.tsv").read_bytes() == (inside / "trials.tsv").read_bytes()
    one = load(tmp_path / "train-00000-of-00002.parquet")[42]
    assert fingerprint(one.audio) == fingerprint(audio_dir / f"{one.utt_id}.flac")
    assert _extract(tmp_path, "packed", *packed) == inside  # nothing has changed, so nothing is refused
