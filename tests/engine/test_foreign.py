"""Published checkpoints: what is read, swapped and refused."""

import pickle
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_model, save_best
from spoofcache.engine.countermeasure import build_backend
from spoofcache.engine.foreign import HEAR_WAVEFORMS, ForeignSettings, load_foreign, output_layer
from spoofcache.engine.foreign_entries import Choice
from spoofcache.features.plan import Identity
from spoofcache.models import BACKENDS
from tests.corpora import IDENTITY
from tests.models.test_registry import SHAPES

SHAPE = (3, 5)
ONE_LOGIT = ("nes2net", "lcnn_lstm")
NAMES = ("linear.weight", "linear.bias")
CONSTANTS = ("feature.lfcc_fb", "l_dct.weight")


def renamed(state, prefix):
    """A state dict with a prefix in front of every name."""
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.fixture
def weights():
    """Of a pooled linear network on three frames of five coefficients."""
    torch.manual_seed(0)
    return BACKENDS["pooled_linear"](SHAPE).state_dict()


@pytest.fixture
def read(tmp_path):
    """`read(content)`: what is had of a checkpoint with that content, as a pooled linear network."""

    def load(content, prefix="", drop=(), **options):
        torch.save(content, tmp_path / "theirs.pth")
        given = ForeignSettings(choice=Choice(prefix, drop), **options)
        return load_foreign(tmp_path / "theirs.pth", "pooled_linear", SHAPE, IDENTITY, given)

    return load


def logits(model, features):
    with torch.no_grad():
        return model.eval()(features).logits


@pytest.mark.parametrize(
    ("wrap", "names"),
    [
        (lambda state: state, ()),
        (lambda state: {"state_dict": state, "epoch": 7, "lr": 1e-4}, ("epoch", "lr")),
        (lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}}, ("optimizer",)),
        (lambda state: renamed(state, "module."), ()),
        (lambda state: {"net": renamed(state, "module._orig_mod.")}, ()),
        (lambda state: {"net_state": state, "optim_state": {"state": {0: {"step": torch.ones(1)}}}}, ("optim_state",)),
        (lambda state: {"G": {"model": state}, "iteration": 9}, ("iteration",)),
        (lambda state: {"G.model": state, "G.optim": {"exp": torch.ones(1)}}, ("G.optim",)),
        (
            lambda state: {"state_dict": renamed(state, "model.backend."), "hyper_parameters": {"x": 1}},
            ("hyper_parameters",),
        ),
        (lambda state: {**state, "epoch": 3, "eer": np.float64(0.1)}, ("epoch", "eer")),
        (lambda state: {"model": state, "eers": np.ones(3), "args": Namespace(lr=1)}, ("eers", "args")),
        (lambda state: {"feature.lfcc_fb": torch.ones(3), "l_dct.weight": torch.ones(2), **state}, CONSTANTS),
        (lambda state: {**renamed(state, "net."), "feature.lfcc_fb": torch.ones(3)}, ("feature.lfcc_fb",)),
    ],
)
def test_weights_come_through_every_wrapper_and_ignored_entries_are_listed(read, weights, wrap, names):
    model, _, ignored = read(wrap(weights))
    assert ignored == tuple(names)
    found = model.state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in NAMES)


def test_safetensors_are_read(weights, tmp_path):
    save_file(renamed(weights, "head."), tmp_path / "theirs.safetensors")
    model, *_ = load_foreign(tmp_path / "theirs.safetensors", "pooled_linear", SHAPE, IDENTITY)
    assert torch.equal(model.backend.linear.weight, weights["linear.weight"])
    content = (tmp_path / "theirs.safetensors").read_bytes()
    (tmp_path / "theirs.safetensors").write_bytes(content[:-4])
    with pytest.raises(RunError, match=r"theirs\.safetensors: not a whole file of safetensors"):
        load_foreign(tmp_path / "theirs.safetensors", "pooled_linear", SHAPE, IDENTITY)


def test_batch_norms_without_counters_are_read(tmp_path):
    shape = SHAPES["lcnn"][0]
    state = BACKENDS["lcnn"](shape).state_dict()
    torch.save({name: each for name, each in state.items() if "num_batches" not in name}, tmp_path / "old.pth")
    model, *_ = load_foreign(tmp_path / "old.pth", "lcnn", shape, IDENTITY)
    assert all(torch.equal(model.state_dict()[name], each) for name, each in state.items())


FINE_TUNED = {"ssl_model.model.encoder.layers.0.self_attn.k_proj.weight": torch.ones(2, 2)}


@pytest.mark.parametrize("prefix", ["backend.", ""])
@pytest.mark.parametrize("name", [*FINE_TUNED, "front.wav2vec2.mask_emb", "xlsr.final_proj.bias"])
def test_weights_of_a_speech_model_are_never_ignored_silently(read, weights, prefix, name):
    content = renamed(weights, "backend.") | {name: torch.ones(2, 2)}
    with pytest.raises(RunError, match=rf"holds 1 weights of a speech model \({name}, …\).*add --drop \w+\.$"):
        read(content, prefix)


def test_entries_dropped_by_name_are_ignored(read, weights):
    model, _, ignored = read(renamed(weights, "backend.") | FINE_TUNED, drop=["ssl_model."])
    assert torch.equal(model.backend.linear.bias, weights["linear.bias"])
    assert ignored == tuple(FINE_TUNED)
    with pytest.raises(RunError, match=r"1 unexpected \(aux\.weight\); --drop PREFIX ignores"):
        read(weights | {"aux.weight": torch.ones(1)})
    note = read(weights | {"aux.weight": torch.ones(1)}, drop=["aux."]).note
    assert note == "Ignored 1 entry of the checkpoint outside the network: aux.weight"
    with pytest.raises(RunError, match=r"no name begins with 'bux\.', which --drop names; expected a prefix"):
        read(weights, drop=["bux."])


def test_of_several_networks_the_prefix_chooses(read, weights):
    content = {"student": weights, "teacher": {name: each + 1 for name, each in weights.items()}}
    with pytest.raises(RunError, match=r"holds several networks; expected --prefix student\. or teacher\.$"):
        read(content)
    found = read(content, "teacher.").model.backend.linear.bias
    assert torch.equal(found, weights["linear.bias"] + 1)


def test_a_prefix_picks_the_network_among_others(read, weights):
    content = {f"head.{name}": tensor for name, tensor in weights.items()} | {"criterion.weight": torch.ones(2)}
    assert torch.equal(read(content, prefix="head.")[0].backend.linear.bias, weights["linear.bias"])
    with pytest.raises(RunError, match=r"no name begins with 'tail\.'; expected a prefix of names like head\.linear"):
        read(content, prefix="tail.")


def test_rows_of_the_other_polarity_are_swapped(read, weights):
    found = read(weights, bonafide_index=0)[0].state_dict()
    for name in NAMES:
        assert torch.equal(found[name], weights[name][[1, 0]])


@pytest.mark.parametrize("name", [name for name in BACKENDS if name not in ONE_LOGIT])
def test_the_output_layer_of_every_back_end_is_the_one_whose_rows_are_the_logits(name, tmp_path):
    torch.manual_seed(0)
    shape = SHAPES[name][0]
    model, features = BACKENDS[name](shape), torch.randn(2, *shape)
    for kind, tensor in model.named_buffers():  # trained batch norms are not the same for both classes
        if "running" in kind:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    torch.save(model.state_dict(), tmp_path / "theirs.pth")
    swapped, *_ = load_foreign(tmp_path / "theirs.pth", name, shape, IDENTITY, ForeignSettings(bonafide_index=0))
    torch.testing.assert_close(logits(swapped, features), logits(model, features)[:, [1, 0]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ONE_LOGIT)
def test_a_single_logit_cannot_be_swapped(name, tmp_path):
    shape = SHAPES[name][0]
    torch.save(BACKENDS[name](shape).state_dict(), tmp_path / "theirs.pth")
    assert output_layer(load_foreign(tmp_path / "theirs.pth", name, shape, IDENTITY)[0].backend) is None
    with pytest.raises(RunError, match=f"{name} has a single output, so no classes to swap"):
        load_foreign(tmp_path / "theirs.pth", name, shape, IDENTITY, ForeignSettings(bonafide_index=0))


def test_the_run_folder_records_the_origin_of_the_weights(read, weights, tmp_path):
    model, about, _ = read(weights, settings={"deviation": False})
    (tmp_path / "run").mkdir()
    save_best(tmp_path / "run", model, about)
    again, told = load_model(tmp_path / "run", "best")
    assert told == about
    assert (told.epoch, told.dev_eer, told.dev_loss) == (None, None, None)
    assert told.versions["imported_from"].startswith("theirs.pth (SHA-256 ")
    assert Identity(told.identity) == IDENTITY
    assert torch.equal(again.backend.linear.weight, weights["linear.weight"])


class Private(nn.Module):
    pass


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (nn.Linear(5, 2), r"not the weights of pooled_linear: 2 missing \(linear\.weight, linear\.bias\)"),
        ({"model": Private()}, "no state dict in it"),
        ({"state_dict": {}, "eer": np.float64(1)}, "no state dict in it"),
        ({"model": np.array([Private()], object)}, r"holds objects that only running code could restore"),
        ([1, 2], r"theirs\.pth: no state dict in it; expected what torch\.save\(model\.state_dict\(\), …\) writes"),
        ({}, "no state dict in it"),
        ({"epoch": 3}, "no state dict in it"),
        ({0: torch.ones(2)}, "no state dict in it"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(read, content, sentence):
    with pytest.raises(RunError, match=sentence):
        read(content)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda content: content[: len(content) // 2], "truncated; expected a file that"),
        (lambda content: b"", "truncated, or no checkpoint of torch; expected"),
        (lambda content: b"<html>404</html>", "truncated, or no checkpoint of torch; expected"),
        (lambda content: pickle.dumps({"a": 1}), "truncated, or no checkpoint of torch; expected"),
    ],
    ids=["half", "empty", "text", "pickle"],
)
def test_a_file_that_is_not_whole_or_no_checkpoint_is_refused(weights, tmp_path, spoil, sentence):
    path = tmp_path / "theirs.pth"
    torch.save(weights, path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(RunError, match=sentence):
        load_foreign(path, "pooled_linear", SHAPE, IDENTITY)


def test_a_script_of_torch_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "theirs.pth", "w") as file:  # as torch.jit.save lays it out
        for name in ("constants.pkl", "data.pkl", "code/x.py", "version"):
            file.writestr(f"theirs/{name}", "3\n")
    with pytest.raises(RunError, match="holds a pickled TorchScript"):
        load_foreign(tmp_path / "theirs.pth", "pooled_linear", SHAPE, IDENTITY)


def test_a_checkpoint_of_another_network_is_refused_with_counts_and_names(read, weights):
    other = {f"fc.{number}.weight": torch.ones(1) for number in range(5)}
    with pytest.raises(RunError) as refusal:
        read(weights | other | {"linear.weight": torch.ones(2, 4), "linear.bias": torch.tensor([0, torch.nan])})
    assert str(refusal.value).endswith(
        "theirs.pth: not the weights of pooled_linear: "
        "5 unexpected (fc.0.weight, fc.1.weight, fc.2.weight, …); "
        "1 of another shape (linear.weight (2, 4) instead of (2, 5)); "
        "1 not finite (linear.bias)"
    )


def test_missing_entries_are_reported(read, weights):
    with pytest.raises(RunError, match=r"not the weights of pooled_linear: 1 missing \(linear\.bias\)$"):
        read({"linear.weight": weights["linear.weight"]})


def test_a_speaker_encoder_without_our_output_is_refused(tmp_path):
    state = build_backend("ecapa_tdnn", (50, 64), {}).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if "classifier" not in name}, tmp_path / "sb.ckpt")
    sentence = r"2 missing \(classifier\.weight, classifier\.bias\); classifier is the 2-class output, without which"
    with pytest.raises(RunError, match=sentence):
        load_foreign(tmp_path / "sb.ckpt", "ecapa_tdnn", (50, 64), IDENTITY)


def test_unknown_back_ends_and_settings_are_refused(read, weights):
    with pytest.raises(RunError, match=r"back-end pooled_linear with settings \{'width': 3\}: .*argument 'width'"):
        read(weights, settings={"width": 3})
    with pytest.raises(RunError, match="back-end 'speechformer'; expected one of lcnn, "):
        build_backend("speechformer", SHAPE, {})


def test_back_ends_that_take_waveforms_are_distinguished_from_the_others():
    hearing = [name for name in BACKENDS if SHAPES[name] == [(10_000,)]]
    assert sorted(hearing) == sorted(HEAR_WAVEFORMS)
