"""The names of fairseq: a model in its form has the same hidden states in transformers."""

import warnings

import pytest
import torch

from spoofcache.features.fairseq import PRETRAINING, fairseq_name, find_speech_models, library_name
from spoofcache.features.frontends.geometry import configuration, random_model
from tests.fairseq_model import FairseqModel
from tests.features.frontends.conftest import TINY

FORMS = {"xls-r-300m": True, "wav2vec2-base": False}
"""Architecture → whether its blocks normalise first."""


def theirs(**options):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the earlier weight normalisation is what is published
        return FairseqModel(**options).eval()


@pytest.mark.parametrize("old_form", [True, False], ids=["weight_g", "parametrizations"])
@pytest.mark.parametrize("architecture", FORMS)
@torch.no_grad()
def test_a_model_of_fairseq_has_the_same_hidden_states_under_the_names_of_transformers(architecture, old_form):
    model = theirs(norm_first=FORMS[architecture], old_form=old_form)
    ours = random_model(configuration(architecture, num_hidden_layers=3, **TINY)).eval()
    pretraining = [name for name in model.state_dict() if name.startswith(PRETRAINING)]
    ours.load_state_dict(
        {library_name(name): each for name, each in model.state_dict().items() if name not in pretraining}
    )
    waveforms = 0.1 + 0.05 * torch.randn(3, 8_000)
    states, last = model(waveforms)
    found = ours(waveforms, output_hidden_states=True)
    torch.testing.assert_close(found.last_hidden_state, last, rtol=0, atol=1e-5)
    for state, expected in zip(found.hidden_states[1:-1], states[:-1], strict=True):
        torch.testing.assert_close(state, expected, rtol=0, atol=1e-5)
    assert pretraining == [
        "project_q.weight",
        "project_q.bias",
        "final_proj.weight",
        "final_proj.bias",
        "quantizer.vars",
    ]


def test_names_of_transformers_stay_as_they_are():
    names = random_model(configuration("xls-r-300m", num_hidden_layers=2, **TINY)).state_dict()
    assert list(map(library_name, names)) == list(names)
    assert find_speech_models(names) == [("", False)]


@pytest.mark.parametrize("prefix", ["", "ssl_model.model.", "module.ssl_model.model.", "frontend.w2v_encoder."])
def test_the_prefix_of_a_speech_model_is_found(prefix):
    names = [f"{prefix}{name}" for name in theirs().state_dict()]
    assert find_speech_models(["encoder.0.0.conv1.weight", *names, "out_layer.bias"]) == [(prefix, True)]
    assert find_speech_models(["encoder.0.0.conv1.weight", "out_layer.bias"]) == []


def test_two_speech_models_are_both_found():
    names = [f"{prefix}{name}" for prefix in ("a.", "b.") for name in theirs().state_dict()]
    assert find_speech_models(names) == [("a.", True), ("b.", True)]


def test_a_name_can_be_translated_back():
    names = list(theirs().state_dict())
    assert [fairseq_name(library_name(name)) for name in names] == names
