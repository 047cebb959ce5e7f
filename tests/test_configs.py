"""Every experiment of configs/ says what it is, and runs from the command line on real speech."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoofcache import generate_score, main_train, preprocess
from spoofcache.engine.config_file import load_config
from spoofcache.tools import make_random_ssl

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = sorted((REPOSITORY / "configs").glob("*.toml"))
BLOCKS, WIDTH = 6, 128
"""Of the random stand-in for XLS-R-300M, whose own size would take most of the time."""
SHORT = 9_600
"""Samples of a window, 0.6 s: what is run here is the road, not the recipe."""
SOURCES = (REPOSITORY / "docs/sources.md").read_text(encoding="utf-8")
UTTERANCES = 8
"""Of train, and of dev."""
SMALL = (
    "train.epochs=2",
    "train.batch_size=4",
    "train.micro_batch=0",
    "schedule.warmup_steps=0",
    "schedule.lr_min=0",
    "optimizer.lr=3e-4",
)


def run(command, *arguments):
    """Run a command of the house; its standard output's lines."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_header_says_command_figure_and_source(path):
    header = "".join(line[1:] for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert f"python main_train.py --config configs/{path.name} " in header
    assert re.search(r"Published figures?", header)
    source = header.partition("Source:")[2].partition("\n\n")[0].partition("Differences:")[0]
    repositories = re.findall(r"[A-Za-z][\w-]+/\w[\w.-]*\w", source)
    assert repositories
    assert not [name for name in repositories if name not in SOURCES]
    load_config(path)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The checkpoint of the stand-in."""
    out = tmp_path_factory.mktemp("weights") / "xls-r"
    run(make_random_ssl.main, "--architecture", "xls-r-300m", "--width", WIDTH, "--layers", BLOCKS, "--out", out)
    return out


@pytest.fixture(scope="module")
def caches(shared, weights, tmp_path_factory):
    """`caches(config)`: train and dev caches of a few utterances, 0.6 s long, as the config wants them."""
    root, corpus = tmp_path_factory.mktemp("configs"), shared / "data/minicorpus"
    made = {}

    def front_end(features):
        front = features["front_end"]
        fit = ["--fit", features["fit"]] if "fit" in features else []
        if not front["name"].startswith("xls-r"):
            return (front["name"], *fit)
        chosen = [word for layer in layers(front) for word in ("--layer", layer)]
        normalise = ["--normalize", front["normalize"]] if "normalize" in front else []
        return (front["name"], "--weights", weights, *chosen, *normalise, *fit)

    def make(config):
        how = front_end(tomllib.loads(config.read_text())["features"])
        if how not in made:
            folders = []
            for partition, ending in (("train", "train.trn"), ("dev", "dev.trl")):
                protocol = corpus / f"protocols/MC.cm.{ending}.txt"
                where = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", corpus / "flac")
                size = (
                    "--partition",
                    partition,
                    "--limit",
                    UTTERANCES,
                    "--length",
                    SHORT,
                    "--out",
                    root / f"cache{len(made)}",
                )
                folders += run(preprocess.main, *where, *size, "--frontend", *how)[-1:]
            made[how] = folders
        return made[how]

    return make


def layers(front_end):
    """Those of the config that the stand-in has; where it has none of them, one below its last two blocks."""
    found = [layer for layer in front_end["layers"] if layer == "last" or int(layer) <= BLOCKS]
    return found or [str(BLOCKS - 2)]


@pytest.mark.corpus
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_trains_for_two_epochs_and_scores_every_utterance(path, caches, weights, tmp_path):
    train, dev = caches(path)
    front_end = tomllib.loads(path.read_text())["features"]["front_end"]
    stand_in = [f"features.front_end.layers={json.dumps(layers(front_end))}"] if "layers" in front_end else []
    encoder = tomllib.loads(path.read_text()).get("encoder", {})
    if encoder.get("trainable_from") == "waveform":
        stand_in += [
            f"encoder.weights={weights}",
            *(['encoder.layers_out=["1","2"]'] if "layers_out" in encoder else ()),
        ]
    elif encoder:
        stand_in += [f"encoder.trainable_from={BLOCKS - 2}"]
    overrides = (*SMALL, *stand_in)
    settings = [word for override in overrides for word in ("--set", override)]
    run(main_train.main, "--config", path, "--train", train, "--dev", dev, "--out", tmp_path / "run", *settings)
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 2
    scores = tmp_path / "scores.txt"
    run(generate_score.main, "--run", tmp_path / "run", "--features", dev, "--out", scores)
    assert len(scores.read_text().splitlines()) == UTTERANCES
