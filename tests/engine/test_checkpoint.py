import json
import shutil

import pytest
import torch

from engine.checkpoint import RunError, load_model, save_best
from engine.train import fit
from tests.limits import file_size_limit


@pytest.fixture
def run(experiment, caches, tmp_path):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run", torch.device("cpu"))
    return tmp_path / "run"


def test_a_model_of_the_other_polarity_is_refused(run):
    about = json.loads((run / "model.json").read_text())
    about["class_index"] = {"spoof": 1, "bonafide": 0}
    (run / "model.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match=r"class index \{'spoof': 1, 'bonafide': 0\}; expected \{'spoof': 0"):
        load_model(run, "best")


def test_weights_and_description_of_two_epochs_are_noticed(run):
    about = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**about, "epoch": 7}))
    with pytest.raises(RunError, match=r"is of epoch 0, model\.json of epoch 7.*--resume mends it"):
        load_model(run, "best")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "last.ckpt"])
def test_a_damaged_file_is_refused_by_name(run, name):
    (run / name).write_bytes(b"not what it was")
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        load_model(run, "last" if name == "last.ckpt" else "best")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format_version": 2}, "format version 2; expected 1"),
        ({"backend": "aasist9"}, "back-end 'aasist9'; expected one of lcnn"),
        ({"settings": {"droput": 0.5}}, "weights and description do not fit"),
        ({"feature_shape": [64, 64]}, "weights and description do not fit"),
        ({"epoch": None}, r"model\.json of epoch None"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(run, fields, sentence):
    about = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(about | fields))
    with pytest.raises(RunError, match=sentence):
        load_model(run, "best")


def test_colleagues_may_read_the_weights(run):
    assert (run / "model.safetensors").stat().st_mode == (run / "model.json").stat().st_mode


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02}q\x00."], ids=["empty", "text", "foreign"])
def test_a_last_checkpoint_that_is_not_ours_is_refused(run, content):
    (run / "last.ckpt").write_bytes(content)
    with pytest.raises(RunError, match=r"last\.ckpt: not a checkpoint of ours"):
        load_model(run, "last")


def test_a_full_disk_names_the_file(run):
    model, about = load_model(run, "best")
    with file_size_limit(1_000), pytest.raises(OSError, match=r"File too large: .*model\.safetensors"):
        save_best(run, model, about)
    assert load_model(run, "best")[1] == about
    assert not list(run.glob(".*"))


def test_a_pickled_module_is_not_loaded(run):
    torch.save(torch.nn.Linear(2, 2), run / "last.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of ours"):
        load_model(run, "last")


def test_a_run_folder_may_be_moved(run, tmp_path):
    before = load_model(run, "best")[0].state_dict()["fc_mu.weight"]
    shutil.move(run, tmp_path / "elsewhere")
    assert torch.equal(load_model(tmp_path / "elsewhere", "best")[0].state_dict()["fc_mu.weight"], before)
