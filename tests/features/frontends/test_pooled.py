"""Statistics over time are those that numpy computes from the frames."""

import json

import numpy as np
import pytest
import torch

from spoofcache.features import estimate as estimate_module
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.device import Device
from spoofcache.features.estimate import measure_speed_on_noise
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_for_estimate, make_frontend
from spoofcache.features.frontends.base import FrontEndError, FrontEndOptions
from spoofcache.features.frontends.geometry import ARCHITECTURES, Architecture
from spoofcache.features.frontends.pooled import Pooled
from spoofcache.features.online import rebuild_features
from spoofcache.features.plan import StoreError
from spoofcache.features.waveform import load_waveform
from tests.features.frames import Frames, extract
from tests.features.frontends.conftest import TINY

OPTIONS = ExtractOptions(n_samples=8_000, batch_size=3)
NAMED = {"one layer": ("2",), "several layers": ("0", "3", "last"), "all layers": ("all",)}


def stored(folder):
    """The rows of a cache [N, *row] as stored."""
    cache = CachedFeatures(folder)
    return np.stack([cache[index].features.numpy() for index in range(len(cache))])


def by_numpy(frames, pool):
    """Statistics [N, L, D] or [N, L, 2·D] of frames [N, L, T, D] or [N, T, D], in float64."""
    frames = frames.astype(np.float64)
    layers = frames if frames.ndim == 4 else frames[:, None]
    parts = {"mean": [layers.mean(2)], "mean+std": [layers.mean(2), layers.std(2)]}[pool]
    return np.concatenate(parts, axis=-1)


@pytest.mark.parametrize("pool", ["mean", "mean+std"])
@pytest.mark.parametrize("layers", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_pooled_cache_holds_the_statistics_of_the_cache_of_frames(corpus, tmp_path, checkpoint, pool, layers, dtype):
    trials = corpus(4)
    weights = checkpoint("xls-r-300m")

    def cache(name, dtype, pool):
        frontend = make_frontend("xls-r-300m", FrontEndOptions(layers=layers, weights=weights, pool=pool))
        how = ExtractOptions(n_samples=8_000, batch_size=3, dtype=dtype)
        extract(trials, tmp_path / name, frontend, how)
        return stored(tmp_path / name)

    expected = by_numpy(cache("frames", "float32", None), pool)
    found = cache("pooled", dtype, pool)
    assert found.dtype == dtype
    rounding = np.abs(expected.astype(dtype) - expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max() + rounding)


def test_statistics_of_frames_in_half_precision_are_computed_in_float32():
    """10,000 frames add up to more than float16 can hold, and their squares to much more."""

    class Half(Frames):
        def extract(self, waveforms):
            return 100 * super().extract(waveforms).half()

    waveforms = 1 + torch.rand(2, 1_000_000, generator=torch.Generator().manual_seed(0))
    frames = Half().extract(waveforms)
    assert frames.shape == (2, 10_000, 100)
    found = Pooled(Half(), "mean+std").extract(waveforms)
    assert found.dtype == torch.float32
    expected = by_numpy(frames.numpy(), "mean+std")
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_gpu_pools_before_anything_comes_back(gpu):
    waveforms = np.random.default_rng(0).standard_normal((8, 1_000)).astype(np.float32)
    stored = Device(gpu, Pooled(Frames((1.0, -2.0)), "mean+std").extract, "float32").launch(waveforms).wait()
    frames = waveforms.reshape(8, 1, 10, 100) * np.array([1, -2], np.float32).reshape(1, 2, 1, 1)
    assert stored.rows.shape == (8, 2, 200)
    np.testing.assert_allclose(stored.rows.numpy(), by_numpy(frames, "mean+std"), rtol=0, atol=1e-5)


def test_a_front_end_without_layers_counts_as_one_layer(waveforms):
    pooled = make_frontend("lfcc", FrontEndOptions(pool="mean+std"))
    assert pooled.row_shape(8_000) == (1, 120)
    assert pooled.extract(waveforms).shape == (3, 1, 120)


def test_the_identity_gains_the_statistics_and_loses_nothing(checkpoint):
    options = FrontEndOptions(layers=("1", "3"), weights=checkpoint("xls-r-300m"))
    frames = make_frontend("xls-r-300m", options)
    pooled = make_frontend("xls-r-300m", FrontEndOptions(**{**vars(options), "pool": "mean"}))
    assert "pool" not in frames.settings()
    assert pooled.settings() == {**frames.settings(), "pool": "mean"}
    assert json.loads(json.dumps(dict(pooled.settings()))) == pooled.settings()
    identity = make_identity(pooled, OPTIONS)
    assert (identity.pool, make_identity(frames, OPTIONS).pool) == ("mean", None)
    assert identity.dtype == "float32"
    assert pooled.slug == "xls-r-300m-l1-l3-mean"
    assert pooled.weights == frames.weights


def test_all_selects_every_hidden_state_by_number(checkpoint):
    weights = checkpoint("xls-r-300m")
    named = make_frontend("xls-r-300m", FrontEndOptions(layers=("0", "1", "2", "3"), weights=weights))
    assert make_frontend("xls-r-300m", FrontEndOptions(layers=("all",), weights=weights)).settings() == named.settings()
    with pytest.raises(FrontEndError, match=r"layer 'all' of xls-r-300m; expected last or 0…3"):
        make_frontend("xls-r-300m", FrontEndOptions(layers=("all", "last"), weights=weights))


def test_an_estimate_needs_no_checkpoint(monkeypatch):
    narrow = Architecture("wav2vec2", {**ARCHITECTURES["xls-r-300m"].settings, **TINY, "num_hidden_layers": 2})
    monkeypatch.setitem(ARCHITECTURES, "xls-r-300m", narrow)
    monkeypatch.setattr("spoofcache.features.frontends.is_downloaded", lambda repository: False)
    monkeypatch.setattr(estimate_module, "SECONDS", 0.0)
    pooled = make_for_estimate("xls-r-300m", FrontEndOptions(layers=("all",), pool="mean+std"))
    assert pooled.is_stand_in
    assert pooled.row_shape(64_600) == (3, 64)
    assert measure_speed_on_noise(pooled, OPTIONS).rate > 0
    monkeypatch.setattr("spoofcache.features.frontends.stand_in.available_memory", lambda: 1)
    assert "of memory, of which 0.0 GB are free" in pooled.obstacle()


def test_features_without_a_cache_are_those_of_the_pooled_cache(corpus, tmp_path):
    trials = corpus(3)
    extract(trials, tmp_path / "cache", make_frontend("lfcc", FrontEndOptions(pool="mean+std")), OPTIONS)
    online = rebuild_features(CachedFeatures(tmp_path / "cache").plan.identity, None, torch.device("cpu"))
    found = online.extract([load_waveform(trial.path) for trial in trials], "three")
    np.testing.assert_array_equal(found.numpy(), stored(tmp_path / "cache"))


@pytest.mark.parametrize("dtype", ["int16", "bfloat16"])
def test_other_types_than_floating_ones_are_refused(dtype):
    pooled = make_frontend("lfcc", FrontEndOptions(pool="mean"))
    with pytest.raises(StoreError, match=f"--dtype {dtype} for lfcc-mean; expected float32 or float16"):
        make_identity(pooled, ExtractOptions(dtype=dtype))


def test_what_has_no_frames_has_no_statistics_over_them():
    raw = make_frontend("raw", FrontEndOptions(pool="mean+std"))
    sentence = r"--pool mean\+std for raw, whose rows are of shape 8000; expected a front-end with frames"
    with pytest.raises(FrontEndError, match=sentence):
        raw.row_shape(8_000)
    with pytest.raises(FrontEndError, match=sentence):
        raw.extract(torch.zeros(2, 8_000))


def test_unknown_statistics_are_refused():
    with pytest.raises(FrontEndError, match=r"--pool max; expected mean or mean\+std"):
        make_frontend("lfcc", FrontEndOptions(pool="max"))
