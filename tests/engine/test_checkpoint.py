import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_model, read_about, save_best
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.engine.train import fit
from tests.limits import file_size_limit


@pytest.fixture
def run(experiment, caches, tmp_path):
    fit(experiment("train.epochs=1"), *caches, tmp_path / "run")
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
    with pytest.raises(RunError, match=r"is of epoch 0, model\.json of epoch 7.*--resume repairs it"):
        load_model(run, "best")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "last.ckpt"])
def test_a_damaged_file_is_refused_by_name(run, name):
    (run / name).write_bytes(b"not what it was")
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        load_model(run, "last" if name == "last.ckpt" else "best")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format_version": 3}, "format version 3; expected 1 or 2"),
        ({"backend": "aasist9"}, "back-end 'aasist9'; expected one of lcnn"),
        ({"settings": {"droput": 0.5}}, r"with settings \{'droput': 0.5\}: .*'droput'"),
        ({"feature_shape": [64, 64]}, "weights and description do not fit"),
        ({"loss": "hinge"}, "loss 'hinge'; expected one of cross_entropy"),
        ({"loss": "oc_softmax"}, "weights and description do not fit"),
        ({"loss_settings": {"gama": 2}}, r"loss cross_entropy with settings \{'gama': 2\}: .*'gama'"),
        ({"epoch": None}, r"model\.json of epoch None"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(run, fields, sentence):
    about = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(about | fields))
    with pytest.raises(RunError, match=sentence):
        load_model(run, "best")


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_weights_with_one_flipped_bit_are_refused(run, place):
    content = bytearray((run / "model.safetensors").read_bytes())
    content[int(place * len(content))] ^= 1
    (run / "model.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"model\.safetensors is not"):
        load_model(run, "best")


def test_weights_that_are_not_those_described_are_refused(run):
    save_file(
        {name: tensor + 1 for name, tensor in load_file(run / "model.safetensors").items()},
        run / "model.safetensors",
        metadata={"epoch": "0"},
    )
    with pytest.raises(RunError, match=r"model\.safetensors is not the file that model\.json describes: its SHA-256"):
        load_model(run, "best")


def test_the_checksum_in_the_description_is_that_of_the_file(run):
    about = json.loads((run / "model.json").read_text())
    assert about["weights_sha256"] == hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def test_colleagues_may_read_the_weights(run):
    assert (run / "model.safetensors").stat().st_mode == (run / "model.json").stat().st_mode


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02}q\x00."], ids=["empty", "text", "foreign"])
def test_a_last_checkpoint_that_is_not_ours_is_refused(run, content):
    (run / "last.ckpt").write_bytes(content)
    with pytest.raises(RunError, match=r"last\.ckpt: not a checkpoint of SpoofCache"):
        load_model(run, "last")


def test_a_full_disk_names_the_file(run):
    model, about = load_model(run, "best")
    with file_size_limit(100), pytest.raises(OSError, match=r"File too large: .*model\.safetensors"):
        save_best(run, model, about)
    assert load_model(run, "best")[1] == about
    assert not list(run.glob(".*"))


def test_a_pickled_module_is_not_loaded(run):
    torch.save(torch.nn.Linear(2, 2), run / "last.ckpt")
    with pytest.raises(RunError, match="not a checkpoint of SpoofCache"):
        load_model(run, "last")


def test_a_run_folder_may_be_moved(run, tmp_path):
    before = load_model(run, "best")[0].state_dict()["linear.weight"]
    shutil.move(run, tmp_path / "elsewhere")
    assert torch.equal(load_model(tmp_path / "elsewhere", "best")[0].state_dict()["linear.weight"], before)


def test_the_objective_is_saved_beside_the_bare_network_and_scores_again(experiment, caches, tmp_path):
    run = tmp_path / "run"
    config = experiment("loss.name=oc_softmax", "loss.settings.scale=10", "train.epochs=1")
    fit(config, *caches, run)
    assert set(load_file(run / "model.safetensors")) == {"linear.weight", "linear.bias", "objective.vectors"}
    about = json.loads((run / "model.json").read_text())
    assert (about["format_version"], about["loss"], about["loss_settings"]) == (2, "oc_softmax", {"scale": 10})
    features = torch.stack([caches[1][index].features.float() for index in range(5)])
    for which in ("best", "last"):
        model, _ = load_model(run, which)
        with torch.no_grad():
            # by hand: the embedding of this network is the mean over time, the score its cosine to the centre
            expected = torch.nn.functional.cosine_similarity(features.mean(1), model.objective.vectors)
            torch.testing.assert_close(model.score(model(features)), expected)


VERSION_1 = {
    "format_version": 1,
    "backend": "pooled_linear",
    "settings": {},
    "feature_shape": [32, 20],
    "identity": {"front_end": {"name": "test"}},
    "class_index": {"spoof": 0, "bonafide": 1},
    "epoch": 7,
    "dev_eer": 0.1,
    "dev_loss": 0.2,
    "versions": {"torch": "2.5.0"},
}


def test_a_folder_of_version_1_is_read_as_cross_entropy(tmp_path):
    weights = {"linear.weight": torch.arange(40.0).reshape(2, 20), "linear.bias": torch.tensor([1.0, -1.0])}
    save_file(weights, tmp_path / "model.safetensors", metadata={"epoch": "7"})
    (tmp_path / "model.json").write_text(json.dumps(VERSION_1))
    state = {"epoch": 7, "best": [7, 1e-3, 0.3, 0.2, 0.1, 5.0], "about": VERSION_1, "conditions": {}}
    torch.save(state | {"model": weights, "optimizer": {}, "scaler": {}}, tmp_path / "last.ckpt")
    for which in ("best", "last"):
        model, about = load_model(tmp_path, which)
        assert (about.epoch, about.loss) == (7, "cross_entropy")
        # rows 0…19 and 20…39: each feature counts 20 times in the difference, the biases make −2
        assert model.score(model(torch.full((1, 32, 20), 0.5))).item() == 0.5 * 20 * 20 - 2


def test_a_run_without_an_average_says_what_makes_one(run):
    sentence = r"no average\.safetensors with average\.json; expected the run folder of .* with train\.average"
    with pytest.raises(RunError, match=sentence):
        load_model(run, "average")


PLAIN = """
from torch import nn

class Logits(nn.Module):
    def __init__(self, feature_shape):
        super().__init__()
        self.linear = nn.Linear(feature_shape[-1], 2)

    def forward(self, features):
        return self.linear(features.mean(dim=1))

class TooNarrow(Logits):
    def __init__(self, feature_shape):
        super().__init__((feature_shape[-1] + 1,))
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Logits", r"back-end plainbackend:Logits returned a tensor of shape \(2, 2\).*; expected .*BackendOutput"),
        ("TooNarrow", r"back-end plainbackend:TooNarrow on features \[2, …\] of shape \(.*\): mat1 and mat2"),
    ],
)
def test_a_back_end_of_the_users_own_that_cannot_be_trained_is_refused(run, name, sentence, tmp_path, monkeypatch):
    (tmp_path / "plainbackend.py").write_text(PLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    about = replace(read_about(run), backend=f"plainbackend:{name}", settings={})
    with pytest.raises(RunError, match=sentence):
        build_countermeasure(about)
