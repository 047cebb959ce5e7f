"""The command that exports a run."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from spoofcache.engine.calibrating import weights_sha256
from spoofcache.engine.calibration_file import write_decision
from spoofcache.features.plan import Identity
from spoofcache.metrics.decision import Decision
from spoofcache.tools.export_onnx import main
from tests.corpora import IDENTITY
from tests.runs import write_run


def call(folder, *options):
    return CliRunner().invoke(main, ["--run", f"{folder}/run", "--onnx", f"{folder}/model.onnx", *options])


def test_exported_run_scores_as_the_run_and_carries_its_identity_and_its_threshold(tmp_path):
    run = write_run(tmp_path / "run", (2, -1))
    write_decision(run, "best", Decision(0.5, 1.0, 0.25, 0.1, "dev", 4, 4, weights_sha256(run, "best")))
    result = call(tmp_path)
    assert result.exit_code == 0, result.output
    assert "score and calibrated_llr" in result.stdout
    session = onnxruntime.InferenceSession(f"{tmp_path}/model.onnx", providers=["CPUExecutionProvider"])
    features = np.array([[[1, 2], [3, 4]], [[0, 1], [0, 1]]], np.float32)  # means (2, 3) and (0, 1)
    score, llr = session.run(["score", "calibrated_llr"], {"features": features})
    np.testing.assert_allclose(score, [1, -1], atol=1e-5)
    np.testing.assert_allclose(llr, [1.5, 0.5], atol=1e-5)
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["identity_digest"] == IDENTITY.digest
    assert Identity.from_json(properties["identity"]) == IDENTITY
    assert (json.loads(properties["feature_shape"]), properties["run"]) == ([2, 2], "run")
    assert float(properties["threshold"]) == 0.25
    assert "dev (4 bona fide and 4 spoof trials)" in properties["threshold_origin"]


def test_calibration_of_other_weights_is_not_exported(tmp_path):
    run = write_run(tmp_path / "run")
    write_decision(run, "best", Decision(0.5, 1.0, 0.25, 0.1, "dev", 4, 4, "0" * 64))
    assert call(tmp_path).exit_code == 0
    model = onnx.load(f"{tmp_path}/model.onnx")
    assert [output.name for output in model.graph.output] == ["score"]
    assert "threshold" not in {each.key for each in model.metadata_props}


def test_existing_file_is_kept_without_overwrite(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "model.onnx").write_text("mine")
    result = call(tmp_path)
    assert (result.exit_code, (tmp_path / "model.onnx").read_text()) == (2, "mine")
    assert "exists already" in result.stderr
    assert call(tmp_path, "--overwrite").exit_code == 0


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_run_on_raw_takes_waveforms_with_the_rounding_of_its_cache(tmp_path, dtype):
    settings = {**IDENTITY.settings, "front_end": {"name": "raw"}, "dtype": dtype}
    write_run(tmp_path / "run", (2.0**15, 0), identity=Identity(settings))
    assert call(tmp_path, "--waveform").exit_code == 0
    session = onnxruntime.InferenceSession(f"{tmp_path}/model.onnx", providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"waveform": np.full((1, 2, 2), 5.25 / 2**15, np.float32)})
    assert score == pytest.approx([5.25 if dtype == "float32" else 5.0], abs=1e-3)


def test_waveforms_for_a_run_on_other_features_are_refused(tmp_path):
    settings = {**IDENTITY.settings, "front_end": {"name": "lfcc"}}
    write_run(tmp_path / "run", identity=Identity(settings))
    result = call(tmp_path, "--waveform")
    assert result.exit_code == 2
    assert "trained on the features lfcc, whose computation is not exported; expected a run on raw" in result.stderr
    assert not (tmp_path / "model.onnx").exists()
