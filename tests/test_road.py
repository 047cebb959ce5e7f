"""The four commands one after another, as a user types them, and what bad input gets."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spoofcache.features.dataset import CachedFeatures
from spoofcache.metrics.score_files import read_scores
from tests.commands import run
from tests.corpora import make_trials, write_corpus

ROOT = Path(__file__).resolve().parent.parent
LFCC = ("--config", ROOT / "configs/lfcc_lcnn.toml", "--set", "train.epochs=2")


def type_in(script, *options):
    """Run a command that must succeed, as a user types it in a shell; the last line of its standard output."""
    command = [sys.executable, ROOT / script, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def succeed(script, *options):
    """Run a command that must succeed; its standard output."""
    status, out, err = run(script, *options)
    assert status == 0, err
    return out.strip()


def refusal(script, *options):
    """The one sentence of a command that must refuse."""
    status, out, err = run(script, *options)
    assert status == 2, (status, out, err)
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Options that name a small corpus, by partition."""
    root = tmp_path_factory.mktemp("corpus")
    options = {}
    for partition, n in (("train", 30), ("dev", 18), ("eval", 18)):
        protocol, audio_dir = write_corpus(root / partition, make_trials(n, partition))
        where = ("--protocol", protocol, "--audio-dir", audio_dir, "--partition", partition)
        options[partition] = ("--corpus", "asvspoof19_style", *where)
    return options


@pytest.fixture(scope="module")
def road(corpus, tmp_path_factory):
    """Cache, run folder and scores of one walk down the road."""
    out = tmp_path_factory.mktemp("road")
    folders = {}
    for (partition, options), execute in zip(corpus.items(), (type_in, succeed, succeed), strict=True):
        folders[partition] = Path(execute("preprocess.py", *options, "--frontend", "lfcc", "--out", out / "cache"))
    type_in("main_train.py", *LFCC, "--train", folders["train"], "--dev", folders["dev"], "--out", out / "run")
    type_in("generate_score.py", "--run", out / "run", "--features", folders["eval"], "--out", out / "eval.txt")
    return out, folders


def test_the_road_ends_in_a_score_for_every_trial(road, corpus):
    out, _ = road
    scores = read_scores(out / "eval.txt")
    assert scores.utt_ids == [trial.utt_id for trial in make_trials(18, "eval")]
    protocol = corpus["eval"][3]
    asv = out / "asv.txt"
    lines = [f"bonafide target {5 + i}\nbonafide nontarget {i - 5}\nA01 spoof {i + 3}\nA02 spoof {i}" for i in range(4)]
    asv.write_text("\n".join(lines) + "\n")
    options = ("--cm-scores", out / "eval.txt", "--asv-scores", asv, "--protocol", protocol)
    table = type_in("evaluate_tDCF_asvspoof19.py", *options, "--json", out / "eval.json", "--plots", out / "plots")
    assert "EER" in table
    assert json.loads((out / "eval.json").read_text())["n_bonafide"] == 6
    assert len(list((out / "plots").glob("*.png"))) == 2


def test_the_cache_lies_where_the_design_says(road):
    out, folders = road
    train = folders["train"]
    assert train.parent.parent == out / "cache/asvspoof19_style"
    assert train.parent.name.startswith("lfcc-")
    assert sorted(path.name for path in train.iterdir()) == ["manifest.json", "shard-00000.h5", "trials.tsv"]
    assert CachedFeatures(train).plan.row_shape == (404, 60)


def test_a_second_preprocess_reuses_what_is_done(road, corpus):
    out, folders = road
    shard = folders["dev"] / "shard-00000.h5"
    before = (shard.stat().st_ino, shard.stat().st_mtime_ns)
    status, _, err = run("preprocess.py", *corpus["dev"], "--frontend", "lfcc", "--out", out / "cache")
    assert status == 0
    assert "0 shards written, 1 already complete" in err
    assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == before


def test_limit_name_and_options_make_folders_of_their_own(corpus, tmp_path):
    options = (*corpus["dev"], "--frontend", "raw", "--dtype", "int16", "--limit", 4, "--name", "mine")
    folder = Path(succeed("preprocess.py", *options, "--length", 16_000, "--fit", "zero", "--out", tmp_path))
    assert folder.relative_to(tmp_path).parts[0] == "mine"
    assert folder.name == "dev-first4"
    cached = CachedFeatures(folder)
    assert len(cached) == 4
    original, _ = soundfile.read(corpus["dev"][5] / f"{cached[0].utt_id}.flac", dtype="float32")
    np.testing.assert_array_equal(cached[0].features.numpy(), np.pad(original, (0, 8_000)))


def test_dry_run_touches_nothing(corpus, tmp_path):
    out = tmp_path / "cache"
    told = succeed("preprocess.py", *corpus["train"], "--frontend", "lfcc", "--out", out, "--dry-run")
    assert "30 utterances, 0 audio files missing; 0.00 GB in 1 shards of 404 × 60 float16" in told
    assert not out.exists()


def test_verify_finds_a_changed_byte_and_names_the_utterance(road, tmp_path):
    out, folders = road
    assert "as written" in succeed("preprocess.py", "--verify", "--out", out / "cache")
    copy = tmp_path / "dev"
    shutil.copytree(folders["dev"], copy)
    with (copy / "shard-00000.h5").open("r+b") as file:
        file.seek(-100_000, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert "the values of 1 row have changed since they were written, or are not numbers, first dev_0" in refusal(
        "preprocess.py", "--verify", "--out", copy
    )


@pytest.mark.parametrize("form", ["asvspoof2019", "asvspoof2021", "asvspoof5", "xieyuankun"])
def test_scores_are_written_in_every_form(road, tmp_path, form):
    out, folders = road
    options = ("--run", out / "run", "--features", folders["dev"], "--checkpoint", "last", "--format", form)
    succeed("generate_score.py", *options, "--out", tmp_path / "scores.txt")
    assert len((tmp_path / "scores.txt").read_text().splitlines()) == 18 + (form == "asvspoof5")  # one has a header


@pytest.mark.parametrize(
    "script", ["preprocess.py", "main_train.py", "generate_score.py", "evaluate_tDCF_asvspoof19.py"]
)
def test_help_shows_an_example(script):
    told = succeed(script, "--help")
    assert "Example" in told
    assert f"python {script}" in told


# What bad input gets: one sentence, exit status 2, finished work untouched.


def break_one(corpus, tmp_path, act):
    """A copy of the dev corpus with its fourth audio file spoilt; the options that name it."""
    protocol, audio_dir = corpus["dev"][3], tmp_path / "flac"
    shutil.copytree(corpus["dev"][5], audio_dir)
    act(audio_dir / "dev_0003.flac")
    return ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio_dir, "--partition", "dev",
            "--frontend", "lfcc", "--out", tmp_path / "cache")  # fmt: skip


BAD_AUDIO = {
    "missing": (lambda path: path.unlink(), "1 of 18 utterances have no audio file, first dev_0003"),
    "empty": (lambda path: path.write_bytes(b""), "dev_0003.flac: empty, truncated or not audio"),
    "text": (lambda path: path.write_text("hello"), "dev_0003.flac: empty, truncated or not audio"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:5_000]), "dev_0003.flac: damaged or truncated"),
    "short": (lambda path: soundfile.write(path, np.zeros(399), 16_000), "dev_0003.flac: 399 samples at 16 kHz"),
}


@pytest.mark.parametrize("kind", BAD_AUDIO)
def test_bad_audio_stops_with_the_file_or_is_skipped_and_listed(corpus, tmp_path, kind):
    act, sentence = BAD_AUDIO[kind]
    options = break_one(corpus, tmp_path, act)
    assert sentence in refusal("preprocess.py", *options)
    assert not list(tmp_path.rglob("shard-*"))
    folder = Path(succeed("preprocess.py", *options, "--on-bad-audio", "skip"))
    listed = (folder / "skipped.tsv").read_text().splitlines()
    assert len(listed) == 2
    assert listed[1].startswith("dev_0003\t")
    assert len(CachedFeatures(folder)) == 17


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--frontend", "lfc"), "front-end 'lfc'; expected one of"),
        (("--frontend", "lfcc", "--layer", "5"), "front-end lfcc has no layers"),
        (("--frontend", "raw", "--dtype", "float16"), "--dtype float16 for raw; expected float32 or int16"),
        (("--frontend", "xls-r-300m", "--weights", "nowhere"), "nowhere"),
        (("--frontend", "lfcc", "--device", "tpu"), "--device tpu: expected auto, cpu, cuda"),
        (("--frontend", "lfcc", "--partition", "train"), "asvspoof19_style is not divided into partitions"),
        (("--frontend", "lfcc", "--name", "../elsewhere"), "'../elsewhere' cannot name a folder"),
        (("--frontend", "lfcc", "--length", 10**12), "10000000"),
        ((), "--corpus, --partition and --frontend are needed"),
    ],
)
def test_what_preprocess_does_not_know_is_refused(corpus, tmp_path, options, sentence):
    assert sentence in refusal("preprocess.py", *corpus["dev"], *options, "--out", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_another_trial_list_under_the_same_name_is_refused(road, corpus, tmp_path):
    out, folders = road
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("".join(corpus["dev"][3].read_text().splitlines(keepends=True)[:-1]))
    options = ("--corpus", "asvspoof19_style", "--protocol", shorter, "--audio-dir", corpus["dev"][5])
    told = refusal("preprocess.py", *options, "--partition", "dev", "--frontend", "lfcc", "--out", out / "cache")
    assert "trials.tsv: another trial list" in told
    assert len(CachedFeatures(folders["dev"])) == 18


def test_an_output_that_exists_is_not_changed(road):
    out, folders = road
    before = (out / "eval.txt").read_bytes()
    told = refusal("generate_score.py", "--run", out / "run", "--features", folders["eval"], "--out", out / "eval.txt")
    assert "eval.txt exists; expected a new file" in told
    assert (out / "eval.txt").read_bytes() == before
    data = ("--train", folders["train"], "--dev", folders["dev"])
    assert "run exists; expected a new folder, or --resume" in refusal(
        "main_train.py", *LFCC, *data, "--out", out / "run"
    )


def test_features_of_another_identity_are_refused(road, corpus, tmp_path):
    out, _ = road
    options = (*corpus["dev"], "--frontend", "lfcc-fullband", "--out", tmp_path)
    other = succeed("preprocess.py", *options)
    told = refusal("generate_score.py", "--run", out / "run", "--features", other, "--out", tmp_path / "scores.txt")
    assert "front_end.max_frequency is 8000.0, expected 4000.0" in told
    assert not (tmp_path / "scores.txt").exists()


def test_a_partition_folder_that_is_no_cache_is_refused(tmp_path):
    told = refusal("main_train.py", *LFCC, "--train", tmp_path, "--dev", tmp_path, "--out", tmp_path / "run")
    assert "expected a complete cache" in told


def test_an_output_below_a_file_is_refused(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    told = refusal("preprocess.py", *corpus["dev"], "--frontend", "lfcc", "--out", tmp_path / "file")
    assert "Not a directory" in told


def test_an_input_is_never_overwritten_with_results(road, tmp_path):
    copy = tmp_path / "scores.txt"
    shutil.copy(road[0] / "eval.txt", copy)
    options = ("--cm-scores", copy, "--json", copy, "--overwrite")
    assert "is an input" in refusal("evaluate_tDCF_asvspoof19.py", *options)
    assert copy.read_bytes() == (road[0] / "eval.txt").read_bytes()


@pytest.mark.corpus
def test_the_road_on_real_speech(shared, tmp_path):
    """XLS-R's full width with one random block over eight utterances; the figures mean nothing, the road is real."""
    from spoofcache.tools.make_random_ssl import write_checkpoint

    mini = shared / "data/minicorpus"
    write_checkpoint(tmp_path / "weights", "xls-r-300m", layers=1)
    folders = {}
    for partition, file in (("train", "MC.cm.train.trn.txt"), ("dev", "MC.cm.dev.trl.txt")):
        lines = (mini / "protocols" / file).read_text().splitlines(keepends=True)
        rows = [*[line for line in lines if "bonafide" in line][:2], *[line for line in lines if "spoof" in line][:2]]
        (tmp_path / file).write_text("".join(rows))
        where = ("--protocol", tmp_path / file, "--audio-dir", mini / "flac", "--partition", partition)
        network = ("--frontend", "xls-r-300m", "--weights", tmp_path / "weights", "--batch-size", 3)
        cache = ("--name", "mini", "--out", tmp_path / "cache")
        folders[partition] = Path(succeed("preprocess.py", "--corpus", "asvspoof19_style", *where, *network, *cache))
    assert CachedFeatures(folders["train"]).plan.row_shape == (201, 1024)
    config = ("--config", ROOT / "configs/xlsr300m_lcnn.toml", "--set", "train.epochs=1", "--set", "train.batch_size=2")
    data = ("--train", folders["train"], "--dev", folders["dev"])
    succeed("main_train.py", *config, *data, "--out", tmp_path / "run")
    succeed("generate_score.py", "--run", tmp_path / "run", "--features", folders["dev"], "--out", tmp_path / "s.txt")
    assert "EER" in succeed("evaluate_tDCF_asvspoof19.py", "--cm-scores", tmp_path / "s.txt")
