"""Publishing a run: the folder, its card, the upload to a stand-in of the hub, and the scores of what comes back."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from spoofcache import evaluate
from spoofcache.engine.calibration_file import read_decision, weights_sha256, write_decision
from spoofcache.engine.checkpoint import read_about, save_best
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.engine.loaded_run import load_run
from spoofcache.evaluation.measures import MEASURES
from spoofcache.features.encoder import open_checkpoint, rebuild_encoder
from spoofcache.metrics.decision import fit_decision
from spoofcache.tools.make_random_ssl import write_checkpoint
from spoofcache.tools.publish import main
from tests.features.frontends.conftest import TINY
from tests.hub import Hub, used
from tests.runs import ONE_IN_FOUR, PERFECT, write_run, write_test

TO = "someone/lcnn"
ROW = re.compile(r"^\| (?!Test set|---)(.*) \|$", re.MULTILINE)


@pytest.fixture
def run(tmp_path):
    """A run with a calibration."""
    folder = write_run(tmp_path / "lcnn-seed0", (1, 0.5), trained_on=("LA/train+codec",))
    keys = np.arange(8) < 4
    decision = fit_decision(np.array(ONE_IN_FOUR, float), keys, "LA/dev", weights_sha256(folder, "best"))
    write_decision(folder, "best", decision)
    return folder


@pytest.fixture
def results(run, tmp_path):
    """What evaluate.py writes on the run, and on a rival, on two test sets."""
    rival = write_run(tmp_path / "rival", (0, 1), trained_on=("test/hard",))
    tests = {"hard": write_test(tmp_path / "hard", ONE_IN_FOUR), "odd | name": write_test(tmp_path / "easy", PERFECT)}
    options = [word for folder in (run, rival) for word in ("--run", str(folder))]
    options += [word for name, folder in tests.items() for word in ("--test", f"{name}={folder}")]
    out = tmp_path / "results.json"
    wanted = ["--metrics", "eer,min_dcf", "--bootstrap", "50", "--json", str(out), "--device", "cpu"]
    done = CliRunner().invoke(evaluate.main, [*options, *wanted])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub()
    with used(hub, tmp_path / "downloads", monkeypatch):
        yield hub


def publish(run, *options):
    return CliRunner().invoke(main, ["--run", str(run), "--to", TO, *map(str, options)])


def card_of(run, out, *options):
    """The folder that a dry run writes, and its card."""
    done = publish(run, "--dry-run", "--out", out, *options)
    assert done.exit_code == 0, done.output
    return ModelCard.load(out / "README.md")


def test_the_folder_has_the_files_of_the_run_and_a_card(run, tmp_path):
    (run / "trained_on.tsv").write_text("corpus\n")
    (run / "last.ckpt").write_bytes(b"?")
    (run / "weights.txt").write_text(str(tmp_path))
    card_of(run, tmp_path / "out")
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert sorted(files) == ["README.md", "calibration.json", "config.toml", "model.json", "model.safetensors"]
    for name in ("model.safetensors", "model.json", "config.toml"):
        assert files[name].read_bytes() == (run / name).read_bytes()
    sha256 = weights_sha256(run, "best")
    assert read_decision(tmp_path / "out", "best", sha256) == read_decision(run, "best", sha256)


def test_what_is_published_scores_bit_for_bit_like_the_run(run, hub, tmp_path):
    done = publish(run)
    assert done.exit_code == 0, done.output
    assert f"/{TO}/commit/" in done.stdout
    cache = write_test(tmp_path / "test", PERFECT)
    here, there = (load_run(each).score_cache(cache) for each in (run, f"hf://{TO}"))
    assert here.scores.tobytes() == there.scores.tobytes()
    assert here.utt_ids == there.utt_ids


def test_the_table_of_the_card_is_that_of_the_evaluation(run, results, tmp_path):
    card = card_of(run, tmp_path / "out", "--results", results, "--system", "lcnn-seed0")
    rows = [re.split(r"(?<!\\) ?\| ?", row) for row in ROW.findall(card.text)]
    record = json.loads(results.read_text())
    assert [row[0].replace("\\|", "|") for row in rows] == [test["test_set"] for test in record["test_sets"]]
    for (_, n_bonafide, n_spoof, *cells), test in zip(rows, record["test_sets"], strict=True):
        assert (int(n_bonafide), int(n_spoof)) == (test["n_bonafide"], test["n_spoof"])
        figures = test["systems"]["lcnn-seed0"]
        assert len(cells) == len(figures) == 2
        for cell, (measure, figure) in zip(cells, figures.items(), strict=True):
            value, low, high = map(float, re.findall(r"[\d.]+", cell))
            scale, digits = (100, 3) if MEASURES[measure].percent else (1, 5)
            assert value == round(scale * figure["value"], digits)
            assert (low, high) == tuple(round(scale * figure[end], digits - 1) for end in ("low", "high"))


def test_the_metadata_has_every_figure_of_the_evaluation_in_full_precision(run, results, tmp_path):
    data = card_of(run, tmp_path / "out", "--results", results, "--license", "cc-by-4.0").data
    assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "spoofcache", "audio-classification")
    assert data.base_model is None
    found = {(one.dataset_name, one.metric_type): one.metric_value for one in data.eval_results}
    expected = {
        (test["test_set"], measure): figure["value"]
        for test in json.loads(results.read_text())["test_sets"]
        for measure, figure in test["systems"]["lcnn-seed0"].items()
    }
    assert found == expected


def test_the_card_says_what_it_was_trained_on_where_its_threshold_is_from_and_how_to_use_it(run, tmp_path):
    text = card_of(run, tmp_path / "out").text
    for phrase in (
        "Training partitions: `LA/train+codec`. A `+` is followed by the augmentation.",
        "back-end `pooled_linear` with the loss `cross_entropy`; 6 published parameters",
        "windows of 4.04 s at 16 kHz",
        "the threshold of the EER (25.00%) on LA/dev (4 bona fide and 4 spoof trials)",
        "No result on a test set is published with this run.",
        f"spoofcache detect --run hf://{TO} recording.wav",
        f'spoofcache.load_run("hf://{TO}")',
        "The publisher stated no licence.",
    ):
        assert phrase in text, phrase


def test_nothing_of_this_machine_is_published(run, results, tmp_path):
    record = json.loads(results.read_text())
    record["test_sets"][0]["warnings"] = [
        f"2 of 8 trials have no score: {tmp_path}/hard/skipped.tsv",
        "rival was trained on test/hard, the same trials that it is judged on",
        "lcnn was trained on LA/train, the same trials that it is judged on",
    ]
    results.write_text(json.dumps(record))
    text = card_of(run, tmp_path / "out", "--results", results).text
    assert "* hard: 2 of 8 trials have no score: skipped.tsv" in text
    assert "* odd | name: only 4 spoof trials" in text
    assert "lcnn was trained on LA/train, the same trials" in text
    assert "rival" not in text
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_a_speech_model_of_the_hub_is_the_base_model(run, tmp_path):
    about = read_about(run)
    model = load_run(run).model
    front_end = {"name": "xls-r-300m", "layers": ["5"]}
    save_best(run, model, replace(about, identity={**about.identity, "front_end": front_end}))
    card = card_of(run, tmp_path / "out")
    assert card.data.base_model == "facebook/wav2vec2-xls-r-300m"
    assert "Features: `xls-r-300m`, layers 5," in card.text
    assert "The speech model facebook/wav2vec2-xls-r-300m is not in this repository" in card.text


def test_a_fine_tuned_run_publishes_its_trained_blocks(run, hub, tmp_path):
    weights = tmp_path / "ssl"
    write_checkpoint(weights, "xls-r-300m", layers=4, **TINY)
    spec = open_checkpoint("xls-r-300m", weights, None, {"trainable_from": 2}).spec
    frames = (2, int(spec.model["hidden_size"]))
    about = replace(read_about(run), feature_shape=frames, speech_model=asdict(spec))
    save_best(run, build_countermeasure(about, encoder=rebuild_encoder(spec, weights)).eval(), about)
    (run / "config.toml").write_text(f'[backend]\nname = "pooled_linear"\n\n[encoder]\nweights = "{weights}"\n')
    done = publish(run)
    assert done.exit_code == 0, done.output
    files = hub.commits[TO][-1][1]
    assert str(tmp_path).encode() not in b"".join(files.values())
    assert "calibration.json" not in files  # it was fitted for other weights
    card = files["README.md"].decode()
    assert "the blocks above number 2, in the mode `full`; `model.safetensors` contains the trained blocks" in card
    blocks = [name for name in load_file(run / "model.safetensors") if name.startswith("speech_model.")]
    assert blocks
    rows = torch.rand(3, *frames)
    here, there = (load_run(each).score_features(rows) for each in (run, f"hf://{TO}"))
    assert here.tobytes() == there.tobytes()


def test_the_averaged_weights_are_published_too(run, tmp_path):
    for ending in ("safetensors", "json"):
        (run / f"average.{ending}").write_bytes((run / f"model.{ending}").read_bytes())
    card_of(run, tmp_path / "out")
    load_run(tmp_path / "out", "average")


def test_the_card_says_which_figures_are_those_of_the_averaged_weights(run, tmp_path):
    for ending in ("safetensors", "json"):
        (run / f"average.{ending}").write_bytes((run / f"model.{ending}").read_bytes())
    results, test = tmp_path / "r.json", write_test(tmp_path / "hard", ONE_IN_FOUR)
    options = ["--run", str(run), "--test", f"hard={test}", "--checkpoint", "average", "--json", str(results)]
    done = CliRunner().invoke(evaluate.main, [*options, "--bootstrap", "0", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    text = card_of(run, tmp_path / "out", "--results", results).text
    assert "* hard: the figures are those of the averaged weights" in text
    assert "In brackets" not in text  # there are no intervals


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dry-run"], "--dry-run and --out FOLDER belong together"),
        (["--out", "x"], "--dry-run and --out FOLDER belong together"),
        (["--system", "x"], "--system selects figures of --results"),
        (["--to", "lcnn"], "hf://lcnn: not the name of a run on the hub"),
        (["--to", "someone/lcnn@v1"], "--to someone/lcnn@v1; expected owner/name, without a revision"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, options, sentence):
    done = publish(run, *options)
    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"test_sets": [{}]}', '{"test_sets": 3}', '{"matrix": []}'])
def test_results_of_another_form_are_refused(run, tmp_path, write, content):
    done = publish(run, "--dry-run", "--out", tmp_path / "out", "--results", write("r.json", content))
    assert done.exit_code == 2
    assert "r.json: not the results of an evaluation; expected a file of evaluate.py --json" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_system_that_is_not_in_the_results_is_refused_with_those_that_are(run, results):
    done = publish(run, "--results", results, "--system", "other")
    assert done.exit_code == 2
    assert "no system other; expected --system with one of lcnn-seed0, rival" in done.stderr


def test_damaged_weights_are_not_published(run, hub):
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[:-4] + b"\x00\x00\x80\x7f")
    done = publish(run)
    assert done.exit_code == 2
    assert "model.safetensors is not the file that model.json describes" in done.stderr
    assert not hub.requests
