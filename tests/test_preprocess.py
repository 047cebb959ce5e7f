"""preprocess.py and the corpora: what it takes for them, and what it says before any model runs."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.frontends.geometry import ARCHITECTURES, Architecture
from spoofcache.features.plan import StoreError, weights_folder
from spoofcache.features.waveform import fit_length, load_waveform
from spoofcache.preprocess import main
from spoofcache.protocols import CORPORA
from spoofcache.protocols.snapshot import read_snapshot
from spoofcache.tools.make_random_ssl import narrow, write_checkpoint
from tests.corpora import make_trials, write_corpus

ROOT = Path(__file__).resolve().parent.parent
OWN = ("--corpus", "csv", "--column", "utterance=name", "--column", "label=class", "--column", "codec=compression")


@pytest.fixture
def own(tmp_path):
    """A table of one's own with columns of other names, beside its audio; the command that extracts it."""
    trials = make_trials(6)
    _, audio_dir = write_corpus(tmp_path, trials)
    rows = "".join(f"{trial.utt_id},{trial.key.replace('spoof', 'fake')},mp3\n" for trial in trials)
    (tmp_path / "my.csv").write_text("name,class,compression\n" + rows)
    where = ("--protocol", tmp_path / "my.csv", "--audio-dir", audio_dir, "--out", tmp_path / "cache")
    return (*OWN, *where, "--partition", "eval", "--frontend", "lfcc", "--device", "cpu")


def two_partitions(name):
    """A corpus of any name that has partitions of its own."""
    return SimpleNamespace(partitions=("train", "dev"))


def preprocess(*options):
    """Exit status, standard output and standard error."""
    result = CliRunner().invoke(main, [str(option) for option in options])
    return result.exit_code, result.stdout.strip(), result.stderr.strip()


def test_conditions_of_a_table_are_columns_of_the_trial_list(own, tmp_path):
    status, folder, _ = preprocess(*own)
    assert status == 0
    trials = read_snapshot(tmp_path / folder / "trials.tsv")
    assert [trial.conditions for trial in trials] == [{"codec": "mp3"}] * 6
    assert [trial.label for trial in trials] == [1, 0, 0, 1, 0, 0]


def test_a_key_of_0_and_1_that_does_not_say_what_1_means_is_warned_of(own, tmp_path):
    table = tmp_path / "my.csv"
    table.write_text(table.read_text().replace(",bonafide,", ",1,").replace(",fake,", ",0,"))
    status, _, messages = preprocess(*own)
    assert status == 0
    assert f"Warning: {table}: 1 in column 2 (`class`) was taken for bona fide (if it means spoof: --column" in messages
    stated = [option.replace("label=class", "bonafide=class") for option in map(str, own)]
    assert "taken for bona fide" not in preprocess(*stated)[2]


@pytest.mark.parametrize("option", ["--on-missing", "--on-bad-audio"])
def test_missing_and_unreadable_audio_is_reported_at_once_or_skipped(own, tmp_path, option):
    (tmp_path / "flac/U_0001.flac").unlink()
    (tmp_path / "flac/U_0002.flac").write_text("<html>")
    told = (
        "1 of 6 utterances have no audio file, first U_0001; 1 of 6 utterances have audio that cannot be opened, "
        "first U_0002 (U_0002.flac: empty, truncated or not audio)"
    )
    status, _, error = preprocess(*own)
    assert status == 2
    assert told in error
    assert not (tmp_path / "cache").exists()
    status, folder, error = preprocess(*own, option, "skip")
    assert status == 0
    assert f"eval: {told}; skipped" in error
    assert len((tmp_path / folder / "skipped.tsv").read_text().splitlines()) == 3


def test_missing_audio_of_all_partitions_is_reported_at_once(train, tmp_path, monkeypatch):
    monkeypatch.setattr("spoofcache.features.request.find_corpus", two_partitions)
    (tmp_path / "flac/U_0001.flac").unlink()
    status, _, error = preprocess(*train, "--partition", "dev")
    assert status == 2
    for name in ("train", "dev"):
        assert f"{name}: 1 of 6 utterances have no audio file, first U_0001; expected" in error


def test_audio_that_is_elsewhere_altogether_is_never_skipped(own, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, error = preprocess(*own, "--audio-dir", tmp_path / "empty", "--on-missing", "skip")
    assert status == 2
    assert "6 of 6 utterances have no audio file, first U_0000, U_0001" in error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--partition", "train"),
            "csv is not divided into partitions; expected one --partition, which names the whole",
        ),
        (("--column", "file"), "'file'; expected NAME=HEADER, for example file=path"),
        (("--column", "label=kind"), "'label=kind'; expected NAME=HEADER, for example file=path, and every NAME once"),
        (("--column", "speaker=who"), "has no column 'who'; expected a header of the table"),
        (("--root", "."), "csv takes --protocol and --audio-dir and --column, not --root"),
        (("--corpus", "mlaad"), "mlaad needs --root"),
    ],
)
def test_what_a_corpus_does_not_take_is_refused(own, options, sentence):
    status, _, error = preprocess(*own, *options)
    assert status == 2
    assert sentence in " ".join(error.split())


def test_help_names_every_corpus_with_what_it_takes():
    _, told, _ = preprocess("--help")
    for corpus in CORPORA:
        assert f"\n    {corpus} " in told
    assert "mlaad             --root [--bonafide-dir]" in told


@pytest.fixture
def train(tmp_path):
    """The command that caches six utterances as waveforms, in a partition called train."""
    protocol, audio_dir = write_corpus(tmp_path, make_trials(6))
    where = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir, "--partition", "train")
    return (*where, "--frontend", "raw", "--length", 10_000, "--name", "mini", "--out", tmp_path / "cache")


def rows(folder):
    """Waveforms [N, n] of a cache."""
    cache = CachedFeatures(Path(folder))
    return np.stack([cache[index].features.numpy() for index in range(len(cache))])


def test_augmented_views_lie_beside_the_clean_cache_which_stays_what_it_is(train, tmp_path):
    _, clean, _ = preprocess(*train)
    before = {path: path.read_bytes() for path in Path(clean).iterdir()}
    status, folders, told = preprocess(*train, "--augment", "rawboost:5", "--views", 2, "--seed", 7)
    assert status == 0
    assert {path: path.read_bytes() for path in Path(clean).iterdir()} == before
    assert "train: 0 shards written, 1 already complete" in told
    assert "train, rawboost-5 view 2: 1 shard written, 0 already complete" in told
    assert folders.split()[0] == clean
    slugs = [Path(folder).parent.name.rpartition("-")[0] for folder in folders.split()]
    assert slugs == ["raw", "raw+rawboost-5-v1", "raw+rawboost-5-v2"]
    audio = sorted((tmp_path / "flac").iterdir())
    for number, folder in enumerate(folders.split()[1:], 1):
        view = View("rawboost:5", 7, number)
        expected = [fit_length(view(load_waveform(path), path.stem), 10_000) for path in audio]
        np.testing.assert_array_equal(rows(folder), expected)
        augment = {"name": "rawboost", "algorithm": 5, "seed": 7, "view": number}
        assert CachedFeatures(Path(folder)).plan.identity.settings["augment"] == augment
    assert preprocess("--verify", "--out", tmp_path / "cache")[1].count("as written") == 3


def test_every_effect_has_views_of_its_own_however_it_is_spelled(train):
    _, folders, _ = preprocess(*train, "--augment", "codec:mp3", "--augment", "gain", "--views", 1)
    _, again, told = preprocess(*train, "--augment", "gain:decibels=-6..6")
    assert len(set(folders.split())) == 3
    assert again.split()[1] == folders.split()[2]
    assert told.count("0 shards written, 1 already complete") == 2


def test_other_partitions_are_augmented_only_where_they_are_named(train):
    dev = [word if word != "train" else "dev" for word in train]
    augment = ("--augment", "gain", "--augment-partition")
    assert preprocess(*dev)[1].count("/dev") == 1
    assert preprocess(*dev, *augment, "dev")[1].count("/dev") == 2
    status, _, error = preprocess(*dev, "--augment", "gain")
    assert status == 2
    assert (
        "--augment applies to train, which no --partition names; expected --augment-partition with one of dev"
    ) in " ".join(error.split())


def test_of_several_partitions_train_alone_is_augmented(train, tmp_path, monkeypatch):
    """As of the corpora that have partitions of their own; here both are the same six files."""
    monkeypatch.setattr("spoofcache.features.request.find_corpus", two_partitions)
    _, folders, _ = preprocess(*train, "--partition", "dev", "--augment", "gain", "--limit", 2)
    names = [Path(folder).relative_to(tmp_path / "cache/mini").as_posix() for folder in folders.split()]
    made = [re.sub("-[0-9a-f]{8}/", "/", name) for name in names]
    assert made == ["raw/train-first2", "raw+gain-v1/train-first2", "raw/dev-first2"]


def test_views_stored_as_16_bit_audio_are_clipped_at_full_scale(train, tmp_path):
    status, folders, _ = preprocess(*train, "--dtype", "int16", "--augment", "noise:white,snr=-15")
    assert status == 0
    view = View("noise:white,snr=-15", 0, 1)
    loud = [fit_length(view(load_waveform(path), path.stem), 10_000) for path in sorted((tmp_path / "flac").iterdir())]
    assert np.abs(loud).max() > 1
    np.testing.assert_allclose(rows(folders.split()[1]), np.clip(loud, -1, 1), atol=1 / 32_768)


def test_a_broken_recording_is_reported_before_anything_is_done_and_never_skipped(train, tmp_path):
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/a.wav").write_text("no audio")
    status, _, error = preprocess(*train, "--augment", f"background:{tmp_path}/noise", "--on-missing", "skip")
    assert status == 2
    assert "1 of 1 recordings cannot be opened, first a.wav: empty, truncated or not audio" in error
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_counts_the_gigabytes_of_all_views(train, tmp_path):
    views = ("--augment", "rawboost:5", "--views", 3, "--length", 100_000)
    _, told, _ = preprocess(*train, *views, "--dry-run")
    lines = told.splitlines()
    assert [line.split(":")[0] for line in lines[::2]] == [
        *("train", "train, rawboost-5 view 1", "train, rawboost-5 view 2", "train, rawboost-5 view 3"),
        f"{4 * 6 * 100_000 * 4 / 1e9:.2f} GB in all",
    ]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--views", "2"), "--views and --augment-partition have no effect without --augment; expected --augment"),
        (("--augment", "rawbost:5"), "effect 'rawbost'; expected one of rawboost, codec"),
        (("--augment", "rawboost:9"), "effect rawboost: algorithm=9; expected 1 to 8"),
        (("--augment", "reverb:nowhere"), "nowhere: no audio; expected a folder"),
        (("--augment", "gain", "--augment-partition", "dev"), "--augment applies to dev, which no --partition names"),
    ],
)
def test_views_that_cannot_be_had_are_refused_before_anything_is_done(train, tmp_path, options, sentence):
    status, _, error = preprocess(*train, *options)
    assert status == 2
    assert sentence in " ".join(error.split())
    assert not (tmp_path / "cache").exists()


def test_help_imports_no_torch():
    program = (
        "import sys; from click.testing import CliRunner; from spoofcache.preprocess import main; "
        "print(CliRunner().invoke(main, ['--help']).exit_code, {'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "set()"]


def test_a_dry_run_needs_neither_the_corpus_nor_the_checkpoint(tmp_path, monkeypatch):
    small = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 64, "num_hidden_layers": 2}
    architecture = Architecture("wav2vec2", {**ARCHITECTURES["xls-r-300m"].settings, **small, "conv_dim": [16] * 7})
    monkeypatch.setitem(ARCHITECTURES, "xls-r-300m", architecture)
    monkeypatch.setattr("spoofcache.features.frontends.is_downloaded", lambda repository: False)
    monkeypatch.setattr("spoofcache.features.estimate.SECONDS", 0.0)
    options = ("--frontend", "xls-r-300m", "--device", "cpu", "--batch-size", 2, "--out", tmp_path / "cache")
    status, told, error = preprocess("--corpus", "asvspoof19_la", "--partition", "train", *options, "--dry-run")
    assert status == 0, error
    gigabytes = 25_380 * 201 * 64 * 2 / 1e9
    count = "train: 25380 utterances (the published count; audio files were not looked for)"
    assert told.startswith(f"{count}; {gigabytes:.2f} GB in 50 shards")
    assert "timed with random weights of the same size, since the checkpoint is absent" in told
    assert "not including the time to decode audio files" in told
    assert len(told.splitlines()) == 1  # the name of the folder depends on the checkpoint
    assert not (tmp_path / "cache").exists()


def test_a_dry_run_of_a_corpus_without_published_counts_asks_for_its_place(tmp_path):
    options = ("--partition", "eval", "--frontend", "lfcc", "--out", tmp_path, "--dry-run")
    status, _, error = preprocess("--corpus", "mlaad", *options)
    assert status == 2
    assert "mlaad needs --root" in error


def test_a_cache_remembers_where_the_weights_were(train, tmp_path):
    write_checkpoint(tmp_path / "weights", "xls-r-300m", layers=1, **narrow(64))
    options = [word if word != "raw" else "xls-r-300m" for word in train]
    status, folder, error = preprocess(*options, "--weights", tmp_path / "weights", "--device", "cpu")
    assert status == 0, error
    assert weights_folder(Path(folder)) == tmp_path / "weights"
    assert str(tmp_path) not in CachedFeatures(Path(folder)).plan.identity.to_json()
    (tmp_path / "weights").rename(tmp_path / "elsewhere")
    assert weights_folder(Path(folder)) is None


def test_the_partitions_below_a_folder_that_is_none_are_listed(train, tmp_path):
    preprocess(*train)
    with pytest.raises(StoreError, match=r"mini: no manifest\.json; expected the folder of one partition, here raw-"):
        CachedFeatures(tmp_path / "cache/mini")


def test_statistics_over_time_are_stored_per_layer_and_the_dry_run_counts_them(own, tmp_path):
    options = (*own, "--pool", "mean+std")
    _, told, _ = preprocess(*options, "--dry-run")
    assert "0.00 GB in 1 shards of 1 × 120 float32" in told
    status, folder, _ = preprocess(*options)
    assert status == 0
    assert told.splitlines()[-1] == folder
    assert CachedFeatures(Path(folder)).plan.row_shape == (1, 120)
    assert preprocess("--verify", "--out", tmp_path / "cache")[1].endswith("as written")
    status, _, error = preprocess(*own, "--frontend", "raw", "--pool", "mean")
    assert status == 2
    assert "--pool mean for raw, whose rows are of shape 64600; expected a front-end with frames" in error
