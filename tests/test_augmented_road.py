"""From real speech to one table with augmented views in between, twice: not a bit of it may differ."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoofcache import evaluate, main_train, preprocess
from spoofcache.engine.checkpoint import read_about
from tests.threads import one_thread  # noqa: F401

CONFIG = Path(__file__).resolve().parents[1] / "configs/lfcc_lcnn.toml"
SETTINGS = ("train.epochs=2", "train.batch_size=8", "train.compile=off", "train.views=random")
TESTS = {"VCTK": ("VCTK",), "LJ": ("LJ", "LT")}
"""Test sets: beginnings of the speakers' names."""


def run(command, *arguments):
    """Run a command of the house; its standard output's lines."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def protocols(shared, tmp_path_factory):
    """Some 16 utterances of the minicorpus for each: train, dev out of every second line, tests out of the others."""
    folder, lists = tmp_path_factory.mktemp("protocols"), shared / "data/minicorpus/protocols"
    train, dev = ((lists / f"MC.cm.{name}.txt").read_text().splitlines() for name in ("train.trn", "dev.trl"))
    parts = {"train": train, "dev": dev[::2]}
    parts |= {name: [line for line in dev[1::2] if line.startswith(speakers)] for name, speakers in TESTS.items()}
    for name, lines in parts.items():
        few = [line for key in ("bonafide", "spoof") for line in [each for each in lines if each.endswith(key)][:8]]
        (folder / f"{name}.txt").write_text("\n".join(few) + "\n")
    return folder


def walk(root, protocols, audio_dir, workers):
    """Preprocess, train and evaluate below `root`; the folder of each part."""
    folders = {}
    for name in ("train", "dev", *TESTS):
        where = ("--corpus", "asvspoof19_style", "--protocol", protocols / f"{name}.txt", "--audio-dir", audio_dir)
        how = ("--frontend", "lfcc", "--name", "mini", "--workers", workers, "--device", "cpu", "--out", root / "cache")
        views = ("--augment", "rawboost:5", "--views", 2) if name == "train" else ()
        folders[name], *_ = run(preprocess.main, *where, "--partition", name, *how, *views)
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    data = ("--train", folders["train"], "--dev", folders["dev"], "--out", root / "run", "--device", "cpu")
    run(main_train.main, "--config", CONFIG, *data, *settings)
    tests = [word for name in TESTS for word in ("--test", f"{name}={folders[name]}")]
    run(evaluate.main, "--run", root / "run", *tests, "--bootstrap", 20, "--device", "cpu", "--csv", root / "table.csv")


@pytest.mark.corpus
@pytest.mark.usefixtures("one_thread")
def test_training_on_random_views_and_testing_on_two_sets_is_repeatable(shared, protocols, tmp_path):
    audio_dir = shared / "data/minicorpus/flac"
    one, other = tmp_path / "one", tmp_path / "other"
    walk(one, protocols, audio_dir, workers=1)
    walk(other, protocols, audio_dir, workers=3)
    made = sorted(path.relative_to(one) for path in (*one.rglob("shard-*.h5"), *one.rglob("*.safetensors")))
    assert len(made) == 3 + 3 + 1  # train in three views; dev and the tests; the best epoch
    for path in (*made, Path("table.csv")):
        assert (one / path).read_bytes() == (other / path).read_bytes(), path
    assert read_about(one / "run").trained_on == ("mini/train", "mini/train+rawboost-5")
    rows = list(csv.DictReader((one / "table.csv").read_text().splitlines()))
    assert {(row["test_set"], row["measure"]) for row in rows} >= {("VCTK", "eer"), ("LJ", "eer")}
    assert all(0 <= float(row["value"]) <= 1 for row in rows if row["measure"] == "eer")
