"""A run folder that an earlier version wrote is read and resumed. `earlier_run` is a training of four epochs, stopped
after its first one by the version before `TrainingSetup`; the caches are those of the fixture `caches`."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.train import FitOptions, Listener, fit

EARLIER = Path(__file__).parent / "earlier_run"


def test_a_run_of_an_earlier_version_is_read():
    model, about = load_model(EARLIER, "best")
    assert (about.backend, about.epoch) == ("pooled_linear", 0)
    assert model.score(model(torch.zeros(2, *about.feature_shape))).shape == (2,)


def test_a_run_of_an_earlier_version_resumes_to_the_weights_of_a_whole_one(experiment, caches, tmp_path):
    config = experiment("train.average=swa")
    shutil.copytree(EARLIER, tmp_path / "run")
    notes = []
    fit(config, *caches, tmp_path / "run", FitOptions(resume=True, listener=Listener(note=notes.append)))
    assert "by an earlier version, which did not record the content of the train cache and the content of" in notes[0]
    fit(config, *caches, tmp_path / "whole")
    for name in ("model.safetensors", "average.safetensors"):
        resumed, whole = load_file(tmp_path / "run" / name), load_file(tmp_path / "whole" / name)
        assert resumed.keys() == whole.keys()
        for key in whole:  # the first epoch was computed on another machine, perhaps
            torch.testing.assert_close(resumed[key], whole[key], rtol=1e-3, atol=1e-4)
