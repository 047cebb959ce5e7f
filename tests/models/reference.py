"""Compares back-ends with the outputs of the original networks in tests/golden/backends.npz."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.recipe import fill
from tests.rounding import network_tolerance

GOLDEN = Path(__file__).parent.parent / "golden"


def assert_equals_original(tag: str, model: nn.Module, features: torch.Tensor) -> None:
    """Every stored output, with the recipe's weights, within the tolerance of tests/rounding.py."""
    golden = np.load(GOLDEN / "backends.npz")
    with torch.no_grad():
        embedding, logits = fill(model)(features)
    outputs = {"embedding": embedding, "logits": logits, "z": logits[:, 1:]}
    stored = {name.removeprefix(f"{tag}/") for name in golden.files if name.startswith(f"{tag}/")} - {"f32_vs_f64"}
    assert stored
    for name in stored:
        tolerance = network_tolerance(golden[f"{tag}/f32_vs_f64"])
        np.testing.assert_allclose(outputs[name].numpy(), golden[f"{tag}/{name}"], rtol=0, atol=tolerance)


def assert_names_of_original(tag: str, model: nn.Module) -> None:
    """Names and shapes of the state dict, for the blocks that the stored list has."""
    stored = json.loads((GOLDEN / "backend_state_dicts.json").read_text())[tag]
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: shapes.get(name) for name in stored} == stored


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
