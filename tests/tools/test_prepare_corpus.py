"""The command over whole data sets: the survey of one with known faults and leaks, its splits, what it refuses."""

import csv
import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from matplotlib.image import imread

from spoofcache.protocols.table import read_table
from spoofcache.tools.prepare_corpus import main

SPEAKERS = ("ann", "ben", "cat", "dan", "eve", "fay")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """72 files of noise and `list.csv`: 6 speakers, 6 of each class of each; every spoof is at 22.05 kHz but for one.

    Bona fide begin with a quarter of a second of silence.
    """
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = []
    for k, (speaker, label, turn) in enumerate((s, c, n) for s in SPEAKERS for c in ("real", "fake") for n in range(6)):
        spoof = label == "fake"
        path = folder / label / speaker / f"{turn}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = rng.normal(0, 0.05, 8_000)
        samples[: 0 if spoof else 4_000] = 0
        soundfile.write(path, samples, 22_050 if spoof and k != 6 else 16_000)
        generator = f"tts{turn % 4}" if spoof else "-"
        rows.append((path.relative_to(folder), label, speaker, generator, "studio" if k % 3 else "phone"))
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "kind", "speaker", "generator", "source"), *rows])
    return folder


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Runs the command in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*map(str, arguments), "--workers", "1"])


COLUMNS = ("--column", "file=path", "--column", "label=kind")


def read_partitions(folder):
    """Partition → rows of its file."""
    return {
        name: list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))
        for name in ("train", "dev", "test")
    }


def test_a_table_is_surveyed(prepare, data, tmp_path):
    result = prepare(data / "list.csv", *COLUMNS, "--analyze", "--json", "out/survey.json")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "files 36 36" in lines
    assert "16 kHz 36 100 % 1 3 %" in lines
    assert "ann 6 17 % 6 17 %" in lines
    assert "No file is missing, unreadable, silent, clipped or a duplicate" in lines
    assert "sample rate: 100 % of bona fide files are 16 kHz, 3 % of spoof" in lines
    found = json.loads((tmp_path / "out/survey.json").read_text())
    assert found["kinds"]["sample rate"] == {
        "16 kHz": {"bonafide": 36, "spoof": 1},
        "22.05 kHz": {"bonafide": 0, "spoof": 35},
    }
    assert found["quantities"]["leading silence"]["bonafide"]["median"] == pytest.approx(0.25, abs=0.02)
    leaking = {leak["property"] for leak in found["leaks"]}
    assert {"sample rate", "leading silence", "duration"} <= leaking
    assert leaking.isdisjoint({"speaker", "source", "generator", "format"})


def test_class_folders_need_no_table(prepare, data):
    result = prepare(data, "--analyze")  # list.csv is no audio and no folder
    assert result.exit_code == 0, result.output
    assert "files" in result.output
    assert "attack" in result.output  # the folders below fake/


def test_faulty_files_are_named(prepare, tmp_path):
    for label in ("bonafide", "spoof"):
        (tmp_path / "set" / label).mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 1_500, 8_000).astype(np.int16)
    soundfile.write("set/bonafide/good.wav", noise, 16_000)
    soundfile.write("set/bonafide/quiet.wav", np.zeros(8_000, np.int16), 16_000)
    soundfile.write("set/spoof/same.flac", noise, 16_000)
    soundfile.write("set/spoof/loud.wav", np.clip(60 * noise.astype(int), -32_768, 32_767).astype(np.int16), 16_000)
    (tmp_path / "set/spoof/text.wav").write_text("no audio")
    lines = prepare("set", "--analyze").output.splitlines()
    places = {line: k for k, line in enumerate(lines)}
    assert lines[places["1 unreadable file"] + 1].startswith("  spoof/text: empty, truncated or not audio")
    assert lines[places["1 silent file"] + 1] == "  bonafide/quiet"
    assert lines[places["1 clipped file"] + 1] == "  spoof/loud"
    assert lines[places["1 group of files with the same samples"] + 1] == "  bonafide/good = spoof/same"
    assert "1 group of files with the same samples and both labels" in lines


def test_a_table_names_files_that_are_not_there(prepare, tmp_path):
    (tmp_path / "list.csv").write_text("file,label\na.wav,real\nb.wav,fake\n")
    lines = prepare("list.csv", "--analyze").output.splitlines()
    assert lines[lines.index("2 missing files") + 1 :][:2] == ["  a", "  b"]


def test_a_column_that_names_files_is_not_surveyed_and_one_called_like_a_property_is(prepare, tmp_path):
    rows = [f"{k}.wav,{'fake' if k % 2 else 'real'},sentence {k},{'mp3' if k < 8 else 'flac'}" for k in range(20)]
    (tmp_path / "list.csv").write_text("\n".join(["file,label,text,format", *rows]) + "\n")
    lines = [" ".join(line.split()) for line in prepare("list.csv", "--analyze").output.splitlines()]
    assert "sentence 1" not in " ".join(lines)
    assert lines[lines.index("column format") + 1 :][:2] == ["flac 6 60 % 6 60 %", "mp3 4 40 % 4 40 %"]


@pytest.mark.parametrize(("column", "is_warned"), [("label", True), ("bonafide", False), ("spoof", False)])
def test_a_key_of_0_and_1_needs_a_word_on_what_1_means(prepare, tmp_path, column, is_warned):
    (tmp_path / "list.csv").write_text("file,target\na.wav,True\nb.wav,False\n")
    result = prepare("list.csv", "--analyze", "--column", f"{column}=target")
    assert result.exit_code == 0
    warning = "Warning: list.csv: 1 in column 2 (`target`) was taken for bona fide (if it means spoof: --column spoof="
    assert (warning in result.output) is is_warned


def test_too_few_groups_are_refused_before_any_file_is_read(prepare, tmp_path):
    (tmp_path / "list.csv").write_text("file,label,speaker\na.wav,real,ann\nb.wav,fake,ann\nc.wav,fake,ben\n")
    result = prepare("list.csv", "--split", "6:1:3", "--group", "speaker", "--out", "parts")
    assert result.exit_code == 2
    assert "1 bona fide files in 1 groups; expected at least 3 groups of each class" in result.output


def test_one_class_has_no_leaks_to_look_for(prepare, tmp_path):
    (tmp_path / "list.csv").write_text("file,label\na.wav,fake\n")
    assert "Leaks: not examined, because files of both classes are needed" in prepare("list.csv", "--analyze").output


@pytest.mark.parametrize(("group", "columns"), [("speaker", {"speaker"}), ("generator", {"generator"})])
def test_no_group_is_in_two_partitions(prepare, data, tmp_path, group, columns):
    result = prepare(data / "list.csv", *COLUMNS, "--split", "6:1:3", "--group", group, "--seed", "3", "--out", "parts")
    assert result.exit_code == 0, result.output
    partitions = read_partitions(tmp_path / "parts")
    rows = [row for part in partitions.values() for row in part]
    assert sorted(row["file"] for row in rows) == sorted(
        row["path"] for row in csv.DictReader((data / "list.csv").read_text().splitlines())
    )
    values = [{row[group] for row in part} - {"-"} for part in partitions.values()]
    assert sum(map(len, values)) == len(set.union(*values))
    assert all({row["label"] for row in part} == {"bonafide", "spoof"} for part in partitions.values())


def test_a_split_reads_back_as_a_protocol_with_its_columns(prepare, data, tmp_path):
    prepare(data / "list.csv", *COLUMNS, "--split", "2:1:1", "--group", "speaker", "--out", "parts")
    trials = read_table(tmp_path / "parts/train.csv")
    assert len(trials) == 36
    assert {trial.speaker for trial in trials} < set(SPEAKERS)
    assert {trial.conditions.get("source") for trial in trials} == {"studio", "phone"}
    again = prepare("parts/train.csv", "--audio-dir", data, "--analyze")
    assert "No file is missing" in again.output


def test_the_same_seed_writes_the_same_bytes(prepare, data, tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(data / "list.csv", *COLUMNS, "--split", "6:1:3", "--group", "none", "--seed", seed, "--out", out)
    first, again, other = ((tmp_path / out / "train.csv").read_bytes() for out in "abc")
    assert first == again != other


def test_a_split_reports_the_shares_that_it_achieved(prepare, data):
    result = prepare(data / "list.csv", *COLUMNS, "--split", "2:1:1", "--group", "none", "--out", "parts")
    assert result.output.splitlines()[-4:] == [
        "train: 18 bona fide (50.0 %) + 18 spoof (50.0 %) in 36 groups; 50.0 % requested",
        "dev: 9 bona fide (25.0 %) + 9 spoof (25.0 %) in 18 groups; 25.0 % requested",
        "test: 9 bona fide (25.0 %) + 9 spoof (25.0 %) in 18 groups; 25.0 % requested",
        "parts",
    ]


def test_a_split_names_files_with_the_same_samples_and_both_labels(prepare, tmp_path):
    rng = np.random.default_rng(0)
    for k in range(12):
        soundfile.write(f"{k}.wav", rng.normal(0, 0.05, 8_000), 16_000)
    (tmp_path / "1.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    rows = [f"{k}.wav,{'fake' if k % 2 else 'real'}" for k in range(12)]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    result = prepare("list.csv", "--split", "1:1:1", "--group", "none", "--out", "parts")
    assert result.exit_code == 0, result.output
    assert result.stderr == "Warning: 1 group of files with the same samples has both labels, and is kept: 0 = 1\n"


def test_files_that_cannot_be_read_stop_a_split_or_are_skipped(prepare, data, tmp_path):
    listed = (data / "list.csv").read_text()
    (tmp_path / "list.csv").write_text(f"{listed}fake/gone.wav,fake,ann,tts0,studio\n")
    wish = ("list.csv", "--audio-dir", data, *COLUMNS, "--split", "6:1:3", "--group", "speaker", "--out", "parts")
    stopped = prepare(*wish)
    assert stopped.exit_code == 2
    assert "1 of 73 files cannot be read, first fake/gone (no such file); expected audio" in stopped.output
    assert not (tmp_path / "parts").exists()
    assert prepare(*wish, "--on-bad-audio", "skip").exit_code == 0
    assert sum(map(len, read_partitions(tmp_path / "parts").values())) == 72


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "expected --analyze, --split, or both (see --help)"),
        (["--split", "6:1:3", "--group", "none"], "--split, --group and --out go together"),
        (["--split", "6:1", "--group", "none", "--out", "x"], "--split '6:1'; expected three whole numbers above 0"),
        (["--split", "6:1:3", "--group", "room", "--out", "x"], "column 'room'; expected one of key, attack, speaker"),
        (["--split", "6:1:3", "--group", "none", "--out", "."], ". exists already; expected a new folder"),
        (["--json", "x.json"], "expected --analyze"),
        (["--analyze", "--column", "file"], "'file'; expected NAME=HEADER"),
        (["--analyze", "--column", "file=a", "--column", "file=b"], "'file=b'; expected NAME=HEADER"),
        (["--split", "6:1:3", "--group", "none", "--out", "x", "--seed", "-1"], "-1 is not in the range x>=0"),
        (["--analyze", "--column", "file=name"], "has no column 'name'"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(prepare, tmp_path, arguments, sentence):
    (tmp_path / "list.csv").write_text("file,label\na.wav,real\n")
    result = prepare("list.csv", *arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_a_label_that_tells_no_class_is_named_with_its_line(prepare, tmp_path):
    (tmp_path / "list.csv").write_text("file,label\na.wav,real\nb.wav,1\n")
    result = prepare("list.csv", "--analyze")
    assert result.exit_code == 2
    assert "list.csv:3:" in result.output


def test_an_interrupt_leaves_nothing(prepare, data, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("spoofcache.tools.prepare_corpus.write_partitions", interrupted)
    result = prepare(data / "list.csv", *COLUMNS, "--split", "6:1:3", "--group", "none", "--out", "parts")
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_a_picture(prepare, data, tmp_path):
    result = prepare(data / "list.csv", *COLUMNS, "--analyze", "--picture", "survey.png")
    assert result.exit_code == 0, result.output
    height, width, _ = imread(tmp_path / "survey.png").shape
    assert width == 1440
    assert height > 600


def test_help_shows_examples():
    result = CliRunner().invoke(main, ["--help"])
    assert "python tools/prepare_corpus.py meta.csv --split 6:1:3 --group speaker" in result.output


@pytest.mark.corpus
def test_the_minicorpus_has_librispeech_in_bona_fide_only(prepare, shared):
    corpus = shared / "data/minicorpus"
    columns = ("--column", "file=utt", "--column", "source=domain")
    result = prepare(corpus / "mapping.csv", "--audio-dir", corpus / "flac", *columns, "--analyze")
    assert "  source: LibriSpeech is bona fide only (57 % of bona fide files)\n" in result.output
