"""Runs that are named by their place on the hub: what is fetched, uploaded, and refused in a sentence."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from spoofcache import detect, evaluate, generate_score, main_train
from spoofcache.common.cli import RunFolder
from spoofcache.common.hub import HubError, find_place, local_folder, upload
from spoofcache.engine.loaded_run import load_run
from spoofcache.evaluation.runs import read_runs
from spoofcache.tools import calibrate
from tests.hub import Hub, used
from tests.runs import PERFECT, write_run, write_test

PLACE = "hf://someone/lcnn"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub()
    with used(hub, tmp_path / "downloads", monkeypatch):
        yield hub


@pytest.fixture
def on_hub(hub, tmp_path):
    """The commit of a run on the hub."""
    run = write_run(tmp_path / "run", (1, 0.5))
    return hub.commit("someone/lcnn", {path.name: path.read_bytes() for path in run.iterdir()} | {"x.bin": b"?"})


def test_what_is_uploaded_is_fetched_byte_for_byte(hub, tmp_path):
    run = write_run(tmp_path / "run")
    (run / "README.md").write_text("a card")
    upload(run, "someone/lcnn")
    assert hub.commits["someone/lcnn"][-1][1] == {
        ".gitattributes": b"",
        **{path.name: path.read_bytes() for path in run.iterdir()},
    }
    fetched = local_folder(PLACE)
    for name in ("model.safetensors", "model.json", "config.toml"):
        assert (fetched / name).read_bytes() == (run / name).read_bytes()


def test_a_second_upload_replaces_files_that_are_gone(hub, tmp_path):
    run = write_run(tmp_path / "run")
    (run / "calibration.json").write_text("{}")
    upload(run, "someone/lcnn", private=True)
    (run / "calibration.json").unlink()
    upload(run, "someone/lcnn")
    assert hub.private == ["someone/lcnn"]
    assert [sorted(files) for _, files in hub.commits["someone/lcnn"][1:]] == [
        [".gitattributes", "calibration.json", "config.toml", "model.json", "model.safetensors"],
        [".gitattributes", "config.toml", "model.json", "model.safetensors"],
    ]


def test_a_revision_is_the_run_of_that_commit(hub, on_hub, tmp_path):
    other = write_run(tmp_path / "other", (9, 9))
    hub.commit("someone/lcnn", {path.name: path.read_bytes() for path in other.iterdir()})
    before, now = local_folder(f"{PLACE}@{on_hub}"), local_folder(PLACE)
    assert (before / "model.safetensors").read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()
    assert (now / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_only_files_of_a_run_are_fetched_and_only_once(hub, on_hub):
    assert not (local_folder(PLACE) / "x.bin").exists()
    hub.requests.clear()
    local_folder(PLACE)
    assert not [request for request in hub.requests if "/resolve/" in request and request.startswith("GET")]


def test_an_earlier_download_is_used_when_the_hub_is_gone(hub, on_hub, monkeypatch):
    before = local_folder(PLACE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert local_folder(PLACE) == before


def test_a_run_on_the_hub_scores_like_its_folder(on_hub, tmp_path):
    cache = write_test(tmp_path / "test", PERFECT)
    for name, run in (("here.txt", tmp_path / "run"), ("hub.txt", PLACE)):
        options = ["--run", str(run), "--features", str(cache), "--out", str(tmp_path / name), "--device", "cpu"]
        result = CliRunner().invoke(generate_score.main, options)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "here.txt").read_bytes() == (tmp_path / "hub.txt").read_bytes()
    here, there = (load_run(run).score_cache(cache).scores for run in (tmp_path / "run", PLACE))
    assert here.tobytes() == there.tobytes()


def test_a_run_on_the_hub_is_called_by_the_name_of_its_repository(on_hub):
    assert [run.system for run in read_runs([PLACE, f"mine={PLACE}@{on_hub}"])] == ["lcnn", "mine"]


def test_a_run_on_the_hub_is_evaluated_beside_one_of_this_machine(on_hub, tmp_path):
    test = write_test(tmp_path / "test", PERFECT)
    out = tmp_path / "out.json"
    options = ["--run", f"here={tmp_path / 'run'}", "--run", f"theirs={PLACE}", "--test", f"T={test}"]
    wanted = ["--bootstrap", "0", "--metrics", "eer", "--json", str(out), "--device", "cpu"]
    result = CliRunner().invoke(evaluate.main, [*options, *wanted])
    assert result.exit_code == 0, result.output
    (record,) = json.loads(out.read_text())["test_sets"]
    assert {name: of["eer"]["value"] for name, of in record["systems"].items()} == {"here": 0, "theirs": 0}


@pytest.mark.parametrize(
    ("command", "option"), [(detect, "run"), (generate_score, "run"), (main_train, "init"), (calibrate, "run")]
)
def test_every_option_for_a_run_knows_the_hub(command, option):
    (parameter,) = [each for each in command.main.params if each.name == option]
    assert isinstance(parameter.type, RunFolder)


def test_a_place_that_was_made_a_path_is_still_one():
    assert find_place(Path("hf://someone/lcnn@v1")) == find_place("hf://someone/lcnn@v1")


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("hf://lcnn", "expected hf://owner/name or hf://owner/name@revision"),
        ("hf://some one/lcnn", "expected hf://owner/name"),
        ("hf://someone/--x", "not the name of a repository"),
        ("hf://nobody/lcnn", "hf://nobody/lcnn: not on the hub, or private"),
        ("hf://someone/lcnn@v9", "hf://someone/lcnn@v9: no revision v9"),
        ("hf://someone/notes", "no model.json in it; expected a run"),
    ],
)
def test_a_place_without_a_run_is_refused_in_a_sentence(hub, on_hub, place, sentence):
    hub.commit("someone/notes", {"notes.json": b"{}"})
    with pytest.raises(HubError) as refusal:
        local_folder(place)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_hub_that_does_not_answer_is_named_with_the_reason(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"hf://someone/lcnn: the hub cannot be reached \(.*\), and no complete copy was"
    ):
        local_folder(PLACE)


def test_offline_is_named_as_the_reason(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set, and no complete copy was downloaded earlier"):
        local_folder(PLACE)


def test_an_upload_without_a_login_says_how_to_log_in(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    with pytest.raises(HubError, match=r"someone/lcnn: the hub refuses this login \(401\); `hf auth login`"):
        upload(write_run(tmp_path / "run"), "someone/lcnn")
    assert not hub.commits


def test_a_command_prints_a_sentence_for_a_run_that_is_not_on_the_hub(hub, tmp_path):
    options = ["--run", "hf://nobody/lcnn", "--features", str(tmp_path), "--out", str(tmp_path / "scores.txt")]
    result = CliRunner().invoke(generate_score.main, options)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: hf://nobody/lcnn: not on the hub")


def test_a_run_on_the_hub_is_not_calibrated(on_hub, tmp_path):
    scores = tmp_path / "scores.txt"
    scores.write_text("u1 1\n")
    result = CliRunner().invoke(calibrate.main, ["--run", PLACE, "--scores", str(scores)])
    assert result.exit_code == 2
    assert "a run on the hub, which is not changed; expected a folder, which `hf download someone/lcnn" in result.stderr
