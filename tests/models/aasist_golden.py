"""Reference numbers for the AASIST family, and the inputs that they belong to."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.rounding import network_tolerance

FOLDER = Path(__file__).parent.parent / "golden"


def numbers(name: str) -> np.ndarray:
    """One array of aasist_family.npz."""
    return np.load(FOLDER / "aasist_family.npz")[name]


def tolerance(network: str) -> float:
    """Largest absolute difference that passes (tests/rounding.py)."""
    return network_tolerance(numbers(f"{network}/f32_vs_f64_max_abs").item())


def original_shapes(network: str) -> dict[str, list[int]]:
    """Names and shapes of the original's state dict."""
    return json.loads((FOLDER / "aasist_family_state_dicts.json").read_text())[network]


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def ssl_layers() -> torch.Tensor:
    """Stand-in for the raw outputs of layers 1…24 of two utterances [2, 24, 201, 1024]."""
    layers = [np.random.RandomState(100 + k).standard_normal((2, 201, 1024)).astype(np.float32) for k in range(1, 25)]
    return torch.from_numpy(np.stack(layers, axis=1))
