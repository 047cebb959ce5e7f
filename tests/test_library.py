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
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
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


def test_a_module_can_be_imported_despite_an_equal_public_name():
    assert import_module("spoofcache.evaluate") is spoofcache.evaluate


def test_importing_it_imports_nothing_else():
    script = "import sys, spoofcache; print([n for n in sys.modules if n in ('numpy', 'torch', 'click', 'h5py')])"
    command = [sys.executable, "-P", "-c", script]
    assert subprocess.run(command, env=child_environment(), capture_output=True, text=True).stdout == "[]\n"


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            (lambda: spoofcache.load_run(None), r"load_run with folder None \(NoneType\); expected a path"),
            (lambda: spoofcache.load_run("nowhere"), r"^nowhere: no .*; expected the run folder"),
            (
                lambda: spoofcache.load_run("nowhere", "worst"),
                "load_run with checkpoint 'worst' .*; expected 'best' or 'la",
            ),
            (
                lambda: spoofcache.load_run("nowhere", device="abacus"),
                "load_run with device abacus: expected auto, cpu",
            ),
            (lambda: spoofcache.CachedFeatures(None), r"CachedFeatures\.__init__ with folder None .*; expected a path"),
            (lambda: spoofcache.CachedFeatures("nowhere"), r"^nowhere: no manifest\.json"),
            (lambda: spoofcache.CachedFeatures("nowhere", {}), "with expected {} .*; expected an instance of Identity"),
            (lambda: spoofcache.load_waveform(3), r"load_waveform with path 3 \(int\); expected a path"),
            (lambda: spoofcache.load_waveform("nowhere.wav"), r"^nowhere\.wav: no such file"),
            (lambda: spoofcache.load_waveform("a.wav", -1), "with channel -1; expected at least 0"),
            (lambda: spoofcache.load_waveform("a.wav", at_most="4"), "with at_most '4' .*; expected a whole number"),
            (lambda: spoofcache.read_scores(3), r"read_scores with path 3 \(int\); expected a path"),
            (lambda: spoofcache.read_scores("a.txt", ["score"]), "with columns .*; expected a mapping or None"),
            (lambda: spoofcache.min_dcf([1], [0], costs=0.05), "with costs 0.05 .*; expected an instance of CostModel"),
            (lambda: spoofcache.equal_error_rate("1", [0]), "bona fide scores of type <U1; expected numbers"),
            (
                lambda: spoofcache.equal_error_rate([[1, 2]], [0]),
                r"bona fide scores of shape \(1, 2\); expected a single",
            ),
            (
                lambda: spoofcache.equal_error_rate(1, [0]),
                r"bona fide scores of shape \(\); expected a single dimension",
            ),
            (lambda: spoofcache.det_curve([1], [0, np.nan]), "1 of 2 spoof scores are nan; expected finite numbers"),
            (lambda: spoofcache.det_curve([1], None), "spoof scores of type object; expected numbers"),
            (lambda: spoofcache.FrontEndOptions(layers=3), "FrontEndOptions with layers 3 .*; expected a tuple"),
            (lambda: spoofcache.Location(root=3), r"Location with root 3 \(int\); expected a path or None"),
        ],
    )
    def test_are_refused_in_a_sentence(self, call, sentence, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(spoofcache.InputError, match=sentence):
            call()

    def test_of_a_run_are_refused_in_a_sentence(self, tmp_path):
        run = spoofcache.load_run(write_run(tmp_path / "run"))
        for call, sentence in {
            lambda: run.score_features("abc"): "features of type <U3; expected numbers",
            lambda: run.score_features([[[1, np.nan], [1, 0]]]): "features with NaN or infinite values",
            lambda: run.score_features(np.zeros((0, 3, 2))): r"features of shape \(0, 3, 2\); expected \(B, 2, 2\)",
            lambda: run.score_file("a.wav", hop=0): "score_file with hop 0; expected seconds, more than 0",
            lambda: run.score_file("a.wav", hop="1"): "with hop '1' .*; expected a number or None",
            lambda: run.score_cache(3): "with cache 3 .*; expected an instance of CachedFeatures or a path",
            lambda: run.score_cache("nowhere", 0): "score_cache with batch_size 0; expected at least 1",
            lambda: run.score_waveforms(np.float32(3)): "score_waveforms with float32; expected a sequence",
            lambda: run.score_waveforms([]): "score_waveforms with no waveform; expected at least one",
        }.items():
            with pytest.raises(spoofcache.InputError, match=sentence):
                call()

    def test_rows_are_counted_from_both_ends(self, tmp_path):
        data = spoofcache.CachedFeatures(str(write_test(tmp_path / "eval", ONE_IN_FOUR)))
        assert data[-1].utt_id == data[len(data) - 1].utt_id == data[np.int64(len(data) - 1)].utt_id
        with pytest.raises(IndexError):
            _ = data[len(data)]
        assert len(list(data)) == len(data)
        with pytest.raises(spoofcache.InputError, match=r"index 'a'; expected the number of a row"):
            _ = data["a"]


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
from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from tests.runs import write_run
identity = make_identity(make_frontend("halves:Halves", spoofcache.FrontEndOptions()), ExtractOptions(n_samples=500))
run = spoofcache.load_run(write_run(Path("run"), identity=identity))
track = run.score_file("a.wav", hop=500 / 16_000)
print(run.score_waveforms([np.tile([0.5, 0.25], 500)]).tolist(), track.score, track.starts.tolist())
"""
