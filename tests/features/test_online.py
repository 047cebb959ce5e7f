"""Features without a cache are those of the cache."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from spoofcache.features.augment.view import View
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.online import OnlineFeatures, rebuild_features
from spoofcache.features.plan import Identity, ShardMismatch, StoreError
from spoofcache.features.waveform import load_waveform
from spoofcache.tools.make_random_ssl import write_checkpoint
from tests.features.frames import extract
from tests.features.frontends.conftest import TINY

CPU = torch.device("cpu")
OPTIONS = ExtractOptions(n_samples=10_000, fit="zero", batch_size=3)


@pytest.fixture(scope="module")
def speech_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssl")
    write_checkpoint(folder, "xls-r-300m", layers=3, **TINY)
    return folder


def cases(speech_model):
    return {
        "raw": ("raw", FrontEndOptions(), replace(OPTIONS, dtype="int16")),
        "lfcc": ("lfcc", FrontEndOptions(), OPTIONS),
        "ssl": (
            "xls-r-300m",
            FrontEndOptions(layers=("1", "2"), weights=speech_model, normalize="none", precision="bfloat16"),
            OPTIONS,
        ),
    }


@pytest.mark.parametrize("case", ["raw", "lfcc", "ssl"])
def test_they_equal_the_cached_rows_bit_for_bit(corpus, tmp_path, speech_model, case):
    name, options, how = cases(speech_model)[case]
    trials = corpus(3)
    extract(trials, tmp_path / "cache", make_frontend(name, options), how)
    cache = CachedFeatures(tmp_path / "cache")
    online = rebuild_features(cache.plan.identity, options.weights, CPU)
    assert online.identity == cache.plan.identity
    assert online.row_shape() == cache.plan.row_shape
    found = online.extract([load_waveform(trial.path) for trial in trials], "three")
    assert found.dtype == cache[0].features.dtype
    assert torch.equal(found, torch.stack([cache[index].features for index in range(3)]))


def test_waveforms_are_the_samples_of_the_file_filled_by_the_rule(corpus):
    path = corpus(1)[0].path
    samples = soundfile.read(path, dtype="float32")[0]
    for fit, expected in (("repeat", np.resize(samples, 20_000)), ("zero", np.pad(samples, (0, 12_000)))):
        online = OnlineFeatures(make_frontend("raw", FrontEndOptions()), ExtractOptions(fit=fit, n_samples=20_000))
        np.testing.assert_array_equal(online.extract([load_waveform(path)], "")[0].numpy(), expected)


def test_a_feature_that_a_cache_could_not_store_is_refused_by_name():
    online = OnlineFeatures(make_frontend("raw", FrontEndOptions()), replace(OPTIONS, dtype="int16"))
    with pytest.raises(StoreError, match=r"loud\.wav: a feature of magnitude 2\.0 does not fit int16"):
        online.extract([np.full(500, 2, np.float32)], "loud.wav")


def test_other_weights_than_those_of_the_cache_are_refused(speech_model, tmp_path):
    given = FrontEndOptions(layers=("last",), weights=speech_model)
    identity = OnlineFeatures(make_frontend("xls-r-300m", given), OPTIONS).identity
    write_checkpoint(tmp_path, "xls-r-300m", layers=3, **TINY | {"initializer_range": 0.2})
    sentence = r"not the one that the network was trained on: front_end\.weights_sha256 is '\w+'"
    with pytest.raises(ShardMismatch, match=sentence):
        rebuild_features(identity, tmp_path, CPU)


def test_another_version_of_a_front_end_is_refused():
    settings = OnlineFeatures(make_frontend("lfcc", FrontEndOptions()), OPTIONS).identity.settings
    older = Identity(settings | {"front_end": {**settings["front_end"], "hop": 80}})
    with pytest.raises(ShardMismatch, match=r"front_end\.hop is 160, expected 80$"):
        rebuild_features(older, None, CPU)


def test_an_augmented_view_is_refused():
    settings = OnlineFeatures(make_frontend("lfcc", FrontEndOptions()), OPTIONS).identity.settings
    augmented = Identity({**settings, "augment": dict(View("rawboost:5", 0, 1).settings())})
    with pytest.raises(ShardMismatch, match=r"augment\.name is None, expected 'rawboost'; .*view is None, expected 1$"):
        rebuild_features(augmented, None, CPU)


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({}, StoreError, r"feature identity \{\}: not one that SpoofCache writes"),
        ({"front_end": "lfcc"}, StoreError, "not one that SpoofCache writes"),
        (
            {"front_end": {"name": "cqcc"}, "fit": "zero", "n_samples": 1_000, "dtype": "float16"},
            FrontEndError,
            "front-end 'cqcc'; expected one of",
        ),
    ],
)
def test_an_identity_that_is_not_ours_is_refused(settings, error, sentence):
    with pytest.raises(error, match=sentence):
        rebuild_features(Identity(settings), None, CPU)
