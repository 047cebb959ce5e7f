"""A cache and a run folder that the former edition wrote are read, finished and used; see golden/former_edition."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache import evaluate_tDCF_asvspoof19, generate_score, preprocess
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.extract import extract_partition, make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.plan import Plan
from spoofcache.features.verify import verify_partition
from spoofcache.features.views import open_views
from spoofcache.protocols import Location, load_trials

FORMER = Path(__file__).resolve().parent / "golden/former_edition"
CLEAN, VIEW = "cache/generated/lfcc-4255ea1b", "cache/generated/lfcc+gain-v1-6249dd07"
N_SAMPLES = 3_200


@pytest.fixture
def former(tmp_path):
    """A copy of everything, which a test may change."""
    return shutil.copytree(FORMER, tmp_path / "former")


def command(module, *options):
    """Run a command that must succeed; its standard output and standard error."""
    result = CliRunner().invoke(module.main, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def extract(folder, partition, *options):
    where = ("--protocol", folder / f"protocols/{partition}.txt", "--audio-dir", folder / "flac")
    how = ("--frontend", "lfcc", "--length", N_SAMPLES, "--device", "cpu", "--name", "generated")
    corpus = ("--corpus", "asvspoof19_style", "--partition", partition)
    return command(preprocess, *corpus, *where, *how, "--out", folder / "cache", *options)


def rows(folder):
    cache = CachedFeatures(folder)
    return np.stack([cache[index].features.float().numpy() for index in range(len(cache))])


def assert_same_features(found, expected):
    """Of LFCC computed twice and rounded to float16; another processor may round a value to its neighbour."""
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("partition", [f"{CLEAN}/train", f"{CLEAN}/dev", f"{CLEAN}/eval", f"{VIEW}/train"])
def test_its_partitions_verify(partition):
    assert verify_partition(FORMER / partition) == []


def test_the_same_command_finds_every_shard_finished_under_the_same_identity(former):
    before = {path: path.read_bytes() for path in (former / "cache").rglob("*") if path.is_file()}
    for partition, options in {
        "train": ("--augment", "gain", "--views", 1, "--seed", 3),
        "dev": (),
        "eval": ("--on-bad-audio", "skip"),
    }.items():
        folders, told = extract(former, partition, *options)
        assert "0 shards written, 1 already complete" in told
        assert Path(folders.splitlines()[0]) == former / CLEAN / partition
    assert {path: path.read_bytes() for path in (former / "cache").rglob("*") if path.is_file()} == before


def test_a_missing_shard_is_added_and_holds_the_same_numbers(former):
    expected = rows(former / CLEAN / "dev")
    (former / CLEAN / "dev/shard-00000.h5").unlink()
    _, told = extract(former, "dev")
    assert "1 shard written, 0 already complete" in told
    assert_same_features(rows(former / CLEAN / "dev"), expected)


def test_an_extraction_that_was_killed_goes_on_beside_its_finished_shard(former):
    folder = former / CLEAN / "begun"
    finished = (folder / "shard-00001.h5").read_bytes()
    where = Location(protocol=former / "protocols/dev.txt", audio_dir=former / "flac")
    trials = load_trials("asvspoof19_style", where, "dev")
    lfcc, options = make_frontend("lfcc", FrontEndOptions()), ExtractOptions(n_samples=N_SAMPLES)
    plan = Plan.make("generated", "begun", make_identity(lfcc, options), trials, lfcc.row_shape(N_SAMPLES))
    done = extract_partition(trials, replace(plan, shard_size=2), lfcc, folder, options)
    assert (done.made, done.found) == (2, 1)
    assert (folder / "shard-00001.h5").read_bytes() == finished
    assert_same_features(rows(folder), rows(former / CLEAN / "dev"))


def test_its_augmented_view_is_found_beside_the_clean_partition():
    views = open_views(CachedFeatures(FORMER / CLEAN / "train"), "all", ["gain"])
    assert [(view.strength, view.data.plan.identity.effect) for view in views] == [(0, ""), (1, "gain")]


@pytest.mark.parametrize("checkpoint", ["best", "last"])  # the last of three epochs is the best one
def test_its_run_gives_the_scores_that_it_gave(former, checkpoint):
    out = former / "new_scores.txt"
    features = ("--run", former / "run", "--features", former / CLEAN / "eval")
    command(generate_score, *features, "--checkpoint", checkpoint, "--device", "cpu", "--out", out)
    found, expected = (
        [line.split() for line in file.read_text().splitlines()] for file in (out, former / "scores.txt")
    )
    assert [line[:3] for line in found] == [line[:3] for line in expected]  # utterance, attack, key
    scores = [[float(line[3]) for line in lines] for lines in (found, expected)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-5)


def test_its_scores_evaluate_to_the_numbers_that_they_had(former):
    command(evaluate_tDCF_asvspoof19, "--cm-scores", former / "scores.txt", "--json", former / "new.json")
    found, expected = (json.loads((former / name).read_text()) for name in ("new.json", "evaluated.json"))
    del found["cm_scores"], expected["cm_scores"]  # a path
    assert found == expected
