"""The benchmark of exported back-ends. No timing."""

import json

import pytest
from click.testing import CliRunner

from spoofcache.benchmarks import onnx_export
from spoofcache.benchmarks.onnx_export import main
from spoofcache.engine.onnx_export import ExportError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(onnx_export, "FEATURES", {"pooled_linear": (5, 8), "cnn": (32, 32)})


def test_prints_difference_and_speed_of_a_backend_and_keeps_them(tmp_path):
    options = ["--backend", "pooled_linear", "--batch-size", "3", "--rounds", "2", "--json", f"{tmp_path}/x.json"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    kept = json.loads((tmp_path / "x.json").read_text())
    one = kept["backends"]["pooled_linear"]
    assert (kept["settings"]["batch_size"], one["features"], len(one["rounds"])) == (3, [5, 8], 2)
    assert 0 <= one["difference"] <= 1e-4
    assert one["ratio"] > 0
    assert f"{one['difference']:.1e}" in result.stdout


def test_backend_that_cannot_be_exported_has_the_reason_in_its_line(monkeypatch):
    def refuse(*arguments):
        raise ExportError("back-end cnn cannot be exported: ONNX has no form of the operator aten::foo")

    monkeypatch.setattr(onnx_export, "export", refuse)
    result = CliRunner().invoke(main, ["--backend", "cnn"])
    assert result.exit_code == 0, result.output
    assert "ONNX has no form of the operator aten::foo" in result.stdout
