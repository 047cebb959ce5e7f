"""Export the network of a run, with its score, as an ONNX model, and compare the model with PyTorch before it is kept.

ONNX: https://onnx.ai. The export is that of torch.onnx, which translates the graph that torch.export records.
"""

import importlib
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spoofcache.common.errors import InputError
from spoofcache.engine.about import About, first_line
from spoofcache.engine.calibrating import weights_sha256
from spoofcache.engine.calibration_file import read_decision
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.features.plan import Identity
from spoofcache.features.store import INT16_SCALE
from spoofcache.metrics.decision import Decision

TOLERANCE = 1e-4
"""Largest allowed difference between ONNX Runtime and PyTorch, relative to the largest value of PyTorch."""

EXAMPLE, CHECKED = 3, (1, 4)
"""Batch sizes: of the features with which the graph is recorded, and of those with which it is compared."""

Array = np.ndarray[Any, np.dtype[np.float32]]


class ExportError(InputError):
    """A network that cannot be exported."""


class Scorer(nn.Module):
    """What is exported: features [B, …] in float32 → score [B] and, with a calibration, calibrated_llr [B].

    Args:
        model: the network with its loss, which defines the score.
        decision: the calibration of the run; None without one.
        as_int16: round the features as a cache of 16-bit samples does, because the network was trained on such ones.
    """

    def __init__(self, model: Countermeasure, decision: Decision | None = None, as_int16: bool = False) -> None:
        super().__init__()
        self.model, self.decision, self.as_int16 = model, decision, as_int16

    @property
    def outputs(self) -> list[str]:
        """The names of the results, in their order."""
        return ["score"] if self.decision is None else ["score", "calibrated_llr"]

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.as_int16:
            limits = torch.iinfo(torch.int16)
            features = (features * INT16_SCALE).round().clamp(limits.min, limits.max) / INT16_SCALE
        score = self.model.score(self.model(features))
        return (score,) if self.decision is None else (score, self.decision.offset + self.decision.slope * score)


@dataclass(frozen=True)
class Exported:
    """An ONNX model that was compared with PyTorch.

    Attributes:
        content: the file.
        outputs: the names of the results.
        difference: the largest difference from PyTorch, relative to the largest value of PyTorch.
    """

    content: bytes
    outputs: Sequence[str]
    difference: float


def export_run(run: Path, which: str, with_waveform: bool = False) -> Exported:
    """Export the `best` or `average` weights of a run folder.

    Args:
        run: the run folder.
        which: `best` or `average`.
        with_waveform: the input is to be the waveform, which only runs on the features `raw` allow.

    Raises:
        ExportError: the network cannot be exported, the features are not `raw`, or a library is missing.
        RunError: the folder has no such weights.
    """
    model, about = load_model(run, which)
    as_int16 = _require_raw(run, about) if with_waveform else False
    weights = weights_sha256(run, which)
    decision = read_decision(run, which, weights)
    properties = {"run": run.resolve().name, "checkpoint": which, "weights_sha256": weights}
    return export(
        Scorer(model, decision, as_int16),
        about.feature_shape,
        properties | _described(about, decision),
        name=about.backend,
        input_name="waveform" if with_waveform else "features",
    )


def _require_raw(run: Path, about: About) -> bool:
    """Whether the waveforms were stored as 16-bit numbers; ExportError if the features are not waveforms."""
    front_end = about.identity.get("front_end", {}).get("name")
    if front_end != "raw":
        raise ExportError(
            f"{run}: --waveform, but the run was trained on the features {front_end}, whose computation is not "
            "exported; expected a run on raw, or an export without --waveform"
        )
    return bool(about.identity.get("dtype") == "int16")


def _described(about: About, decision: Decision | None) -> dict[str, str]:
    """The properties of the model file that say what it takes and what its score means."""
    identity = Identity(about.identity)
    properties = {
        "backend": about.backend,
        "loss": about.loss,
        "feature_shape": json.dumps(list(about.feature_shape)),
        "identity": identity.to_json(),
        "identity_digest": identity.digest,
    }
    if decision is not None:
        properties |= {"threshold": repr(decision.threshold), "threshold_origin": decision.origin}
    return properties


def export(
    scorer: Scorer, shape: Sequence[int], properties: Mapping[str, str], name: str, input_name: str = "features"
) -> Exported:
    """Export a network for features [B, *shape] with any B, and compare the result with PyTorch.

    Args:
        scorer: the network in evaluation mode, on the CPU.
        shape: the shape of one utterance's features.
        properties: written into the file as `metadata_props`.
        name: the name of the back-end, for messages.
        input_name: the name of the input.

    Raises:
        ExportError: the network cannot be exported, its scores differ by more than TOLERANCE, or a library is missing.
    """
    onnx, runtime = _library("onnx"), _library("onnxruntime")
    _library("onnxscript")
    scorer = scorer.eval()
    model = _translated(scorer, shape, name, input_name)
    onnx.helper.set_model_props(model, dict(properties))
    try:
        content: bytes = model.SerializeToString()
    except Exception as error:  # protobuf's, of a kind that depends on its version
        raise ExportError(
            f"back-end {name}: a model file above 2 GB, the most that one file of ONNX can hold"
        ) from error
    onnx.checker.check_model(content, full_check=True)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    difference = max(_differences(scorer, session, shape))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"back-end {name}: the exported model differs from PyTorch by {difference:.1e} of the largest value; "
            f"expected at most {TOLERANCE:.0e}"
        )
    return Exported(content, scorer.outputs, difference)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"the export needs the library {name}; expected it to be installed: "
            'pip install -r requirements-onnx.txt, or pip install "spoofcache[onnx]"'
        ) from error


def _translated(scorer: Scorer, shape: Sequence[int], name: str, input_name: str) -> Any:
    """The network as an onnx.ModelProto."""
    example = torch.zeros(EXAMPLE, *shape)
    try:
        with torch.no_grad(), _quietly():
            batch = torch.export.Dim("batch")
            graph = torch.export.export(scorer, (example,), dynamic_shapes=({0: batch},), strict=False)
            program = torch.onnx.export(
                graph, (), dynamo=True, verbose=False, input_names=[input_name], output_names=scorer.outputs
            )
    except Exception as error:  # torch's, of many kinds: of the recording, of the translation, of the optimisation
        raise ExportError(f"back-end {name} cannot be exported: {_obstacle(error)}") from error
    assert program is not None
    return program.model_proto


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's remarks on its own parts, and without the fused attention that ONNX does not have."""
    loggers = [logging.getLogger(each) for each in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    has_fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(has_fastpath)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _obstacle(error: BaseException | None) -> str:
    """The operator that stands in the way, as the chain of errors names it, or the first line of the first error."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    for each in reversed(chain):
        named = re.search(r"(?:OpOverload\(op=')?\b((?:aten|prims|torchvision|\w+_lib)(?:\.|::)\w+)", str(each))
        if named:
            return f"ONNX has no form of the operator {named[1].replace('.', '::', 1)}"
    return first_line(chain[-1]) if isinstance(chain[-1], Exception) else repr(chain[-1])


def _differences(scorer: Scorer, session: Any, shape: Sequence[int]) -> Iterator[float]:
    """The largest relative difference of each output of each batch; a NaN where either side has one."""
    random = np.random.default_rng(0)
    for size in CHECKED:
        features = random.standard_normal((size, *shape), dtype=np.float32)
        with torch.inference_mode():
            expected = [each.numpy() for each in scorer(torch.from_numpy(features))]
        found = session.run(None, {session.get_inputs()[0].name: features})
        for one, other in zip(found, expected, strict=True):
            yield relative_difference(one, other)


def relative_difference(found: Array, expected: Array) -> float:
    """The largest absolute difference, divided by the largest absolute value expected; infinity instead of NaN."""
    largest = float(np.abs(expected).max())
    difference = float(np.abs(found - expected).max())
    ratio = difference / largest if largest else difference
    return ratio if np.isfinite(ratio) else float("inf")
