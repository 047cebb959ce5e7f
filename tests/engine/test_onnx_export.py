"""Exported networks: equal to PyTorch for batches of any size, or refused with the operator that stands in the way."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch

from spoofcache.benchmarks.onnx_export import scorer_of as benchmark_scorer
from spoofcache.engine.about import FORMAT_VERSION, About
from spoofcache.engine.countermeasure import build_countermeasure
from spoofcache.engine.onnx_export import ExportError, Scorer, export
from spoofcache.metrics.decision import Decision
from spoofcache.models import BACKENDS
from spoofcache.models.output import BackendOutput
from spoofcache.protocols.trial import CLASS_INDEX
from tests.models.test_registry import SHAPES

QUICK = ("pooled_linear", "layerwise_ffn", "mhfa", "sls")
DECISION = Decision(0.5, -1.25, 0.75, 0.1, "dev", 4, 4, "0" * 64)


def scorer_of(backend, shape, loss="cross_entropy", decision=None):
    torch.manual_seed(0)
    about = About(FORMAT_VERSION, backend, {}, shape, {}, CLASS_INDEX, 0, 0.1, 0.2, {}, loss=loss)
    return Scorer(build_countermeasure(about), decision).eval()


@pytest.mark.parametrize(
    "backend", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in BACKENDS]
)
def test_every_backend_equals_pytorch_on_batches_of_any_size(backend):
    shape = SHAPES[backend][-1]
    scorer = benchmark_scorer(backend, shape)
    exported = export(scorer, shape, {}, backend)
    assert exported.difference <= 1e-4
    session = onnxruntime.InferenceSession(exported.content, providers=["CPUExecutionProvider"])
    features = np.random.default_rng(5).standard_normal((6, *shape), dtype=np.float32)
    (scores,) = session.run(["score"], {"features": features})
    with torch.inference_mode():
        expected = scorer(torch.from_numpy(features))[0].numpy()
    assert expected.std() > 1e-3 * np.abs(expected).max()  # or equal scores would say nothing
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_score_is_that_of_the_loss_and_calibration_follows_from_it():
    scorer = scorer_of("pooled_linear", (5, 3), "binary_cross_entropy", DECISION)
    exported = export(scorer, (5, 3), {"threshold": "0.75"}, "pooled_linear")
    session = onnxruntime.InferenceSession(exported.content, providers=["CPUExecutionProvider"])
    features = np.ones((2, 5, 3), np.float32)
    score, llr = session.run(["score", "calibrated_llr"], {"features": features})
    with torch.inference_mode():
        expected = scorer.model.score(scorer.model(torch.from_numpy(features)))
    np.testing.assert_allclose(score, expected.numpy(), rtol=1e-5)
    np.testing.assert_allclose(llr, 0.5 * score - 1.25, rtol=1e-5)
    assert session.get_modelmeta().custom_metadata_map == {"threshold": "0.75"}


class Unusual(torch.nn.Module):
    """A back-end with an operator that ONNX does not have."""

    def forward(self, features):
        logits = torch.special.zeta(features.abs().mean(dim=1)[:, :2] + 2, features.abs().mean(dim=1)[:, :2] + 1)
        return BackendOutput(logits, logits)


def test_operator_that_onnx_lacks_is_named_in_a_sentence():
    scorer = scorer_of("pooled_linear", (5, 3))
    scorer.model.backend = Unusual()
    sentence = r"^back-end unusual cannot be exported: ONNX has no form of the operator (aten::special|prims::)_?zeta$"
    with pytest.raises(ExportError, match=sentence):
        export(scorer, (5, 3), {}, "unusual")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_library_is_a_sentence_with_the_command_that_installs_it(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExportError, match=rf"needs the library {library}; .*pip install -r requirements-onnx\.txt"):
        export(scorer_of("pooled_linear", (5, 3)), (5, 3), {}, "pooled_linear")
