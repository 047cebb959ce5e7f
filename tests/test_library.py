"""The public interface: what a notebook imports from `spoofcache` itself."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import soundfile

import spoofcache
from spoofcache.common.children import child_environment
from spoofcache.engine.about import RunError
from spoofcache.features.extract import ExtractOptions, make_identity
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.plan import ShardMismatch
from tests.runs import ONE_IN_FOUR, write_run, write_test


@pytest.mark.parametrize("name", spoofcache.PUBLIC)
def test_every_public_name_is_there(name):
    assert getattr(spoofcache, name).__name__ == name
    assert name in dir(spoofcache)


def test_another_name_is_refused_with_the_public_ones():
    with pytest.raises(AttributeError, match="no attribute 'load_runs'; the public names are CachedFeatures, "):
        _ = spoofcache.load_runs


def test_a_module_is_no_victim_of_the_public_names():
    assert import_module("spoofcache.evaluate") is spoofcache.evaluate


def test_importing_it_imports_nothing_else():
    script = "import sys, spoofcache; print([n for n in sys.modules if n in ('numpy', 'torch', 'click', 'h5py')])"
    command = [sys.executable, "-P", "-c", script]
    assert subprocess.run(command, env=child_environment(), capture_output=True, text=True).stdout == "[]\n"


class TestARun:
    def test_scores_an_array(self, tmp_path):
        run = spoofcache.load_run(write_run(tmp_path / "run", weights=(1, 10)))
        rows = np.array([[[1, 0], [1, 0]], [[2, 1], [4, 3]]])  # two utterances of two frames
        assert run.score_features(rows) == pytest.approx([1, 3 + 20])
        with pytest.raises(RunError, match=r"features of shape \(2, 2\); expected \(B, 2, 2\)"):
            run.score_features(rows[0])

    def test_scores_a_cache_of_its_own_features_alone(self, tmp_path):
        run = spoofcache.load_run(write_run(tmp_path / "run"))
        scores = run.score_cache(write_test(tmp_path / "eval", ONE_IN_FOUR))
        assert scores.scores == pytest.approx(ONE_IN_FOUR)
        bonafide, spoof = scores.scores[scores.is_bonafide], scores.scores[~scores.is_bonafide]
        assert spoofcache.equal_error_rate(bonafide, spoof).rate == 0.25
        other = make_identity(make_frontend("raw", FrontEndOptions()), ExtractOptions())
        with pytest.raises(ShardMismatch, match="another identity"):
            run.score_cache(write_test(tmp_path / "other", ONE_IN_FOUR, identity=other))

    def test_scores_a_file_as_it_scores_its_samples(self, tmp_path):
        source = tmp_path / "halves.py"
        source.write_text(
            "from spoofcache import FrontEnd\n\n\nclass Halves(FrontEnd):\n    slug = 'halves'\n\n"
            "    def __init__(self, options): ...\n\n    def settings(self):\n        return {'name': 'halves'}\n\n"
            "    def extract(self, waveforms):\n        return waveforms[:, :4].unflatten(1, (2, 2))\n"
        )
        command = [sys.executable, "-P", "-c", RUN_AND_FILE]
        soundfile.write(tmp_path / "a.wav", np.tile([0.5, 0.25], 500), 16_000)
        done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "[0.5] 0.5 [0.0, 0.03125]\n"), done.stderr


RUN_AND_FILE = """
from pathlib import Path
import numpy as np
import spoofcache
from spoofcache.features.extract import ExtractOptions, make_identity
from spoofcache.features.frontends import make_frontend
from tests.runs import write_run
identity = make_identity(make_frontend("halves:Halves", spoofcache.FrontEndOptions()), ExtractOptions(n_samples=500))
run = spoofcache.load_run(write_run(Path("run"), identity=identity))
track = run.score_file("a.wav", hop=500 / 16_000)
print(run.score_waveforms([np.tile([0.5, 0.25], 500)]).tolist(), track.score, track.starts.tolist())
"""
